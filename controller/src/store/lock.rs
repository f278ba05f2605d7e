//! One daemon per data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;
use crate::disk::DiskError;

/// The file in the data directory that is locked. Its text is the holder's process id.
pub const LOCK_FILE: &str = "keyturn.lock";

/// The right to use a data directory, held as long as this value (or the process) lives.
///
/// The lock is the operating system's, so it ends with its process, however that ends. The file
/// stays: removing it would let two daemons lock two files of one name.
#[derive(Debug)]
pub struct DataDirLock {
    /// Locked as long as it is open.
    _file: File,
    dir: PathBuf,
}

impl DataDirLock {
    /// Takes the data directory `dir`, which must exist, for this process.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the other's process id if another daemon (or another part of
    /// this process) has it; [`DiskError::Io`] if the lock file cannot be made or written.
    pub fn acquire(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOCK_FILE);
        let failed = |doing: &'static str| {
            let file = path.clone();
            move |source: std::io::Error| DiskError::Io { file, doing, source: source.into() }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(StoreError::InUse { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(errno) => return Err(failed("lock")(errno.into()).into()),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(failed("write"))?;
        Ok(Self { _file: file, dir: dir.to_owned() })
    }

    /// Returns the directory that is held.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // A process id has at most ten digits; whatever else is in the file is not one.
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_on_one_directory_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDirLock::acquire(dir.path()).unwrap();
        assert_eq!(first.dir(), dir.path());
        let error = DataDirLock::acquire(dir.path()).unwrap_err();
        let StoreError::InUse { holder, .. } = &error else { panic!("{error}") };
        assert_eq!(*holder, Some(std::process::id()));
        assert!(error.to_string().contains("another daemon"), "{error}");
        assert!(error.hint().unwrap().contains("--data-dir"));
        drop(first);
        DataDirLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_file_left_behind_by_a_killed_daemon_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LOCK_FILE), "4294967295999 nonsense\n").unwrap();
        DataDirLock::acquire(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(LOCK_FILE)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_directory_that_does_not_exist_is_named() {
        let error = DataDirLock::acquire(Path::new("/nonexistent/keyturn")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/keyturn/keyturn.lock"), "{error}");
    }
}
