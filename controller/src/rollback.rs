//! Notices that the vault or the store is an older copy of itself, before anything is exposed.
//!
//! Somebody brings a file back from a backup or a snapshot, and it opens: the key is right and nothing
//! is damaged. With an older vault the passwords that devices have now may be gone; with an older
//! store nobody knows which they are. Going on would change devices on that ground.
//!
//! - The vault carries a mark, and a small file in the data directory notes which. Before each exposure
//!   the mark is raised by one, durably, and then the note: so the mark is never below the note, wherever
//!   the process was killed. The mark of an older vault is.
//! - With the mark lies the event up to which the journal of each exposed fabric was durable then. An
//!   older journal does not have it, nor one that went on from an older copy.
//! - Where the vault came back together with its note, it does not have the newest password set that
//!   the journal names: see [`RollbackGuard::hold`].
//!
//! A daemon that finds this shows and reveals, and exposes and purges nothing, until the newest copy is
//! back or somebody accepts what there is: [`RollbackGuard::accept`]. Where all three came back, nothing
//! here can tell; the end of the audit can, if it was noted elsewhere.

mod error;
mod note;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::id::{FabricId, SecretVersion};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

pub use self::error::{RollbackError, Suspicion};
use self::note::{Noted, NotedJournal};
use crate::disk::{DiskError, file};
use crate::store::{Revision, Store, StoreError};
use crate::vault::{Mark, Vault, VaultError};

/// The note's file in the data directory.
pub const MARK_FILE: &str = "vault.mark";

/// The longest that the note's disk may take. Those that wait for another's note wait for its vault,
/// too.
const NOTE_MAX: Duration = Duration::from_secs(30);
const TURN_MAX: Duration = Duration::from_secs(300);

/// Guards a vault and a store. Clones share it.
#[derive(Clone)]
pub struct RollbackGuard(Option<Arc<Guarded>>);

struct Guarded {
    file: PathBuf,
    vault: Arc<dyn Vault>,
    store: Arc<dyn Store>,
    noted: Arc<Mutex<Noted>>,
    write: Write,
    /// Set for good: only a start looks anew.
    suspicion: OnceLock<Suspicion>,
}

/// Writes a note, durably; called outside of the runtime's threads.
type Write = Arc<dyn Fn(&Path, &str) -> Result<(), RollbackError> + Send + Sync>;

impl fmt::Debug for RollbackGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.as_ref().and_then(|guarded| guarded.suspicion.get());
        f.debug_struct("RollbackGuard").field("held", &held).finish_non_exhaustive()
    }
}

impl RollbackGuard {
    /// Guards nothing: for a vault and a store that no disk keeps.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Compares the vault and the store with what was noted in the data directory `dir`, and raises
    /// the mark, unless one of them looks like an older copy: then nothing is changed, and
    /// [`RollbackGuard::check`] says why.
    ///
    /// # Errors
    /// [`RollbackError`] where the vault, the store or the note cannot be read or written.
    pub async fn open(
        dir: &Path,
        vault: Arc<dyn Vault>,
        store: Arc<dyn Store>,
    ) -> Result<Self, RollbackError> {
        Self::open_with(dir, vault, store, Arc::new(note::write)).await
    }

    async fn open_with(
        dir: &Path,
        vault: Arc<dyn Vault>,
        store: Arc<dyn Store>,
        write: Write,
    ) -> Result<Self, RollbackError> {
        let file = dir.join(MARK_FILE);
        let (suspicion, noted) = look(&file, &*vault, &*store).await?;
        let (noted, held) = (Arc::new(Mutex::new(noted)), OnceLock::new());
        let guarded = Guarded { file, vault, store, noted, write, suspicion: held };
        match suspicion {
            Some(suspicion) => {
                let _first = guarded.suspicion.set(suspicion);
            }
            None => guarded.raise(None).await?,
        }
        Ok(Self(Some(Arc::new(guarded))))
    }

    /// Says why nothing may be exposed or purged, if so.
    ///
    /// # Errors
    /// [`RollbackError::Held`].
    pub fn check(&self) -> Result<(), RollbackError> {
        match self.0.as_ref().and_then(|guarded| guarded.suspicion.get()) {
            None => Ok(()),
            Some(suspicion) => Err(RollbackError::Held { suspicion: suspicion.clone() }),
        }
    }

    /// Returns the versions that are known to be lost; `None` where nothing can have come back from an
    /// older copy.
    pub async fn lost(&self) -> Option<BTreeSet<String>> {
        let noted = self.0.as_ref()?.noted.lock().await;
        noted.is_marked().then(|| noted.lost.clone())
    }

    /// Lets nothing be exposed or purged any more.
    pub fn hold(&self, suspicion: Suspicion) {
        if let Some(guarded) = &self.0 {
            // The first one found is the one that is told.
            let _kept = guarded.suspicion.set(suspicion);
        }
    }

    /// Has to be called before the passwords of a fabric leave the vault, when its journal is durable
    /// up to `at`. From then on, older copies of the vault and of this journal are found out.
    ///
    /// # Errors
    /// [`RollbackError::Held`], and where the vault or the note cannot be written: nothing may be
    /// exposed then.
    pub async fn before_exposure(
        &self,
        fabric: &FabricId,
        at: Revision,
    ) -> Result<(), RollbackError> {
        self.check()?;
        match &self.0 {
            None => Ok(()),
            Some(guarded) => guarded.raise(Some((fabric, at))).await,
        }
    }

    /// Takes the vault and the store as they are for the newest ones, with the versions `lost` that
    /// are not in the vault, notes that, and returns what had been suspected. Where that is nothing,
    /// nothing is changed but for new losses.
    ///
    /// # Errors
    /// [`RollbackError`] where the vault, the store or the note cannot be read or written.
    pub async fn accept(
        dir: &Path,
        vault: &dyn Vault,
        store: &dyn Store,
        lost: &[SecretVersion],
    ) -> Result<Option<Suspicion>, RollbackError> {
        let file = dir.join(MARK_FILE);
        let (suspicion, noted) = look(&file, vault, store).await?;
        let is_known = |version: &SecretVersion| noted.lost.contains(&*version.0);
        if suspicion.is_none() && lost.iter().all(is_known) {
            return Ok(None);
        }
        let mark = vault.mark().await.map_err(of_vault)?;
        // Above both, so that the copies that were refused stay refused.
        let found = mark.as_ref().map_or(0, |mark| mark.serial);
        let next = Noted {
            vault: mark.map_or_else(|| note::of_unmarked(vault), |mark| mark.vault),
            serial: noted.serial.max(found).saturating_add(1),
            journals: heads(store).await?,
            lost: lost.iter().map(|version| version.0.to_string()).collect(),
        };
        let text = next.render()?;
        vault.raise_mark(next.serial, &text).await.map_err(of_vault)?;
        note::write(&file, &text)?;
        Ok(suspicion)
    }
}

fn of_vault(source: VaultError) -> RollbackError {
    RollbackError::Vault { source }
}

fn of_store(source: StoreError) -> RollbackError {
    RollbackError::Store { source }
}

/// Returns how far all journals are.
async fn heads(store: &dyn Store) -> Result<BTreeMap<String, NotedJournal>, RollbackError> {
    let mut journals = BTreeMap::new();
    for fabric in store.fabrics().await.map_err(of_store)? {
        let revision = store.load(&fabric).await.map_err(of_store)?.revision;
        if let Some(link) = store.link(&fabric, revision).await.map_err(of_store)? {
            journals.insert(note::key(&fabric), NotedJournal { revision, link });
        }
    }
    Ok(journals)
}

impl Guarded {
    /// Raises the mark, and then the note.
    async fn raise(&self, exposed: Option<(&FabricId, Revision)>) -> Result<(), RollbackError> {
        let noted = timeout(TURN_MAX, Arc::clone(&self.noted).lock_owned()).await;
        let noted = noted.map_err(|_elapsed| self.late("wait for the turn to write", TURN_MAX))?;
        let mark = self.vault.mark().await.map_err(of_vault)?;
        if let Some(suspicion) = mark.as_ref().and_then(|mark| noted.suspects(mark)) {
            let _first = self.suspicion.set(suspicion.clone());
            return Err(RollbackError::Held { suspicion });
        }
        let mut next = noted.clone();
        next.serial = next.serial.max(mark.map_or(0, |mark| mark.serial)).saturating_add(1);
        if let Some((fabric, at)) = exposed {
            let link = self.store.link(fabric, at).await.map_err(of_store)?;
            let link = link.ok_or(RollbackError::Unwritten { at })?;
            next.journals.insert(note::key(fabric), NotedJournal { revision: at, link });
        }
        let text = next.render()?;
        self.vault.raise_mark(next.serial, &text).await.map_err(of_vault)?;
        self.note(noted, next, text).await
    }

    /// Writes the note, outside of the runtime's threads. Where that takes too long, nobody writes
    /// another one before it has ended: the file must never become older.
    async fn note(
        &self,
        mut noted: OwnedMutexGuard<Noted>,
        next: Noted,
        text: String,
    ) -> Result<(), RollbackError> {
        let (write, file) = (Arc::clone(&self.write), self.file.clone());
        let writing = tokio::task::spawn_blocking(move || {
            write(&file, &text)?;
            *noted = next;
            Ok(())
        });
        match timeout(NOTE_MAX, writing).await {
            Ok(Ok(written)) => written,
            Ok(Err(stopped)) => {
                let source = file::failed(&self.file, "write", std::io::Error::other(stopped));
                Err(RollbackError::Disk { source })
            }
            Err(_elapsed) => Err(self.late("write", NOTE_MAX)),
        }
    }

    fn late(&self, doing: &'static str, time: Duration) -> RollbackError {
        let (file, seconds) = (self.file.clone(), time.as_secs());
        RollbackError::Disk { source: DiskError::TimedOut { file, doing, seconds } }
    }
}

/// Compares, and returns also what is noted now.
async fn look(
    file: &Path,
    vault: &dyn Vault,
    store: &dyn Store,
) -> Result<(Option<Suspicion>, Noted), RollbackError> {
    let mark = vault.mark().await.map_err(of_vault)?;
    let noted = match Noted::read(file)? {
        Ok(noted) => noted,
        Err(suspicion) => return Ok((Some(suspicion), Noted::default())),
    };
    let Some(noted) = noted else {
        let first = mark.as_ref().map_or_else(|| Noted::unmarked(vault), Noted::first);
        // A vault that was never marked is new, or comes from a Keyturn that knew no marks.
        let lost = mark.filter(|mark| mark.serial > 0);
        let lost = lost.map(|_mark| Suspicion::NoteMissing { file: file.to_owned() });
        return Ok((lost, first));
    };
    let suspicion = match &mark {
        Some(mark) => noted.suspects(mark),
        None => noted.suspects_unmarked(vault),
    };
    if let Some(suspicion) = suspicion {
        return Ok((Some(suspicion), noted));
    }
    let newest = newest(noted, mark.as_ref());
    Ok((older_journal(&newest, store).await?, newest))
}

/// Returns the newer of the two notes: the vault's is written first.
fn newest(noted: Noted, mark: Option<&Mark>) -> Noted {
    let newer = mark.filter(|mark| mark.serial > noted.serial);
    newer.and_then(|mark| Noted::parse(&mark.note)).unwrap_or(noted)
}

/// Finds a journal that does not have the event that was noted.
async fn older_journal(
    noted: &Noted,
    store: &dyn Store,
) -> Result<Option<Suspicion>, RollbackError> {
    for (key, journal) in &noted.journals {
        let found = match key.parse::<FabricId>() {
            Ok(fabric) => store.link(&fabric, journal.revision).await.map_err(of_store)?,
            Err(_source) => None,
        };
        if found.as_deref() != Some(&journal.link) {
            let (fabric, noted) = (key.clone(), journal.revision);
            return Ok(Some(Suspicion::StoreOlder { fabric, noted }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
