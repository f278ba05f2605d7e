//! Why a vault did not do what it was asked.

use std::path::PathBuf;

use protocol::id::SecretVersion;

use super::{key, secrets};
use crate::age::AgeError;
use crate::disk::DiskError;
use crate::error::Fault;
use crate::key_vault::KeyVaultError;
use crate::kubernetes::KubernetesError;
use crate::kv2::Kv2Error;
use crate::naming::SecretName;

/// Tells why a vault did not do what it was asked. Never contains a value.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no such secret or version.
    #[error("find version {version} of `{name}` in the vault")]
    NotFound {
        /// The secret.
        name: SecretName,
        /// The version asked for.
        version: SecretVersion,
    },
    /// The version has been disabled.
    #[error("open version {version} of `{name}`: it is disabled")]
    Disabled {
        /// The secret.
        name: SecretName,
        /// The version asked for.
        version: SecretVersion,
    },
    /// The version has been purged: its value is gone for ever.
    #[error("use version {version} of `{name}`: it has been purged")]
    Purged {
        /// The secret.
        name: SecretName,
        /// The version asked for, or the one that the tag belongs to.
        version: SecretVersion,
    },
    /// There is no such secret, or it is in another state than is asked for.
    #[error("find the secret `{name}` in the vault")]
    NoSecret {
        /// The secret.
        name: SecretName,
    },
    /// The secret was deleted, can be recovered, and keeps its name until it is purged.
    #[error("use the secret `{name}`: it is deleted and can be recovered")]
    Deleted {
        /// The secret.
        name: SecretName,
    },
    /// A secret cannot be restored over one that is there.
    #[error("restore the secret `{name}`: there is one of that name")]
    Exists {
        /// The secret.
        name: SecretName,
    },
    /// More versions than go into one backup.
    #[error(
        "back up the secret `{name}`: it has {versions} versions, expected at most {}",
        secrets::BACKUP_VERSIONS_MAX
    )]
    TooManyVersions {
        /// The secret.
        name: SecretName,
        /// How many it has.
        versions: usize,
    },
    /// What is to be restored was not backed up from this vault, or was changed since.
    #[error("restore a secret: it is no whole backup of one that this vault has made")]
    NotOurs,
    /// The value does not open under its name, version and tag, although the key is right.
    #[error("open version {version} of `{name}` in `{}`: it is damaged", file.display())]
    Damaged {
        /// The secret.
        name: String,
        /// The version.
        version: SecretVersion,
        /// The vault's file.
        file: PathBuf,
    },
    /// There are values, but the key that opens them is not there.
    #[error("open the vault `{}`: its key `{}` is missing", file.display(), key.display())]
    KeyMissing {
        /// The vault's file.
        file: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The key is a good key, but of another vault.
    #[error("open the vault `{}`: `{}` is the key of another vault", file.display(), key.display())]
    KeyWrong {
        /// The vault's file.
        file: PathBuf,
        /// Where the key is.
        key: PathBuf,
    },
    /// The key file is not a key file any more.
    #[error("read the vault's key `{}`: expected {expected}", key.display())]
    KeyDamaged {
        /// Where the key is.
        key: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// Others than the owner may read or write the key.
    #[error("use the vault's key `{}`: its mode is {mode:04o}, expected 0600", key.display())]
    KeyExposed {
        /// Where the key is.
        key: PathBuf,
        /// The mode that it has.
        mode: u32,
    },
    /// A credential of systemd's cannot be written.
    #[error("change the vault's key `{}`: systemd keeps it", key.display())]
    KeyFixed {
        /// The credential.
        key: PathBuf,
    },
    /// The key is made from a passphrase, and nobody has given one.
    #[error("open the vault's key `{}`: it takes a passphrase, and none was given", key.display())]
    PassphraseMissing {
        /// The key file.
        key: PathBuf,
    },
    /// The key is wrapped, and nothing is configured that unwraps it.
    #[error(
        "open the vault's key `{}`: it is wrapped by {by}, and nothing is configured to unwrap it",
        key.display()
    )]
    WrapperMissing {
        /// The key file.
        key: PathBuf,
        /// What has wrapped it.
        by: String,
    },
    /// The key is wrapped by another key than the one that is configured.
    #[error(
        "open the vault's key `{}`: it is wrapped by {by}, and {configured} is configured",
        key.display()
    )]
    WrapperOther {
        /// The key file.
        key: PathBuf,
        /// What has wrapped it.
        by: String,
        /// What is configured.
        configured: String,
    },
    /// The service did not unwrap the key.
    #[error("have the vault's key `{}` unwrapped by {by}", key.display())]
    Unwrap {
        /// The key file.
        key: PathBuf,
        /// What has wrapped it.
        by: String,
        /// Why not.
        source: Box<key::WrapError>,
    },
    /// What the service unwrapped is not the key that the file names.
    #[error("open the vault's key `{}`: what {by} unwrapped is another key", key.display())]
    Unwrapped {
        /// The key file.
        key: PathBuf,
        /// What has wrapped it.
        by: String,
    },
    /// The service did not wrap a new key.
    #[error("have a new key of the vault wrapped")]
    Wrap {
        /// Why not.
        source: Box<key::WrapError>,
    },
    /// The passphrase does not make the key that the file names.
    #[error("open the vault's key `{}`: the passphrase from {from} is another one", key.display())]
    PassphraseWrong {
        /// The key file.
        key: PathBuf,
        /// Where the passphrase came from.
        from: String,
    },
    /// The file of the passphrase is not there.
    #[error("read the vault's passphrase: there is no `{}`", file.display())]
    PassphraseFileMissing {
        /// Where it should be.
        file: PathBuf,
    },
    /// What was given is no passphrase to make a key from.
    #[error("take a passphrase from {from}: expected {expected}")]
    PassphraseUnfit {
        /// Where it came from.
        from: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Nobody could be asked for the passphrase, or nobody answered.
    #[error("ask for the vault's passphrase on the terminal")]
    Terminal {
        /// Why.
        source: std::io::Error,
    },
    /// The cipher or the operating system's random generator failed.
    #[error("{doing} in the vault: the cryptographic library failed")]
    Cipher {
        /// What was tried, a verb and its object.
        doing: &'static str,
    },
    /// A backup cannot be sealed or opened.
    #[error("use the backup")]
    Backup {
        /// Why.
        source: AgeError,
    },
    /// The backup opens, and is not what Keyturn puts into one.
    #[error("understand the backup: expected {expected}")]
    BackupDamaged {
        /// What should be in it.
        expected: &'static str,
    },
    /// The vault is none that Keyturn could back up.
    #[error("back the vault up: it is not the embedded one")]
    NoBackup,
    /// There is a vault where one was to be restored.
    #[error("restore the vault `{}`: there is one already", file.display())]
    VaultThere {
        /// The vault's file.
        file: PathBuf,
    },
    /// A vault answered with fewer items than were asked for.
    #[error("use the vault: it answered {got} of {asked} items")]
    Short {
        /// How many were asked for.
        asked: usize,
        /// How many came.
        got: usize,
    },
    /// The vault does not answer (a remote one, or a test's).
    #[error("reach the vault: {reason}")]
    Unreachable {
        /// Why not.
        reason: String,
    },
    /// An Azure Key Vault refused or failed.
    #[error(transparent)]
    Remote(Box<KeyVaultError>),
    /// A HashiCorp Vault or OpenBao refused or failed.
    #[error(transparent)]
    Hashicorp(Box<Kv2Error>),
    /// A Kubernetes cluster refused or failed.
    #[error(transparent)]
    Kubernetes(Box<KubernetesError>),
    /// A vault that others run refused or failed after some of the values of a set were stored.
    #[error("store {asked} values in the vault: {stored} are stored")]
    Partial {
        /// How many were to be stored.
        asked: usize,
        /// How many are.
        stored: usize,
        /// Why the others are not.
        source: Box<Self>,
    },
    /// The disk or the database file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl From<KeyVaultError> for VaultError {
    fn from(source: KeyVaultError) -> Self {
        Self::Remote(Box::new(source))
    }
}

impl From<Kv2Error> for VaultError {
    fn from(source: Kv2Error) -> Self {
        Self::Hashicorp(Box::new(source))
    }
}

impl From<KubernetesError> for VaultError {
    fn from(source: KubernetesError) -> Self {
        Self::Kubernetes(Box::new(source))
    }
}

impl VaultError {
    /// Tells whether the change may have become durable although it was reported as failed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Partial { .. } => true,
            Self::Remote(source) => source.is_outcome_unknown(),
            Self::Hashicorp(source) => source.is_outcome_unknown(),
            Self::Kubernetes(source) => source.is_outcome_unknown(),
            Self::Disk(disk) => disk.is_outcome_unknown(),
            _ => false,
        }
    }

    /// Tells whether one version cannot be read, while others may be. A vault that is down, or that
    /// refuses its caller, says nothing about any version.
    #[must_use]
    pub fn is_of_one_version(&self) -> bool {
        matches!(
            self,
            Self::NotFound { .. }
                | Self::Disabled { .. }
                | Self::Purged { .. }
                | Self::NoSecret { .. }
                | Self::Deleted { .. }
                | Self::Damaged { .. }
        )
    }

    /// Says what an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { name, .. } | Self::Purged { name, .. } => {
                format!("`keyturn secret show` lists the versions of `{name}` that can be used")
            }
            Self::Disabled { .. } => "ask for another version of the secret".to_owned(),
            Self::NoSecret { .. } => {
                "look for it in the list of secrets and in that of deleted secrets".to_owned()
            }
            Self::Deleted { name } => format!("recover or purge the deleted secret `{name}` first"),
            Self::Exists { name } => format!("delete and purge `{name}` first"),
            Self::TooManyVersions { .. } => "back up the whole vault instead".to_owned(),
            Self::NotOurs => "restore what this vault has given as a backup, unchanged".to_owned(),
            Self::Damaged { file, .. } => format!(
                "keep a copy of `{}`, check the disk, and bring the vault back from the last \
                 backup; the other values can still be read",
                file.display()
            ),
            Self::KeyMissing { .. }
            | Self::KeyWrong { .. }
            | Self::KeyDamaged { .. }
            | Self::KeyExposed { .. }
            | Self::KeyFixed { .. }
            | Self::WrapperMissing { .. }
            | Self::WrapperOther { .. }
            | Self::Unwrap { .. }
            | Self::Unwrapped { .. }
            | Self::Wrap { .. }
            | Self::PassphraseMissing { .. }
            | Self::PassphraseWrong { .. }
            | Self::PassphraseFileMissing { .. }
            | Self::PassphraseUnfit { .. }
            | Self::Terminal { .. } => return self.key_hint(),
            Self::Backup { source } => return source.hint(),
            Self::BackupDamaged { .. } => {
                "give a file that `keyturn vault backup` wrote, or another copy of it".to_owned()
            }
            Self::NoBackup => "back it up by its own means".to_owned(),
            Self::VaultThere { file } => format!(
                "restore into another data directory, or move `{}` aside first; nothing was \
                 changed",
                file.display()
            ),
            Self::Unreachable { .. } => "check the vault and the way to it".to_owned(),
            Self::Remote(source) => return source.hint(),
            Self::Hashicorp(source) => return source.hint(),
            Self::Kubernetes(source) => return source.hint(),
            Self::Partial { source, .. } => return source.hint(),
            Self::Disk(disk) => return disk.hint(),
            Self::Cipher { .. } | Self::Short { .. } => return None,
        })
    }

    /// Says what can be done where the key is the matter.
    fn key_hint(&self) -> Option<String> {
        Some(match self {
            Self::KeyMissing { key, .. } => format!(
                "put the key back at `{}` with mode 0600; without it no value can be read. \
                 Nothing was changed",
                key.display()
            ),
            Self::KeyWrong { file, key } => format!(
                "put the key that belongs to `{}` at `{}`; neither was changed",
                file.display(),
                key.display()
            ),
            Self::KeyDamaged { key, .. } => {
                format!("bring `{}` back from its own backup", key.display())
            }
            Self::KeyExposed { key, .. } => format!("run `chmod 600 {}`", key.display()),
            Self::KeyFixed { .. } => "have the new key made elsewhere with `--to-key-file`, then \
                 encrypt that file as the new credential (`systemd-creds encrypt`)"
                .to_owned(),
            Self::PassphraseMissing { .. } => "say where it is with `passphrase-file` under \
                 [vault], give it as the systemd credential `keyturn-vault-passphrase`, or start \
                 the program on a terminal. Nothing was changed"
                .to_owned(),
            Self::WrapperMissing { .. } => {
                "set `wrapped-key` under [vault] to the key that has wrapped it. Nothing was changed"
                    .to_owned()
            }
            Self::WrapperOther { .. } => {
                "set `wrapped-key` under [vault] to the key that has wrapped it; `keyturn vault \
                 rekey` then makes a key that lies in its file, and once more one that another key \
                 wraps. Nothing was changed"
                    .to_owned()
            }
            Self::Unwrap { source, .. } | Self::Wrap { source } => match source.hint() {
                Some(hint) => format!("{hint}. Nothing was changed"),
                None => return None,
            },
            Self::Unwrapped { key, .. } => format!(
                "bring `{}` back from its own backup; if it is the right one, the wrapping key is \
                 another than it was. Nothing was changed",
                key.display()
            ),
            Self::PassphraseWrong { key, .. } => format!(
                "give the passphrase that `{}` was made with; after a change of the passphrase \
                 that is the new one. Nothing was changed",
                key.display()
            ),
            Self::PassphraseFileMissing { file } => {
                format!("write the passphrase into `{}`, with mode 0600", file.display())
            }
            Self::PassphraseUnfit { .. } => format!(
                "a passphrase is one line of {} characters or more",
                key::PASSPHRASE_CHARACTERS_MIN
            ),
            Self::Terminal { .. } => "start the program on a terminal, or give the passphrase in \
                 a file"
                .to_owned(),
            _ => return None,
        })
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotFound { .. }
            | Self::Disabled { .. }
            | Self::Purged { .. }
            | Self::NoSecret { .. }
            | Self::Deleted { .. }
            | Self::Exists { .. }
            | Self::TooManyVersions { .. }
            | Self::NotOurs
            | Self::KeyMissing { .. }
            | Self::KeyWrong { .. }
            | Self::KeyDamaged { .. }
            | Self::KeyExposed { .. }
            | Self::KeyFixed { .. }
            | Self::Backup { .. }
            | Self::BackupDamaged { .. }
            | Self::NoBackup
            | Self::VaultThere { .. }
            | Self::WrapperMissing { .. }
            | Self::WrapperOther { .. }
            | Self::Unwrapped { .. }
            | Self::PassphraseMissing { .. }
            | Self::PassphraseWrong { .. }
            | Self::PassphraseFileMissing { .. }
            | Self::PassphraseUnfit { .. }
            | Self::Terminal { .. } => Fault::Operator,
            Self::Damaged { .. } | Self::Unreachable { .. } | Self::Cipher { .. } => Fault::Vault,
            Self::Short { .. } => Fault::Bug,
            Self::Unwrap { source, .. } | Self::Wrap { source } => source.fault(),
            Self::Remote(source) => source.fault(),
            Self::Hashicorp(source) => source.fault(),
            Self::Kubernetes(source) => source.fault(),
            Self::Partial { source, .. } => source.fault(),
            Self::Disk(disk) => disk.fault(),
        }
    }
}
