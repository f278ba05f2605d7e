//! A store in memory, for tests: the same promises as a durable one, and faults on request.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use protocol::id::FabricId;

use super::{Journal, Revision, Snapshot, Store, StoreError};
use crate::disk::DiskError;
use crate::disk::faults::Faults;

/// What a [`MemoryStore`] can be made to suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The disk fails before anything is written: [`DiskError::Io`], nothing changed.
    FailBefore,
    /// The disk fails after the write: [`DiskError::Io`], and the change is there.
    FailAfter,
    /// The disk is full: [`DiskError::Full`], nothing changed. Reading goes on.
    Full,
}

/// A store that lives as long as the last of its handles.
///
/// As with the durable one, an input or output error poisons the handle that it happened on.
/// [`MemoryStore::reopen`] gives a fresh handle on the same journals, as a restart would.
#[derive(Debug, Default)]
pub struct MemoryStore {
    journals: Arc<Mutex<BTreeMap<FabricId, Record>>>,
    faults: Faults<StoreFault>,
    poisoned: AtomicBool,
}

#[derive(Debug, Default)]
struct Record {
    events: Vec<String>,
    snapshot: Option<Snapshot>,
}

impl Record {
    fn revision(&self) -> Revision {
        Revision::ZERO.after(self.events.len())
    }

    fn append(&mut self, seen: Revision, events: &[String]) -> Result<Revision, StoreError> {
        let now = self.revision();
        if now != seen {
            return Err(StoreError::Conflict { seen, now });
        }
        self.events.extend_from_slice(events);
        Ok(self.revision())
    }

    fn snapshot(&mut self, at: Revision, state: &str) -> Result<(), StoreError> {
        let now = self.revision();
        if at > now {
            return Err(StoreError::Ahead { at, now });
        }
        if self.snapshot.as_ref().is_none_or(|kept| kept.at < at) {
            self.snapshot = Some(Snapshot { at, state: state.to_owned() });
        }
        Ok(())
    }

    fn link(&self, at: Revision) -> Option<String> {
        let at = usize::try_from(at.0).ok().filter(|at| *at > 0)?;
        let mut context = Context::new(&SHA256);
        for event in self.events.get(..at)? {
            context.update(&event.len().to_be_bytes());
            context.update(event.as_bytes());
        }
        Some(hex::encode(context.finish()))
    }

    fn journal(&self) -> Journal {
        let at = self.snapshot.as_ref().map_or(Revision::ZERO, |snapshot| snapshot.at);
        let skip = usize::try_from(at.0).unwrap_or(usize::MAX);
        Journal {
            snapshot: self.snapshot.clone(),
            events: self.events.iter().skip(skip).cloned().collect(),
            revision: self.revision(),
        }
    }
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the switch for faults. It is shared by all handles.
    #[must_use]
    pub fn faults(&self) -> Faults<StoreFault> {
        self.faults.clone()
    }

    /// Returns a handle on the same journals that is not poisoned.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self {
            journals: self.journals.clone(),
            faults: self.faults.clone(),
            poisoned: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FabricId, Record>> {
        self.journals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, act: impl FnOnce(&BTreeMap<FabricId, Record>) -> T) -> Result<T, StoreError> {
        match self.faults.strike() {
            Some(StoreFault::FailBefore | StoreFault::FailAfter) => Err(self.fail()),
            Some(StoreFault::Full) | None => Ok(act(&self.lock())),
        }
    }

    fn write<T>(
        &self,
        act: impl FnOnce(&mut BTreeMap<FabricId, Record>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.poisoned.load(Ordering::SeqCst) {
            return Err(DiskError::Poisoned { file: file() }.into());
        }
        match self.faults.strike() {
            Some(StoreFault::FailBefore) => Err(self.fail()),
            Some(StoreFault::Full) => Err(DiskError::Full { file: file() }.into()),
            Some(StoreFault::FailAfter) => {
                act(&mut self.lock())?;
                Err(self.fail())
            }
            None => act(&mut self.lock()),
        }
    }

    fn fail(&self) -> StoreError {
        self.poisoned.store(true, Ordering::SeqCst);
        let source = "a fault that a test switched on".into();
        DiskError::Io { file: file(), doing: "use", source }.into()
    }
}

/// Stands for the path in errors.
fn file() -> PathBuf {
    PathBuf::from("(memory)")
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(
        &self,
        fabric: &FabricId,
        seen: Revision,
        events: &[String],
    ) -> Result<Revision, StoreError> {
        self.write(|journals| match journals.get_mut(fabric) {
            Some(record) => record.append(seen, events),
            None => {
                let mut record = Record::default();
                let now = record.append(seen, events)?;
                if now > Revision::ZERO {
                    journals.insert(fabric.clone(), record);
                }
                Ok(now)
            }
        })
    }

    async fn load(&self, fabric: &FabricId) -> Result<Journal, StoreError> {
        self.read(|journals| journals.get(fabric).map(Record::journal).unwrap_or_default())
    }

    async fn snapshot(
        &self,
        fabric: &FabricId,
        at: Revision,
        state: &str,
    ) -> Result<(), StoreError> {
        self.write(|journals| match journals.get_mut(fabric) {
            Some(record) => record.snapshot(at, state),
            None => Record::default().snapshot(at, state),
        })
    }

    async fn link(&self, fabric: &FabricId, at: Revision) -> Result<Option<String>, StoreError> {
        self.read(|journals| journals.get(fabric).and_then(|record| record.link(at)))
    }

    async fn fabrics(&self) -> Result<Vec<FabricId>, StoreError> {
        self.read(|journals| journals.keys().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[tokio::test]
    async fn the_memory_store_keeps_the_contract() {
        contract::contract(async || MemoryStore::new()).await;
    }

    #[tokio::test]
    async fn faults_hit_before_or_after_the_write_and_poison_the_handle() {
        let fabric = contract::fabric("east");
        let events = ["{}".to_owned()];
        for (fault, kept) in [(StoreFault::FailBefore, 0), (StoreFault::FailAfter, 1)] {
            let store = MemoryStore::new();
            store.faults().once(0, fault);
            let error = store.append(&fabric, Revision::ZERO, &events).await.unwrap_err();
            assert!(error.is_outcome_unknown(), "{error}");
            let again = store.append(&fabric, Revision::ZERO, &events).await.unwrap_err();
            assert!(matches!(again, StoreError::Disk(DiskError::Poisoned { .. })), "{again}");
            let revision = store.reopen().load(&fabric).await.unwrap().revision;
            assert_eq!(revision, Revision(kept), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_full_disk_refuses_writes_and_lets_reading_go_on() {
        let fabric = contract::fabric("east");
        let store = MemoryStore::new();
        store.faults().set(StoreFault::Full);
        let error = store.append(&fabric, Revision::ZERO, &["{}".to_owned()]).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk(DiskError::Full { .. })), "{error}");
        assert_eq!(store.load(&fabric).await.unwrap(), Journal::default());
        store.faults().clear();
        store.append(&fabric, Revision::ZERO, &["{}".to_owned()]).await.unwrap();
    }
}
