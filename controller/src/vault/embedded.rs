//! The embedded vault: one SQLite file beside the store and apart from it, every value sealed.
//!
//! Values are sealed with a data-encryption key, which is random and lies in the same file, itself
//! sealed with the key-encryption key (see [`super::key`]). Bound to a sealed value are the
//! format's version, the data key's number, the secret's name, the version and the tag: a value
//! that was moved to another row, or whose row was changed, does not open. A purge overwrites the
//! value in the file and empties the write-ahead log; what a disk keeps of overwritten blocks is
//! sealed.

mod backup;
mod keys;
mod rekey;
mod rows;
mod secret_rows;
mod secrets;

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use protocol::id::SecretVersion;
use protocol::password::Password;

pub use self::backup::Backup;
use self::keys::{Bound, Keys};
pub use self::rekey::{RekeyStep, Rekeyed, Settled, Steps};
use self::rows::{NewRow, Row};
use super::key::KeySource;
use super::{Clock, Mark, Tag, Vault, VaultError, VersionInfo, new_version};
use crate::age::Recipient;
use crate::disk::sqlite::{Database, Draft, Layout, Session, exists};
use crate::naming::SecretName;

/// The vault's file in the data directory.
pub const VAULT_FILE: &str = "vault.db";

const LAYOUT: Layout = Layout {
    what: "a Keyturn vault",
    application_id: 0x4b54_5654, // "KTVT"
    migrations: &[
        include_str!("schema-1.sql"),
        include_str!("schema-2.sql"),
        include_str!("schema-3.sql"),
    ],
};

/// What archive references say about where the vault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The base URI of its secrets, without a slash at its end.
    pub uri: String,
    /// Its id in the form of an ARM id.
    pub id: String,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            uri: "https://localhost:9443".to_owned(),
            id: "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/keyturn/\
                 providers/Microsoft.KeyVault/vaults/embedded"
                .to_owned(),
        }
    }
}

/// A vault in one file.
#[derive(Debug)]
pub struct EmbeddedVault {
    database: Database,
    keys: Arc<Keys>,
    clock: Clockwork,
    place: Place,
    is_new: bool,
    settled: Option<Settled>,
    backing_up: Arc<tokio::sync::Mutex<()>>,
}

impl EmbeddedVault {
    /// Opens the vault in the data directory `dir`, after making it, and its key, if there is
    /// neither. Hold a [`crate::store::DataDirLock`] on the directory meanwhile.
    ///
    /// # Errors
    /// As [`EmbeddedVault::open_with`].
    pub async fn open(dir: &Path, place: Place, clock: Clock) -> Result<Self, VaultError> {
        let key = KeySource::find(dir, None, None);
        Self::open_with(&dir.join(VAULT_FILE), &key, place, clock).await
    }

    /// Opens the vault in `file` with the key from `source`, after making what is not there. A key
    /// is never made for a vault that exists, nor replaced.
    ///
    /// # Errors
    /// [`VaultError::KeyMissing`], [`VaultError::KeyWrong`], [`VaultError::KeyDamaged`] or
    /// [`VaultError::KeyExposed`]; [`DiskError::Corrupt`](crate::disk::DiskError::Corrupt) if the
    /// file is damaged or another one; other [`DiskError`](crate::disk::DiskError)s. Neither file
    /// is changed.
    pub async fn open_with(
        file: &Path,
        source: &KeySource,
        place: Place,
        clock: Clock,
    ) -> Result<Self, VaultError> {
        let is_new = !exists(file)?;
        let (own, settled) = match source.next().filter(|_next| !is_new) {
            None => (source.clone(), None),
            Some(next) => {
                let (own, settled) = rekey::chosen(file, source, next).await?;
                (own, Some(settled))
            }
        };
        let master = match own.load().await? {
            Some(key) => key,
            None if is_new => source.create(file).await?,
            None => {
                let key = own.path().to_owned();
                return Err(VaultError::KeyMissing { file: file.to_owned(), key });
            }
        };
        let (keys, key_path) = (Arc::new(Keys::new(master, file)), own.path().to_owned());
        if is_new {
            create(file, &keys, clock()).await?;
        }
        let database = Database::open(file, &LAYOUT).await?;
        let opening = keys.clone();
        database.read(async move |mut session| opening.prove(&mut session, key_path).await).await?;
        if let Some(settled) = settled {
            rekey::settle(source, settled)?;
        }
        backup::sweep(file);
        let (clock, backing_up) = (Clockwork(clock), Arc::default());
        Ok(Self { database, keys, clock, place, is_new, settled, backing_up })
    }

    /// Tells whether [`EmbeddedVault::open`] found no vault and made one: a new vault beside an
    /// old store means that the vault was lost.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Tells which key the vault was found to have, where a change of its key had been interrupted.
    #[must_use]
    pub fn settled(&self) -> Option<Settled> {
        self.settled
    }

    /// Opens every value once, drops it, and returns how many there are.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] for the first that does not open.
    pub async fn verify(&self) -> Result<u64, VaultError> {
        let keys = self.keys.clone();
        self.database
            .read(async move |mut session| {
                let (mut count, mut after) = (0, 0);
                loop {
                    let some = rows::page(&mut session, after).await?;
                    let Some(last) = some.last() else {
                        return Ok(count);
                    };
                    after = last.number;
                    for row in some.iter().filter(|row| row.value.is_some()) {
                        keys.open(&mut session, row).await?;
                        count += 1;
                    }
                }
            })
            .await
    }

    /// Ends all work and leaves everything in the one file. Without it nothing is lost either.
    ///
    /// # Errors
    /// [`DiskError`](crate::disk::DiskError) if the file cannot be written.
    pub async fn close(self) -> Result<(), VaultError> {
        Ok(self.database.close().await?)
    }
}

#[async_trait]
impl Vault for EmbeddedVault {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let items: Vec<Item> = items
            .iter()
            .map(|(name, tag, value)| Item {
                name: name.clone(),
                tag: tag.clone(),
                value: value.duplicate(),
            })
            .collect();
        let (keys, now) = (self.keys.clone(), self.clock.now());
        self.database
            .write(async move |mut session| {
                session.begin().await?;
                let done = put_all(&mut session, &keys, now, &items).await;
                session.end(done).await
            })
            .await
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        let (keys, items) = (self.keys.clone(), items.to_vec());
        self.database
            .read(async move |mut session| {
                let mut values = Vec::with_capacity(items.len());
                let found = rows::find(&mut session, &items).await?;
                for ((name, version), row) in items.iter().zip(found) {
                    let row = usable(name, version, row)?;
                    if !row.enabled {
                        let (name, version) = (name.clone(), version.clone());
                        return Err(VaultError::Disabled { name, version });
                    }
                    values.push(keys.open_password(&mut session, &row).await?);
                }
                Ok(values)
            })
            .await
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        let name = name.clone();
        self.database.read(async move |mut session| rows::versions(&mut session, &name).await).await
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let item = (name.clone(), version.clone());
        self.database
            .write(async move |mut session| {
                session.begin().await?;
                let done = disable(&mut session, item).await;
                session.end(done).await
            })
            .await
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let item = (name.clone(), version.clone());
        self.database
            .write(async move |mut session| {
                session.begin().await?;
                let done = purge(&mut session, item).await;
                session.end(done).await?;
                // The sealed value is still in the write-ahead log.
                Ok(session.run("PRAGMA wal_checkpoint(TRUNCATE)").await?)
            })
            .await
    }

    async fn mark(&self) -> Result<Option<Mark>, VaultError> {
        self.database.read(async move |mut session| Ok(Some(rows::mark(&mut session).await?))).await
    }

    async fn raise_mark(&self, serial: u64, note: &str) -> Result<(), VaultError> {
        let note = note.to_owned();
        self.database
            .write(async move |mut session| Ok(rows::raise_mark(&mut session, serial, note).await?))
            .await
    }

    async fn back_up_all(
        &self,
        recipients: Vec<Recipient>,
        to: Box<dyn Write + Send>,
    ) -> Result<Backup, VaultError> {
        self.back_up_into(recipients, to).await
    }

    fn uri(&self) -> String {
        self.place.uri.trim_end_matches('/').to_owned()
    }

    fn id(&self) -> String {
        self.place.id.clone()
    }
}

/// A clock with a `Debug` of its own.
struct Clockwork(Clock);

impl Clockwork {
    fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clockwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

struct Item {
    name: SecretName,
    tag: Tag,
    value: Password,
}

/// Makes the vault's file, whole: with the key's proof and the first data key.
async fn create(file: &Path, keys: &Keys, now: u64) -> Result<(), VaultError> {
    let draft = Draft::start(file, &LAYOUT).await?;
    keys.found(&mut draft.session().await, now).await?;
    Ok(draft.publish().await?)
}

async fn put_all(
    session: &mut Session,
    keys: &Keys,
    now: u64,
    items: &[Item],
) -> Result<Vec<SecretVersion>, VaultError> {
    for item in items {
        if secret_rows::deletion(session, &item.name).await?.is_some() {
            return Err(VaultError::Deleted { name: item.name.clone() });
        }
    }
    let (number, cipher) = keys.for_sealing(session, items.len() as u64, now).await?;
    let mut sealed = Vec::with_capacity(items.len());
    for item in items {
        let tag = item.tag.clone();
        let info = VersionInfo { version: new_version(), created: now, enabled: true, tag };
        let bound = Bound::new(number, item.name.as_str(), &info);
        let value = cipher.seal(&bound.context(), item.value.expose().as_bytes())?;
        sealed.push(NewRow { name: item.name.clone(), info, data_key: number, value });
    }
    let wanted: Vec<(SecretName, Tag)> =
        items.iter().map(|item| (item.name.clone(), item.tag.clone())).collect();
    rows::add(session, sealed).await?;
    let mut versions = Vec::with_capacity(items.len());
    for ((name, _tag), (version, is_purged)) in
        wanted.iter().zip(rows::by_tag(session, &wanted).await?)
    {
        if is_purged {
            return Err(VaultError::Purged { name: name.clone(), version });
        }
        versions.push(version);
    }
    Ok(versions)
}

/// Returns a row whose value has not been purged.
fn usable(name: &SecretName, version: &SecretVersion, row: Option<Row>) -> Result<Row, VaultError> {
    let (name, version) = (name.clone(), version.clone());
    match row {
        None => Err(VaultError::NotFound { name, version }),
        Some(Row { value: None, .. }) => Err(VaultError::Purged { name, version }),
        Some(row) => Ok(row),
    }
}

async fn find_one(
    session: &mut Session,
    item: &(SecretName, SecretVersion),
) -> Result<Option<Row>, VaultError> {
    Ok(rows::find(session, std::slice::from_ref(item)).await?.pop().flatten())
}

async fn disable(
    session: &mut Session,
    item: (SecretName, SecretVersion),
) -> Result<(), VaultError> {
    let row = find_one(session, &item).await?;
    let row = usable(&item.0, &item.1, row)?;
    Ok(rows::disable(session, row.number).await?)
}

async fn purge(session: &mut Session, item: (SecretName, SecretVersion)) -> Result<(), VaultError> {
    match find_one(session, &item).await? {
        None => Err(VaultError::NotFound { name: item.0, version: item.1 }),
        Some(row) => {
            rows::purge(session, row.number).await?;
            Ok(secret_rows::forget_emptied(session, &item.0).await?)
        }
    }
}

#[cfg(test)]
mod tests;
