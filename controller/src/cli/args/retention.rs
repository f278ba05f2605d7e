//! `keyturn retention`, and what is left of deleted fabrics.

use clap::{Args, Subcommand};

use super::FabricTarget;

/// What to do with old passwords.
#[derive(Clone, Debug, Subcommand)]
pub enum RetentionCommand {
    /// Show every version of a fabric's passwords: whether it may go, and why it stays
    Show(RetentionShow),
    /// Purge what may go now, as the daemon does by itself about every hour
    Purge(FabricTarget),
    /// Say that the hardware of a deleted or replaced device was wiped or destroyed
    Release(RetentionRelease),
}

/// `keyturn retention show`
#[derive(Clone, Debug, Args)]
pub struct RetentionShow {
    /// Which fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// Look among deleted fabrics
    #[arg(long)]
    pub deleted: bool,
}

/// `keyturn retention release`
#[derive(Clone, Debug, Args)]
pub struct RetentionRelease {
    /// Which fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// The device's name
    #[arg(long, value_name = "DEVICE")]
    pub device: String,
    /// When it went, as `keyturn retention show` has it: where several went under the name
    #[arg(long, value_name = "TIME")]
    pub gone_at: Option<String>,
    /// Look among deleted fabrics
    #[arg(long)]
    pub deleted: bool,
}

/// `keyturn fabric list`
#[derive(Clone, Debug, Default, Args)]
pub struct FabricList {
    /// Only this resource group
    #[arg(long, short = 'g', value_name = "GROUP")]
    pub resource_group: Option<String>,
    /// Deleted ones of which passwords are kept
    #[arg(long)]
    pub deleted: bool,
}

/// `keyturn fabric purge`
#[derive(Clone, Debug, Args)]
pub struct FabricPurge {
    /// Which deleted fabric.
    #[command(flatten)]
    pub target: FabricTarget,
    /// Also what its devices may still have: nothing opens them afterwards
    #[arg(long)]
    pub force: bool,
}
