//! Putting a set: nothing is stored that was stored before, and all refusals come first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::id::SecretVersion;
use protocol::password::Password;

use super::{AT_ONCE, CONTENT_TYPE, ORDER, Shared, TAG, sort};
use crate::key_vault::{KeyVaultError, Properties, Tags};
use crate::naming::SecretName;
use crate::vault::{Tag, VaultError};

/// A value to be put, owned: the put ends even if its caller does not wait.
pub(super) struct Item {
    pub(super) name: SecretName,
    pub(super) tag: Tag,
    pub(super) value: Password,
}

impl Shared {
    /// Returns all versions of a name, oldest first. A name that was deleted comes back.
    async fn known(&self, name: &SecretName) -> Result<Vec<Properties>, KeyVaultError> {
        let mut versions = self.client.versions(name.as_str()).await?;
        if versions.is_empty() && self.client.deleted(name.as_str()).await?.is_some() {
            versions = self.recover(name).await?;
        }
        sort(&mut versions);
        Ok(versions)
    }

    async fn recover(&self, name: &SecretName) -> Result<Vec<Properties>, KeyVaultError> {
        match self.client.recover(name.as_str()).await {
            // Others are bringing it back, or have.
            Err(
                KeyVaultError::Deleted { is_passing: true, .. } | KeyVaultError::NotFound { .. },
            )
            | Ok(()) => tracing::info!(secret = %name, "a deleted secret is recovered"),
            Err(error) => return Err(error),
        }
        let mut tried = 0;
        loop {
            let versions = self.client.versions(name.as_str()).await?;
            tried += 1;
            match self.pace.pause(tried, None) {
                Some(pause) if versions.is_empty() => tokio::time::sleep(pause).await,
                _ => return Ok(versions),
            }
        }
    }

    /// Puts all that is not there yet, and returns the versions in the order of the items.
    pub(super) async fn put(
        self: Arc<Self>,
        items: Vec<Item>,
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let mut places: BTreeMap<SecretName, Vec<usize>> = BTreeMap::new();
        for (place, item) in items.iter().enumerate() {
            places.entry(item.name.clone()).or_default().push(place);
        }
        let (asked, items) = (items.len(), Arc::new(items));
        // All refusals come before the first change.
        let looking = stream::iter(places).map(|(name, places)| {
            let (shared, items) = (Arc::clone(&self), Arc::clone(&items));
            async move {
                let known = shared.known(&name).await?;
                refuse_purged(&name, &known, places.iter().filter_map(|at| items.get(*at)))?;
                Ok::<_, VaultError>((known, places))
            }
        });
        let looked: Vec<_> = looking.buffer_unordered(AT_ONCE).try_collect().await?;
        let stored = Arc::new(AtomicUsize::new(0));
        let putting = stream::iter(looked).map(|(known, places)| {
            let (shared, items, stored) =
                (Arc::clone(&self), Arc::clone(&items), Arc::clone(&stored));
            async move { shared.put_name(known, &places, &items, &stored).await }
        });
        let put: Result<Vec<_>, KeyVaultError> =
            putting.buffer_unordered(AT_ONCE).try_collect().await;
        let put = put.map_err(|source| match stored.load(Ordering::SeqCst) {
            0 => VaultError::from(source),
            stored => VaultError::Partial { asked, stored, source: Box::new(source.into()) },
        })?;
        let put: BTreeMap<usize, SecretVersion> = put.into_iter().flatten().collect();
        let got = put.len();
        if got == asked {
            Ok(put.into_values().collect())
        } else {
            Err(VaultError::Short { asked, got })
        }
    }

    /// Puts the items of one name, one after the other.
    async fn put_name(
        &self,
        mut known: Vec<Properties>,
        places: &[usize],
        items: &[Item],
        stored: &AtomicUsize,
    ) -> Result<Vec<(usize, SecretVersion)>, KeyVaultError> {
        let mut versions = Vec::with_capacity(places.len());
        for (place, item) in places.iter().filter_map(|at| Some((*at, items.get(*at)?))) {
            let before = known.iter().find(|version| version.is_put_for(&item.tag));
            let version = match before {
                Some(before) => before.version.clone(),
                None => {
                    let new = self.set(item).await?;
                    stored.fetch_add(1, Ordering::SeqCst);
                    let version = new.version.clone();
                    known.push(new);
                    version
                }
            };
            versions.push((place, SecretVersion(version.into())));
        }
        Ok(versions)
    }

    /// Sets a value; a name that is on its way back is waited for.
    async fn set(&self, item: &Item) -> Result<Properties, KeyVaultError> {
        let tags = Tags::from([
            (TAG.to_owned(), item.tag.as_str().to_owned()),
            (ORDER.to_owned(), self.next_order()),
        ]);
        let (name, mut tried) = (item.name.as_str(), 0);
        loop {
            let set = self.client.set(name, item.value.expose(), CONTENT_TYPE, &tags).await;
            tried += 1;
            match (set, self.pace.pause(tried, None)) {
                (Err(KeyVaultError::Deleted { is_passing: true, .. }), Some(pause)) => {
                    tokio::time::sleep(pause).await;
                }
                (set, _) => return set,
            }
        }
    }
}

fn refuse_purged<'a>(
    name: &SecretName,
    known: &[Properties],
    mut items: impl Iterator<Item = &'a Item>,
) -> Result<(), VaultError> {
    let purged = items.find_map(|item| {
        let before = known.iter().find(|version| version.is_put_for(&item.tag))?;
        before.is_purged().then(|| before.version.clone())
    });
    match purged {
        None => Ok(()),
        Some(version) => {
            Err(VaultError::Purged { name: name.clone(), version: SecretVersion(version.into()) })
        }
    }
}
