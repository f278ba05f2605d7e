//! Copies of secrets in the customer's own vault.
//!
//! What is to be copied follows from the journal: every version that a rotation has made since that
//! vault is used, and that it has not confirmed. So nothing is forgotten and nothing is copied twice,
//! whenever the process is killed. Copying holds no rotation up: it goes on beside it, in the order of
//! password sets, and where it fails it is tried again, each time after a longer pause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use protocol::id::{FabricId, SecretVersion};
use protocol::password::Password;
use tokio::sync::{MutexGuard, Notify, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Keeper, Service, ServiceError};
use crate::audit::Entry as Record;
use crate::auditor::Auditor;
use crate::error::chain;
use crate::execute::Clock;
use crate::inventory::SecretArchive;
use crate::journal::{Entry, Journal};
use crate::model::{Event, Fabric, Located, Timestamp, Value};
use crate::naming::{self, SecretName};
use crate::store::Revision;
use crate::vault::bounded::Bounded;
use crate::vault::{Tag, Vault, VaultError};

/// Versions in one batch: a rotation of a fabric whose devices share their passwords is one.
const BATCH: usize = 50;

/// Versions a second, beyond the first batch: below the 300 writes in ten seconds that Azure Key
/// Vault takes.
const A_SECOND: u32 = 25;

/// The pause after the first failure, doubled for each further one, and the longest.
pub(super) const PAUSE: Duration = Duration::from_secs(2);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Opens the vaults of customers.
pub trait Archives: Send + Sync + fmt::Debug {
    /// Returns a client of a vault. Asks nobody yet.
    ///
    /// # Errors
    /// Returns why there can be none.
    fn open(&self, archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError>;
}

/// An installation that reaches no vault of a customer.
#[derive(Clone, Copy, Debug)]
pub struct NoArchives;

impl Archives for NoArchives {
    fn open(&self, _archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        let reason = "this installation has no client of other vaults".to_owned();
        Err(VaultError::Unreachable { reason })
    }
}

/// How the copying of a fabric's secrets goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// What is declared.
    pub archive: Option<SecretArchive>,
    /// Versions that the vault has confirmed.
    pub copied: usize,
    /// Versions that are still to be copied.
    pub pending: usize,
    /// Versions that were left out for good: newer ones of their secrets are there.
    pub left_out: usize,
    /// Since when the oldest of those to be copied has been stored.
    pub pending_since: Option<Timestamp>,
    /// When a copy was confirmed last.
    pub last_copied: Option<Timestamp>,
    /// What has failed since then, with what mends it, and when it was tried.
    pub last_error: Option<(String, Option<String>, Timestamp)>,
    /// What was counted.
    pub counts: ArchiveCounts,
}

/// What was counted of one vault since the process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveCounts {
    /// Versions that were copied.
    pub copied: u64,
    /// Attempts that have failed.
    pub failed: u64,
    /// When the last of them did.
    pub failed_at: Option<Timestamp>,
}

/// What a comparison of one copy has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The customer's vault has the same value.
    Same,
    /// It has another one.
    Different,
    /// It has none, or does not give it.
    Missing,
    /// The own vault does not give it.
    Unreadable,
}

/// A copy that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The secret.
    pub name: SecretName,
    /// What the own vault calls the version.
    pub version: SecretVersion,
    /// What the customer's vault calls it.
    pub copy: SecretVersion,
    /// What was found.
    pub found: Found,
}

/// What is known of the copying of each fabric, beside its journal.
#[derive(Debug, Default)]
pub(super) struct Sinks(std::sync::Mutex<BTreeMap<FabricId, Sink>>);

#[derive(Clone, Debug, Default)]
struct Sink {
    last_error: Option<(String, Option<String>, Timestamp)>,
    /// Of the vault with this URI.
    counts: (String, ArchiveCounts),
    /// Ends a pause.
    again: Arc<Notify>,
}

impl Sinks {
    fn with<T>(&self, fabric: &FabricId, f: impl FnOnce(&mut Sink) -> T) -> T {
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(sinks.entry(fabric.clone()).or_default())
    }
}

impl Sink {
    /// Returns what is counted of a vault; another one's is forgotten.
    fn counts_of(&mut self, vault_uri: &str) -> &mut ArchiveCounts {
        if self.counts.0 != vault_uri {
            self.counts = (vault_uri.to_owned(), ArchiveCounts::default());
        }
        &mut self.counts.1
    }
}

impl Service {
    /// Says how the copying of a fabric's secrets goes.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn archive_status(&self, fabric: &FabricId) -> Result<ArchiveStatus, ServiceError> {
        let (last_error, (counted, counts)) =
            self.sinks.with(fabric, |sink| (sink.last_error.clone(), sink.counts.clone()));
        self.read(fabric, |fabric| {
            let pending = fabric.to_copy();
            let stored = |value: &Value| fabric.sets.get(&value.set).map(|record| record.stored);
            let target = fabric.spec.secret_archive.as_ref().and_then(SecretArchive::target);
            let copies = fabric.copies.values();
            let copies = copies.filter(|copy| Some(copy.vault_uri.as_str()) == target);
            let (copied, last_copied) = (copies.clone().count(), copies.map(|copy| copy.at).max());
            ArchiveStatus {
                archive: fabric.spec.secret_archive.clone(),
                copied,
                pending: pending.len(),
                left_out: fabric.left_out(),
                pending_since: pending.iter().filter_map(stored).min(),
                last_copied,
                last_error: last_error.filter(|_error| !pending.is_empty()),
                counts: if target == Some(&counted) { counts } else { ArchiveCounts::default() },
            }
        })
    }

    /// Tries at once what would be tried later.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn retry_archive(&self, fabric: &FabricId) -> Result<(), ServiceError> {
        self.keeper(fabric)?;
        self.sinks.with(fabric, |sink| sink.again.notify_one());
        Ok(())
    }

    /// Compares every copy with what the own vault has, by digest.
    ///
    /// # Errors
    /// Returns [`ServiceError`] where a vault cannot be asked.
    pub async fn verify_archive(&self, id: &FabricId) -> Result<Vec<Compared>, ServiceError> {
        let (archive, copies) = self.read(id, |fabric| {
            let values = fabric.values().into_iter();
            let copies = values.filter_map(|value| {
                let (name, version) = value.located;
                let copy = fabric.copy_of(&version)?.version.clone();
                Some((name, version, copy))
            });
            (fabric.spec.secret_archive.clone(), copies.collect::<Vec<_>>())
        })?;
        let Some(archive) = archive.filter(|archive| archive.use_key_vault) else {
            return Ok(Vec::new());
        };
        let sink = open(&*self.parts.archives, &archive)?;
        let mut all = Vec::with_capacity(copies.len());
        for (name, version, copy) in copies {
            let found = match self.parts.vault.get(&name, &version).await {
                Ok(own) => compare(&*sink, &name, &copy, &own).await,
                Err(error) if error.is_of_one_version() => Ok(Found::Unreadable),
                Err(source) => return Err(ServiceError::Vault { source }),
            };
            let found = found.map_err(|source| archive_error(&archive, source))?;
            all.push(Compared { name, version, copy, found });
        }
        Ok(all)
    }

    /// Has everybody else wait who declares, once the customer's vault that is about to be declared
    /// was tried out, if it was not used before. That is done before: somebody's vault that does not
    /// answer holds nobody up but its own fabric.
    pub(super) async fn alone_with_archive(
        &self,
        fabric: &FabricId,
        wanted: impl Fn() -> Option<SecretArchive>,
    ) -> Result<MutexGuard<'_, ()>, ServiceError> {
        let mut tried = None;
        loop {
            let alone = self.declaring.lock().await;
            let known = self.read(fabric, |fabric| fabric.spec.secret_archive.clone());
            let archive = wanted().filter(|archive| archive.use_key_vault);
            let goes_as = |known: &Option<SecretArchive>, wanted: &SecretArchive| {
                known.as_ref().is_some_and(|known| known.goes_as(wanted))
            };
            let Some(archive) = archive else { return Ok(alone) };
            if goes_as(&tried, &archive) || known.is_ok_and(|known| goes_as(&known, &archive)) {
                return Ok(alone);
            }
            drop(alone);
            self.probe_archive(fabric, &archive).await?;
            tried = Some(archive);
        }
    }

    /// Tries out whether a vault takes secrets, gives them, and lets them be removed: what it does
    /// not allow is found out when it is declared, and not by the first rotation.
    async fn probe_archive(
        &self,
        fabric: &FabricId,
        archive: &SecretArchive,
    ) -> Result<(), ServiceError> {
        let failed = |source| archive_error(archive, source);
        let sink = open(&*self.parts.archives, archive)?;
        // A name that was never used: one that is deleted already would have to be recovered, which
        // is a right that nothing else needs.
        let once = uuid::Uuid::new_v4().to_string();
        let (name, tag, value) = (naming::probe(fabric, &once), Tag::new(&once), random()?);
        let version = match sink.put(&name, &tag, &value).await {
            Ok(version) => version,
            Err(error) => {
                if error.is_outcome_unknown() {
                    remove_probe(&*sink, &name).await;
                }
                return Err(failed(error));
            }
        };
        let found = compare(&*sink, &name, &version, &value).await;
        let removed = sink.purge(&name, &version).await;
        let found = found.map_err(failed)?;
        removed.map_err(failed)?;
        match found {
            Found::Same => Ok(()),
            Found::Different | Found::Missing | Found::Unreadable => {
                Err(failed(VaultError::NotFound { name, version }))
            }
        }
    }

    /// Starts a task that copies what a fabric's rotations make, until its handle is dropped.
    pub(super) fn copy(&self, id: &FabricId, keeper: &Keeper) -> AbortOnDropHandle<()> {
        let copier = Copier {
            fabric: id.clone(),
            keeper: keeper.clone(),
            vault: Arc::clone(&self.parts.vault),
            archives: Arc::clone(&self.parts.archives),
            auditor: self.parts.auditor.clone(),
            clock: Arc::clone(&self.parts.clock),
            sinks: Arc::clone(&self.sinks),
        };
        AbortOnDropHandle::new(tokio::spawn(copier.run()))
    }
}

/// Opens a customer's vault, for which nobody waits for ever.
fn open(archives: &dyn Archives, archive: &SecretArchive) -> Result<Arc<dyn Vault>, ServiceError> {
    let sink = archives.open(archive).map_err(|source| archive_error(archive, source))?;
    Ok(Arc::new(Bounded::new(sink)))
}

fn archive_error(archive: &SecretArchive, source: VaultError) -> ServiceError {
    ServiceError::Archive { vault: archive.vault_uri.clone(), source }
}

/// Removes what a probe may have left whose answer was lost. What cannot be removed opens nothing.
async fn remove_probe(sink: &dyn Vault, name: &SecretName) {
    for left in sink.versions(name).await.unwrap_or_default() {
        if let Err(error) = sink.purge(name, &left.version).await {
            tracing::warn!(secret = %name, error = chain(&error), "a probe is left behind");
        }
    }
}

/// Makes a value for a probe.
fn random() -> Result<Password, ServiceError> {
    let bytes: [u8; 32] = rand::random();
    Password::new(hex::encode(bytes)).map_err(|_source| ServiceError::Vault {
        source: VaultError::Cipher { doing: "make a value to try a vault out with" },
    })
}

async fn compare(
    sink: &dyn Vault,
    name: &SecretName,
    copy: &SecretVersion,
    own: &Password,
) -> Result<Found, VaultError> {
    match sink.get(name, copy).await {
        Ok(value) if value.matches(own) => Ok(Found::Same),
        Ok(_other) => Ok(Found::Different),
        Err(error) if error.is_of_one_version() => Ok(Found::Missing),
        Err(error) => Err(error),
    }
}

/// Copies the secrets of one fabric.
struct Copier {
    fabric: FabricId,
    keeper: Keeper,
    vault: Arc<dyn Vault>,
    archives: Arc<dyn Archives>,
    auditor: Auditor,
    clock: Clock,
    sinks: Arc<Sinks>,
}

/// What decides whether there is something to copy, and costs nothing to look at.
pub(super) type Sign = (Option<String>, Option<protocol::id::PasswordSet>);

pub(super) fn sign(fabric: &Fabric) -> Sign {
    let target = fabric.spec.secret_archive.as_ref().and_then(SecretArchive::target);
    (target.map(str::to_owned), fabric.newest_set())
}

/// Waits until a look at the fabric shows something else than was seen; tells whether it still may.
pub(super) async fn changed<T: PartialEq>(
    changes: &mut watch::Receiver<Revision>,
    journal: &Journal,
    look: impl Fn(&Fabric) -> T,
    seen: &T,
) -> bool {
    while changes.changed().await.is_ok() {
        if journal.read(&look) != *seen {
            return true;
        }
    }
    false
}

impl Copier {
    async fn run(self) {
        let mut changes = self.keeper.journal.changes();
        let again = self.sinks.with(&self.fabric, |sink| Arc::clone(&sink.again));
        let mut failures = 0;
        let mut left_out = BTreeSet::new();
        loop {
            changes.mark_unchanged();
            let seen = self.keeper.journal.read(sign);
            match self.copy_batch(&mut left_out).await {
                Ok(0) if !left_out.is_empty() => {
                    // They may be readable again some day.
                    left_out.clear();
                    let _elapsed = timeout(PAUSE_MAX, again.notified()).await;
                }
                Ok(0) => {
                    failures = 0;
                    self.sinks.with(&self.fabric, |sink| sink.last_error = None);
                    if !changed(&mut changes, &self.keeper.journal, sign, &seen).await {
                        return;
                    }
                }
                Ok(copied) => {
                    failures = 0;
                    let copied = u32::try_from(copied).unwrap_or(A_SECOND);
                    tokio::time::sleep(Duration::from_secs(1) * copied / A_SECOND).await;
                }
                Err(error) => {
                    self.note_failure(&error);
                    let pause = PAUSE.saturating_mul(2_u32.saturating_pow(failures));
                    failures = failures.saturating_add(1);
                    // Either way it is time.
                    let _elapsed = timeout(pause.min(PAUSE_MAX), again.notified()).await;
                }
            }
        }
    }

    /// Copies the oldest versions that are to be copied, and returns how many it has been about. One
    /// that cannot be read is noted and left out, and holds no other up.
    async fn copy_batch(
        &self,
        left_out: &mut BTreeSet<SecretVersion>,
    ) -> Result<usize, ServiceError> {
        let (archive, mut values) = self
            .keeper
            .journal
            .read(|fabric| (fabric.spec.secret_archive.clone(), fabric.to_copy()));
        values.retain(|value| !left_out.contains(&value.located.1));
        let Some(archive) = archive.filter(|_archive| !values.is_empty()) else { return Ok(0) };
        values.truncate(BATCH);
        let count = values.len();
        let items: Vec<_> = values.into_iter().map(|value| value.located).collect();
        let (items, opened) = self.readable(items, left_out).await?;
        if items.is_empty() {
            return Ok(count);
        }
        let sink = open(&*self.archives, &archive)?;
        self.record(&archive, items.len()).await?;
        let tagged: Vec<_> = items
            .iter()
            .zip(&opened)
            .map(|((name, version), value)| (name.clone(), Tag::new(&version.0), value))
            .collect();
        let copies = sink.put_all(&tagged).await;
        let copies = copies.map_err(|source| archive_error(&archive, source))?;
        let versions = items.into_iter().map(|(_name, version)| version).zip(copies).collect();
        let (at, vault_uri, counted) =
            ((self.clock)(), archive.vault_uri.clone(), archive.vault_uri);
        let copied = Event::Copied { versions, vault_uri, at };
        let decide = move |_fabric: &Fabric| {
            Ok::<_, ServiceError>((vec![Entry::Durable(copied.clone())], ()))
        };
        let written = self.keeper.journal.write(decide).await;
        written.map_err(|source| ServiceError::Journal { source })??;
        let copied = u64::try_from(tagged.len()).unwrap_or(u64::MAX);
        self.sinks.with(&self.fabric, |sink| sink.counts_of(&counted).copied += copied);
        Ok(count)
    }

    /// Opens what can be opened, and leaves out what cannot.
    async fn readable(
        &self,
        items: Vec<Located>,
        left_out: &mut BTreeSet<SecretVersion>,
    ) -> Result<(Vec<Located>, Vec<Password>), ServiceError> {
        let opened = self.vault.open_each(&items).await;
        let opened = opened.map_err(|source| ServiceError::Vault { source })?;
        let mut readable = (Vec::new(), Vec::new());
        for (located, value) in items.into_iter().zip(opened) {
            match value {
                Ok(value) => {
                    readable.0.push(located);
                    readable.1.push(value);
                }
                Err(source) => {
                    self.note_failure(&ServiceError::Vault { source });
                    left_out.insert(located.1);
                }
            }
        }
        Ok(readable)
    }

    /// Passwords leave the house: that is in the audit before they do.
    async fn record(&self, archive: &SecretArchive, count: usize) -> Result<(), ServiceError> {
        let on = format!("{}?count={count}&to={}", self.fabric, archive.vault_uri);
        let entry =
            Record::requested("keyturn", "Keyturn/secrets/archive/action", &on, (self.clock)());
        let written = self.auditor.write(entry).await;
        written.map(drop).map_err(|source| ServiceError::Audit { source })
    }

    fn note_failure(&self, error: &ServiceError) {
        let (text, hint, at) = (chain(error), error.hint(), (self.clock)());
        tracing::warn!(fabric = %self.fabric.name(), error = text, hint, "secrets are not copied");
        let (target, _set) = self.keeper.journal.read(sign);
        self.sinks.with(&self.fabric, |sink| {
            sink.last_error = Some((text, hint, at));
            let counts = sink.counts_of(target.as_deref().unwrap_or_default());
            counts.failed += 1;
            counts.failed_at = Some(at);
        });
    }
}
