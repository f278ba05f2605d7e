//! The words that options take, and how the API spells them.

use clap::ValueEnum;

/// What to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanRequest {
    /// A rotation.
    Rotate,
    /// A resync of the fabric.
    Resync,
}

impl PlanRequest {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::Resync => "resync",
        }
    }
}

/// What a token's holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// See what there is, and no password.
    Reader,
    /// Rotate, resync, lock, take devices out of service and back; see no password.
    Operator,
    /// See passwords, and change nothing.
    SecretReader,
    /// All but seeing passwords; declares fabrics and makes tokens.
    Administrator,
}

impl TokenRole {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::SecretReader => "secret-reader",
            Self::Administrator => "administrator",
        }
    }
}

/// Lock or unlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LockAction {
    /// Nothing may rotate or resync any more.
    #[value(name = "Lock")]
    Lock,
    /// It may again.
    #[value(name = "Unlock")]
    Unlock,
}

impl LockAction {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "Lock",
            Self::Unlock => "Unlock",
        }
    }
}

/// What to lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LockType {
    /// The whole fabric: nothing is rotated or resynced.
    #[value(name = "Administrative")]
    Administrative,
    /// The configuration; passwords are rotated all the same.
    #[value(name = "Configuration")]
    Configuration,
}

impl LockType {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrative => "Administrative",
            Self::Configuration => "Configuration",
        }
    }
}

/// How far a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CommitStage {
    /// It begins.
    #[value(name = "Start")]
    Start,
    /// It has ended, and the configuration is on the devices.
    #[value(name = "Continue")]
    Continue,
    /// It has ended, and nothing was changed.
    #[value(name = "Rollback")]
    Rollback,
}

impl CommitStage {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Continue => "Continue",
            Self::Rollback => "Rollback",
        }
    }
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UpgradeAction {
    /// It begins.
    #[value(name = "Start")]
    Start,
    /// It has ended as it should.
    #[value(name = "Complete")]
    Complete,
    /// It has failed.
    #[value(name = "Fail")]
    Fail,
}

impl UpgradeAction {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Complete => "Complete",
            Self::Fail => "Fail",
        }
    }
}

/// What to do to a device's administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdminState {
    /// Put it into service.
    #[value(name = "Enable")]
    Enable,
    /// Take it out of service.
    #[value(name = "Disable")]
    Disable,
    /// Replace it.
    #[value(name = "RMA")]
    Rma,
}

impl AdminState {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enable => "Enable",
            Self::Disable => "Disable",
            Self::Rma => "RMA",
        }
    }
}
