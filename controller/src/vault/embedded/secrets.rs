//! Secrets of anybody in the embedded vault: what the Key Vault API asks of it.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use protocol::id::SecretVersion;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::secrets::{
    BACKUP_VERSIONS_MAX, Change, Deleted, Described, Page, Properties, SecretValue, Secrets,
};
use super::super::{Tag, VaultError, VersionInfo, new_version};
use super::EmbeddedVault;
use super::keys::{Bound, Keys};
use super::rows::{self, NewRow};
use super::secret_rows::{self, Deletion, Full};
use crate::disk::sqlite::Session;
use crate::naming::SecretName;

/// Room for one version in a backup beside its value, in bytes.
const BACKUP_ROOM: usize = 4096;

/// A secret as its backup has it.
#[derive(Serialize, Deserialize)]
struct Backup {
    name: SecretName,
    versions: Vec<BackupVersion>,
}

#[derive(Serialize, Deserialize)]
struct BackupVersion {
    version: SecretVersion,
    tag: String,
    created: u64,
    updated: u64,
    properties: Properties,
    #[serde(with = "wiped")]
    value: Zeroizing<String>,
}

/// A text that is overwritten when it is dropped.
mod wiped {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        text: &Zeroizing<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}

#[async_trait]
impl Secrets for EmbeddedVault {
    async fn set(
        &self,
        name: &SecretName,
        value: SecretValue,
        properties: Properties,
    ) -> Result<Described, VaultError> {
        let (keys, now, name) = (self.keys.clone(), self.clock.now(), name.clone());
        self.transact(move |session| {
            Box::pin(async move {
                if secret_rows::deletion(session, &name).await?.is_some() {
                    return Err(VaultError::Deleted { name });
                }
                let info = VersionInfo {
                    version: new_version(),
                    created: now,
                    enabled: properties.enabled,
                    tag: Tag::of_client(),
                };
                add(session, &keys, now, &name, info.clone(), value.expose()).await?;
                secret_rows::set_properties(session, &info.version.0, &properties, now).await?;
                found(secret_rows::newest(session, &name).await?, &name).map(|full| full.described)
            })
        })
        .await
    }

    async fn open_secret(
        &self,
        name: &SecretName,
        version: Option<&SecretVersion>,
    ) -> Result<(Described, SecretValue), VaultError> {
        let (keys, name, version) = (self.keys.clone(), name.clone(), version.cloned());
        self.database
            .read(async move |mut session| {
                let full = live(&mut session, &name, version.as_ref()).await?;
                if !full.described.properties.enabled {
                    let version = full.described.version;
                    return Err(VaultError::Disabled { name, version });
                }
                let value = keys.open(&mut session, &full.row).await?;
                Ok((full.described, SecretValue::of(value)))
            })
            .await
    }

    async fn change(
        &self,
        name: &SecretName,
        version: Option<&SecretVersion>,
        change: Change,
    ) -> Result<Described, VaultError> {
        let (now, name, version) = (self.clock.now(), name.clone(), version.cloned());
        self.transact(move |session| {
            Box::pin(async move {
                let Full { mut described, .. } = live(session, &name, version.as_ref()).await?;
                described.properties = change.apply(described.properties);
                described.updated = now;
                let version = &described.version.0;
                secret_rows::set_properties(session, version, &described.properties, now).await?;
                Ok(described)
            })
        })
        .await
    }

    async fn list(&self, after: Option<&str>, count: usize) -> Result<Page<Described>, VaultError> {
        let after = after.unwrap_or_default().to_owned();
        self.database
            .read(async move |mut session| {
                let some = secret_rows::list(&mut session, &after, count + 1).await?;
                let some = some.into_iter().map(|full| full.described).collect();
                Ok(page(some, count, |last| last.name.as_str().to_owned()))
            })
            .await
    }

    async fn list_versions(
        &self,
        name: &SecretName,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page<Described>, VaultError> {
        let after = after.and_then(|after| after.parse().ok()).unwrap_or(0);
        let name = name.clone();
        self.database
            .read(async move |mut session| {
                live(&mut session, &name, None).await?;
                let some = secret_rows::versions(&mut session, &name, after, count + 1).await?;
                let Page { items, next } =
                    page(some, count, |last: &Full| last.row.number.to_string());
                Ok(Page { items: items.into_iter().map(|full| full.described).collect(), next })
            })
            .await
    }

    async fn delete(&self, name: &SecretName, retention: u64) -> Result<Deleted, VaultError> {
        let (at, name) = (self.clock.now(), name.clone());
        self.transact(move |session| {
            Box::pin(async move {
                let newest = live(session, &name, None).await?.described;
                let deletion = Deletion { at, purge_at: at.saturating_add(retention) };
                secret_rows::delete(session, &newest.name, deletion).await?;
                Ok(deleted(newest, deletion))
            })
        })
        .await
    }

    async fn deleted(&self, name: &SecretName) -> Result<Deleted, VaultError> {
        let name = name.clone();
        self.database.read(async move |mut session| gone(&mut session, &name).await).await
    }

    async fn list_deleted(
        &self,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page<Deleted>, VaultError> {
        let after = after.unwrap_or_default().to_owned();
        self.database
            .read(async move |mut session| {
                let some = secret_rows::deletions(&mut session, &after, count + 1).await?;
                let Page { items, next } = page(some, count, |(name, _)| name.as_str().to_owned());
                let mut secrets = Vec::with_capacity(items.len());
                for (name, deletion) in items {
                    let newest = secret_rows::newest(&mut session, &name).await?;
                    secrets.push(deleted(found(newest, &name)?.described, deletion));
                }
                Ok(Page { items: secrets, next })
            })
            .await
    }

    async fn all_versions(&self, name: &SecretName) -> Result<Vec<Described>, VaultError> {
        let name = name.clone();
        self.database
            .read(async move |mut session| {
                let all = secret_rows::versions(&mut session, &name, 0, usize::MAX).await?;
                Ok(all.into_iter().map(|full| full.described).collect())
            })
            .await
    }

    async fn recover(&self, name: &SecretName) -> Result<Described, VaultError> {
        let name = name.clone();
        self.transact(move |session| {
            Box::pin(async move {
                let Deleted { newest, .. } = gone(session, &name).await?;
                secret_rows::undelete(session, &name).await?;
                Ok(newest)
            })
        })
        .await
    }

    async fn purge_deleted(&self, name: &SecretName) -> Result<(), VaultError> {
        let name = name.clone();
        self.transact(move |session| {
            Box::pin(async move {
                gone(session, &name).await?;
                secret_rows::purge_all(session, &name).await?;
                Ok(secret_rows::undelete(session, &name).await?)
            })
        })
        .await?;
        self.empty_log().await
    }

    async fn back_up(&self, name: &SecretName) -> Result<Vec<u8>, VaultError> {
        let (keys, now, name) = (self.keys.clone(), self.clock.now(), name.clone());
        self.transact(move |session| {
            Box::pin(async move {
                let newest = live(session, &name, None).await?.described;
                let all = secret_rows::versions(session, &name, 0, usize::MAX).await?;
                if all.len() > BACKUP_VERSIONS_MAX {
                    return Err(VaultError::TooManyVersions { name, versions: all.len() });
                }
                let mut versions = Vec::with_capacity(all.len());
                for full in all {
                    let value = keys.open(session, &full.row).await?;
                    versions.push(BackupVersion::of(full.described, value));
                }
                let text = written(&Backup { name: newest.name, versions })?;
                keys.seal_backup(session, now, &text).await
            })
        })
        .await
    }

    async fn name_of_backup(&self, sealed: &[u8]) -> Result<SecretName, VaultError> {
        let (keys, sealed) = (self.keys.clone(), sealed.to_vec());
        self.database
            .read(async move |mut session| Ok(unsealed(&mut session, &keys, &sealed).await?.name))
            .await
    }

    async fn restore(&self, sealed: &[u8]) -> Result<Described, VaultError> {
        let (keys, now, sealed) = (self.keys.clone(), self.clock.now(), sealed.to_vec());
        self.transact(move |session| {
            Box::pin(async move {
                let backup = unsealed(session, &keys, &sealed).await?;
                restore(session, &keys, now, backup).await
            })
        })
        .await
    }
}

impl EmbeddedVault {
    /// Does some work in one transaction, to its end even if the caller stops waiting.
    async fn transact<T, W>(&self, work: W) -> Result<T, VaultError>
    where
        T: Send + 'static,
        W: for<'s> FnOnce(&'s mut Session) -> BoxFuture<'s, Result<T, VaultError>>,
        W: Send + 'static,
    {
        self.database
            .write(async move |mut session| {
                session.begin().await?;
                let done = work(&mut session).await;
                session.end(done).await
            })
            .await
    }

    /// Moves what is in the write-ahead log into the file, where it has been overwritten.
    async fn empty_log(&self) -> Result<(), VaultError> {
        self.database
            .write(async move |mut session| {
                Ok(session.run("PRAGMA wal_checkpoint(TRUNCATE)").await?)
            })
            .await
    }
}

impl BackupVersion {
    fn of(described: Described, value: Zeroizing<String>) -> Self {
        let Described { version, created, updated, properties, tag, .. } = described;
        Self { version, tag: tag.as_str().to_owned(), created, updated, properties, value }
    }
}

/// Writes a backup as a text that never grows, which would leave copies behind.
fn written(backup: &Backup) -> Result<Zeroizing<String>, VaultError> {
    let values: usize = backup.versions.iter().map(|v| v.value.len() * 6 + BACKUP_ROOM).sum();
    let tags = backup.versions.iter().flat_map(|v| &v.properties.tags);
    let tags: usize = tags.map(|(key, value)| (key.len() + value.len()) * 6).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(values + tags + BACKUP_ROOM));
    let failed = |_| VaultError::Cipher { doing: "write a backup" };
    serde_json::to_writer(&mut *text, backup).map_err(failed)?;
    let text = String::from_utf8(std::mem::take(&mut *text));
    text.map(Zeroizing::new).map_err(|_source| VaultError::Cipher { doing: "write a backup" })
}

async fn unsealed(session: &mut Session, keys: &Keys, sealed: &[u8]) -> Result<Backup, VaultError> {
    let text = keys.open_backup(session, sealed).await?.ok_or(VaultError::NotOurs)?;
    serde_json::from_str(&text).map_err(|_source| VaultError::NotOurs)
}

async fn restore(
    session: &mut Session,
    keys: &Keys,
    now: u64,
    backup: Backup,
) -> Result<Described, VaultError> {
    let name = backup.name;
    if secret_rows::deletion(session, &name).await?.is_some() {
        return Err(VaultError::Deleted { name });
    }
    if secret_rows::newest(session, &name).await?.is_some() {
        return Err(VaultError::Exists { name });
    }
    for saved in backup.versions {
        let BackupVersion { version, tag, created, updated, properties, value } = saved;
        secret_rows::forget_purged(session, &name, &version.0).await?;
        let enabled = properties.enabled;
        let info = VersionInfo { version, created, enabled, tag: Tag::new(&tag) };
        add(session, keys, now, &name, info.clone(), &value).await?;
        secret_rows::set_properties(session, &info.version.0, &properties, updated).await?;
    }
    found(secret_rows::newest(session, &name).await?, &name).map(|full| full.described)
}

/// Seals a value and adds it as a version.
async fn add(
    session: &mut Session,
    keys: &Keys,
    now: u64,
    name: &SecretName,
    info: VersionInfo,
    value: &str,
) -> Result<(), VaultError> {
    let (data_key, cipher) = keys.for_sealing(session, 1, now).await?;
    let value = {
        let bound = Bound::new(data_key, name.as_str(), &info);
        cipher.seal(&bound.context(), value.as_bytes())?
    };
    let row = NewRow { name: name.clone(), info, data_key, value };
    Ok(rows::add(session, vec![row]).await?)
}

/// Returns a version, or the newest one, of a secret that is not deleted.
async fn live(
    session: &mut Session,
    name: &SecretName,
    version: Option<&SecretVersion>,
) -> Result<Full, VaultError> {
    if secret_rows::deletion(session, name).await?.is_some() {
        return Err(VaultError::NoSecret { name: name.clone() });
    }
    let newest = found(secret_rows::newest(session, name).await?, name)?;
    let Some(version) = version else { return Ok(newest) };
    let one = secret_rows::one(session, name, &version.0).await?;
    let not_found = || VaultError::NotFound { name: name.clone(), version: version.clone() };
    one.ok_or_else(not_found)
}

/// Returns a secret that is deleted.
async fn gone(session: &mut Session, name: &SecretName) -> Result<Deleted, VaultError> {
    let Some(deletion) = secret_rows::deletion(session, name).await? else {
        return Err(VaultError::NoSecret { name: name.clone() });
    };
    let newest = found(secret_rows::newest(session, name).await?, name)?;
    Ok(deleted(newest.described, deletion))
}

fn deleted(newest: Described, deletion: Deletion) -> Deleted {
    Deleted { newest, at: deletion.at, purge_at: deletion.purge_at }
}

fn found(full: Option<Full>, name: &SecretName) -> Result<Full, VaultError> {
    full.ok_or_else(|| VaultError::NoSecret { name: name.clone() })
}

/// Makes a page of one item more than it may have, if there are so many.
fn page<T>(mut items: Vec<T>, count: usize, place: impl Fn(&T) -> String) -> Page<T> {
    let is_more = items.len() > count;
    items.truncate(count);
    let next = items.last().filter(|_last| is_more).map(place);
    Page { items, next }
}

#[cfg(test)]
mod tests;
