//! `keyturn archive`

use clap::Subcommand;

use super::FabricTarget;

/// `keyturn archive`
#[derive(Clone, Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Show what is copied, what is left, and what stands in the way
    Status(FabricTarget),
    /// Try at once to copy what is left
    Retry(FabricTarget),
    /// Compare every copy with what the own vault has, without showing any
    Verify(FabricTarget),
}
