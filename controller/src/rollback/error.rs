//! Why nothing is exposed.

use std::path::PathBuf;

use protocol::id::SecretVersion;

use crate::disk::DiskError;
use crate::error::Fault;
use crate::naming::SecretName;
use crate::store::{Revision, StoreError};
use crate::vault::VaultError;

/// What looks as if the vault or the store were an older copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Suspicion {
    /// The vault is an older copy.
    #[error("the vault is an older copy: its mark is {found}, and {noted} was noted")]
    VaultOlder {
        /// The mark that was noted.
        noted: u64,
        /// The mark that the vault has.
        found: u64,
    },
    /// The vault is not the one that was noted.
    #[error("the vault is another one than was noted")]
    VaultOther,
    /// The store is an older copy, or one that went on from an older copy.
    #[error(
        "the store is an older copy: event {noted} of `{fabric}` is not the one that was noted"
    )]
    StoreOlder {
        /// The fabric, in lower case.
        fabric: String,
        /// How many events its journal had.
        noted: Revision,
    },
    /// The newest password set of a fabric is not in the vault.
    #[error("the vault is an older copy: version {version} of `{name}` is not in it")]
    VersionMissing {
        /// The secret.
        name: SecretName,
        /// The version that the journal names.
        version: SecretVersion,
    },
    /// There was a note, and it is gone.
    #[error("the note of the vault's mark, `{}`, is missing", file.display())]
    NoteMissing {
        /// Where it should be.
        file: PathBuf,
    },
    /// The note is not what was written.
    #[error("the note of the vault's mark, `{}`, is damaged", file.display())]
    NoteDamaged {
        /// The file.
        file: PathBuf,
    },
}

impl Suspicion {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> String {
        let first = match self {
            Self::VaultOlder { .. } | Self::VaultOther | Self::VersionMissing { .. } => {
                "bring the newest copy of the vault back"
            }
            Self::StoreOlder { .. } => "bring the newest copy of the store back",
            Self::NoteMissing { .. } | Self::NoteDamaged { .. } => {
                "bring the note back, or find out which files were restored"
            }
        };
        format!(
            "{first}, with the daemon stopped; where there is no newer copy, `keyturn vault \
             accept-restored` goes on with what there is (docs/vault.md says what to check first). \
             Nothing is exposed or purged until then; passwords can still be shown"
        )
    }
}

/// Tells why nothing may be exposed.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// Something looks like an older copy.
    #[error("expose or purge passwords: {suspicion}")]
    Held {
        /// What.
        suspicion: Suspicion,
    },
    /// The vault's mark cannot be read or raised.
    #[error("mark the vault")]
    Vault {
        /// Why.
        source: VaultError,
    },
    /// The journal's events cannot be named.
    #[error("note how far the journal is")]
    Store {
        /// Why.
        source: StoreError,
    },
    /// A journal is said to be durable where it is not.
    #[error("note how far the journal is: it has no event {at}")]
    Unwritten {
        /// The event.
        at: Revision,
    },
    /// The note cannot be read or written.
    #[error("note the vault's mark")]
    Disk {
        /// Why.
        source: DiskError,
    },
    /// The note cannot be put into words.
    #[error("put the note of the vault's mark into words")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
}

impl RollbackError {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { suspicion } => Some(suspicion.hint()),
            Self::Vault { source } => source.hint(),
            Self::Store { source } => source.hint(),
            Self::Disk { source } => source.hint(),
            Self::Unwritten { .. } | Self::Encode { .. } => Some("report this as a bug".to_owned()),
        }
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Held { .. } => Fault::Operator,
            Self::Vault { source } => source.fault(),
            Self::Store { source } => source.fault(),
            Self::Disk { source } => source.fault(),
            Self::Unwritten { .. } | Self::Encode { .. } => Fault::Bug,
        }
    }
}
