//! Azure Key Vault as the vault: an organisation's own, with its own access control and logs.
//!
//! What Key Vault has no word for is in tags of a version: what it was put for, the order in which
//! versions of one second were put, and that it has been purged.
//!
//! # Idempotence
//! Before a value is set, the versions of its name are listed and looked through for the tag. Two
//! controllers that put the same at the same time, and an answer that was lost and a value that
//! arrived late, can leave two versions with one tag. The older one is then the tag's version, and
//! the other one is never used.
//!
//! # Purging
//! Key Vault removes whole secrets, never single versions, and where purge protection is on not even
//! those before the vault's retention is over. [`Vault::purge`] makes a version unreadable and marks
//! it as purged; it is never enabled again and counts as gone. Once all versions of a name are
//! purged (the fabric was deleted), the secret is deleted, and Key Vault removes it with all its
//! values when its retention is over: 7 to 90 days. Whoever may purge can do so at once. A name that
//! is needed again before is recovered.

mod put;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::id::SecretVersion;
use protocol::password::Password;

use self::put::Item;
use super::line::Line;
use super::{Clock, Label, Tag, Vault, VaultError, VersionInfo};
use crate::key_vault::{KeyVault, KeyVaultError, Properties};
use crate::naming::SecretName;
use crate::remote::Pace;

/// What a version was put for.
const TAG: &str = "keyturn-tag";
/// A number that grows with each version that is put.
const ORDER: &str = "keyturn-order";
/// When a version was purged, in seconds since 1970-01-01T00:00:00Z.
const PURGED: &str = "keyturn-purged";

/// What the values are.
const CONTENT_TYPE: &str = "text/plain";

/// Requests at once: a rotation of 22 secrets needs three rounds of writes, and one that writes more
/// is throttled by the vault (300 writes in 10 seconds), not by us.
const AT_ONCE: usize = 8;

/// An Azure Key Vault, used through its secrets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AzureVault(Arc<Shared>);

struct Shared {
    client: KeyVault,
    id: String,
    pace: Pace,
    clock: Clock,
    /// The last order that was given.
    order: AtomicU64,
    /// Changes of one name are made one after the other.
    line: Line,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("client", &self.client).finish_non_exhaustive()
    }
}

impl AzureVault {
    /// Uses a vault. `id` is its ARM id; `pace` says how long a deleted name is waited for.
    #[must_use]
    pub fn new(client: KeyVault, id: &str, pace: Pace, clock: Clock) -> Self {
        let (order, line) = (AtomicU64::new(0), Line::default());
        Self(Arc::new(Shared { client, id: id.to_owned(), pace, clock, order, line }))
    }
}

impl Properties {
    fn is_purged(&self) -> bool {
        self.tags.contains_key(PURGED)
    }

    fn is_put_for(&self, tag: &Tag) -> bool {
        self.tags.get(TAG).is_some_and(|text| text == tag.as_str())
    }
}

fn sort(versions: &mut [Properties]) {
    versions.sort_by(|one, other| {
        let key = |of: &Properties| (of.created, of.tags.get(ORDER).cloned(), of.version.clone());
        key(one).cmp(&key(other))
    });
}

impl Shared {
    /// Returns a text that is greater than all before, also before a restart: 20 digits.
    fn next_order(&self) -> String {
        let now = (self.clock)().saturating_mul(1_000_000);
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = self.order.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        let last = last.unwrap_or_else(|last| last);
        format!("{:020}", now.max(last.saturating_add(1)))
    }

    async fn open(&self, name: SecretName, version: SecretVersion) -> Result<Password, VaultError> {
        match self.client.get(name.as_str(), Some(&version.0)).await {
            Ok(mut secret) => Password::new(std::mem::take(&mut *secret.value)).map_err(|_error| {
                VaultError::from(KeyVaultError::Answer {
                    doing: format!("open version {version} of `{name}`"),
                    vault: self.client.uri(),
                    got: "a value that is no password",
                })
            }),
            Err(KeyVaultError::Disabled { .. }) => {
                let versions = self.client.versions(name.as_str()).await?;
                let is_it = |known: &&Properties| known.version == *version.0;
                let is_purged = versions.iter().find(is_it).is_some_and(Properties::is_purged);
                Err(match is_purged {
                    true => VaultError::Purged { name, version },
                    false => VaultError::Disabled { name, version },
                })
            }
            Err(KeyVaultError::NotFound { .. }) => Err(self.missing(&name, &version).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Says why a version is not there: never was, purged, or deleted by others.
    async fn missing(&self, name: &SecretName, version: &SecretVersion) -> VaultError {
        let (name, version) = (name.clone(), version.clone());
        match self.client.deleted(name.as_str()).await {
            Ok(Some(deleted)) if deleted.is_purged() => VaultError::Purged { name, version },
            Ok(Some(_deleted)) => VaultError::Deleted { name },
            // Whatever the second question came to, the first one was answered.
            Ok(None) | Err(_) => VaultError::NotFound { name, version },
        }
    }

    /// Changes whether a version is enabled, or nothing, and returns what is known of it.
    async fn change(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        enabled: Option<bool>,
    ) -> Result<Properties, VaultError> {
        match self.client.update(name.as_str(), &version.0, enabled, None).await {
            Err(KeyVaultError::NotFound { .. }) => Err(self.missing(name, version).await),
            changed => Ok(changed?),
        }
    }

    /// Adds a tag to those that a version has.
    async fn mark(
        &self,
        name: &SecretName,
        known: Properties,
        key: &str,
        value: &str,
    ) -> Result<(), VaultError> {
        let mut tags = known.tags;
        tags.insert(key.to_owned(), value.to_owned());
        self.client.update(name.as_str(), &known.version, None, Some(&tags)).await?;
        Ok(())
    }
}

#[async_trait]
impl Vault for AzureVault {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let shared = Arc::clone(&self.0);
        let mut turn = shared.line.enter(items.iter().map(|(name, ..)| name));
        let own = |(name, tag, value): &(SecretName, Tag, &Password)| Item {
            name: name.clone(),
            tag: tag.clone(),
            value: value.duplicate(),
        };
        let items = items.iter().map(own).collect();
        let putting = tokio::spawn(async move {
            turn.come().await;
            let put = shared.put(items).await;
            drop(turn);
            put
        });
        let ended = putting.await;
        ended.unwrap_or_else(|error| Err(VaultError::Unreachable { reason: error.to_string() }))
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        let opening = stream::iter(items.to_vec()).map(|(name, version)| {
            let shared = Arc::clone(&self.0);
            async move { shared.open(name, version).await }
        });
        opening.buffered(AT_ONCE).try_collect().await
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        self.0.line.pass(name).await;
        let mut versions = self.0.client.versions(name.as_str()).await?;
        versions.retain(|version| !version.is_purged());
        sort(&mut versions);
        let info = |known: Properties| VersionInfo {
            tag: Tag::new(known.tags.get(TAG).map_or("", String::as_str)),
            version: SecretVersion(known.version.into()),
            created: known.created,
            enabled: known.enabled,
        };
        Ok(versions.into_iter().map(info).collect())
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let mut turn = self.0.line.enter([name]);
        turn.come().await;
        // A purged version is disabled already: saying it again changes nothing.
        match self.0.change(name, version, Some(false)).await?.is_purged() {
            true => Err(VaultError::Purged { name: name.clone(), version: version.clone() }),
            false => Ok(()),
        }
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let shared = &self.0;
        let mut turn = shared.line.enter([name]);
        turn.come().await;
        let known = match shared.change(name, version, Some(false)).await {
            Err(VaultError::Purged { .. }) => return Ok(()),
            known => known?,
        };
        if !known.is_purged() {
            shared.mark(name, known, PURGED, &(shared.clock)().to_string()).await?;
        }
        let versions = shared.client.versions(name.as_str()).await?;
        if !versions.is_empty() && versions.iter().all(Properties::is_purged) {
            shared.client.delete(name.as_str()).await?;
        }
        Ok(())
    }

    fn has_labels(&self) -> bool {
        true
    }

    async fn label(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        label: Label,
    ) -> Result<(), VaultError> {
        let shared = &self.0;
        // A tag is added to those that are there: nobody else may add one in between.
        let mut turn = shared.line.enter([name]);
        turn.come().await;
        let known = shared.change(name, version, None).await?;
        if known.is_purged() {
            return Err(VaultError::Purged { name: name.clone(), version: version.clone() });
        }
        shared.mark(name, known, Label::TAG, label.as_str()).await
    }

    fn uri(&self) -> String {
        self.0.client.uri()
    }

    fn id(&self) -> String {
        self.0.id.clone()
    }
}
