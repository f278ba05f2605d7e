//! The keys of an open vault, and what a sealed value is bound to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::password::Password;
use zeroize::Zeroizing;

use super::super::cipher::{Cipher, KEY_BYTES, KeyBytes};
use super::super::{VaultError, VersionInfo, key};
use super::rows::{self, Row};
use crate::disk::sqlite::Session;

/// The text that proves a key to be the right one.
const PROOF: &[u8] = b"keyturn vault";
const PROOF_CONTEXT: &[&[u8]] = &[b"keyturn vault proof 1"];

/// Begins every backup of a secret.
const BACKUP_HEADER: &[u8] = b"keyturn secret backup 1\n";

/// How many values one data-encryption key seals before the next one is made: see [`Cipher`].
const VALUES_PER_KEY_MAX: u64 = 1 << 31;

/// The key-encryption key of a vault and the data keys that it opens.
#[derive(Debug)]
pub(super) struct Keys {
    master: Arc<Cipher>,
    /// The data keys that are in the file for good, by number.
    data: Mutex<BTreeMap<i64, Arc<Cipher>>>,
    pub(super) file: PathBuf,
    pub(super) values_max: u64,
}

impl Keys {
    /// Takes the key-encryption key of the vault in `file`.
    pub(super) fn new(master: Cipher, file: &Path) -> Self {
        let (master, file) = (Arc::new(master), file.to_owned());
        Self { master, data: Mutex::default(), file, values_max: VALUES_PER_KEY_MAX }
    }

    /// The same key-encryption key, for another file with the same data keys.
    pub(super) fn again(&self) -> Self {
        let (master, file) = (Arc::clone(&self.master), self.file.clone());
        Self { master, data: Mutex::default(), file, values_max: self.values_max }
    }

    /// Writes into a new vault what proves its key, and the first data key.
    pub(super) async fn found(&self, session: &mut Session, now: u64) -> Result<(), VaultError> {
        let proof = self.master.seal(PROOF_CONTEXT, PROOF)?;
        rows::add_proof(session, self.master.id(), proof).await?;
        self.add_data_key(session, 1, now).await?;
        Ok(())
    }

    /// Returns the data key, and its number, to seal `count` more values with: the newest, or a
    /// new one where that has sealed enough.
    pub(super) async fn for_sealing(
        &self,
        session: &mut Session,
        count: u64,
        now: u64,
    ) -> Result<(i64, Arc<Cipher>), VaultError> {
        let (newest, used) = rows::newest_data_key(session).await?;
        let (number, cipher) = if used > 0 && used.saturating_add(count) > self.values_max {
            let next = newest.saturating_add(1);
            (next, self.add_data_key(session, next, now).await?)
        } else {
            (newest, self.data_key(session, newest).await?)
        };
        rows::count_used(session, number, count).await?;
        Ok((number, cipher))
    }

    /// Makes a data key and returns it; it is in the file once the transaction is committed.
    async fn add_data_key(
        &self,
        session: &mut Session,
        number: i64,
        now: u64,
    ) -> Result<Arc<Cipher>, VaultError> {
        let bytes = key::random()?;
        let number_bytes = number.to_be_bytes();
        let context = wrap_context(self.master.id(), &number_bytes);
        let wrapped = self.master.seal(&context, bytes.as_slice())?;
        rows::add_data_key(session, number, self.master.id(), wrapped, now).await?;
        Ok(Arc::new(Cipher::new(&bytes)?))
    }

    /// Tells whether the key is this vault's, and if not, whether the key or the file is wrong:
    /// the file names its key in two ways, and damage to one leaves the other.
    pub(super) async fn prove(
        &self,
        session: &mut Session,
        key: PathBuf,
    ) -> Result<(), VaultError> {
        let (id, proof) = rows::proof(session).await?;
        let same_id = id == self.master.id();
        let proven = self.master.open(PROOF_CONTEXT, &proof).is_some_and(|text| *text == PROOF);
        match (same_id, proven) {
            (true, true) => {}
            (false, false) => {
                return Err(VaultError::KeyWrong { file: self.file.clone(), key });
            }
            (true, false) => return Err(session.health.corrupt("the proof of its key").into()),
            (false, true) => return Err(session.health.corrupt("the id of its key").into()),
        }
        let (newest, _used) = rows::newest_data_key(session).await?;
        self.data_key(session, newest).await?;
        Ok(())
    }

    /// Returns a data key that is in the file for good.
    async fn data_key(
        &self,
        session: &mut Session,
        number: i64,
    ) -> Result<Arc<Cipher>, VaultError> {
        let known = self.data.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned();
        if let Some(cipher) = known {
            return Ok(cipher);
        }
        let cipher = Arc::new(Cipher::new(&self.data_key_bytes(session, number).await?)?);
        self.data.lock().unwrap_or_else(PoisonError::into_inner).insert(number, cipher.clone());
        Ok(cipher)
    }

    /// Opens a data key.
    async fn data_key_bytes(
        &self,
        session: &mut Session,
        number: i64,
    ) -> Result<KeyBytes, VaultError> {
        let Some((id, wrapped)) = rows::data_key(session, number).await? else {
            return Err(session.health.corrupt(format!("a data key {number}")).into());
        };
        let opened = self.master.open(&wrap_context(&id, &number.to_be_bytes()), &wrapped);
        let mut bytes = KeyBytes::new([0; KEY_BYTES]);
        match opened.filter(|opened| opened.len() == bytes.len()) {
            Some(opened) => bytes.copy_from_slice(&opened),
            None => {
                let expected = format!("data key {number} as it was sealed");
                return Err(session.health.corrupt(expected).into());
            }
        }
        Ok(bytes)
    }

    /// Seals a data key with another key-encryption key, and proves that this one opens it.
    pub(super) async fn reseal(
        &self,
        session: &mut Session,
        number: i64,
        master: &Cipher,
    ) -> Result<(), VaultError> {
        let bytes = self.data_key_bytes(session, number).await?;
        let number_bytes = number.to_be_bytes();
        let context = wrap_context(master.id(), &number_bytes);
        let wrapped = master.seal(&context, bytes.as_slice())?;
        if master.open(&context, &wrapped).as_ref().map(|text| text.as_slice())
            != Some(bytes.as_slice())
        {
            return Err(VaultError::Cipher { doing: "open what was just sealed" });
        }
        Ok(rows::reseal(session, number, master.id(), wrapped).await?)
    }

    /// Writes what proves another key-encryption key in the place of what proves this one.
    pub(super) async fn replace_proof(
        session: &mut Session,
        master: &Cipher,
    ) -> Result<(), VaultError> {
        let proof = master.seal(PROOF_CONTEXT, PROOF)?;
        Ok(rows::replace_proof(session, master.id(), proof).await?)
    }

    /// Returns the id of the key-encryption key.
    pub(super) fn id(&self) -> &str {
        self.master.id()
    }

    /// Opens the password in a row.
    pub(super) async fn open_password(
        &self,
        session: &mut Session,
        row: &Row,
    ) -> Result<Password, VaultError> {
        let mut text = self.open(session, row).await?;
        Password::new(std::mem::take(&mut *text)).map_err(|_source| self.damaged(row))
    }

    /// Opens the value in a row.
    pub(super) async fn open(
        &self,
        session: &mut Session,
        row: &Row,
    ) -> Result<Zeroizing<String>, VaultError> {
        let cipher = self.data_key(session, row.data_key).await?;
        let bound = Bound::new(row.data_key, &row.name, &row.info);
        let sealed = row.value.as_deref().unwrap_or_default();
        let opened = cipher.open(&bound.context(), sealed);
        text(opened).ok_or_else(|| self.damaged(row))
    }

    fn damaged(&self, row: &Row) -> VaultError {
        VaultError::Damaged {
            name: row.name.clone(),
            version: row.info.version.clone(),
            file: self.file.clone(),
        }
    }

    /// Seals a backup of secrets. It opens as long as its data key is in this vault.
    pub(super) async fn seal_backup(
        &self,
        session: &mut Session,
        now: u64,
        text: &str,
    ) -> Result<Vec<u8>, VaultError> {
        let (number, cipher) = self.for_sealing(session, 1, now).await?;
        let key = number.to_be_bytes();
        let mut backup = [BACKUP_HEADER, &key].concat();
        backup.extend(cipher.seal(&[BACKUP_HEADER, &key], text.as_bytes())?);
        Ok(backup)
    }

    /// Opens what [`Keys::seal_backup`] has sealed; `None` for anything else.
    pub(super) async fn open_backup(
        &self,
        session: &mut Session,
        backup: &[u8],
    ) -> Result<Option<Zeroizing<String>>, VaultError> {
        let body = backup.strip_prefix(BACKUP_HEADER);
        let Some((key, sealed)) = body.and_then(|body| body.split_first_chunk::<8>()) else {
            return Ok(None);
        };
        let number = i64::from_be_bytes(*key);
        if rows::data_key(session, number).await?.is_none() {
            return Ok(None);
        }
        let cipher = self.data_key(session, number).await?;
        Ok(text(cipher.open(&[BACKUP_HEADER, key], sealed)))
    }
}

/// Takes bytes as a text, without leaving a copy of them behind.
fn text(mut opened: Option<Zeroizing<Vec<u8>>>) -> Option<Zeroizing<String>> {
    let bytes = std::mem::take(&mut **opened.as_mut()?);
    match String::from_utf8(bytes) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            None
        }
    }
}

fn wrap_context<'a>(master: &'a str, number: &'a [u8; 8]) -> [&'a [u8]; 3] {
    [b"keyturn vault data key 1", master.as_bytes(), number]
}

/// What a sealed value belongs to.
pub(super) struct Bound<'a> {
    data_key: [u8; 8],
    name: String,
    info: &'a VersionInfo,
}

impl<'a> Bound<'a> {
    pub(super) fn new(data_key: i64, name: &str, info: &'a VersionInfo) -> Self {
        Self { data_key: data_key.to_be_bytes(), name: name.to_ascii_lowercase(), info }
    }

    pub(super) fn context(&self) -> [&[u8]; 5] {
        let (version, tag) = (self.info.version.0.as_bytes(), self.info.tag.as_str().as_bytes());
        [b"keyturn vault value 1", &self.data_key, self.name.as_bytes(), version, tag]
    }
}
