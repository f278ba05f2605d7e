//! The one writer of the audit in this process.
//!
//! Whoever is about to change or reveal something waits until that is durable in the log. Entries
//! that have queued up while the disk was busy become one write and one flush. What cannot be
//! written is told to every waiter, and none of them goes on.

mod disk;
mod memory;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

pub use self::disk::open;
pub use self::memory::{MemoryPaper, PaperFault};
use crate::audit::{Broken, Entry, Link, PublicKey, Signer};
use crate::disk::DiskError;
use crate::error::Fault;

/// Entries in one write at most: bounds how long one waits behind others.
const BATCH_MAX: usize = 512;

/// Entries that may wait; more callers than this wait for a place.
const QUEUE_MAX: usize = 4096;

/// How long a disk may take for one write. The longest that a request waits for its record.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// The lines that are read at once at most, in bytes; a line has at most a sixteenth of that.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Tells why the audit cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk did not take or give it. Shared by all entries of a write.
    #[error("keep the audit")]
    Disk {
        /// Why.
        #[source]
        source: Arc<DiskError>,
    },
    /// The log is not what was written.
    #[error("read the audit in `{}`", file.display())]
    Broken {
        /// The log.
        file: PathBuf,
        /// Where and how.
        #[source]
        source: Broken,
    },
    /// One of the audit's files is not there, although another is.
    #[error("read the audit: `{}` is missing, although `{}` is there", lost.display(), kept.display())]
    Lost {
        /// The file that is missing.
        lost: PathBuf,
        /// The file that is there.
        kept: PathBuf,
    },
    /// A file is not what was written.
    #[error("read `{}`: expected {expected}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// The cryptographic library failed.
    #[error("make a key for the audit: the cryptographic library failed")]
    Key,
    /// An entry cannot be put into words.
    #[error("put an entry of the audit into words")]
    Encode,
    /// A place in the log at which no record begins.
    #[error("read the audit from byte {from}: no record begins there")]
    Place {
        /// The place.
        from: u64,
    },
    /// The writer has stopped.
    #[error("reach the writer of the audit")]
    Stopped,
}

impl AuditError {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk { source } => source.hint(),
            Self::Broken { file, .. } => Some(format!(
                "somebody has changed the log: keep `{0}` and find out who; bring it back from a \
                 backup, or move it and its `.end` file aside to begin a new one",
                file.display()
            )),
            Self::Lost { lost, .. } => Some(format!(
                "bring `{}` back from a backup, or move the audit's other files aside to begin a \
                 new one",
                lost.display()
            )),
            Self::Damaged { file, .. } => Some(format!("bring `{}` back", file.display())),
            Self::Place { .. } => Some("begin at 0, or where an answer said".to_owned()),
            Self::Stopped => Some("restart the daemon".to_owned()),
            Self::Key | Self::Encode => None,
        }
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Disk { source } => source.fault(),
            Self::Broken { .. } | Self::Lost { .. } | Self::Damaged { .. } => Fault::Vault,
            Self::Key | Self::Stopped => Fault::Vault,
            Self::Place { .. } => Fault::Operator,
            Self::Encode => Fault::Bug,
        }
    }
}

/// Where the log lies.
#[async_trait]
pub trait Paper: Send + Sync {
    /// Appends lines and notes the new end; durable when it returns.
    ///
    /// # Errors
    /// Returns [`DiskError`]; unless its outcome is unknown, the log is as it was.
    async fn append(&self, lines: Vec<u8>, end: Link) -> Result<(), DiskError>;

    /// Reads at most `bytes_max` bytes from a place on, `None` if no line begins there.
    ///
    /// # Errors
    /// Returns [`DiskError`].
    async fn read(&self, from: u64, bytes_max: usize) -> Result<Option<Vec<u8>>, DiskError>;
}

/// A part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whole lines, without their line feeds.
    pub lines: Vec<String>,
    /// Where the next line begins, in bytes.
    pub next: u64,
}

struct Waiting {
    entry: Entry,
    written: oneshot::Sender<Result<u64, AuditError>>,
}

/// A handle to the audit. Clones share it.
#[derive(Clone)]
pub struct Auditor {
    entries: mpsc::Sender<Waiting>,
    paper: Arc<dyn Paper>,
    key: PublicKey,
    end: Arc<RwLock<Link>>,
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Auditor({})", self.end())
    }
}

impl Auditor {
    /// Goes on with a log that ends at `end`. Starts a task.
    #[must_use]
    pub fn over(paper: Arc<dyn Paper>, signer: Signer, end: Link) -> Self {
        let (entries, queue) = mpsc::channel(QUEUE_MAX);
        let key = signer.public_key();
        let shown = Arc::new(RwLock::new(end));
        let writer = Writer {
            paper: Arc::clone(&paper),
            signer,
            end,
            shown: Arc::clone(&shown),
            poisoned: false,
        };
        tokio::spawn(writer.run(queue));
        Self { entries, paper, key, end: shown }
    }

    /// Writes an entry, and returns its number once it is durable.
    ///
    /// # Errors
    /// Returns [`AuditError`]; what was to be recorded must not be done then.
    pub async fn write(&self, entry: Entry) -> Result<u64, AuditError> {
        let (written, answer) = oneshot::channel();
        let waiting = Waiting { entry, written };
        self.entries.send(waiting).await.map_err(|_closed| AuditError::Stopped)?;
        answer.await.map_err(|_closed| AuditError::Stopped)?
    }

    /// Writes an entry for which nobody waits. A failure is logged.
    pub fn note(&self, entry: Entry) {
        let (written, _nobody) = oneshot::channel();
        if let Err(refused) = self.entries.try_send(Waiting { entry, written }) {
            tracing::error!(error = %refused, "an entry is not in the audit");
        }
    }

    /// Writes what has become of something that was recorded before. It can no longer be held
    /// back, so that a failure is logged and nothing else.
    pub async fn write_after(&self, entry: Entry) {
        let (action, object) = (entry.action.clone(), entry.object.clone());
        if let Err(error) = self.write(entry).await {
            tracing::error!(action, object, error = %error, "an outcome is not in the audit");
        }
    }

    /// Returns the newest record's number and hash.
    #[must_use]
    pub fn end(&self) -> Link {
        *self.end.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key by which records are checked.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key
    }

    /// Reads lines from a place on: 0, or a [`Page::next`]. An empty page is the end.
    ///
    /// # Errors
    /// Returns [`AuditError::Disk`], or [`AuditError::Place`] where no line begins there.
    pub async fn page(&self, from: u64) -> Result<Page, AuditError> {
        let read = self.paper.read(from, PAGE_BYTES_MAX).await;
        let bytes = read.map_err(|source| AuditError::Disk { source: Arc::new(source) })?;
        let bytes = bytes.ok_or(AuditError::Place { from })?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(bytes.get(..whole).unwrap_or_default());
        let lines = text.lines().map(str::to_owned).collect();
        Ok(Page { lines, next: from.saturating_add(whole as u64) })
    }
}

struct Writer {
    paper: Arc<dyn Paper>,
    signer: Signer,
    end: Link,
    shown: Arc<RwLock<Link>>,
    /// Whether the outcome of a write is unknown: nothing may follow what may not be there.
    poisoned: bool,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let mut text = String::new();
            let mut end = self.end;
            let mut waiters = Vec::with_capacity(batch.len());
            for Waiting { entry, written } in batch.drain(..) {
                match self.signer.write(&end, &entry) {
                    Ok((line, next)) => {
                        text.push_str(&line);
                        end = next;
                        waiters.push((next.sequence, written));
                    }
                    // Whoever has gone away does not wait for this.
                    Err(_source) => drop(written.send(Err(AuditError::Encode))),
                }
            }
            let outcome = self.append(text, end).await;
            for (sequence, written) in waiters {
                let told = match &outcome {
                    Ok(()) => Ok(sequence),
                    Err(source) => Err(AuditError::Disk { source: Arc::clone(source) }),
                };
                let _gone = written.send(told);
            }
        }
    }

    async fn append(&mut self, text: String, end: Link) -> Result<(), Arc<DiskError>> {
        let file = || PathBuf::from(crate::data_dir::AUDIT_FILE);
        if self.poisoned {
            return Err(Arc::new(DiskError::Poisoned { file: file() }));
        }
        let appending = self.paper.append(text.into_bytes(), end);
        let late = |_elapsed| DiskError::TimedOut {
            file: file(),
            doing: "write",
            seconds: WRITE_MAX.as_secs(),
        };
        let appended = tokio::time::timeout(WRITE_MAX, appending).await;
        match appended.map_err(late).and_then(|appended| appended) {
            Ok(()) => {
                self.end = end;
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = end;
                Ok(())
            }
            Err(source) => {
                tracing::error!(error = %source, hint = source.hint(), "audit not written");
                self.poisoned = source.is_outcome_unknown();
                Err(Arc::new(source))
            }
        }
    }
}

#[cfg(test)]
mod tests;
