//! Why something is not done to a data directory.

use std::path::PathBuf;

use super::LostPassword;
use crate::age::AgeError;
use crate::auditor::AuditError;
use crate::disk::DiskError;
use crate::error::Fault;
use crate::journal::JournalError;
use crate::reference::ReferenceError;
use crate::rollback::RollbackError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// Tells why something was not done to a data directory.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// There is no such directory or vault.
    #[error("find `{}`", file.display())]
    Missing {
        /// What is not there.
        file: PathBuf,
    },
    /// A daemon uses the data directory.
    #[error("take the vault for this command alone")]
    InUse {
        /// Who has it.
        source: StoreError,
    },
    /// The store or its lock does not work.
    #[error("use the store")]
    Store {
        /// Why.
        source: StoreError,
    },
    /// What is about to be done cannot be recorded.
    #[error(transparent)]
    Audit {
        /// Why.
        source: AuditError,
    },
    /// A file cannot be made, read or written.
    #[error(transparent)]
    Disk {
        /// Why.
        source: DiskError,
    },
    /// There is a file where one was to be made.
    #[error("make `{}`: there is one already", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// The identity cannot be used.
    #[error("read the identity from `{}`", file.display())]
    Identity {
        /// The file.
        file: PathBuf,
        /// Why.
        source: AgeError,
    },
    /// The vault, its key or its passphrase does not allow it.
    #[error("use the vault")]
    Vault {
        /// Why.
        source: VaultError,
    },
    /// Others run the vault, and it is backed up and sealed by its own means.
    #[error("use the embedded vault: the passwords are in `{vault}`")]
    NotEmbedded {
        /// The vault's URI.
        vault: String,
    },
    /// What opens the vault's key cannot be had.
    #[error(transparent)]
    Reference {
        /// Why not.
        source: ReferenceError,
    },
    /// Nothing is configured that wraps keys.
    #[error("have a new key wrapped: nothing is configured to wrap it")]
    NoWrapper,
    /// A journal cannot be read.
    #[error("read the journals")]
    Journal {
        /// Why.
        source: JournalError,
    },
    /// Passwords would be lost that devices may have.
    #[error(
        "take the vault as it is: {} password{} that devices may have are not in it: {}",
        lost.len(),
        if lost.len() == 1 { "" } else { "s" },
        some(lost)
    )]
    Lost {
        /// Which.
        lost: Vec<LostPassword>,
    },
    /// What there is cannot be noted as the newest.
    #[error("note that the vault and the store are the newest ones")]
    Rollback {
        /// Why.
        source: RollbackError,
    },
    /// The vault was left in the middle of a change of its key.
    #[error("change the key of the vault")]
    Rekey {
        /// Why it ended.
        source: VaultError,
    },
}

/// Lost passwords that an error names; more are counted.
const NAMED_MAX: usize = 10;

fn some(lost: &[LostPassword]) -> String {
    let named: Vec<String> = lost.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = lost.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", named.join("; "))
}

impl OfflineError {
    pub(super) fn of_lock(source: StoreError) -> Self {
        match source {
            source @ StoreError::InUse { .. } => Self::InUse { source },
            source => Self::Store { source },
        }
    }

    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("say where the data is with `--data-dir` or `--config`".to_owned())
            }
            Self::InUse { .. } => {
                Some("stop the daemon, do this, and start it again; nothing was changed".to_owned())
            }
            Self::Store { source } => source.hint(),
            Self::Audit { source } => source.hint(),
            Self::Vault { source } => source.hint(),
            Self::Reference { source } => source.hint(),
            Self::NotEmbedded { .. } => Some(
                "others run that vault, by the configuration: back it up and change its keys by \
                 its own means. Nothing was changed"
                    .to_owned(),
            ),
            Self::NoWrapper => Some(
                "set `wrapped-key` under [vault] and give the configuration with `--config`; \
                  nothing was changed"
                    .to_owned(),
            ),
            Self::Journal { source } => source.hint(),
            Self::Disk { source } => source.hint(),
            Self::Exists { .. } => Some("give another name; nothing was changed".to_owned()),
            Self::Identity { source, .. } => source.hint(),
            Self::Rollback { source } => source.hint(),
            Self::Lost { .. } => Some(
                "bring a newer copy of the vault back. If there is none, those devices can be \
                 reached only by other accounts or their consoles: `--despite-loss` goes on \
                 without these passwords. Nothing was changed"
                    .to_owned(),
            ),
            Self::Rekey { source } => {
                let what = "the vault opens with the old or with the new key, and both are kept: \
                            the next start, or the next `keyturn vault rekey`, finds out which \
                            one it is and says so";
                let mend = source.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
                Some(format!("{mend}{what}"))
            }
        }
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Missing { .. }
            | Self::InUse { .. }
            | Self::Lost { .. }
            | Self::NotEmbedded { .. }
            | Self::Exists { .. }
            | Self::NoWrapper
            | Self::Identity { .. } => Fault::Operator,
            Self::Reference { source } => source.fault(),
            Self::Disk { source } => source.fault(),
            Self::Journal { source } => source.fault(),
            Self::Rollback { source } => source.fault(),
            Self::Store { source } => source.fault(),
            Self::Audit { source } => source.fault(),
            Self::Vault { source } | Self::Rekey { source } => source.fault(),
        }
    }
}
