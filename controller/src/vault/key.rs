//! The key-encryption key of the embedded vault: where it is, and what its file looks like.
//!
//! A key file has two lines, `keyturn-vault-key 1 <id>` and 64 hexadecimal digits. The id is a
//! hash of the key, so that a damaged file is told from the key of another vault. Keep it apart
//! from the vault's data, in backups above all: whoever has both has every password.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::VaultError;
use super::cipher::{Cipher, KEY_BYTES, KeyBytes, key_id};
use crate::disk::file;

/// The key's file in the data directory.
pub const KEY_FILE: &str = "vault.key";

/// The key's name as a systemd credential (`LoadCredentialEncrypted=keyturn-vault-key`).
pub const KEY_CREDENTIAL: &str = "keyturn-vault-key";

/// The first line of a key file, before the id.
const HEADER: &str = "keyturn-vault-key 1 ";

/// More than any key file has.
const KEY_FILE_BYTES_MAX: usize = 256;

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file of mode 0600, made on first use.
    File(PathBuf),
    /// A systemd credential: only read, never made. Its folder is the service's alone, and its
    /// mode shows an access list as group rights, so the mode is not looked at.
    Credential(PathBuf),
}

impl KeySource {
    /// Returns the systemd credential if the service was given one, else the file in the data
    /// directory.
    #[must_use]
    pub fn find(data_dir: &Path) -> Self {
        Self::find_among(data_dir, std::env::var_os("CREDENTIALS_DIRECTORY").as_deref())
    }

    fn find_among(data_dir: &Path, credentials: Option<&OsStr>) -> Self {
        let credential = credentials.map(|folder| Path::new(folder).join(KEY_CREDENTIAL));
        match credential.filter(|path| path.exists()) {
            Some(path) => Self::Credential(path),
            None => Self::File(data_dir.join(KEY_FILE)),
        }
    }

    /// Returns the path of the file or credential.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Credential(path) => path,
        }
    }

    /// Reads the key; `None` if there is none.
    pub(super) fn load(&self) -> Result<Option<Cipher>, VaultError> {
        let path = self.path();
        let failed = |source| file::failed(path, "read", source);
        let mut key_file = match File::open(path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mode = key_file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if matches!(self, Self::File(_)) && mode & 0o077 != 0 {
            return Err(VaultError::KeyExposed { key: path.to_owned(), mode });
        }
        // A buffer of a fixed size: one that grows leaves copies of the key behind.
        let mut text = Zeroizing::new([0; KEY_FILE_BYTES_MAX]);
        let mut length = 0;
        while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match key_file.read(rest).map_err(failed)? {
                0 => break,
                read => length += read,
            }
        }
        let bytes = text.get(..length).ok_or("its text").and_then(parse);
        let bytes =
            bytes.map_err(|expected| VaultError::KeyDamaged { key: path.to_owned(), expected })?;
        Cipher::new(&bytes).map(Some)
    }

    /// Makes a new random key, durable when it returns. Never replaces one.
    pub(super) fn create(&self, vault: &Path) -> Result<Cipher, VaultError> {
        let Self::File(path) = self else {
            let key = self.path().to_owned();
            return Err(VaultError::KeyMissing { file: vault.to_owned(), key });
        };
        let bytes = random()?;
        let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX));
        for part in [HEADER, &key_id(&bytes), "\n"] {
            text.push_str(part);
        }
        text.push_str(&Zeroizing::new(hex::encode(bytes.as_slice())));
        text.push('\n');
        file::create_private(path, text.as_bytes())?;
        Cipher::new(&bytes)
    }
}

/// Draws a key from the operating system's generator.
pub(super) fn random() -> Result<KeyBytes, VaultError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice())
        .map_err(|_source| VaultError::Cipher { doing: "draw a key" })?;
    Ok(bytes)
}

fn parse(text: &[u8]) -> Result<KeyBytes, &'static str> {
    const HEADER_EXPECTED: &str = "a first line `keyturn-vault-key 1 <id>`";
    let text = std::str::from_utf8(text).map_err(|_source| HEADER_EXPECTED)?;
    let mut lines = text.lines();
    let id = lines.next().and_then(|line| line.strip_prefix(HEADER)).ok_or(HEADER_EXPECTED)?;
    let digits = lines.next().unwrap_or_default();
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(digits, bytes.as_mut_slice())
        .map_err(|_source| "a second line of 64 hexadecimal digits")?;
    if lines.next().is_some() {
        return Err("two lines");
    }
    if key_id(&bytes) != id {
        return Err("an id in the first line that fits the key in the second");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn made() -> (tempfile::TempDir, KeySource, String) {
        let dir = tempfile::tempdir().unwrap();
        let source = KeySource::find_among(dir.path(), None);
        source.create(Path::new("vault.db")).unwrap();
        let text = fs::read_to_string(source.path()).unwrap();
        (dir, source, text)
    }

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let (_dir, source, text) = made();
        assert!(text.starts_with("keyturn-vault-key 1 ") && text.lines().count() == 2, "{text}");
        let key = source.load().unwrap().unwrap();
        assert!(text.contains(key.id()));
        assert!(source.create(Path::new("vault.db")).is_err());
        assert_eq!(fs::read_to_string(source.path()).unwrap(), text);
    }

    #[test]
    fn a_key_file_that_others_may_use_is_refused() {
        let (_dir, source, _text) = made();
        for mode in [0o640, 0o604, 0o620, 0o611] {
            fs::set_permissions(source.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = source.load().unwrap_err();
            assert!(matches!(error, VaultError::KeyExposed { mode: said, .. } if said == mode));
            assert!(error.hint().unwrap().contains("chmod 600"));
        }
        let credential = KeySource::Credential(source.path().to_owned());
        assert!(credential.load().unwrap().is_some());
    }

    #[test]
    fn a_damaged_key_file_is_called_so_wherever_it_is_damaged() {
        let (_dir, source, text) = made();
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
            let error = source.load().unwrap_err();
            assert!(matches!(error, VaultError::KeyDamaged { .. }), "{case:?}: {error}");
            let digits = text.lines().nth(1).unwrap();
            assert!(!format!("{error} {error:?}").contains(&digits[..8]));
        }
    }

    #[test]
    fn a_systemd_credential_goes_before_the_file_and_is_never_made() {
        let (dir, source, _text) = made();
        let empty = tempfile::tempdir().unwrap();
        let folder = Some(empty.path().as_os_str());
        assert_eq!(KeySource::find_among(dir.path(), folder), source);
        fs::copy(source.path(), empty.path().join(KEY_CREDENTIAL)).unwrap();
        let credential = KeySource::find_among(dir.path(), folder);
        assert!(matches!(credential, KeySource::Credential(_)));
        assert!(credential.load().unwrap().is_some());
        fs::remove_file(credential.path()).unwrap();
        assert!(credential.load().unwrap().is_none());
        let error = credential.create(Path::new("vault.db")).unwrap_err();
        assert!(matches!(error, VaultError::KeyMissing { .. }), "{error}");
    }
}
