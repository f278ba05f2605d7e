//! `keyturn vault`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `keyturn vault`
#[derive(Debug, Args)]
pub struct Vault {
    /// The daemon's configuration, if it has one (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: VaultCommand,
}

/// What to do with the embedded vault.
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Give the vault a new key, without touching any value; while no daemon runs
    Rekey(Rekey),
    /// Write a backup of the vault that only its recipients can open; also while the daemon runs
    Backup(BackUp),
    /// Make the vault of a backup, where there is none; while no daemon runs
    Restore(Restore),
    /// Go on with a vault or store that came back from an older copy; while no daemon runs
    AcceptRestored(AcceptRestored),
}

/// `keyturn vault backup`
#[derive(Debug, Args)]
pub struct BackUp {
    /// The file to write; it must not exist yet
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Who can open it: an age recipient, `age1…`; may be given several times
    #[arg(long = "recipient", value_name = "RECIPIENT", required = true)]
    pub recipients: Vec<String>,
}

/// `keyturn vault restore`
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// The file of the identity that opens it, as `age-keygen` writes it
    #[arg(long, value_name = "FILE")]
    pub identity_file: PathBuf,
}

/// `keyturn vault accept-restored`
#[derive(Debug, Args)]
pub struct AcceptRestored {
    /// Go on also without passwords that devices may have
    #[arg(long)]
    pub despite_loss: bool,
}

/// `keyturn vault rekey`
#[derive(Debug, Args)]
pub struct Rekey {
    /// Make the new key from a passphrase, which is asked for
    #[arg(long, conflicts_with = "new_passphrase_file")]
    pub new_passphrase: bool,
    /// Make the new key from the passphrase in this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    /// Have the new key wrapped, as `wrapped-key` under [vault] says
    #[arg(long, conflicts_with_all = ["new_passphrase", "new_passphrase_file"])]
    pub new_wrapped: bool,
    /// Make the new key's file here, or take the one that is here, and leave the old file alone
    /// [default: in the place of the old one]
    #[arg(long, value_name = "FILE")]
    pub to_key_file: Option<PathBuf>,
}
