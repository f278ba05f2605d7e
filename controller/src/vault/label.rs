//! What versions are to their secrets, for those who look into a vault by other means.

/// What a version is to its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// On its way to the devices.
    Pending,
    /// On the devices.
    Current,
    /// On the devices before.
    Previous,
}

impl Label {
    /// Returns the word for it, as vaults show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Current => "CURRENT",
            Self::Previous => "PREVIOUS",
        }
    }
}
