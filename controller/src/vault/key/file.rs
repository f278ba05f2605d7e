//! What a key file says, by its kind: the key itself, what makes the key of a passphrase, or the key
//! as a service has wrapped it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::super::VaultError;
use super::super::cipher::{KEY_BYTES, KeyBytes, key_id};
use super::passphrase::Locked;
use super::wrapped::{WRAPPED, WrappedFile};
use crate::disk::file;

/// The first line of a file with the key itself, before the id.
const PLAIN: &str = "keyturn-vault-key 1 ";

/// The first line of a file whose key is made from a passphrase, before the id.
pub(super) const LOCKED: &str = "keyturn-vault-passphrase 1 ";

/// More than any key file or passphrase has, in bytes: 512 that RSA of 4096 bits has wrapped are 683
/// characters.
const BYTES_MAX: usize = 2048;

/// What a key file says.
#[derive(Debug)]
pub(super) enum KeyFile {
    /// The key: two lines, `keyturn-vault-key 1 <id>` and 64 hexadecimal digits. The id is a hash of
    /// the key, so that a damaged file is told from the key of another vault.
    Plain(PlainKey),
    /// What makes the key of a passphrase.
    Passphrase(Locked),
    /// The key, wrapped.
    Wrapped(WrappedFile),
}

/// A key as it lies in its file.
pub(super) struct PlainKey(pub(super) KeyBytes);

impl std::fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainKey(…)")
    }
}

impl KeyFile {
    /// Reads a key file; `None` if there is none.
    pub(super) fn read(path: &Path, mode: Mode) -> Result<Option<Self>, VaultError> {
        let Some(text) = read_private(path, mode)? else { return Ok(None) };
        let parsed = text.text().ok_or("its text").and_then(Self::parse);
        let damaged = |expected| VaultError::KeyDamaged { key: path.to_owned(), expected };
        parsed.map(Some).map_err(damaged)
    }

    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        const HEADER_EXPECTED: &str = "a first line `keyturn-vault-key 1 <id>`, or with `-passphrase` or `-wrapped` for `-key`";
        let text = std::str::from_utf8(text).map_err(|_source| HEADER_EXPECTED)?;
        if text.starts_with(LOCKED) {
            return Locked::parse(text).map(Self::Passphrase);
        }
        if text.starts_with(WRAPPED) {
            return WrappedFile::parse(text).map(Self::Wrapped);
        }
        let mut lines = text.lines();
        let id = lines.next().and_then(|line| line.strip_prefix(PLAIN)).ok_or(HEADER_EXPECTED)?;
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
        Ok(Self::Plain(PlainKey(bytes)))
    }

    /// Returns the id of the key, without having the key.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Plain(PlainKey(bytes)) => key_id(bytes),
            Self::Passphrase(locked) => locked.id().to_owned(),
            Self::Wrapped(wrapped) => wrapped.id().to_owned(),
        }
    }

    /// Returns the text of the file.
    pub(super) fn render(&self) -> Zeroizing<String> {
        let bytes = match self {
            Self::Plain(PlainKey(bytes)) => bytes,
            Self::Passphrase(locked) => return Zeroizing::new(locked.render()),
            Self::Wrapped(wrapped) => return Zeroizing::new(wrapped.render()),
        };
        let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX));
        for part in [PLAIN, &key_id(bytes), "\n"] {
            text.push_str(part);
        }
        text.push_str(&Zeroizing::new(hex::encode(bytes.as_slice())));
        text.push('\n');
        text
    }
}

/// Returns the first 16 hexadecimal digits of a hash of the lines.
pub(super) fn checked(lines: &[&str]) -> String {
    let mut check = hex::encode(digest(&SHA256, lines.join("\n").as_bytes()));
    check.truncate(16);
    check
}

/// Whether a file's mode is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nobody but its owner may use the file.
    OwnerOnly,
    /// systemd has made the file: its folder is the service's alone, and its mode shows an access
    /// list as rights of the group.
    Systemd,
}

/// A small file that holds a secret, overwritten when dropped.
pub(super) struct Secret {
    bytes: Zeroizing<[u8; BYTES_MAX]>,
    length: usize,
}

impl Secret {
    /// Returns what was read; `None` if the file is longer than any that is meant.
    pub(super) fn text(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length).filter(|text| text.len() < BYTES_MAX)
    }
}

/// Reads a small file that holds a secret; `None` if there is none.
pub(super) fn read_private(path: &Path, mode: Mode) -> Result<Option<Secret>, VaultError> {
    let failed = |source| file::failed(path, "read", source);
    let mut opened = match File::open(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let found = opened.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode == Mode::OwnerOnly && found & 0o077 != 0 {
        return Err(VaultError::KeyExposed { key: path.to_owned(), mode: found });
    }
    // A buffer of a fixed size: one that grows leaves copies of the secret behind.
    let (mut bytes, mut length) = (Zeroizing::new([0; BYTES_MAX]), 0);
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match opened.read(rest).map_err(failed)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(Some(Secret { bytes, length }))
}
