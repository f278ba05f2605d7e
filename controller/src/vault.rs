//! The vault: where passwords are, and the only place where they are kept.
//!
//! A value is durable in the vault before any device hears of it, and stays there until it is
//! certain that no device accepts it any more. The vault names the versions of a secret; the order
//! of password sets is ours ([`protocol::id::PasswordSet`]) and not the vault's business.

pub mod azure;
pub mod bounded;
mod cipher;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod embedded;
mod error;
pub mod hashicorp;
pub mod key;
pub mod kubernetes;
mod label;
mod line;
pub mod memory;
pub mod secrets;

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use protocol::id::SecretVersion;
use protocol::password::Password;

pub use self::azure::AzureVault;
pub use self::embedded::{Backup, EmbeddedVault};
pub use self::error::VaultError;
pub use self::hashicorp::HashicorpVault;
#[cfg(feature = "kubernetes")]
pub use self::kubernetes::KubernetesVault;
pub use self::label::Label;
pub use self::memory::{MemoryVault, VaultFault};
use crate::age::Recipient;
use crate::naming::SecretName;

/// A clock that was handed in: seconds since 1970-01-01T00:00:00Z.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Names the reason of a put, so that doing it twice stores one value: an operation's id and the
/// password set, for example. At most 256 characters, as Key Vault's tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Takes a text as a tag.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a version number that has never been used: 128 random bits.
fn new_version() -> SecretVersion {
    SecretVersion(hex::encode(rand::random::<[u8; 16]>()).into())
}

/// What may be known of a version without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// The vault's name for the version: 32 lower-case hexadecimal digits, never used twice.
    pub version: SecretVersion,
    /// When it was put, in seconds since 1970-01-01T00:00:00Z.
    pub created: u64,
    /// Whether it can be read.
    pub enabled: bool,
    /// What it was put for.
    pub tag: Tag,
}

/// What tells an older copy of a vault from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Names this vault and no other; a copy of its file has the same name.
    pub vault: String,
    /// Raised before each exposure.
    pub serial: u64,
    /// What was noted then. Nothing secret.
    pub note: String,
}

/// Keeps passwords under names, in versions that never change. Names are told apart without case.
#[async_trait]
pub trait Vault: Send + Sync + fmt::Debug {
    /// Stores a value as a new version of `name`, durable when it returns. Idempotent by tag: a
    /// second call with the same name and tag returns the first call's version and stores nothing.
    ///
    /// # Errors
    /// As [`Vault::put_all`].
    async fn put(
        &self,
        name: &SecretName,
        tag: &Tag,
        value: &Password,
    ) -> Result<SecretVersion, VaultError> {
        let versions = self.put_all(&[(name.clone(), tag.clone(), value)]).await?;
        versions.into_iter().next().ok_or(VaultError::Short { asked: 1, got: 0 })
    }

    /// Stores a set of values in one commit and returns their versions in the same order: all are
    /// durable, or none is. Idempotent by tag, each by itself. Runs to its end even if the caller
    /// stops waiting.
    ///
    /// # Errors
    /// [`VaultError::Purged`] if a tag's version has been purged; [`VaultError::Deleted`] if a
    /// name is deleted, where the vault has that, and nothing was stored; [`DiskError::Full`](crate::disk::DiskError::Full) and
    /// [`DiskError::ReadOnly`](crate::disk::DiskError::ReadOnly), after which nothing was stored; [`DiskError::Io`](crate::disk::DiskError::Io) and
    /// [`DiskError::TimedOut`](crate::disk::DiskError::TimedOut), after which the values may be stored (asking again with the same
    /// tags tells); [`VaultError::Damaged`].
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError>;

    /// Opens one version.
    ///
    /// # Errors
    /// As [`Vault::get_all`].
    async fn get(
        &self,
        name: &SecretName,
        version: &SecretVersion,
    ) -> Result<Password, VaultError> {
        let values = self.get_all(&[(name.clone(), version.clone())]).await?;
        values.into_iter().next().ok_or(VaultError::Short { asked: 1, got: 0 })
    }

    /// Opens several versions in one round and returns them in the same order.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Disabled`] or [`VaultError::Purged`] for the first
    /// that cannot be read; [`VaultError::Damaged`] if what is there is not what was put under that
    /// name and version; [`DiskError`](crate::disk::DiskError) if it cannot be read.
    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError>;

    /// Opens what can be opened of several versions, in the same order; in place of the others it is
    /// said why each cannot. One round where all can.
    ///
    /// # Errors
    /// What is not about one version: then nothing is known of any of them.
    async fn open_each(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Result<Password, VaultError>>, VaultError> {
        let mut all = Vec::with_capacity(items.len());
        let mut left = vec![items];
        while let Some(some) = left.pop() {
            match self.get_all(some).await {
                Ok(values) if values.len() == some.len() => all.extend(values.into_iter().map(Ok)),
                Ok(values) => {
                    return Err(VaultError::Short { asked: some.len(), got: values.len() });
                }
                Err(error) if !error.is_of_one_version() => return Err(error),
                Err(error) if some.len() == 1 => all.push(Err(error)),
                Err(_one_of_them) => {
                    let (first, second) = some.split_at(some.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        Ok(all)
    }

    /// Lists the versions of a secret that have not been purged, oldest first; none for a name
    /// never heard of.
    ///
    /// # Errors
    /// [`DiskError`](crate::disk::DiskError) if they cannot be read.
    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError>;

    /// Makes a version unreadable and keeps its value. Idempotent.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Purged`], or [`DiskError`](crate::disk::DiskError).
    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError>;

    /// Overwrites a version's value for ever and keeps its number, which is never used again.
    /// Idempotent. Whether a value may go is the caller's decision (retention, disproved).
    ///
    /// # Errors
    /// [`VaultError::NotFound`] or [`DiskError`](crate::disk::DiskError).
    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError>;

    /// Tells whether versions have labels here. A vault that has them says so, else nobody calls
    /// [`Vault::label`].
    fn has_labels(&self) -> bool {
        false
    }

    /// Says what a version is to its secret, for those who look into the vault. Nothing depends on
    /// it, and the value stays as it is. Does nothing in a vault without labels.
    ///
    /// # Errors
    /// As [`Vault::disable`], in a vault that has labels.
    async fn label(
        &self,
        _name: &SecretName,
        _version: &SecretVersion,
        _label: Label,
    ) -> Result<(), VaultError> {
        Ok(())
    }

    /// Returns the vault's mark; `None` for a vault that nobody can bring back from an older copy.
    ///
    /// # Errors
    /// [`DiskError`](crate::disk::DiskError) if it cannot be read.
    async fn mark(&self) -> Result<Option<Mark>, VaultError> {
        Ok(None)
    }

    /// Raises the mark to `serial` with a note, durable when it returns. A higher mark stays as it
    /// is.
    ///
    /// # Errors
    /// [`DiskError`](crate::disk::DiskError) if it cannot be written.
    async fn raise_mark(&self, _serial: u64, _note: &str) -> Result<(), VaultError> {
        Ok(())
    }

    /// Writes a backup of everything into `to`, sealed to `recipients`; others use the vault meanwhile.
    ///
    /// # Errors
    /// [`VaultError::NoBackup`] for a vault that is backed up by its own means;
    /// [`VaultError::Backup`] if it cannot be sealed or written.
    async fn back_up_all(
        &self,
        _recipients: Vec<Recipient>,
        _to: Box<dyn Write + Send>,
    ) -> Result<Backup, VaultError> {
        Err(VaultError::NoBackup)
    }

    /// Returns the base URI for archive references, without a slash at its end.
    fn uri(&self) -> String;

    /// Returns the vault's own id in the form of an ARM id (`keyVaultId`).
    fn id(&self) -> String;
}
