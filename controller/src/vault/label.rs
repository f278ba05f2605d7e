//! What a version is to its secret, for those who look into a vault. Nothing depends on it.

/// A label of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// On its way to the devices.
    Pending,
    /// On the devices.
    Current,
    /// On the devices before; one that lags behind may have it still.
    Previous,
}

impl Label {
    /// The tag that has a version's label.
    pub const TAG: &str = "keyturn-label";

    /// Returns the label as vaults show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Current => "CURRENT",
            Self::Previous => "PREVIOUS",
        }
    }
}
