//! Backups: the vault and what opens it in one file, sealed to an age recipient.
//!
//! Inside of the sealed file stand a first line, `keyturn-vault-backup 1`; a second line of JSON with a
//! key that was made for this backup alone, and the length and hash of what follows; and the vault's
//! file, a copy at one instant whose data keys are sealed with that key. So a backup opens without the
//! vault's own key, and does not hold it. Values, versions, tags and the vault's mark are as they were;
//! purged values are not in it, nor is the journal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::super::cipher::{Cipher, KeyBytes};
use super::super::key::{self, KeySource};
use super::super::{Clock, VaultError};
use super::keys::Keys;
use super::rekey::{Steps, seal_all};
use super::{Clockwork, EmbeddedVault, LAYOUT, rows};
use crate::age::{self, AgeError, Identity, Recipient};
use crate::disk::file::{beside, draft_of, failed, publish, start_draft};
use crate::disk::sqlite::{Database, Session, exists};

const HEADER: &str = "keyturn-vault-backup 1\n";

/// The longest second line, in bytes.
const ABOUT_BYTES_MAX: u64 = 4096;

/// How much is copied at once, in bytes.
const COPY_BYTES: usize = 64 << 10;

/// What a backup says of itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// The key that the data keys are sealed with, 64 hexadecimal digits.
    key: String,
    created: u64,
    values: u64,
    bytes: u64,
    /// SHA-256 of the vault's file.
    digest: String,
}

impl Drop for About {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// What is known of a backup without the key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// When it was made, in seconds since 1970-01-01T00:00:00Z.
    pub created: u64,
    /// How many values are in it.
    pub values: u64,
}

/// What the name of the copy that a backup is made of ends with.
const COPY: &str = ".backup";

/// A file beside the vault that is removed in the end, with its logs.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // What stays is overwritten by the next one.
            let _absent = std::fs::remove_file(beside(&self.0, suffix));
        }
    }
}

/// Removes what a backup, or the making of the vault, has left beside the vault where it was killed:
/// sealed copies, as large as the vault, that nobody can open or use any more.
pub(super) fn sweep(file: &Path) {
    for left in [draft_of(&beside(file, COPY)), draft_of(file)] {
        drop(Passing(left));
    }
}

impl EmbeddedVault {
    /// Writes a backup of what is in the vault at one instant; see [`super::super::Vault::back_up_all`].
    pub(super) async fn back_up_into(
        &self,
        recipients: Vec<Recipient>,
        to: impl Write + Send + 'static,
    ) -> Result<Backup, VaultError> {
        // One at a time: the copy has one name.
        let alone = Arc::clone(&self.backing_up).lock_owned().await;
        let copy = Passing(start_draft(&beside(&self.keys.file, COPY))?);
        self.database.copy_into(&copy.0).await?;
        let (bytes, created) = (key::random()?, self.clock.now());
        let values = own_key(&copy.0, &self.keys, Cipher::new(&bytes)?).await?;
        let sealed = tokio::task::spawn_blocking(move || {
            let done = write(&copy.0, Backup { created, values }, &bytes, &recipients, to);
            drop((copy, alone));
            done
        });
        sealed.await.map_err(|stopped| of_io(io::Error::other(stopped)))?
    }

    /// Makes the vault `file` of a backup, with the key of `source`, which is made if there is none.
    /// Every value is opened once before the vault has its name: a backup that is damaged anywhere is
    /// refused as a whole.
    ///
    /// # Errors
    /// [`VaultError::VaultThere`] if there is a vault already; [`VaultError::Backup`] if the backup does
    /// not open with `identities`, was changed or cut; [`VaultError::BackupDamaged`] if it is none.
    pub async fn restore(
        file: &Path,
        source: &KeySource,
        identities: Vec<Identity>,
        from: impl BufRead + Send + 'static,
        clock: Clock,
    ) -> Result<Backup, VaultError> {
        if exists(file)? {
            return Err(VaultError::VaultThere { file: file.to_owned() });
        }
        let draft = Passing(start_draft(file)?);
        let path = draft.0.clone();
        let read = tokio::task::spawn_blocking(move || read(&identities, from, &path)).await;
        let (backup, bytes) = read.map_err(|stopped| of_io(io::Error::other(stopped)))??;
        let values = verify(&draft.0, Cipher::new(&bytes)?, clock.clone()).await?;
        if values != backup.values {
            return Err(VaultError::BackupDamaged { expected: "as many values as it says" });
        }
        let master = match source.load().await? {
            Some(key) => key,
            None => source.create(file).await?,
        };
        own_key(&draft.0, &Keys::new(Cipher::new(&bytes)?, &draft.0), master).await?;
        publish(&draft.0, file)?;
        Ok(backup)
    }
}

fn of_io(source: io::Error) -> VaultError {
    // What the opener of the sealed file said is wrapped for the sake of `Read`.
    match source.downcast::<AgeError>() {
        Ok(source) => VaultError::Backup { source },
        Err(source) => VaultError::Backup { source: AgeError::Io { source } },
    }
}

/// Seals the data keys of a copy with another key, and returns how many values there are.
async fn own_key(copy: &Path, keys: &Keys, master: Cipher) -> Result<u64, VaultError> {
    let database = Database::open(copy, &LAYOUT).await?;
    let keys = keys.again();
    let values = database
        .write(async move |mut session: Session| {
            session.begin().await?;
            let sealed = seal_all(&mut session, &keys, &master, &Steps::default()).await;
            session.end(sealed).await?;
            session.run("PRAGMA wal_checkpoint(TRUNCATE)").await?;
            Ok::<_, VaultError>(rows::count(&mut session).await?)
        })
        .await?;
    database.close().await?;
    Ok(values)
}

/// Opens every value of a vault with a key, and returns how many there are.
async fn verify(file: &Path, master: Cipher, clock: Clock) -> Result<u64, VaultError> {
    let keys = Arc::new(Keys::new(master, file));
    let database = Database::open(file, &LAYOUT).await?;
    let (opening, path) = (keys.clone(), file.to_owned());
    database.read(async move |mut session| opening.prove(&mut session, path).await).await?;
    let place = super::Place::default();
    let clock = Clockwork(clock);
    let vault = EmbeddedVault {
        database,
        keys,
        clock,
        place,
        is_new: false,
        settled: None,
        backing_up: Arc::default(),
    };
    let values = vault.verify().await?;
    vault.close().await?;
    Ok(values)
}

fn write(
    copy: &Path,
    backup: Backup,
    key: &KeyBytes,
    recipients: &[Recipient],
    to: impl Write,
) -> Result<Backup, VaultError> {
    let unread = |source| failed(copy, "read", source);
    let (bytes, digest) = digest(copy).map_err(unread)?;
    let key = hex::encode(key.as_slice());
    let about = About { key, created: backup.created, values: backup.values, bytes, digest };
    let line = serde_json::to_string(&about).map_err(|error| of_io(error.into()))?;
    let line = Zeroizing::new(line);
    let mut to = age::seal(recipients, to).map_err(|source| VaultError::Backup { source })?;
    for text in [HEADER, &line, "\n"] {
        to.write_all(text.as_bytes()).map_err(of_io)?;
    }
    let mut from = File::open(copy).map_err(unread)?;
    io::copy(&mut from, &mut to).map_err(of_io)?;
    to.finish().map_err(|source| VaultError::Backup { source })?;
    Ok(backup)
}

fn digest(file: &Path) -> io::Result<(u64, String)> {
    let (mut from, mut context, mut length) = (File::open(file)?, Context::new(&SHA256), 0);
    let mut part = vec![0; COPY_BYTES];
    loop {
        let read = from.read(&mut part)?;
        if read == 0 {
            return Ok((length, hex::encode(context.finish())));
        }
        context.update(part.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

/// Opens a backup to its end, writes the vault in it into `draft`, and returns its key.
fn read(
    identities: &[Identity],
    from: impl BufRead,
    draft: &Path,
) -> Result<(Backup, KeyBytes), VaultError> {
    let damaged = |expected| VaultError::BackupDamaged { expected };
    let opened = age::open(identities, from).map_err(|source| VaultError::Backup { source })?;
    let mut opened = BufReader::with_capacity(COPY_BYTES, opened);
    let header = line(&mut opened, HEADER.len() as u64)?;
    if header.as_slice() != HEADER.as_bytes() {
        return Err(damaged("a first line `keyturn-vault-backup 1`"));
    }
    let about = line(&mut opened, ABOUT_BYTES_MAX)?;
    let about: About = serde_json::from_slice(&about)
        .map_err(|_source| damaged("a second line that says what is in it"))?;
    let mut key = KeyBytes::new([0; 32]);
    hex::decode_to_slice(&about.key, key.as_mut_slice()).map_err(|_source| damaged("a key"))?;
    let unwritten = |source| failed(draft, "write", source);
    let mut to = File::options().write(true).open(draft).map_err(unwritten)?;
    copy(&mut opened, &mut to, draft)?;
    to.sync_all().map_err(unwritten)?;
    let found = digest(draft).map_err(|source| failed(draft, "read", source))?;
    if found != (about.bytes, about.digest.clone()) {
        return Err(damaged("the vault that was put into it"));
    }
    Ok((Backup { created: about.created, values: about.values }, key))
}

fn line(from: &mut impl BufRead, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes_max).unwrap_or(0)));
    from.take(bytes_max).read_until(b'\n', &mut line).map_err(of_io)?;
    Ok(line)
}

/// Copies, and tells an error of the backup from one of the disk.
fn copy(from: &mut impl Read, to: &mut impl Write, path: &Path) -> Result<(), VaultError> {
    let mut part = vec![0; COPY_BYTES];
    loop {
        let read = from.read(&mut part).map_err(of_io)?;
        if read == 0 {
            return Ok(());
        }
        let part = part.get(..read).unwrap_or_default();
        to.write_all(part).map_err(|source| failed(path, "write", source))?;
    }
}

#[cfg(test)]
mod tests;
