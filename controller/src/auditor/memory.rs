//! A log in memory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{AuditError, Auditor, Paper, disk};
use crate::audit::Link;
use crate::disk::DiskError;
use crate::disk::faults::Faults;

/// What a log in memory can suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaperFault {
    /// There is no room; nothing is written.
    Full,
    /// The disk fails after the write.
    FailAfter,
}

/// A log in memory, for tests. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryPaper {
    text: Arc<Mutex<Vec<u8>>>,
    faults: Faults<PaperFault>,
}

impl Auditor {
    /// Begins a log in memory. Starts a task.
    ///
    /// # Errors
    /// Returns [`AuditError::Key`].
    pub fn in_memory() -> Result<(Self, MemoryPaper), AuditError> {
        let paper = MemoryPaper::default();
        let (_private, signer) = disk::new_key()?;
        Ok((Self::over(Arc::new(paper.clone()), signer, Link::START), paper))
    }
}

impl MemoryPaper {
    /// Returns the switch for faults.
    #[must_use]
    pub fn faults(&self) -> Faults<PaperFault> {
        self.faults.clone()
    }

    /// Returns the whole log.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[async_trait]
impl Paper for MemoryPaper {
    async fn append(&self, lines: Vec<u8>, _end: Link) -> Result<(), DiskError> {
        let fault = self.faults.strike();
        let file = PathBuf::from("memory");
        if fault == Some(PaperFault::Full) {
            return Err(DiskError::Full { file });
        }
        self.text.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
        match fault {
            Some(_) => Err(DiskError::Io { file, doing: "flush", source: "a fault".into() }),
            None => Ok(()),
        }
    }

    async fn read(&self, from: u64, bytes_max: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let Some(rest) = text.get(from..) else { return Ok(None) };
        let begins = from == 0 || text.get(from.wrapping_sub(1)) == Some(&b'\n');
        Ok(begins.then(|| rest.iter().take(bytes_max).copied().collect()))
    }
}
