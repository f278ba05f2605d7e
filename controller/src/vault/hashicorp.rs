//! HashiCorp Vault or OpenBao as the vault: the key/value engine, version 2, of an organisation's own.
//!
//! The engine numbers the versions of a key and trims old ones by itself, at ten unless it is told
//! otherwise. That would lose passwords that devices still have. So every version of a secret is a
//! key of its own, `secrets/<name>/<version>` below the configured folder, and is written once.
//!
//! # Idempotence
//! The name of a version is made from the secret's name and the tag, and its key is written only where
//! there is none (check-and-set). Whoever puts the same again, another controller or after an answer
//! that was lost, finds the first one.
//!
//! # States
//! A version that is disabled is deleted in the engine, which keeps it; one that is purged is destroyed
//! there, at once and for ever. That there was one stays known, so that its name is not used again.

mod mark;
mod put;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::id::SecretVersion;
use protocol::password::Password;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use self::put::Item;
use super::line::Line;
use super::{Clock, Label, Mark, Tag, Vault, VaultError, VersionInfo};
use crate::kv2::{Kv2, Kv2Error, Kv2Settings, Metadata, Read, VersionState};
use crate::naming::SecretName;
use crate::remote::Pace;

/// What a version was put for.
const TAG: &str = "keyturn-tag";

/// The folder of all secrets, as in the URLs of an Azure Key Vault.
const FOLDER: &str = "secrets";

/// The number that the engine gives to the only thing that is written to a key.
const ONLY: u64 = 1;

/// What the vault's clock may differ from ours by, in seconds. Whatever is deleted so soon is taken for
/// deleted: it is a mistake to bring back what was disabled.
const CLOCKS_DIFFER_MAX: u64 = 300;

/// Requests at once: a rotation of 22 secrets needs nine rounds, and a small server is not held up.
const AT_ONCE: usize = 8;

/// A mount of the key/value engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HashicorpVault(Arc<Shared>);

struct Shared {
    client: Kv2,
    id: String,
    clock: Clock,
    /// Changes of one name are made one after the other.
    line: Line,
    /// Whether the mount has been looked at, and keeps what is written.
    fit: OnceCell<()>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("client", &self.client).finish_non_exhaustive()
    }
}

/// What is in a key.
#[derive(Deserialize)]
struct Value {
    #[serde(deserialize_with = "secret")]
    value: Zeroizing<String>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

/// Opens the vault that is configured. `id` is what archive references call it; by default an id that
/// no vault of Azure's can have. Asks nobody yet.
///
/// # Errors
/// Returns [`Kv2Error`] for settings that cannot be used.
pub fn open(
    settings: &Kv2Settings,
    id: Option<&str>,
    clock: Clock,
) -> Result<Arc<dyn Vault>, VaultError> {
    let client = Kv2::open(settings, Pace::default())?;
    let usual = || {
        format!(
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/keyturn/providers/\
             Microsoft.KeyVault/vaults/{}",
            settings.mount.replace('/', "-")
        )
    };
    let id = id.map_or_else(usual, str::to_owned);
    Ok(Arc::new(HashicorpVault::new(client, &id, clock)))
}

impl HashicorpVault {
    /// Uses a vault. `id` is what archive references call it, in the form of an ARM id.
    #[must_use]
    pub fn new(client: Kv2, id: &str, clock: Clock) -> Self {
        let (id, line, fit) = (id.to_owned(), Line::default(), OnceCell::new());
        Self(Arc::new(Shared { client, id, clock, line, fit }))
    }
}

fn folder(name: &SecretName) -> String {
    // The engine tells names apart by case.
    format!("{FOLDER}/{}", name.as_str().to_ascii_lowercase())
}

fn key(name: &SecretName, version: &str) -> String {
    format!("{}/{version}", folder(name))
}

/// Tells whether a text is the name of a version. What others put beside ours is none.
fn is_version(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the name of the version that is put for a tag: the first 16 bytes of SHA-256 over the
/// secret's name in lower case and the tag, the first of them preceded by its length.
fn version(name: &SecretName, tag: &Tag) -> SecretVersion {
    let name = name.as_str().to_ascii_lowercase();
    let digest = Sha256::new()
        .chain_update((name.len() as u64).to_be_bytes())
        .chain_update(name)
        .chain_update(tag.as_str());
    let text: String = hex::encode(digest.finalize()).chars().take(32).collect();
    SecretVersion(text.into())
}

/// Tells whether the engine is going to delete a version that can still be read.
fn will_be_deleted(state: &VersionState, now: u64) -> bool {
    state.deletion().is_some_and(|deletion| deletion > now.saturating_add(CLOCKS_DIFFER_MAX))
}

fn info(version: &str, known: &Metadata, state: &VersionState, now: u64) -> (i128, VersionInfo) {
    let tag = known.custom_metadata.as_ref().and_then(|custom| custom.get(TAG));
    let created = u64::try_from(state.created() / 1_000_000_000).unwrap_or_default();
    let info = VersionInfo {
        version: SecretVersion(version.into()),
        created,
        enabled: state.deletion().is_none() || will_be_deleted(state, now),
        tag: Tag::new(tag.map_or("", String::as_str)),
    };
    (state.created(), info)
}

impl Shared {
    /// Makes sure, once, that the mount is one of version 2 and keeps what is written.
    async fn check_mount(&self) -> Result<(), Kv2Error> {
        let look = || async {
            let mount = self.client.mount().await?;
            let after = mount.delete_version_after;
            // Negative is how the engine writes that this is switched off.
            match after.is_empty() || after == "0s" || after.starts_with('-') {
                true => Ok(()),
                false => Err(self.forgetful(after, false)),
            }
        };
        self.fit.get_or_try_init(look).await.copied()
    }

    fn forgetful(&self, after: String, is_stored: bool) -> Kv2Error {
        Kv2Error::Forgetful { vault: self.client.uri(), after, is_stored }
    }

    async fn open(&self, name: SecretName, version: SecretVersion) -> Result<Password, VaultError> {
        if !is_version(&version.0) {
            return Err(VaultError::NotFound { name, version });
        }
        match self.client.read::<Value>(&key(&name, &version.0), ONLY).await? {
            Read::Value { mut data, .. } => Password::new(std::mem::take(&mut *data.value))
                .map_err(|_error| {
                    VaultError::from(Kv2Error::Answer {
                        doing: format!("open version {version} of `{name}`"),
                        vault: self.client.uri(),
                        got: "a value that is no password",
                    })
                }),
            Read::Deleted => Err(VaultError::Disabled { name, version }),
            Read::Destroyed => Err(VaultError::Purged { name, version }),
            Read::Missing => Err(VaultError::NotFound { name, version }),
        }
    }

    /// Returns what is known of a version that was put, also if it has been purged.
    async fn known(
        &self,
        name: &SecretName,
        version: &SecretVersion,
    ) -> Result<Metadata, VaultError> {
        let known = match is_version(&version.0) {
            true => self.client.metadata(&key(name, &version.0)).await?,
            false => None,
        };
        let missing = || VaultError::NotFound { name: name.clone(), version: version.clone() };
        known.filter(|known| known.version(ONLY).is_some()).ok_or_else(missing)
    }

    /// Makes sure that a version can be changed: it is there, and was not purged.
    async fn check_there(
        &self,
        name: &SecretName,
        version: &SecretVersion,
    ) -> Result<(), VaultError> {
        let known = self.known(name, version).await?;
        match known.version(ONLY).is_some_and(|state| state.destroyed) {
            true => Err(VaultError::Purged { name: name.clone(), version: version.clone() }),
            false => Ok(()),
        }
    }

    async fn described(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        let keys = self.client.list(&folder(name)).await?.into_iter();
        let keys = keys.filter(|key| is_version(key));
        let now = (self.clock)();
        let looking = stream::iter(keys).map(|version| async move {
            let known = self.client.metadata(&key(name, &version)).await?;
            Ok::<_, VaultError>(known.and_then(|known| {
                let state = known.version(ONLY).filter(|state| !state.destroyed)?;
                Some(info(&version, &known, state, now))
            }))
        });
        let found: Vec<_> = looking.buffer_unordered(AT_ONCE).try_collect().await?;
        let mut found: Vec<_> = found.into_iter().flatten().collect();
        found.sort_by(|(at, one), (then, other)| {
            (at, &one.version.0).cmp(&(then, &other.version.0))
        });
        Ok(found.into_iter().map(|(_created, info)| info).collect())
    }
}

#[async_trait]
impl Vault for HashicorpVault {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let shared = Arc::clone(&self.0);
        let mut turn = shared.line.enter(items.iter().map(|(name, ..)| name));
        let items = items.iter().map(|(name, tag, value)| Item::new(name, tag, value)).collect();
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
        self.0.described(name).await
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let mut turn = self.0.line.enter([name]);
        turn.come().await;
        self.0.check_there(name, version).await?;
        // What is deleted already stays as it is.
        Ok(self.0.client.delete(&key(name, &version.0), &[ONLY]).await?)
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let mut turn = self.0.line.enter([name]);
        turn.come().await;
        let known = self.0.known(name, version).await?;
        // Also where it is marked as destroyed: the engine marks first, and may have failed after that.
        // Also what others wrote to the key: it may be a copy.
        Ok(self.0.client.destroy(&key(name, &version.0), &known.numbers()).await?)
    }

    async fn mark(&self) -> Result<Option<Mark>, VaultError> {
        Ok(Some(self.0.mark().await?))
    }

    async fn raise_mark(&self, serial: u64, note: &str) -> Result<(), VaultError> {
        self.0.raise_mark(serial, note).await
    }

    fn has_labels(&self) -> bool {
        true
    }

    /// In the custom metadata `keyturn-label`.
    async fn label(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        label: Label,
    ) -> Result<(), VaultError> {
        let shared = &self.0;
        let mut turn = shared.line.enter([name]);
        turn.come().await;
        shared.check_there(name, version).await?;
        let marks = BTreeMap::from([(Label::TAG, label.as_str())]);
        Ok(shared.client.mark(&key(name, &version.0), &marks).await?)
    }

    fn uri(&self) -> String {
        self.0.client.uri()
    }

    fn id(&self) -> String {
        self.0.id.clone()
    }
}
