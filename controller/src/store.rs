//! The journal of every fabric: an ordered list of events, kept for ever, with snapshots.
//!
//! A store knows nothing about what an event means. It promises two things. An append happens
//! whole or not at all, and only if nobody else has appended since the caller last looked; and
//! what an append has confirmed survives a crash and a power cut. One or ten controllers can
//! therefore share a store: the one that loses the race gets [`StoreError::Conflict`], loads what
//! the other wrote, and decides again.
//!
//! A store holds no passwords and may go into a bug report; a [`crate::vault`] may not.

#[cfg(test)]
mod contract;
pub mod lock;
pub mod memory;
pub mod sqlite;

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use protocol::id::FabricId;
use serde::{Deserialize, Serialize};

pub use self::lock::DataDirLock;
pub use self::memory::{MemoryStore, StoreFault};
pub use self::sqlite::SqliteStore;
use crate::disk::DiskError;
use crate::error::Fault;

/// How many events the journal of one fabric has: 0 before the first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of a journal without events.
    pub const ZERO: Self = Self(0);

    /// Returns the revision after `count` more events.
    #[must_use]
    pub fn after(self, count: usize) -> Self {
        Self(self.0.saturating_add(count as u64))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The state of a fabric after its first `at` events, as its owner wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How many events the state contains.
    pub at: Revision,
    /// The state, a JSON text.
    pub state: String,
}

/// What a fabric's state is made of: the newest snapshot and the events since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The newest snapshot, if there ever was one.
    pub snapshot: Option<Snapshot>,
    /// The events after the snapshot (or after the beginning), oldest first, JSON texts.
    pub events: Vec<String>,
    /// How many events the fabric has had in all: what the next append has to have `seen`.
    pub revision: Revision,
}

/// Keeps journals. Fabrics are told apart without case; the case given first is kept.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Appends `events` (JSON texts) in order if the fabric's journal is still at `seen`, and
    /// returns its new revision. Durable when it returns. No events change nothing and still
    /// fail on a conflict. Runs to its end even if the caller stops waiting.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`DiskError::Full`] and [`DiskError::ReadOnly`] leave the
    /// journal as it was. After [`DiskError::Io`] or [`DiskError::TimedOut`] the outcome is
    /// unknown ([`StoreError::is_outcome_unknown`]); after `Io` and [`DiskError::Corrupt`] every
    /// further append gets [`DiskError::Poisoned`] until the store is opened again.
    async fn append(
        &self,
        fabric: &FabricId,
        seen: Revision,
        events: &[String],
    ) -> Result<Revision, StoreError>;

    /// Loads the newest snapshot and the events since. A fabric never heard of has an empty
    /// journal at [`Revision::ZERO`].
    ///
    /// # Errors
    /// [`DiskError::Corrupt`] if what is there is not what was appended; other [`DiskError`]s if
    /// it cannot be read.
    async fn load(&self, fabric: &FabricId) -> Result<Journal, StoreError>;

    /// Notes the state after the first `at` events, so that later loads start there. An older
    /// snapshot than the one in place is ignored. All events stay in the store: snapshots save
    /// time, not history.
    ///
    /// # Errors
    /// [`StoreError::Ahead`] if there are not that many events yet, else as [`Store::append`].
    async fn snapshot(
        &self,
        fabric: &FabricId,
        at: Revision,
        state: &str,
    ) -> Result<(), StoreError>;

    /// Names the first `at` events of a journal, one or more: another journal of the same fabric whose
    /// first `at` events have this name has the same ones. `None` if there are fewer. Another
    /// implementation may give other names.
    ///
    /// # Errors
    /// [`DiskError`] if they cannot be read.
    async fn link(&self, fabric: &FabricId, at: Revision) -> Result<Option<String>, StoreError>;

    /// Returns the fabrics that have events, in the order of their ids.
    ///
    /// # Errors
    /// [`DiskError`] if they cannot be read.
    async fn fabrics(&self) -> Result<Vec<FabricId>, StoreError>;
}

/// Tells why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else appended in between. Nothing was changed.
    #[error("append to a journal at revision {seen}: it is at revision {now}")]
    Conflict {
        /// The revision that the caller knew.
        seen: Revision,
        /// The revision that the journal has.
        now: Revision,
    },
    /// A snapshot claims more events than there are. Nothing was changed.
    #[error("snapshot a journal at revision {at}: it is at revision {now}")]
    Ahead {
        /// The revision that the snapshot claims.
        at: Revision,
        /// The revision that the journal has.
        now: Revision,
    },
    /// Another daemon uses the data directory.
    #[error(
        "use the data directory `{}`: another daemon{} uses it",
        dir.display(),
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process id of the other daemon, if it could be read.
        holder: Option<u32>,
    },
    /// The disk or the database file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl StoreError {
    /// Tells whether the change may have become durable although it was reported as failed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Disk(disk) if disk.is_outcome_unknown())
    }

    /// Says what an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Conflict { .. } => Some("ask again: another controller was faster".to_owned()),
            Self::Ahead { .. } => None,
            Self::InUse { .. } => Some(
                "stop the other daemon, or give this one a directory of its own with `--data-dir`"
                    .to_owned(),
            ),
            Self::Disk(disk) => disk.hint(),
        }
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Conflict { .. } => Fault::Peer,
            Self::Ahead { .. } => Fault::Bug,
            Self::InUse { .. } => Fault::Operator,
            Self::Disk(disk) => disk.fault(),
        }
    }
}
