//! A new key-encryption key for a vault, without touching any value.
//!
//! ```text
//! key file      new key durable         new file
//! as it was --> beside it, `.next` ---> takes the name of the old one
//!                        |                     ^
//! vault                  v                     |
//! old key  --> one transaction: every data key and the proof sealed with the new key
//! ```
//!
//! The transaction is the moment of the change. Before it the vault opens with the old file, after it
//! with the new one, which is durable by then; [`chosen`] tells by the id in the vault which of the
//! two it is, and the next opening finishes or takes back what was interrupted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::VaultError;
use super::super::cipher::Cipher;
use super::super::key::{KeySource, NewKey};
use super::keys::Keys;
use super::{EmbeddedVault, LAYOUT, rows};
use crate::disk::sqlite::{Database, Session};

/// A step of a change of the key, named before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekeyStep {
    /// The new key's file is made.
    MakeKey,
    /// The data key of this number is sealed with the new key.
    SealDataKey(i64),
    /// The new key's proof is put in the place of the old one's.
    ReplaceProof,
    /// The transaction is committed.
    Commit,
    /// What was sealed with the old key is overwritten in the write-ahead log.
    EmptyLog,
    /// The new key's file takes the place of the old one.
    TakePlace,
}

/// Hears of each step before it is taken, and may end the change there: for tests.
#[derive(Clone)]
pub struct Steps(Arc<dyn Fn(RekeyStep) -> Result<(), VaultError> + Send + Sync>);

impl Steps {
    /// Hears of each step by `hear`.
    pub fn told(
        hear: impl Fn(RekeyStep) -> Result<(), VaultError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(hear))
    }

    fn next(&self, step: RekeyStep) -> Result<(), VaultError> {
        (self.0)(step)
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::told(|_step| Ok(()))
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}

/// Which key a vault was found to have after a change of its key was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The old one: the new key's file was put aside.
    OldKey,
    /// The new one: its file has taken the place of the old one.
    NewKey,
}

/// What a change of the key has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The new key's file.
    pub key: PathBuf,
    /// The new key's id, as in the first line of its file.
    pub id: String,
    /// The id of the key that the vault had.
    pub was: String,
    /// How many data keys are sealed with it now.
    pub data_keys: usize,
}

impl EmbeddedVault {
    /// Seals the vault's data keys with a new key, and puts its file in the place of `source`'s, or
    /// makes it at `to` and leaves the old file alone. A key that is at `to` already is taken. Values
    /// stay as they are. Whenever it is stopped, the vault opens with the old or with the new key.
    ///
    /// # Errors
    /// [`VaultError::KeyFixed`] where the old key is a credential and `to` is not given; what the key
    /// files, the passphrase, the vault or its disk do not allow.
    pub async fn rekey(
        self,
        source: &KeySource,
        new: &NewKey,
        to: Option<&Path>,
        steps: &Steps,
    ) -> Result<Rekeyed, VaultError> {
        if let (None, KeySource::Credential(key)) = (to, source) {
            return Err(VaultError::KeyFixed { key: key.clone() });
        }
        let done = self.change_key(source, new, to, steps).await;
        // Also where that has failed: whoever opens the vault next finds it closed.
        let closed = self.database.close().await;
        let rekeyed = done?;
        closed?;
        if to.is_none() {
            steps.next(RekeyStep::TakePlace)?;
            source.take_next()?;
        }
        Ok(rekeyed)
    }

    async fn change_key(
        &self,
        source: &KeySource,
        new: &NewKey,
        to: Option<&Path>,
        steps: &Steps,
    ) -> Result<Rekeyed, VaultError> {
        steps.next(RekeyStep::MakeKey)?;
        let (key, master) = match to {
            None => (source.path().to_owned(), source.create_next(new).await?),
            Some(to) => (to.to_owned(), new.at(to).await?),
        };
        let (id, was) = (master.id().to_owned(), self.keys.id().to_owned());
        let data_keys = self.seal_all(master, steps).await?;
        Ok(Rekeyed { key, id, was, data_keys })
    }

    async fn seal_all(&self, master: Cipher, steps: &Steps) -> Result<usize, VaultError> {
        let (keys, steps) = (Arc::clone(&self.keys), steps.clone());
        self.database
            .write(async move |mut session: Session| {
                session.begin().await?;
                let sealed = seal_all(&mut session, &keys, &master, &steps).await;
                let sealed = sealed.and_then(|all| steps.next(RekeyStep::Commit).map(|()| all));
                let sealed = session.end(sealed).await?;
                steps.next(RekeyStep::EmptyLog)?;
                session.run("PRAGMA wal_checkpoint(TRUNCATE)").await?;
                Ok(sealed)
            })
            .await
    }
}

pub(super) async fn seal_all(
    session: &mut Session,
    keys: &Keys,
    master: &Cipher,
    steps: &Steps,
) -> Result<usize, VaultError> {
    let numbers = rows::data_keys(session).await?;
    for number in &numbers {
        steps.next(RekeyStep::SealDataKey(*number))?;
        keys.reseal(session, *number, master).await?;
    }
    steps.next(RekeyStep::ReplaceProof)?;
    Keys::replace_proof(session, master).await?;
    Ok(numbers.len())
}

/// Of the two keys that a change of the key has left, returns the vault's own, and which it is.
pub(super) async fn chosen(
    file: &Path,
    source: &KeySource,
    next: KeySource,
) -> Result<(KeySource, Settled), VaultError> {
    let database = Database::open(file, &LAYOUT).await?;
    let read = database.read(async move |mut session| rows::proof(&mut session).await);
    let read: Result<_, crate::disk::DiskError> = read.await;
    let (id, _proof) = read?;
    database.close().await?;
    // A damaged file names no id; it is told as damaged where it is the vault's.
    let has = |source: &KeySource| source.id().ok().flatten().is_some_and(|named| named == id);
    match !has(source) && has(&next) {
        true => Ok((next, Settled::NewKey)),
        false => Ok((source.clone(), Settled::OldKey)),
    }
}

/// Finishes or takes back a change of the key, once the vault is proven to have the chosen key.
pub(super) fn settle(source: &KeySource, settled: Settled) -> Result<(), VaultError> {
    match settled {
        Settled::OldKey => source.drop_next(),
        Settled::NewKey => source.take_next(),
    }
}

#[cfg(test)]
mod tests;
