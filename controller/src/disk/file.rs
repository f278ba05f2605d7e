//! Files that are either whole and durable or not there, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::DiskError;

/// Returns `path` with `suffix` after its last part.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the file `path` with `bytes`, mode 0600. Durable when it returns; a crash on the way
/// leaves no file of that name.
///
/// # Errors
/// [`DiskError::Full`], [`DiskError::ReadOnly`] or [`DiskError::Io`]; the latter also if there is
/// such a file already, which is left as it is.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let draft = start_draft(path)?;
    fs::write(&draft, bytes).map_err(|source| failed(&draft, "write", source))?;
    publish(&draft, path)
}

/// Puts `bytes` in the place of the file `path`, mode 0600. Durable when it returns; a crash on the
/// way leaves the old file whole.
///
/// # Errors
/// [`DiskError::Full`], [`DiskError::ReadOnly`] or [`DiskError::Io`]; the old file is as it was.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let draft = start_draft(path)?;
    fs::write(&draft, bytes).map_err(|source| failed(&draft, "write", source))?;
    File::open(&draft)
        .and_then(|file| file.sync_all())
        .map_err(|source| failed(&draft, "flush", source))?;
    take_place(&draft, path)
}

/// Gives a file that is durable the name `path`, in place of one that has it; durable when it
/// returns.
///
/// # Errors
/// [`DiskError::ReadOnly`] or [`DiskError::Io`].
pub(crate) fn take_place(file: &Path, path: &Path) -> Result<(), DiskError> {
    fs::rename(file, path).map_err(|source| failed(path, "replace", source))?;
    flush_folder(path)
}

/// Makes an empty file of mode 0600 beside `path`, in place of one that an earlier attempt left,
/// and returns its path.
pub(crate) fn start_draft(path: &Path) -> Result<PathBuf, DiskError> {
    let draft = draft_of(path);
    for suffix in ["", "-journal", "-wal", "-shm"] {
        match fs::remove_file(beside(&draft, suffix)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&draft, "remove", source));
            }
            Ok(()) | Err(_) => {}
        }
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.flush())
        .map_err(|source| failed(&draft, "make", source))?;
    Ok(draft)
}

/// Returns where a draft of `path` is.
pub(crate) fn draft_of(path: &Path) -> PathBuf {
    beside(path, ".new")
}

/// Gives a finished draft its real name, which nothing may have yet, and makes both durable.
pub(crate) fn publish(draft: &Path, path: &Path) -> Result<(), DiskError> {
    File::open(draft)
        .and_then(|file| file.sync_all())
        .map_err(|source| failed(draft, "flush", source))?;
    // A hard link, unlike a rename, never replaces what is there.
    fs::hard_link(draft, path).map_err(|source| failed(path, "make", source))?;
    fs::remove_file(draft).map_err(|source| failed(draft, "remove", source))?;
    flush_folder(path)
}

/// Makes a file's name durable.
fn flush_folder(path: &Path) -> Result<(), DiskError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| failed(folder, "flush", source))
}

/// Sorts an error of the operating system.
pub(crate) fn failed(path: &Path, doing: &'static str, source: io::Error) -> DiskError {
    let file = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full { file },
        io::ErrorKind::ReadOnlyFilesystem => DiskError::ReadOnly { file },
        _ => DiskError::Io { file, doing, source: source.into() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_whole_readable_by_its_owner_only_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(beside(&path, ".new"), "left by a crash, and longer").unwrap();
        create_private(&path, b"first").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let error = create_private(&path, b"second").unwrap_err();
        assert!(matches!(error, DiskError::Io { doing: "make", .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn a_full_disk_is_called_so() {
        let error = failed(Path::new("x"), "write", io::ErrorKind::StorageFull.into());
        assert!(matches!(error, DiskError::Full { .. }), "{error}");
    }
}
