//! The data directory and the small files in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::DaemonError;
use crate::data_dir::TOKEN_FILE;
use crate::disk::file::create_private;

/// Random bytes in a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// The shortest token that is taken from a file, in characters: an operator may bring one.
const TOKEN_CHARACTERS_MIN: usize = 32;

/// The largest file that is read here, in bytes.
const FILE_BYTES_MAX: usize = 16 << 10;

/// Makes the data directory, its owner's alone; one that exists must not be writable by others.
pub(super) fn make_directory(dir: &Path) -> Result<(), DaemonError> {
    let failed = |source| DaemonError::directory(dir, source);
    if let Some(parent) = dir.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(failed)?,
    }
    let mode = fs::metadata(dir).map_err(failed)?.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(DaemonError::DirectoryOpen { dir: dir.to_owned(), mode });
    }
    Ok(())
}

/// Reads the administrator's token, after making one on the first start.
pub(super) fn admin_token(dir: &Path) -> Result<Zeroizing<String>, DaemonError> {
    let path = dir.join(TOKEN_FILE);
    if let Some(text) = read_private(&path)? {
        let token = Zeroizing::new(text.trim().to_owned());
        let legal = token.chars().all(|c| c.is_ascii_graphic());
        if token.len() < TOKEN_CHARACTERS_MIN || !legal {
            return Err(DaemonError::Token { file: path });
        }
        return Ok(token);
    }
    let mut bytes = Zeroizing::new([0_u8; TOKEN_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_unspecified| DaemonError::Random)?;
    let token = Zeroizing::new(hex::encode(bytes.as_slice()));
    let mut line = Zeroizing::new(String::with_capacity(token.len() + 1));
    line.push_str(&token);
    line.push('\n');
    create_private(&path, line.as_bytes()).map_err(|source| DaemonError::Disk { source })?;
    Ok(token)
}

/// Reads a file that only its owner may use; `None` if there is none.
pub(super) fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, DaemonError> {
    let failed = |source| DaemonError::Read { file: path.to_owned(), source };
    let mut file = match File::open(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(DaemonError::Exposed { file: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(vec![0; FILE_BYTES_MAX]);
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).map_err(failed)? {
            0 => break,
            read => length += read,
        }
    }
    let text = bytes.get(..length).map(str::from_utf8);
    match text {
        Some(Ok(text)) if length < FILE_BYTES_MAX => Ok(Some(Zeroizing::new(text.to_owned()))),
        _ => Err(failed(io::Error::from(io::ErrorKind::InvalidData))),
    }
}

/// Writes a file that anybody may read, in place of one that is there: whole or not at all.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DaemonError> {
    let draft = path.with_added_extension("new");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|source| DaemonError::Write { file: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_made_for_its_owner_alone_and_one_that_others_can_write_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("a/b");
        make_directory(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
        make_directory(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let error = make_directory(&dir).unwrap_err();
        assert!(matches!(error, DaemonError::DirectoryOpen { mode: 0o777, .. }), "{error}");
        assert!(error.hint().unwrap().contains("chmod"));
    }

    #[test]
    fn a_token_is_made_once_and_one_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = admin_token(dir.path()).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(*first, *admin_token(dir.path()).unwrap());
        let path = dir.path().join(TOKEN_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = admin_token(dir.path()).unwrap_err();
        assert!(matches!(error, DaemonError::Exposed { .. }), "{error}");
        assert!(!error.to_string().contains(first.as_str()));
    }

    #[test]
    fn a_token_that_is_too_short_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        create_private(&dir.path().join(TOKEN_FILE), b"secret\n").unwrap();
        let error = admin_token(dir.path()).unwrap_err();
        assert!(matches!(error, DaemonError::Token { .. }), "{error}");
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.url");
        replace(&path, b"first and longer").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }
}
