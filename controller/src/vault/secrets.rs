//! What the Key Vault API asks of a vault beyond [`Vault`](super::Vault): secrets of anybody, with
//! attributes and tags, deleted softly, backed up and restored.
//!
//! What a secret is, and what may be done with it in which state, follows Azure Key Vault's secrets
//! (learn.microsoft.com/rest/api/keyvault/secrets): a name has versions that never change their
//! value; the newest one is the one that was made last, enabled or not; deleting concerns a name
//! with all its versions, keeps them for a while, and keeps the name from being used meanwhile.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use protocol::id::SecretVersion;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Tag, VaultError};
use crate::naming::SecretName;

/// The longest value, in bytes: Key Vault's own limit (25 KB).
pub const VALUE_BYTES_MAX: usize = 25_600;

/// The most versions that go into one backup: Key Vault's own limit.
pub const BACKUP_VERSIONS_MAX: usize = 500;

/// Begins the tags of versions that were set through the API, and not by a rotation.
const CLIENT: &str = "client/";

impl Tag {
    /// Makes the tag of one version that somebody sets through the API: each such call makes a
    /// version of its own.
    pub(super) fn of_client() -> Self {
        Self::new(&format!("{CLIENT}{}", uuid::Uuid::new_v4()))
    }

    /// Tells whether somebody set the version through the API; else Keyturn made it.
    #[must_use]
    pub fn is_of_client(&self) -> bool {
        self.as_str().starts_with(CLIENT)
    }
}

/// A value of any kind: 0 to [`VALUE_BYTES_MAX`] bytes of UTF-8. Overwritten when dropped; shown by
/// nothing but [`SecretValue::expose`].
pub struct SecretValue(Zeroizing<String>);

/// Tells that a text is longer than a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("take a text of over {VALUE_BYTES_MAX} bytes as the value of a secret")]
pub struct ValueTooLong;

impl SecretValue {
    /// Takes a text as a value.
    ///
    /// # Errors
    /// Returns [`ValueTooLong`]; the text is overwritten either way.
    pub fn new(text: String) -> Result<Self, ValueTooLong> {
        let text = Zeroizing::new(text);
        if text.len() > VALUE_BYTES_MAX { Err(ValueTooLong) } else { Ok(Self(text)) }
    }

    pub(super) fn of(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Opens the value. The files that may call this are listed in `tests/tidy/doors.rs`.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// What a version carries beside its value. Times are seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Whether it can be read.
    pub enabled: bool,
    /// Not to be used before this; for the user's information, as in Key Vault.
    pub not_before: Option<i64>,
    /// Not to be used after this; for the user's information.
    pub expires: Option<i64>,
    /// What kind of text the value is.
    pub content_type: Option<String>,
    /// What its user notes of it.
    pub tags: BTreeMap<String, String>,
}

impl Default for Properties {
    fn default() -> Self {
        let (not_before, expires, content_type) = (None, None, None);
        Self { enabled: true, not_before, expires, content_type, tags: BTreeMap::new() }
    }
}

/// A change of properties; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether it can be read.
    pub enabled: Option<bool>,
    /// Not to be used before this.
    pub not_before: Option<i64>,
    /// Not to be used after this.
    pub expires: Option<i64>,
    /// What kind of text the value is.
    pub content_type: Option<String>,
    /// All tags anew.
    pub tags: Option<BTreeMap<String, String>>,
}

impl Change {
    /// Returns what becomes of properties.
    pub(super) fn apply(self, old: Properties) -> Properties {
        Properties {
            enabled: self.enabled.unwrap_or(old.enabled),
            not_before: self.not_before.or(old.not_before),
            expires: self.expires.or(old.expires),
            content_type: self.content_type.or(old.content_type),
            tags: self.tags.unwrap_or(old.tags),
        }
    }
}

/// What is known of a version without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The secret.
    pub name: SecretName,
    /// The version.
    pub version: SecretVersion,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When its properties were last changed.
    pub updated: u64,
    /// Its properties.
    pub properties: Properties,
    /// What it was put for.
    pub tag: Tag,
}

/// A secret that was deleted and can still be recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Its newest version.
    pub newest: Described,
    /// When it was deleted, in seconds since 1970.
    pub at: u64,
    /// When it goes for ever.
    pub purge_at: u64,
}

/// Some of a list in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// These.
    pub items: Vec<T>,
    /// Where the next page starts; `None`: this was the last one.
    pub next: Option<String>,
}

/// Keeps secrets for whoever asks, under names that are told apart without case.
///
/// Whether somebody may do what they ask, and whether a device still needs a version, is the
/// caller's business.
#[async_trait]
pub trait Secrets: Send + Sync + fmt::Debug {
    /// Stores a value as a new version of `name`, durable when it returns.
    ///
    /// # Errors
    /// [`VaultError::Deleted`] while the name is deleted; [`VaultError::Disk`].
    async fn set(
        &self,
        name: &SecretName,
        value: SecretValue,
        properties: Properties,
    ) -> Result<Described, VaultError>;

    /// Opens a version, or the newest one.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`] (also for a deleted one), [`VaultError::NotFound`],
    /// [`VaultError::Disabled`], [`VaultError::Damaged`], [`VaultError::Disk`].
    async fn open_secret(
        &self,
        name: &SecretName,
        version: Option<&SecretVersion>,
    ) -> Result<(Described, SecretValue), VaultError>;

    /// Changes the properties of a version, or of the newest one.
    ///
    /// # Errors
    /// As [`Secrets::open_secret`].
    async fn change(
        &self,
        name: &SecretName,
        version: Option<&SecretVersion>,
        change: Change,
    ) -> Result<Described, VaultError>;

    /// Lists the secrets, each by its newest version, in the order of their names: at most `count`
    /// after the place `after`.
    ///
    /// # Errors
    /// [`VaultError::Disk`].
    async fn list(&self, after: Option<&str>, count: usize) -> Result<Page<Described>, VaultError>;

    /// Lists the versions of a secret, oldest first: at most `count` after the place `after`.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`], [`VaultError::Disk`].
    async fn list_versions(
        &self,
        name: &SecretName,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page<Described>, VaultError>;

    /// Deletes a secret with all its versions, so that it can be recovered until `retention`
    /// seconds have passed.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`], [`VaultError::Disk`].
    async fn delete(&self, name: &SecretName, retention: u64) -> Result<Deleted, VaultError>;

    /// Returns a deleted secret.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`], [`VaultError::Disk`].
    async fn deleted(&self, name: &SecretName) -> Result<Deleted, VaultError>;

    /// Lists the deleted secrets in the order of their names.
    ///
    /// # Errors
    /// [`VaultError::Disk`].
    async fn list_deleted(
        &self,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page<Deleted>, VaultError>;

    /// Returns what is known of all versions of a secret, deleted or not, oldest first; none for a
    /// name never heard of.
    ///
    /// # Errors
    /// [`VaultError::Disk`].
    async fn all_versions(&self, name: &SecretName) -> Result<Vec<Described>, VaultError>;

    /// Takes a deletion back.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`] if the secret is not deleted, [`VaultError::Disk`].
    async fn recover(&self, name: &SecretName) -> Result<Described, VaultError>;

    /// Overwrites all values of a deleted secret for ever; its name can be used again.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`] if the secret is not deleted, [`VaultError::Disk`].
    async fn purge_deleted(&self, name: &SecretName) -> Result<(), VaultError>;

    /// Seals a secret with all its versions, so that this vault alone can restore it.
    ///
    /// # Errors
    /// [`VaultError::NoSecret`], [`VaultError::TooManyVersions`], [`VaultError::Damaged`],
    /// [`VaultError::Disk`].
    async fn back_up(&self, name: &SecretName) -> Result<Vec<u8>, VaultError>;

    /// Returns whose backup this is.
    ///
    /// # Errors
    /// [`VaultError::NotOurs`] for anything else, [`VaultError::Disk`].
    async fn name_of_backup(&self, sealed: &[u8]) -> Result<SecretName, VaultError>;

    /// Brings a secret back from what [`Secrets::back_up`] has sealed, with the same versions.
    ///
    /// # Errors
    /// [`VaultError::NotOurs`] for anything else, [`VaultError::Exists`] and
    /// [`VaultError::Deleted`] if the name is in use, [`VaultError::Disk`].
    async fn restore(&self, sealed: &[u8]) -> Result<Described, VaultError>;
}
