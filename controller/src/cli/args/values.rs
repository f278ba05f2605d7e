//! The words that options take, and how the API spells them.

use clap::ValueEnum;

/// Returns how the API spells a word: as it is given here.
pub(in crate::cli) fn spelling(word: &impl ValueEnum) -> String {
    word.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanRequest {
    /// A rotation.
    Rotate,
    /// A resync of the fabric.
    Resync,
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
    /// Get and list secrets through the Key Vault API, and nothing else.
    VaultSecretsUser,
    /// Do everything with secrets through the Key Vault API, and nothing else.
    VaultSecretsOfficer,
    /// Read the numbers at `/metrics`, and nothing else.
    MetricsReader,
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

/// How to reboot a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RebootType {
    /// Save what runs first.
    #[value(name = "GracefulRebootWithoutZTP")]
    Graceful,
    /// What is not saved is lost.
    #[value(name = "UngracefulRebootWithoutZTP")]
    Ungraceful,
    /// Wipe it, to be provisioned anew; only out of service.
    #[value(name = "GracefulRebootWithZTP")]
    GracefulZtp,
    /// The same.
    #[value(name = "UngracefulRebootWithZTP")]
    UngracefulZtp,
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
