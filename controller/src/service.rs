//! The one door for everybody who asks for something: the edges, the command line, the demo. Each
//! rule is written once here or below.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use protocol::credential;
use protocol::id::{DeviceId, Epoch, FabricId, OperationId, ProfileName, ResourceName};
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use self::index::OperationIndex;
use crate::agents::Agent;
use crate::auditor::Auditor;
use crate::execute::{Clock, Executor, Gate, MakeSet, Settings, TemplateSets};
use crate::journal::{Entry, Journal};
use crate::model::{Event, Fabric, Operation, OperationKind, OperationState, Timestamp};
use crate::plan::retention::Retention;
use crate::plan::{self, Plan, Policy, Request};
use crate::rollback::RollbackGuard;
use crate::store::{Revision, Store};
use crate::template::{PlatformLimits, SecretsTemplate};
use crate::vault::Vault;
use crate::vault::bounded::Bounded;

mod adopt;
mod archive;
mod declare;
mod delete;
mod error;
mod index;
mod labels;
mod lost;
mod older;
mod retention;
mod reveal;
mod secrets;
mod state;

pub use self::adopt::Applied;
pub use self::archive::{ArchiveCounts, ArchiveStatus, Archives, Compared, Found, NoArchives};
pub use self::declare::Login;
pub use self::error::ServiceError;
pub use self::older::Declarer;
pub use self::retention::{DeletedFabric, Review};
pub use self::reveal::{ArchiveReference, Candidate, Missing, Revealed};
pub use self::secrets::{Desk, Opening};
pub use self::state::{CommitAction, NoteChange, StateAction, UpgradeAction};
pub use crate::vault::Backup;

/// What a service is made of.
pub struct Parts {
    /// The journals.
    pub store: Arc<dyn Store>,
    /// The passwords.
    pub vault: Arc<dyn Vault>,
    /// The vaults of customers.
    pub archives: Arc<dyn Archives>,
    /// What notices an older copy of either.
    pub rollback: RollbackGuard,
    /// The record of who did what.
    pub auditor: Auditor,
    /// The agent that drives the devices.
    pub agent: Agent,
    /// Which profiles exist.
    pub template: Arc<SecretsTemplate>,
    /// What the agent's platforms take as passwords.
    pub platforms: Vec<PlatformLimits>,
    /// What a plan keeps to.
    pub policy: Policy,
    /// How long passwords are kept that nobody needs any more.
    pub retention: Retention,
    /// How operations are carried out.
    pub settings: Settings,
    /// The wall clock.
    pub clock: Clock,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Everything that can be asked of Keyturn.
#[derive(Debug)]
pub struct Service {
    parts: Parts,
    make_set: Arc<dyn MakeSet>,
    fabrics: RwLock<BTreeMap<FabricId, Keeper>>,
    /// Deleted fabrics of which something is left in the vault.
    deleted: RwLock<BTreeMap<FabricId, Keeper>>,
    /// The tasks that copy secrets to customers' vaults, and that label versions.
    beside: std::sync::Mutex<BTreeMap<FabricId, Vec<AbortOnDropHandle<()>>>>,
    sinks: Arc<archive::Sinks>,
    /// Marked when an operation has ended.
    rested: Arc<Notify>,
    /// Written before an operation is, so that none is ever missing in it.
    operations: OperationIndex,
    /// Held while a fabric is declared, so that no two callers open its journal.
    declaring: Mutex<()>,
}

/// A fabric that is open in this process.
#[derive(Clone, Debug)]
struct Keeper {
    journal: Journal,
    executor: Executor,
}

impl Service {
    /// Opens all fabrics of the store, fences whoever had them before, and goes on with the
    /// operations that were running.
    ///
    /// # Errors
    /// Returns [`ServiceError`] where a journal cannot be read or written; nothing was exposed.
    pub async fn start(mut parts: Parts) -> Result<Arc<Self>, ServiceError> {
        parts.vault = Arc::new(Bounded::new(parts.vault));
        let make_set = Arc::new(TemplateSets::new(
            Arc::clone(&parts.template),
            parts.platforms.clone(),
            Arc::clone(&parts.vault),
        ));
        let ids = parts.store.fabrics().await.map_err(|source| ServiceError::Store { source })?;
        let service = Self {
            parts,
            make_set,
            fabrics: RwLock::default(),
            deleted: RwLock::default(),
            beside: std::sync::Mutex::default(),
            sinks: Arc::default(),
            rested: Arc::default(),
            operations: OperationIndex::default(),
            declaring: Mutex::new(()),
        };
        let mut running = Vec::new();
        for id in ids {
            let keeper = service.open(id.clone(), None).await?;
            let (is_deleted, is_purged) =
                keeper.journal.read(|fabric| (fabric.deleted, fabric.purged));
            if is_deleted && !is_purged {
                let mut deleted = service.deleted.write().unwrap_or_else(PoisonError::into_inner);
                deleted.insert(id.clone(), keeper.clone());
            }
            if is_deleted {
                continue;
            }
            service.keep(id, keeper.clone());
            let operation = keeper.journal.read(|fabric| fabric.running_operation().map(|o| o.id));
            running.extend(operation.map(|operation| (keeper, operation)));
        }
        service.look_for_lost_versions().await?;
        for (keeper, operation) in running {
            tracing::info!(operation = %operation, "goes on after a restart");
            carry_out(keeper, operation, Arc::clone(&service.rested));
        }
        Ok(Arc::new(service))
    }

    async fn open(&self, id: FabricId, declare: Option<Fabric>) -> Result<Keeper, ServiceError> {
        let store = Arc::clone(&self.parts.store);
        let journal = Journal::open(store, id, declare)
            .await
            .map_err(|source| ServiceError::Journal { source })?;
        let at = (self.parts.clock)();
        let fence = move |fabric: &Fabric| Ok::<_, ServiceError>((restarted(fabric, at), ()));
        // Refused by nobody: the decision itself cannot fail.
        journal.write(fence).await.map_err(|source| ServiceError::Journal { source })??;
        let executor = Executor::new(
            journal.clone(),
            Arc::clone(&self.parts.vault),
            self.parts.agent.clone(),
            self.parts.settings,
            Arc::clone(&self.parts.clock),
            Arc::clone(&self.make_set),
            Gate { auditor: self.parts.auditor.clone(), rollback: self.parts.rollback.clone() },
        );
        Ok(Keeper { journal, executor })
    }

    fn keep(&self, id: FabricId, keeper: Keeper) {
        keeper.journal.read(|fabric| {
            fabric.operations.iter().for_each(|operation| self.operations.note(operation.id, &id));
        });
        let mut beside = self.label(&id, &keeper);
        beside.push(self.copy(&id, &keeper));
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), beside);
        self.fabrics.write().unwrap_or_else(PoisonError::into_inner).insert(id, keeper);
    }

    fn forget(&self, id: &FabricId) {
        self.fabrics.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.operations.forget_fabric(id);
    }

    fn keeper(&self, fabric: &FabricId) -> Result<Keeper, ServiceError> {
        let fabrics = self.fabrics.read().unwrap_or_else(PoisonError::into_inner);
        let keeper = fabrics.get(fabric).cloned();
        keeper.ok_or_else(|| ServiceError::NotFound { what: "fabric", id: fabric.to_string() })
    }

    /// Returns the record of who did what.
    #[must_use]
    pub fn auditor(&self) -> &Auditor {
        &self.parts.auditor
    }

    /// Returns what the clock says.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.parts.clock)()
    }

    /// Returns the fabrics, by id.
    #[must_use]
    pub fn fabrics(&self) -> Vec<FabricId> {
        let fabrics = self.fabrics.read().unwrap_or_else(PoisonError::into_inner);
        fabrics.keys().cloned().collect()
    }

    /// Looks at a fabric's state.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn read<T>(
        &self,
        fabric: &FabricId,
        look: impl FnOnce(&Fabric) -> T,
    ) -> Result<T, ServiceError> {
        Ok(self.keeper(fabric)?.journal.read(look))
    }

    /// Returns a receiver that is marked whenever the fabric has changed.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn changes(&self, fabric: &FabricId) -> Result<watch::Receiver<Revision>, ServiceError> {
        Ok(self.keeper(fabric)?.journal.changes())
    }

    /// Returns the fabric that a device belongs to.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn find_device(&self, device: &DeviceId) -> Result<FabricId, ServiceError> {
        let fabrics = self.fabrics.read().unwrap_or_else(PoisonError::into_inner);
        let has = |(_id, keeper): &(&FabricId, &Keeper)| {
            keeper.journal.read(|fabric| fabric.devices.contains_key(device.name()))
        };
        let found = index::beside(&fabrics, device).find(has).map(|(id, _keeper)| id.clone());
        found.ok_or_else(|| ServiceError::NotFound { what: "device", id: device.to_string() })
    }

    /// Plans a request without doing anything.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] where the request would be refused.
    pub fn plan(&self, fabric: &FabricId, request: &Request) -> Result<Plan, ServiceError> {
        let policy = self.parts.policy;
        self.read(fabric, |fabric| plan::plan(fabric, &policy, request))?
            .map_err(|refusal| ServiceError::Refused { refusal })
    }

    /// Admits a request and starts to carry it out. A request with the `request_id` of an earlier
    /// one on this fabric returns that one's operation and starts nothing.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`], and [`ServiceError::Rollback`] while the vault or the store
    /// looks like an older copy; nothing was changed then.
    pub async fn submit(
        &self,
        fabric: &FabricId,
        request: Request,
        request_id: Option<String>,
    ) -> Result<OperationId, ServiceError> {
        let keeper = self.keeper(fabric)?;
        self.parts.rollback.check().map_err(|source| ServiceError::Rollback { source })?;
        let policy = self.parts.policy;
        let at = (self.parts.clock)();
        let id = OperationId(uuid::Uuid::new_v4());
        self.operations.note(id, fabric);
        let decide = move |fabric: &Fabric| {
            let surplus: Vec<OperationId> = fabric.surplus().iter().map(|o| o.id).collect();
            let (entries, admitted) = admit(fabric, &policy, &request, request_id, id, at)?;
            Ok((entries, (admitted, surplus)))
        };
        let written = keeper.journal.write(decide).await;
        let written = written.map_err(|source| ServiceError::Journal { source });
        let admitted = match written.and_then(|decided| decided) {
            Ok((admitted, surplus)) if admitted == id => {
                self.operations.forget(&surplus);
                admitted
            }
            other => {
                self.operations.forget(&[id]);
                other?.0
            }
        };
        if admitted == id {
            tracing::info!(operation = %id, fabric = %fabric.name(), "admitted");
            carry_out(keeper, id, Arc::clone(&self.rested));
        }
        Ok(admitted)
    }

    /// Returns an operation and its fabric.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn operation(&self, id: OperationId) -> Result<(FabricId, Operation), ServiceError> {
        self.read_operation(id, |fabric, operation| (fabric.id.clone(), operation.clone()))
    }

    /// Looks at an operation and its fabric.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn read_operation<T>(
        &self,
        id: OperationId,
        look: impl FnOnce(&Fabric, &Operation) -> T,
    ) -> Result<T, ServiceError> {
        let not_found = || ServiceError::NotFound { what: "operation", id: id.to_string() };
        let fabric = self.operations.fabric_of(id).ok_or_else(not_found)?;
        let looked = self.read(&fabric, |fabric| Some(look(fabric, fabric.operation(id)?)));
        looked.ok().flatten().ok_or_else(not_found)
    }

    /// Returns all operations that are kept, the newest first.
    #[must_use]
    pub fn operations(&self) -> Vec<(FabricId, Operation)> {
        let fabrics = self.fabrics.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(FabricId, Operation)> = fabrics
            .iter()
            .flat_map(|(id, keeper)| {
                let operations = keeper.journal.read(|fabric| fabric.operations.clone());
                operations.into_iter().map(|operation| (id.clone(), operation))
            })
            .collect();
        all.sort_by_key(|(_id, operation)| std::cmp::Reverse(operation.started));
        all
    }
}

/// Carries an operation out in a task of its own: the caller need not stay.
fn carry_out(keeper: Keeper, operation: OperationId, rested: Arc<Notify>) {
    tokio::spawn(async move {
        if let Err(error) = keeper.executor.run(operation).await {
            tracing::error!(
                operation = %operation, error = %error, hint = error.hint(),
                "the operation stands still until the next start"
            );
        }
        rested.notify_one();
    });
}

fn admit(
    fabric: &Fabric,
    policy: &Policy,
    request: &Request,
    request_id: Option<String>,
    id: OperationId,
    at: Timestamp,
) -> Result<(Vec<Entry>, OperationId), ServiceError> {
    let same = |operation: &&Operation| request_id.is_some() && operation.request_id == request_id;
    if let Some(operation) = fabric.operations.iter().rev().find(same) {
        return Ok((Vec::new(), operation.id));
    }
    let plan =
        plan::plan(fabric, policy, request).map_err(|refusal| ServiceError::Refused { refusal })?;
    plan::audit::audit(fabric, policy, &plan)
        .map_err(|source| ServiceError::UnsoundPlan { source })?;
    let kind = match request {
        Request::Rotate | Request::RotateOlder => OperationKind::Rotate,
        // Before the first rotation there is nothing to bring: devices are verified again.
        Request::Resync | Request::ResyncDevice(_) if fabric.wanted_set().is_some() => {
            OperationKind::Resync
        }
        Request::Reboot(..) => OperationKind::Reboot,
        _ => OperationKind::Verify,
    };
    let device = match request {
        Request::ResyncDevice(device) | Request::Reboot(device, _) => Some(device.clone()),
        _ => None,
    };
    let reboot = match request {
        Request::Reboot(_device, reboot) => Some(*reboot),
        _ => None,
    };
    let operation = Operation {
        id,
        kind,
        device,
        request_id,
        set: plan.set,
        older_names: *request == Request::RotateOlder,
        reboot,
        waves: plan.waves(),
        skipped: plan.skipped,
        state: OperationState::Running,
        started: at,
        ended: None,
        outcomes: BTreeMap::new(),
    };
    let event = Event::OperationStarted { operation: Box::new(operation) };
    Ok((vec![Entry::Durable(event)], id))
}

/// Returns the events of a controller that takes a fabric over.
fn restarted(fabric: &Fabric, at: Timestamp) -> Vec<Entry> {
    let epoch = Epoch(fabric.epoch.0.saturating_add(1));
    let mut entries = vec![Entry::Durable(Event::EpochRaised { epoch })];
    let event = credential::Event::Restarted(epoch);
    for (name, device) in &fabric.devices {
        entries.extend(every_secret(device, name, event, at));
    }
    entries
}

/// Feeds one event to every secret of a device.
fn every_secret(
    device: &crate::model::Device,
    name: &ResourceName,
    event: credential::Event,
    at: Timestamp,
) -> Vec<Entry> {
    let events: Vec<(ProfileName, credential::Event)> =
        device.secrets.keys().map(|profile| (profile.clone(), event)).collect();
    let moved = crate::execute::durable(device, name, &events, None, at);
    moved.into_iter().map(Entry::Durable).collect()
}
