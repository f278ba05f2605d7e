//! What the embedded store and the embedded vault have in common: errors of a disk, and files that
//! are either whole or not there.

pub mod faults;
pub(crate) mod file;
pub(crate) mod sqlite;
mod wal;

use std::path::{Path, PathBuf};

use crate::error::Fault;

pub(crate) use self::file::replace_private;

/// The source of an error, whatever library it comes from.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Tells what a disk, or a database file on it, did not do.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file is not what was written.
    #[error("read `{}`: it is damaged: expected {expected}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What should be there.
        expected: String,
        /// What the database said, if it noticed.
        source: Option<Source>,
    },
    /// The file was written by a later version of Keyturn.
    #[error(
        "read `{}`: its schema is version {found}, this program knows versions up to {known}",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// There is no room; nothing was written.
    #[error("write `{}`: the disk is full, nothing was changed", file.display())]
    Full {
        /// The file.
        file: PathBuf,
    },
    /// The disk refuses all writing; nothing was written.
    #[error("write `{}`: it can only be read, nothing was changed", file.display())]
    ReadOnly {
        /// The file.
        file: PathBuf,
    },
    /// Reading, writing or flushing failed. Whether the last change is durable is not known.
    #[error("{doing} `{}`", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What was tried, a verb.
        doing: &'static str,
        /// Why it failed.
        source: Source,
    },
    /// An earlier input or output error: what was flushed and what was not cannot be told any
    /// more without reading the file again.
    #[error("write `{}`: an earlier write failed, and its outcome is not known", file.display())]
    Poisoned {
        /// The file.
        file: PathBuf,
    },
    /// Another process holds the file.
    #[error("{doing} `{}`: another process holds it", file.display())]
    Busy {
        /// The file.
        file: PathBuf,
        /// What was tried, a verb.
        doing: &'static str,
    },
    /// The disk gave no answer in time. Whether the last change is durable is not known.
    #[error("{doing} `{}`: no answer in {seconds} s", file.display())]
    TimedOut {
        /// The file.
        file: PathBuf,
        /// What was tried, a verb.
        doing: &'static str,
        /// How long the answer was waited for.
        seconds: u64,
    },
    /// The database refused a statement that it should take.
    #[error("{doing} `{}`", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What was tried, a verb.
        doing: &'static str,
        /// Why it was refused.
        source: Source,
    },
}

impl DiskError {
    /// Returns the file that the error is about.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Corrupt { file, .. }
            | Self::Newer { file, .. }
            | Self::Full { file }
            | Self::ReadOnly { file }
            | Self::Io { file, .. }
            | Self::Poisoned { file }
            | Self::Busy { file, .. }
            | Self::TimedOut { file, .. }
            | Self::Refused { file, .. } => file,
        }
    }

    /// Tells whether the change may have become durable although it was reported as failed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::TimedOut { .. })
    }

    /// Says what an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let file = self.file().display();
        Some(match self {
            Self::Corrupt { .. } => format!(
                "stop the daemon, keep a copy of `{file}` and its `-wal` file, check the disk, \
                 and bring both back from the last backup"
            ),
            Self::Newer { .. } => {
                "run the version of Keyturn that wrote it, or bring back the backup from before \
                 the upgrade"
                    .to_owned()
            }
            Self::Full { .. } => {
                format!("make room on the disk of `{file}`, then ask again")
            }
            Self::ReadOnly { .. } => {
                format!("make `{file}` and its folder writable for the daemon, then ask again")
            }
            Self::Io { .. } | Self::Poisoned { .. } => format!(
                "check the disk of `{file}` and the kernel's log, then start the daemon again: \
                 it reads what is durable and settles the rest"
            ),
            Self::Busy { .. } => {
                format!("end the other process that has `{file}` open")
            }
            Self::TimedOut { .. } => {
                format!("check the disk of `{file}`: it is overloaded or hangs")
            }
            Self::Refused { .. } => return None,
        })
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Newer { .. } | Self::Busy { .. } => Fault::Operator,
            Self::Refused { .. } => Fault::Bug,
            Self::Corrupt { .. }
            | Self::Full { .. }
            | Self::ReadOnly { .. }
            | Self::Io { .. }
            | Self::Poisoned { .. }
            | Self::TimedOut { .. } => Fault::Vault,
        }
    }
}
