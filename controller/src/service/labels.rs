//! Labels of versions, in the vaults that have them: the own one, and the customer's.
//!
//! What should be labelled, and how, follows from the journal; what was labelled is in it, too. So
//! a label that fails is set later, none is set twice, and a restart asks no vault what it has.
//! Nothing waits for a label, and nothing depends on one.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{FabricId, SecretVersion};
use tokio_util::task::AbortOnDropHandle;

use super::archive::{Archives, PAUSE, PAUSE_MAX, Sign, changed, sign};
use super::{Keeper, Service, ServiceError};
use crate::error::chain;
use crate::inventory::SecretArchive;
use crate::journal::Entry;
use crate::model::{Event, Fabric, Located, Standing};
use crate::plan::standing;
use crate::vault::bounded::Bounded;
use crate::vault::{Label, Vault, VaultError};

/// Labels in one commit to the journal.
const BATCH: usize = 50;

/// The pause after each label. Each is two requests in Azure Key Vault, which the copying of secrets
/// and everybody else leave room for.
const REST: Duration = Duration::from_millis(100);

impl From<Standing> for Label {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Pending => Self::Pending,
            Standing::Current => Self::Current,
            Standing::Previous => Self::Previous,
        }
    }
}

impl Service {
    /// Starts tasks that label a fabric's versions, until their handles are dropped: one for each
    /// vault, so that neither waits for the other.
    pub(super) fn label(&self, id: &FabricId, keeper: &Keeper) -> Vec<AbortOnDropHandle<()>> {
        let own = Arc::clone(&self.parts.vault);
        let own = own.has_labels().then_some(Shelf::Own(own));
        let customers = Shelf::Customers(Arc::clone(&self.parts.archives));
        let shelves = own.into_iter().chain([customers]);
        let start = |shelf| {
            let labeller = Labeller { fabric: id.clone(), keeper: keeper.clone(), shelf };
            AbortOnDropHandle::new(tokio::spawn(labeller.run()))
        };
        shelves.map(start).collect()
    }
}

/// Where versions are labelled.
enum Shelf {
    Own(Arc<dyn Vault>),
    Customers(Arc<dyn Archives>),
}

/// A label that is due: what the journal calls the version, what the vault does, and which.
struct Due {
    own: SecretVersion,
    there: Located,
    standing: Standing,
}

/// Labels the versions of one fabric in one vault.
struct Labeller {
    fabric: FabricId,
    keeper: Keeper,
    shelf: Shelf,
}

/// What decides whether there is something to label, and costs nothing to look at.
type Cause = (Sign, Option<protocol::id::OperationId>, [usize; 2]);

fn cause(fabric: &Fabric) -> Cause {
    let running = fabric.running_operation().map(|operation| operation.id);
    (sign(fabric), running, [fabric.copies.len(), fabric.devices.len()])
}

impl Labeller {
    async fn run(self) {
        let mut changes = self.keeper.journal.changes();
        let mut failures = 0;
        loop {
            changes.mark_unchanged();
            let seen = self.keeper.journal.read(cause);
            match self.label_batch().await {
                Ok(0) => {
                    failures = 0;
                    if !changed(&mut changes, &self.keeper.journal, cause, &seen).await {
                        return;
                    }
                }
                Ok(_labelled) => failures = 0,
                Err(error) => {
                    let (error, hint) = (chain(&error), error.hint());
                    tracing::warn!(fabric = %self.fabric.name(), error, hint, "a label is not set");
                    let pause = PAUSE.saturating_mul(2_u32.saturating_pow(failures));
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(pause.min(PAUSE_MAX)).await;
                }
            }
        }
    }

    /// Sets some of the labels that are due, and returns how many.
    async fn label_batch(&self) -> Result<usize, ServiceError> {
        let (archive, due) = self.keeper.journal.read(|fabric| self.due(fabric));
        if due.is_empty() {
            return Ok(0);
        }
        let Some(vault) = self.open(archive.as_ref())? else { return Ok(0) };
        let (mut done, mut failed) = (Vec::new(), None);
        for Due { own, there: (name, version), standing } in due.into_iter().take(BATCH) {
            match vault.label(&name, &version, standing.into()).await {
                Err(source) if !is_gone(&source) => {
                    failed = Some(source);
                    break;
                }
                // What is not there needs no label.
                Ok(()) | Err(_) => done.push((own, standing)),
            }
            tokio::time::sleep(REST).await;
        }
        let count = done.len();
        if count > 0 {
            self.note(archive.map(|archive| archive.vault_uri.clone()), done).await?;
        }
        match failed {
            Some(source) => Err(ServiceError::Vault { source }),
            None => Ok(count),
        }
    }

    fn due(&self, fabric: &Fabric) -> (Option<SecretArchive>, Vec<Due>) {
        let due = |due: Vec<(Located, Standing)>, there: &dyn Fn(&SecretVersion) -> _| {
            let due = due.into_iter().filter_map(|((name, own), standing)| {
                Some(Due { there: (name, there(&own)?), own, standing })
            });
            due.collect()
        };
        match &self.shelf {
            Shelf::Own(_) => {
                let known = |version: &_| Some(fabric.labelled.get(version).copied());
                (None, due(standing::due(fabric, known), &|own| Some(own.clone())))
            }
            Shelf::Customers(_) => {
                let archive = fabric.spec.secret_archive.clone();
                let Some(archive) = archive.filter(|archive| archive.use_key_vault) else {
                    return (None, Vec::new());
                };
                let copy = |version: &SecretVersion| fabric.copy_of(version);
                let known = |version: &_| copy(version).map(|copy| copy.standing);
                let there = |own: &_| copy(own).map(|copy| copy.version.clone());
                (Some(archive), due(standing::due(fabric, known), &there))
            }
        }
    }

    /// Opens the vault; `None` if there is none, or one without labels.
    fn open(
        &self,
        archive: Option<&SecretArchive>,
    ) -> Result<Option<Arc<dyn Vault>>, ServiceError> {
        match (&self.shelf, archive) {
            (Shelf::Own(vault), _) => Ok(Some(Arc::clone(vault))),
            (Shelf::Customers(_), None) => Ok(None),
            (Shelf::Customers(archives), Some(archive)) => {
                let opened = archives.open(archive);
                let vault = opened.map_err(|source| ServiceError::Vault { source })?;
                let vault: Arc<dyn Vault> = Arc::new(Bounded::new(vault));
                Ok(Some(vault).filter(|vault| vault.has_labels()))
            }
        }
    }

    async fn note(
        &self,
        vault_uri: Option<String>,
        versions: Vec<(SecretVersion, Standing)>,
    ) -> Result<(), ServiceError> {
        let labelled = Event::Labelled { vault_uri, versions };
        let decide =
            move |_fabric: &Fabric| Ok::<_, ServiceError>((vec![Entry::Durable(labelled)], ()));
        let written = self.keeper.journal.write(decide).await;
        written.map_err(|source| ServiceError::Journal { source })?
    }
}

/// Tells whether a version is not there to be labelled, now and later.
fn is_gone(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::NotFound { .. }
            | VaultError::NoSecret { .. }
            | VaultError::Deleted { .. }
            | VaultError::Purged { .. }
    )
}
