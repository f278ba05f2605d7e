//! Putting a set: nothing is stored that was stored before, and all refusals come first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::id::SecretVersion;
use protocol::password::Password;

use super::backed::{AT_ONCE, Shared, purged};
use super::record::{self, Known};
use crate::kubernetes::{Created, KubernetesError};
use crate::naming::SecretName;
use crate::vault::{Tag, VaultError};

/// A value to be put, owned: the put ends even if its caller does not wait.
pub(super) struct Item {
    pub(super) name: SecretName,
    pub(super) tag: Tag,
    pub(super) value: Password,
}

/// An item with what is decided about it.
struct Placed {
    item: Item,
    object: String,
    order: u64,
}

impl Shared {
    /// Puts all that is not there yet, and returns the versions in the order of the items.
    pub(super) async fn put(
        self: Arc<Self>,
        items: Vec<Item>,
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let objects: Vec<String> =
            items.iter().map(|item| record::object_for(&item.name, &item.tag)).collect();
        let mut placed: BTreeMap<String, Placed> = BTreeMap::new();
        for (item, object) in items.into_iter().zip(&objects) {
            let order = self.next_order();
            // What is put twice under one tag is what was put first.
            placed.entry(object.clone()).or_insert(Placed { item, object: object.clone(), order });
        }
        let known = self.look_for(placed.into_values()).await?;
        let versions = self.store(known).await?;
        let (asked, got) = (objects.len(), versions.len());
        let in_order = objects.iter().map(|object| versions.get(object).cloned());
        in_order.collect::<Option<_>>().ok_or(VaultError::Short { asked, got })
    }

    /// Looks which are there. All refusals come before the first change.
    async fn look_for(
        self: &Arc<Self>,
        placed: impl Iterator<Item = Placed>,
    ) -> Result<Vec<(Placed, Option<SecretVersion>)>, VaultError> {
        let looking = stream::iter(placed).map(|placed| {
            let shared = Arc::clone(self);
            async move {
                let there = shared.there(&placed).await?;
                Ok::<_, VaultError>((placed, there))
            }
        });
        looking.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Returns the version that is there for an item.
    async fn there(&self, placed: &Placed) -> Result<Option<SecretVersion>, VaultError> {
        let Placed { item, object, .. } = placed;
        let Some(properties) = self.client.look(object).await? else { return Ok(None) };
        let is_it = |known: &Known| known.is_of(&item.name) && known.tag == item.tag;
        let Some(known) = Known::of(&properties).filter(is_it) else {
            let (object, server) = (object.clone(), self.client.server().to_owned());
            return Err(KubernetesError::Foreign { object, server }.into());
        };
        match known.is_purged() {
            true => Err(purged(&item.name, &known.version)),
            false => Ok(Some(known.version)),
        }
    }

    /// Stores what is not there. After the first failure nothing more is begun, and what is under way
    /// is waited for, so that it is known how much is stored.
    async fn store(
        self: &Arc<Self>,
        known: Vec<(Placed, Option<SecretVersion>)>,
    ) -> Result<BTreeMap<String, SecretVersion>, VaultError> {
        let asked = known.len();
        let has_failed = Arc::new(AtomicBool::new(false));
        let storing = stream::iter(known).map(|(placed, there)| {
            let (shared, has_failed) = (Arc::clone(self), Arc::clone(&has_failed));
            async move {
                if let Some(version) = there {
                    return Ok(Some((placed.object, version)));
                }
                if has_failed.load(Ordering::SeqCst) {
                    return Ok(None);
                }
                let made = shared.make(&placed).await;
                has_failed.fetch_or(made.is_err(), Ordering::SeqCst);
                made.map(|version| Some((placed.object, version)))
            }
        });
        let ended: Vec<Result<_, VaultError>> = storing.buffer_unordered(AT_ONCE).collect().await;
        let (mut versions, mut failure) = (BTreeMap::new(), None);
        for one in ended {
            match one {
                Ok(stored) => versions.extend(stored),
                // What may have been stored all the same is the one that has to be told.
                Err(error) if error.is_outcome_unknown() => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            None => Ok(versions),
            Some(source) if versions.is_empty() => Err(source),
            Some(source) => {
                let (stored, source) = (versions.len(), Box::new(source));
                Err(VaultError::Partial { asked, stored, source })
            }
        }
    }

    /// Makes a version's Secret. Where there is one since, it is the version.
    async fn make(&self, placed: &Placed) -> Result<SecretVersion, VaultError> {
        let Placed { item: Item { name, tag, value }, object, order } = placed;
        let version = record::new_version(name, tag);
        let new = record::new(name, tag, &version, *order, value.expose().as_bytes());
        if self.client.create(&new).await? == Created::Made {
            return Ok(version);
        }
        let there = self.there(placed).await?;
        there.ok_or_else(|| self.contended(format!("make the Secret `{object}`")).into())
    }
}
