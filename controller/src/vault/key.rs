//! The key-encryption key of the embedded vault: where it is, and how it is had.
//!
//! A key file says by its first line what it is: the key itself (`keyturn-vault-key 1 <id>`), or what
//! makes the key of a passphrase (`keyturn-vault-passphrase 1 <id>`), or the key as a service of others
//! has wrapped it (`keyturn-vault-wrapped 1 <id>`). Keep a key, or the passphrase, apart from the vault's data, in backups above all: whoever has both has every password.
//!
//! A change of the key (`keyturn vault rekey`) puts the new key file beside the old one, under the
//! same name with `.next`, seals the vault's data keys with the new key in one transaction, and then
//! gives the new file the old one's name. Whatever stops in between, the id in the vault says which
//! of the two files is the vault's.

mod file;
mod passphrase;
mod terminal;
mod wrapped;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use self::file::{KeyFile, Mode, PlainKey};
use self::passphrase::{Cost, Locked};
pub use self::passphrase::{
    Fetched, PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARACTERS_MIN, PASSPHRASE_CREDENTIAL,
    PassphraseSource,
};
pub use self::wrapped::{KeyVaultWrapper, WrapError, Wrapped, Wrapper, Wrapping};
use super::VaultError;
use super::cipher::{Cipher, KEY_BYTES, KeyBytes};
use crate::disk::file::{beside, create_private, failed, replace_private, take_place};

/// The key's file in the data directory.
pub const KEY_FILE: &str = "vault.key";

/// The key's name as a systemd credential (`LoadCredentialEncrypted=keyturn-vault-key`).
pub const KEY_CREDENTIAL: &str = "keyturn-vault-key";

/// What a key file's name ends with until the vault has that key.
const NEXT: &str = ".next";

/// What stands between a key file's name and the id of the key that the vault had before.
const WAS: &str = ".was-";

/// The same for one that a change of the key has made and the vault did not get.
const UNUSED: &str = ".unused-";

/// Where the key is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file of mode 0600 with the key, made on first use.
    File(PathBuf),
    /// A systemd credential with the key: only read, never made. Its folder is the service's alone,
    /// and its mode shows an access list as group rights, so the mode is not looked at.
    Credential(PathBuf),
    /// A file of mode 0600 that makes the key of a passphrase, made on first use. A file with the
    /// key itself is taken too: then the passphrase is not asked for.
    Passphrase {
        /// The key file.
        file: PathBuf,
        /// Where the passphrase comes from.
        from: PassphraseSource,
    },
    /// A file of mode 0600 with the key as a service has wrapped it, made on first use. A file with
    /// the key itself is taken too: then the service is not asked.
    Wrapped {
        /// The key file.
        file: PathBuf,
        /// What unwraps it.
        by: Wrapping,
    },
}

/// A new key for a vault: see [`super::EmbeddedVault::rekey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewKey {
    /// A random key, which lies in its file.
    Random,
    /// A key that is made from a passphrase.
    Passphrase(PassphraseSource),
    /// A random key, which lies in its file as a service has wrapped it.
    Wrapped(Wrapping),
}

impl KeySource {
    /// Returns where a key is that a service has wrapped: in `key_file` if that is said, else in the
    /// data directory.
    #[must_use]
    pub fn wrapped(data_dir: &Path, key_file: Option<&Path>, by: Wrapping) -> Self {
        let file = key_file.map_or_else(|| data_dir.join(KEY_FILE), Path::to_owned);
        Self::Wrapped { file, by }
    }

    /// Returns where a key is whose passphrase was fetched: as [`KeySource::wrapped`].
    #[must_use]
    pub fn with_passphrase(data_dir: &Path, key_file: Option<&Path>, passphrase: Fetched) -> Self {
        let file = key_file.map_or_else(|| data_dir.join(KEY_FILE), Path::to_owned);
        Self::Passphrase { file, from: PassphraseSource::Fetched(passphrase) }
    }

    /// Returns where the key of a vault is. Its file is `key_file` if that is said, else the systemd
    /// credential if the service was given one, else a file in the data directory. The passphrase
    /// is in `passphrase_file` if that is said, else in its systemd credential if there is one, else
    /// it is asked for, if the key file needs one and there is a terminal.
    #[must_use]
    pub fn find(data_dir: &Path, key_file: Option<&Path>, passphrase_file: Option<&Path>) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
        let source = Self::find_among(data_dir, key_file, passphrase_file, credentials.as_deref());
        match source {
            Self::File(file) if needs_passphrase(&file) && terminal::is_there() => {
                Self::Passphrase { file, from: PassphraseSource::Terminal }
            }
            source => source,
        }
    }

    fn find_among(
        data_dir: &Path,
        key_file: Option<&Path>,
        passphrase_file: Option<&Path>,
        credentials: Option<&OsStr>,
    ) -> Self {
        let credential = |name| credentials.map(|folder| Path::new(folder).join(name));
        let given = |name| credential(name).filter(|path: &PathBuf| path.exists());
        let file = match (key_file, given(KEY_CREDENTIAL)) {
            (Some(file), _) => file.to_owned(),
            (None, Some(path)) => return Self::Credential(path),
            (None, None) => data_dir.join(KEY_FILE),
        };
        let from = match passphrase_file {
            Some(path) => Some(PassphraseSource::File(path.to_owned())),
            None => given(PASSPHRASE_CREDENTIAL).map(PassphraseSource::Credential),
        };
        match from {
            Some(from) => Self::Passphrase { file, from },
            None => Self::File(file),
        }
    }

    /// Returns the path of the key's file or credential.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path)
            | Self::Credential(path)
            | Self::Passphrase { file: path, .. }
            | Self::Wrapped { file: path, .. } => path,
        }
    }

    /// Tells whether the key lies open in its file although something is configured to open it.
    #[must_use]
    pub fn lies_open(&self) -> bool {
        let is_guarded = matches!(self, Self::Passphrase { .. } | Self::Wrapped { .. });
        is_guarded && matches!(self.read(), Ok(Some(KeyFile::Plain(_))))
    }

    /// Returns the same with another file.
    pub(super) fn at(&self, path: PathBuf) -> Self {
        match self {
            Self::File(_) => Self::File(path),
            Self::Credential(_) => Self::Credential(path),
            Self::Passphrase { from, .. } => Self::Passphrase { file: path, from: from.clone() },
            Self::Wrapped { by, .. } => Self::Wrapped { file: path, by: by.clone() },
        }
    }

    /// Returns where the key is that a change of the key has put beside this one, if there is one.
    pub(super) fn next(&self) -> Option<Self> {
        let next = beside(self.path(), NEXT);
        next.exists().then(|| self.at(next))
    }

    /// Returns the id that the key's file names; `None` if there is no file.
    pub(super) fn id(&self) -> Result<Option<String>, VaultError> {
        Ok(self.read()?.map(|file| file.id()))
    }

    fn read(&self) -> Result<Option<KeyFile>, VaultError> {
        let mode = match self {
            Self::File(_) | Self::Passphrase { .. } | Self::Wrapped { .. } => Mode::OwnerOnly,
            Self::Credential(_) => Mode::Systemd,
        };
        KeyFile::read(self.path(), mode)
    }

    /// Reads or makes the key; `None` if there is no key file.
    pub(super) async fn load(&self) -> Result<Option<Cipher>, VaultError> {
        let bytes = match (self.read()?, self) {
            (None, _) => return Ok(None),
            (Some(KeyFile::Plain(PlainKey(bytes))), _) => bytes,
            (Some(KeyFile::Passphrase(locked)), Self::Passphrase { file, from }) => {
                locked.unlock(file, from)?
            }
            (Some(KeyFile::Wrapped(wrapped)), Self::Wrapped { file, by }) => {
                wrapped.unlock(file, by).await?
            }
            (Some(KeyFile::Passphrase(_)), _) => {
                return Err(VaultError::PassphraseMissing { key: self.path().to_owned() });
            }
            (Some(KeyFile::Wrapped(wrapped)), _) => {
                let (key, by) = (self.path().to_owned(), wrapped.by().to_owned());
                return Err(VaultError::WrapperMissing { key, by });
            }
        };
        Cipher::new(&bytes).map(Some)
    }

    /// Makes a new key, durable when it returns. Never replaces one.
    pub(super) async fn create(&self, vault: &Path) -> Result<Cipher, VaultError> {
        let new = match self {
            Self::File(_) => NewKey::Random,
            Self::Passphrase { from, .. } => NewKey::Passphrase(from.clone()),
            Self::Wrapped { by, .. } => NewKey::Wrapped(by.clone()),
            Self::Credential(key) => {
                let (file, key) = (vault.to_owned(), key.clone());
                return Err(VaultError::KeyMissing { file, key });
            }
        };
        let (text, key) = new.make().await?;
        create_private(self.path(), text.as_bytes())?;
        Ok(key)
    }

    /// Puts a new key's file beside the one that the vault still has, in the place of one that was
    /// left there; durable when it returns.
    pub(super) async fn create_next(&self, new: &NewKey) -> Result<Cipher, VaultError> {
        let (text, key) = new.make().await?;
        replace_private(&beside(self.path(), NEXT), text.as_bytes())?;
        Ok(key)
    }

    /// Gives the key beside this one its name: the vault has that key now. This one, which opens older
    /// copies of the vault, stays under a name of its own.
    pub(super) fn take_next(&self) -> Result<(), VaultError> {
        let was = self.aside(WAS);
        match std::fs::hard_link(self.path(), &was) {
            Ok(()) => {}
            // Killed behind this the last time; or there is no key that could be kept.
            Err(error)
                if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {}
            Err(source) => return Err(failed(&was, "make", source).into()),
        }
        Ok(take_place(&beside(self.path(), NEXT), self.path())?)
    }

    /// Puts the key beside this one aside, which the vault does not have. It is not removed: what lies
    /// there as the vault may be an older copy of one that has it.
    pub(super) fn drop_next(&self) -> Result<(), VaultError> {
        let next = beside(self.path(), NEXT);
        Ok(take_place(&next, &self.at(next.clone()).aside_of(self.path(), UNUSED))?)
    }

    fn aside(&self, what: &str) -> PathBuf {
        self.aside_of(self.path(), what)
    }

    /// Returns a name beside `path` that no other key has.
    fn aside_of(&self, path: &Path, what: &str) -> PathBuf {
        // A damaged file names no key.
        let id = self.id().ok().flatten().unwrap_or_else(|| "damaged".to_owned());
        beside(path, &format!("{what}{id}"))
    }
}

/// Tells whether a key needs a passphrase, or the one that a change has put beside it.
fn needs_passphrase(file: &Path) -> bool {
    is_locked(file) || is_locked(&beside(file, NEXT))
}

impl NewKey {
    /// Reads the key at `path`, or makes it there, durable when it returns.
    pub(super) async fn at(&self, path: &Path) -> Result<Cipher, VaultError> {
        let file = path.to_owned();
        let source = match self {
            Self::Random => KeySource::File(file),
            Self::Passphrase(from) => KeySource::Passphrase { file, from: from.clone() },
            Self::Wrapped(by) => KeySource::Wrapped { file, by: by.clone() },
        };
        if let Some(key) = source.load().await? {
            return Ok(key);
        }
        let (text, key) = self.make().await?;
        create_private(path, text.as_bytes())?;
        Ok(key)
    }

    /// Makes the key and the text of its file.
    async fn make(&self) -> Result<(Zeroizing<String>, Cipher), VaultError> {
        let (file, bytes) = match self {
            Self::Random => {
                let bytes = random()?;
                (KeyFile::Plain(PlainKey(bytes.clone())), bytes)
            }
            Self::Passphrase(from) => {
                let (locked, bytes) = Locked::create(&from.choose()?, Cost::USUAL)?;
                (KeyFile::Passphrase(locked), bytes)
            }
            Self::Wrapped(by) => {
                let bytes = random()?;
                (KeyFile::Wrapped(by.lock(&bytes).await?), bytes)
            }
        };
        Ok((file.render(), Cipher::new(&bytes)?))
    }
}

/// Tells whether a key file needs a passphrase. Whatever else is wrong with it is told on loading.
fn is_locked(path: &Path) -> bool {
    matches!(KeyFile::read(path, Mode::OwnerOnly), Ok(Some(KeyFile::Passphrase(_))))
}

/// Draws a key from the operating system's generator.
pub(super) fn random() -> Result<KeyBytes, VaultError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice())
        .map_err(|_source| VaultError::Cipher { doing: "draw a key" })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn made() -> (tempfile::TempDir, KeySource, String) {
        let dir = tempfile::tempdir().unwrap();
        let source = KeySource::find_among(dir.path(), None, None, None);
        source.create(Path::new("vault.db")).await.unwrap();
        let text = fs::read_to_string(source.path()).unwrap();
        (dir, source, text)
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_read_again() {
        let (_dir, source, text) = made().await;
        assert!(text.starts_with("keyturn-vault-key 1 ") && text.lines().count() == 2, "{text}");
        let key = source.load().await.unwrap().unwrap();
        assert!(text.contains(key.id()));
        assert!(source.create(Path::new("vault.db")).await.is_err());
        assert_eq!(fs::read_to_string(source.path()).unwrap(), text);
    }

    #[tokio::test]
    async fn a_key_file_that_others_may_use_is_refused() {
        let (_dir, source, _text) = made().await;
        for mode in [0o640, 0o604, 0o620, 0o611] {
            fs::set_permissions(source.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = source.load().await.unwrap_err();
            assert!(matches!(error, VaultError::KeyExposed { mode: said, .. } if said == mode));
            assert!(error.hint().unwrap().contains("chmod 600"));
        }
        let credential = KeySource::Credential(source.path().to_owned());
        assert!(credential.load().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_damaged_key_file_is_called_so_wherever_it_is_damaged() {
        let (_dir, source, text) = made().await;
        let long = format!("{text}{}", "0".repeat(4096));
        let mut cases = vec![String::new(), "x".to_owned(), long, text.replace('\n', " ")];
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
            cases.push(String::from_utf8(bytes).unwrap());
            cases.push(text[..at].to_owned());
        }
        for case in cases {
            fs::write(source.path(), &case).unwrap();
            let error = source.load().await.unwrap_err();
            assert!(matches!(error, VaultError::KeyDamaged { .. }), "{case:?}: {error}");
            let digits = text.lines().nth(1).unwrap();
            assert!(!format!("{error} {error:?}").contains(&digits[..8]));
        }
    }

    #[tokio::test]
    async fn a_systemd_credential_goes_before_the_file_and_is_never_made() {
        let (dir, source, _text) = made().await;
        let empty = tempfile::tempdir().unwrap();
        let folder = Some(empty.path().as_os_str());
        assert_eq!(KeySource::find_among(dir.path(), None, None, folder), source);
        fs::copy(source.path(), empty.path().join(KEY_CREDENTIAL)).unwrap();
        let credential = KeySource::find_among(dir.path(), None, None, folder);
        assert!(matches!(credential, KeySource::Credential(_)));
        assert!(credential.load().await.unwrap().is_some());
        fs::remove_file(credential.path()).unwrap();
        assert!(credential.load().await.unwrap().is_none());
        let error = credential.create(Path::new("vault.db")).await.unwrap_err();
        assert!(matches!(error, VaultError::KeyMissing { .. }), "{error}");
    }

    fn write(path: PathBuf, text: &str) -> PathBuf {
        replace_private(&path, text.as_bytes()).unwrap();
        path
    }

    #[test]
    fn a_passphrase_is_looked_for_in_its_file_and_then_in_its_credential() {
        let dir = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let credentials = Some(folder.path().as_os_str());
        let given = write(dir.path().join("given"), "nine tall giraffes\n");
        let from = |source| match source {
            KeySource::Passphrase { from, file } if file.ends_with(KEY_FILE) => from,
            other => panic!("{other:?}"),
        };
        let found = KeySource::find_among(dir.path(), None, Some(&given), credentials);
        assert_eq!(from(found), PassphraseSource::File(given.clone()));
        let credential = write(folder.path().join(PASSPHRASE_CREDENTIAL), "nine tall giraffes");
        let found = KeySource::find_among(dir.path(), None, None, credentials);
        assert_eq!(from(found), PassphraseSource::Credential(credential));
        let found = KeySource::find_among(dir.path(), None, Some(&given), credentials);
        assert_eq!(from(found), PassphraseSource::File(given));
        let named = Path::new("/elsewhere/key");
        let found = KeySource::find_among(dir.path(), Some(named), None, None);
        assert_eq!(found, KeySource::File(named.to_owned()));
    }

    #[tokio::test]
    async fn a_key_of_a_passphrase_is_made_once_and_needs_the_passphrase_again() {
        let dir = tempfile::tempdir().unwrap();
        let given = write(dir.path().join("given"), "nine tall giraffes\n");
        let from = PassphraseSource::File(given.clone());
        let source = KeySource::Passphrase { file: dir.path().join(KEY_FILE), from };
        assert!(source.load().await.unwrap().is_none());
        let made = source.create(Path::new("vault.db")).await.unwrap();
        let text = fs::read_to_string(source.path()).unwrap();
        assert!(text.starts_with("keyturn-vault-passphrase 1 ") && !text.contains("giraffe"));
        assert_eq!(source.id().unwrap().as_deref(), Some(made.id()));
        assert_eq!(source.load().await.unwrap().unwrap().id(), made.id());
        let error = KeySource::File(source.path().to_owned()).load().await.unwrap_err();
        assert!(matches!(error, VaultError::PassphraseMissing { .. }), "{error}");
        fs::set_permissions(&given, fs::Permissions::from_mode(0o644)).unwrap();
        let error = source.load().await.unwrap_err();
        assert!(matches!(error, VaultError::KeyExposed { mode: 0o644, .. }), "{error}");
        fs::remove_file(&given).unwrap();
        let error = source.load().await.unwrap_err();
        assert!(matches!(error, VaultError::PassphraseFileMissing { .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("given")), "{error}");
    }

    #[tokio::test]
    async fn a_file_with_the_key_itself_is_taken_where_a_passphrase_was_expected() {
        let (dir, source, _text) = made().await;
        let from = PassphraseSource::File(dir.path().join("nothing"));
        let locked = KeySource::Passphrase { file: source.path().to_owned(), from };
        assert_eq!(
            locked.load().await.unwrap().unwrap().id(),
            source.load().await.unwrap().unwrap().id()
        );
    }
}
