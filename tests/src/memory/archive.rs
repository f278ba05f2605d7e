//! The store, the vault and the agent's disk in memory, with the director's hand on every call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent::ledger::{LedgerError, Record, Records};
use async_trait::async_trait;
use controller::naming::SecretName;
use controller::store::{Journal, MemoryStore, Revision, Store, StoreError, StoreFault};
use controller::vault::{Label, MemoryVault, Tag, Vault, VaultError, VaultFault, VersionInfo};
use protocol::id::{FabricId, SecretVersion};
use protocol::password::Password;

use super::director::{Act, Director, Place};
use super::papers::{Papers, Secrets};

/// A store whose appends pass the director.
#[derive(Debug)]
pub(super) struct WatchedStore {
    pub(super) inner: MemoryStore,
    pub(super) director: Arc<Director>,
    pub(super) papers: Papers,
}

#[async_trait]
impl Store for WatchedStore {
    async fn append(
        &self,
        fabric: &FabricId,
        seen: Revision,
        events: &[String],
    ) -> Result<Revision, StoreError> {
        let act = self.director.enter(Place::Journal, &names(events)).await;
        events.iter().for_each(|event| self.papers.note(event));
        match act {
            Act::Fail => self.inner.faults().once(0, StoreFault::Full),
            Act::LoseAnswer => self.inner.faults().once(0, StoreFault::FailAfter),
            Act::Do | Act::DoTwice | Act::Suffer(..) | Act::Never => {}
        }
        let result = self.inner.append(fabric, seen, events).await;
        if act == Act::DoTwice {
            // The second time comes too late: somebody, namely we, has appended in between.
            let again = self.inner.append(fabric, seen, events).await;
            assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
        }
        self.director.leave(Place::Journal);
        result
    }

    async fn load(&self, fabric: &FabricId) -> Result<Journal, StoreError> {
        self.inner.load(fabric).await
    }

    async fn link(&self, fabric: &FabricId, at: Revision) -> Result<Option<String>, StoreError> {
        self.inner.link(fabric, at).await
    }

    async fn snapshot(
        &self,
        fabric: &FabricId,
        at: Revision,
        state: &str,
    ) -> Result<(), StoreError> {
        self.papers.note(state);
        self.inner.snapshot(fabric, at, state).await
    }

    async fn fabrics(&self) -> Result<Vec<FabricId>, StoreError> {
        self.inner.fabrics().await
    }
}

/// Says in a few words what an append is about.
fn names(events: &[String]) -> String {
    let name = |event: &String| {
        let tree: serde_json::Value = serde_json::from_str(event).unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let key =
            |object: &serde_json::Map<String, serde_json::Value>| object.keys().next().cloned();
        let kind = tree.as_object().and_then(key).or_else(|| text(&tree)).unwrap_or_default();
        let phase = &tree[&kind]["credential"]["phase"];
        if phase.is_null() { kind } else { format!("{kind}:{phase}") }
    };
    events.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// A vault whose calls pass the director.
///
/// Of the values that a rotation generates it keeps others: the n-th value ever put under a name is
/// the same in every world, so that its hash is computed once for thousands of cases. A second try
/// to put a value is another value, as it would be from the generator.
#[derive(Clone, Debug)]
pub(super) struct WatchedVault {
    pub(super) inner: MemoryVault,
    pub(super) director: Arc<Director>,
    pub(super) kept: Arc<Kept>,
}

/// What has been put into a vault.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The passwords of the devices as they were found: these are kept as they are.
    pub(super) adopted: Vec<String>,
    /// Every value that the vault was ever given.
    pub(super) values: Mutex<Vec<String>>,
    pub(super) puts: Mutex<BTreeMap<String, usize>>,
    pub(super) secrets: Secrets,
}

impl Kept {
    fn stand_in(&self, name: &SecretName, value: &Password) -> Password {
        let mut text = value.expose().to_owned();
        if !self.adopted.contains(&text) {
            let mut puts = self.puts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = puts.entry(name.as_str().to_owned()).or_default();
            *count += 1;
            let end = name.as_str().len().saturating_sub(8);
            text = format!("Kt.{}-Canary.{count:03}", &name.as_str()[end..]);
        }
        self.secrets.learn(&text);
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if !values.contains(&text) {
            values.push(text.clone());
        }
        Password::new(text).unwrap()
    }

    /// Returns every value that the vault was ever given.
    pub(super) fn values(&self) -> Vec<String> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl WatchedVault {
    async fn enter(&self, what: &str) -> Act {
        let act = self.director.enter(Place::Vault, what).await;
        match act {
            Act::Fail => self.inner.faults().once(0, VaultFault::DownBefore),
            Act::LoseAnswer => self.inner.faults().once(0, VaultFault::DownAfter),
            Act::Suffer(fault, false) => self.inner.faults().once(0, fault),
            Act::Suffer(fault, true) => self.inner.faults().set(fault),
            Act::Do | Act::DoTwice | Act::Never => {}
        }
        act
    }
}

#[async_trait]
impl Vault for WatchedVault {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let act = self.enter("put").await;
        let stand_ins: Vec<Password> =
            items.iter().map(|(name, _tag, value)| self.kept.stand_in(name, value)).collect();
        let items: Vec<(SecretName, Tag, &Password)> = items
            .iter()
            .zip(&stand_ins)
            .map(|((name, tag, _value), stand_in)| (name.clone(), tag.clone(), stand_in))
            .collect();
        let mut result = self.inner.put_all(&items).await;
        if act == Act::DoTwice {
            result = self.inner.put_all(&items).await;
        }
        self.director.leave(Place::Vault);
        result
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        let act = self.enter("get").await;
        let mut result = self.inner.get_all(items).await;
        if act == Act::DoTwice {
            result = self.inner.get_all(items).await;
        }
        self.director.leave(Place::Vault);
        result
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        self.inner.versions(name).await
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.inner.disable(name, version).await
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.inner.purge(name, version).await
    }

    fn has_labels(&self) -> bool {
        self.inner.has_labels()
    }

    async fn label(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        label: Label,
    ) -> Result<(), VaultError> {
        self.inner.label(name, version, label).await
    }

    fn uri(&self) -> String {
        self.inner.uri()
    }

    fn id(&self) -> String {
        self.inner.id()
    }
}

/// The agent's disk: what is on it survives every crash.
#[derive(Debug, Default)]
pub(super) struct Disk {
    lines: Mutex<Vec<String>>,
}

impl Disk {
    pub(super) fn records(&self) -> Vec<Record> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The ledger's way to its disk during one life. After a failed write it takes nothing more, as the
/// file does.
#[derive(Debug)]
pub(super) struct WatchedDisk {
    pub(super) disk: Arc<Disk>,
    pub(super) director: Arc<Director>,
    pub(super) papers: Papers,
    pub(super) is_broken: Arc<Mutex<bool>>,
}

impl WatchedDisk {
    fn write(&self, records: &[Record]) {
        let mut lines = self.disk.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            let line = serde_json::to_string(record).unwrap();
            self.papers.note(&line);
            lines.push(line);
        }
    }
}

#[async_trait]
impl Records for WatchedDisk {
    async fn append(&self, records: &[Record]) -> Result<(), LedgerError> {
        let failed = || LedgerError::Write("a fault that a test switched on".to_owned());
        if *self.is_broken.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(failed());
        }
        let names: Vec<String> = records.iter().map(name).collect();
        let act = self.director.enter(Place::Ledger, &names.join(" ")).await;
        if act != Act::Fail {
            self.write(records);
        }
        if act == Act::DoTwice {
            self.write(records);
        }
        self.director.leave(Place::Ledger);
        if matches!(act, Act::Fail | Act::LoseAnswer) {
            *self.is_broken.lock().unwrap_or_else(PoisonError::into_inner) = true;
            return Err(failed());
        }
        Ok(())
    }
}

fn name(record: &Record) -> String {
    let text = format!("{record:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
