//! The one door for everybody who asks for something: the edges, the command line, the demo. Each
//! rule is written once here or below.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use protocol::credential;
use protocol::id::{DeviceId, Epoch, FabricId, OperationId, ProfileName, ResourceName};
use protocol::status::AdministrativeState;
use tokio::sync::{Mutex, watch};

use crate::agents::Agent;
use crate::execute::{Clock, Executor, MakeSet, Settings, TemplateSets};
use crate::journal::{Entry, Journal};
use crate::model::{
    Event, Fabric, Lock, Notes, Operation, OperationKind, OperationState, Timestamp, Upgrade,
};
use crate::plan::{self, Plan, Policy, Request};
use crate::store::{Revision, Store};
use crate::template::{PlatformLimits, SecretsTemplate};
use crate::vault::Vault;

mod adopt;
mod error;
mod reveal;

pub use self::adopt::Applied;
pub use self::error::ServiceError;
pub use self::reveal::{ArchiveReference, Candidate, Revealed};

/// What a service is made of.
pub struct Parts {
    /// The journals.
    pub store: Arc<dyn Store>,
    /// The passwords.
    pub vault: Arc<dyn Vault>,
    /// The agent that drives the devices.
    pub agent: Agent,
    /// Which profiles exist.
    pub template: Arc<SecretsTemplate>,
    /// What the agent's platforms take as passwords.
    pub platforms: Vec<PlatformLimits>,
    /// What a plan keeps to.
    pub policy: Policy,
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

/// What an operator does to a device's administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateAction {
    /// Put it into service; what it holds is verified.
    Enable,
    /// Take it out of service.
    Disable,
    /// Replace it.
    Rma,
}

/// What is to be noted on a resource; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteChange {
    /// All tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// The description, or none any more.
    pub annotation: Option<Option<String>>,
    /// A device's serial number.
    pub serial_number: Option<String>,
}

/// What has become of a commit of a fabric's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAction {
    /// It has begun.
    Begin,
    /// It has ended, and the configuration is on the devices.
    Complete,
    /// It has ended, and nothing was changed.
    RollBack,
    /// It has begun and ended.
    AtOnce,
}

/// What has become of an upgrade of a fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeAction {
    /// It has begun.
    Start {
        /// The version that it leads to.
        version: String,
    },
    /// It has ended as it should.
    Complete,
    /// It has failed.
    Fail,
}

/// Everything that can be asked of Keyturn.
#[derive(Debug)]
pub struct Service {
    parts: Parts,
    make_set: Arc<dyn MakeSet>,
    fabrics: RwLock<BTreeMap<FabricId, Keeper>>,
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
    pub async fn start(parts: Parts) -> Result<Arc<Self>, ServiceError> {
        let make_set = Arc::new(TemplateSets::new(
            Arc::clone(&parts.template),
            parts.platforms.clone(),
            Arc::clone(&parts.vault),
        ));
        let ids = parts.store.fabrics().await.map_err(|source| ServiceError::Store { source })?;
        let service = Self {
            parts,
            make_set,
            fabrics: RwLock::new(BTreeMap::new()),
            declaring: Mutex::new(()),
        };
        for id in ids {
            let keeper = service.open(id.clone(), None).await?;
            service.keep(id, keeper.clone());
            let running = keeper.journal.read(|fabric| fabric.running_operation().map(|o| o.id));
            if let Some(operation) = running {
                tracing::info!(operation = %operation, "goes on after a restart");
                carry_out(keeper, operation);
            }
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
        );
        Ok(Keeper { journal, executor })
    }

    fn keep(&self, id: FabricId, keeper: Keeper) {
        self.fabrics.write().unwrap_or_else(PoisonError::into_inner).insert(id, keeper);
    }

    fn keeper(&self, fabric: &FabricId) -> Result<Keeper, ServiceError> {
        let fabrics = self.fabrics.read().unwrap_or_else(PoisonError::into_inner);
        let keeper = fabrics.get(fabric).cloned();
        keeper.ok_or_else(|| ServiceError::NotFound { what: "fabric", id: fabric.to_string() })
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
            keeper.journal.read(|fabric| {
                fabric.devices.contains_key(device.name())
                    && fabric.device_id(device.name()) == *device
            })
        };
        let found = fabrics.iter().find(has).map(|(id, _keeper)| id.clone());
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
    /// Returns [`ServiceError::Refused`]; nothing was changed then.
    pub async fn submit(
        &self,
        fabric: &FabricId,
        request: Request,
        request_id: Option<String>,
    ) -> Result<OperationId, ServiceError> {
        let keeper = self.keeper(fabric)?;
        let policy = self.parts.policy;
        let at = (self.parts.clock)();
        let id = OperationId(uuid::Uuid::new_v4());
        let decide = move |fabric: &Fabric| admit(fabric, &policy, &request, request_id, id, at);
        let admitted = keeper
            .journal
            .write(decide)
            .await
            .map_err(|source| ServiceError::Journal { source })??;
        if admitted == id {
            tracing::info!(operation = %id, fabric = %fabric.name(), "admitted");
            carry_out(keeper, id);
        }
        Ok(admitted)
    }

    /// Takes a device out of service, into replacement, or back. Returns the operation that
    /// verifies a device that has come back, or brings the newest set to one that was replaced.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] or [`ServiceError::NotFound`].
    pub async fn set_administrative_state(
        &self,
        device: &DeviceId,
        action: StateAction,
    ) -> Result<Option<OperationId>, ServiceError> {
        let fabric = self.find_device(device)?;
        let keeper = self.keeper(&fabric)?;
        let (policy, at, name) = (self.parts.policy, (self.parts.clock)(), device.name().clone());
        let decide = move |fabric: &Fabric| change_state(fabric, &policy, &name, action, at);
        let written = keeper.journal.write(decide).await;
        let replaced = written.map_err(|source| ServiceError::Journal { source })??;
        if action != StateAction::Enable {
            return Ok(None);
        }
        let request = match replaced {
            true => Request::ResyncDevice(device.name().clone()),
            false => Request::Verify(BTreeSet::from([device.name().clone()])),
        };
        self.submit(&fabric, request, None).await.map(Some)
    }

    /// Locks or unlocks a fabric.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`], or that the journal cannot be written.
    pub async fn set_lock(
        &self,
        fabric: &FabricId,
        lock: Lock,
        locked: bool,
    ) -> Result<(), ServiceError> {
        self.record(fabric, None, vec![Event::LockSet { lock, locked }]).await
    }

    /// Notes what becomes of a commit of the fabric's configuration, which others carry out: no
    /// password is changed while it is in progress.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] where a commit may not begin now, or none is in progress.
    pub async fn set_commit(
        &self,
        fabric: &FabricId,
        commit: CommitAction,
    ) -> Result<(), ServiceError> {
        let begun = Event::CommitSet { in_progress: true, committed: false };
        let ended = |committed| Event::CommitSet { in_progress: false, committed };
        let (request, events) = match commit {
            CommitAction::Begin => (Request::Commit, vec![begun]),
            CommitAction::Complete => (Request::EndCommit, vec![ended(true)]),
            CommitAction::RollBack => (Request::EndCommit, vec![ended(false)]),
            CommitAction::AtOnce => (Request::Commit, vec![begun, ended(true)]),
        };
        self.record(fabric, Some(request), events).await
    }

    /// Notes what becomes of an upgrade of the fabric, which others carry out: no password is
    /// changed while it is in progress, and none is rotated after it has failed.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] where an upgrade may not begin now, or none is in progress.
    pub async fn set_upgrade(
        &self,
        fabric: &FabricId,
        upgrade: UpgradeAction,
    ) -> Result<(), ServiceError> {
        let (request, upgrade, version) = match upgrade {
            UpgradeAction::Start { version } => (Request::Upgrade, Upgrade::Running, Some(version)),
            UpgradeAction::Complete => (Request::EndUpgrade, Upgrade::None, None),
            UpgradeAction::Fail => (Request::EndUpgrade, Upgrade::Failed, None),
        };
        let event = Event::UpgradeSet { upgrade, version };
        self.record(fabric, Some(request), vec![event]).await
    }

    /// Changes what is noted on a fabric or on one of its devices.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`], or that the journal cannot be written.
    pub async fn note(
        &self,
        fabric: &FabricId,
        device: Option<&ResourceName>,
        change: NoteChange,
    ) -> Result<(), ServiceError> {
        let keeper = self.keeper(fabric)?;
        let (at, device) = ((self.parts.clock)(), device.cloned());
        let decide = move |fabric: &Fabric| {
            let (known, serial) = match &device {
                None => (&fabric.notes, None),
                Some(name) => {
                    let device = fabric.devices.get(name).ok_or_else(|| {
                        let id = fabric.device_id(name).to_string();
                        ServiceError::NotFound { what: "device", id }
                    })?;
                    (&device.notes, Some(&device.spec.serial_number))
                }
            };
            let notes = Notes {
                tags: change.tags.unwrap_or_else(|| known.tags.clone()),
                annotation: change.annotation.unwrap_or_else(|| known.annotation.clone()),
            };
            let serial_number = change.serial_number.filter(|new| serial != Some(new));
            if notes == *known && serial_number.is_none() {
                return Ok((Vec::new(), ()));
            }
            let event = Event::Noted { device, notes, serial_number, at };
            Ok((vec![Entry::Durable(event)], ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }

    async fn record(
        &self,
        fabric: &FabricId,
        request: Option<Request>,
        events: Vec<Event>,
    ) -> Result<(), ServiceError> {
        let keeper = self.keeper(fabric)?;
        let policy = self.parts.policy;
        let decide = move |fabric: &Fabric| {
            if let Some(request) = &request {
                plan::guard::admit(fabric, &policy, request)
                    .map_err(|refusal| ServiceError::Refused { refusal })?;
            }
            Ok((events.into_iter().map(Entry::Durable).collect(), ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }

    /// Returns an operation and its fabric.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`].
    pub fn operation(&self, id: OperationId) -> Result<(FabricId, Operation), ServiceError> {
        let fabrics = self.fabrics.read().unwrap_or_else(PoisonError::into_inner);
        let found = fabrics.iter().find_map(|(fabric, keeper)| {
            let operation = keeper.journal.read(|fabric| fabric.operation(id).cloned())?;
            Some((fabric.clone(), operation))
        });
        found.ok_or_else(|| ServiceError::NotFound { what: "operation", id: id.to_string() })
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
fn carry_out(keeper: Keeper, operation: OperationId) {
    tokio::spawn(async move {
        if let Err(error) = keeper.executor.run(operation).await {
            tracing::error!(
                operation = %operation, error = %error, hint = error.hint(),
                "the operation stands still until the next start"
            );
        }
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
        Request::Rotate => OperationKind::Rotate,
        // Before the first rotation there is nothing to bring: devices are verified again.
        Request::Resync | Request::ResyncDevice(_) if fabric.wanted_set().is_some() => {
            OperationKind::Resync
        }
        _ => OperationKind::Verify,
    };
    let device = match request {
        Request::ResyncDevice(device) => Some(device.clone()),
        _ => None,
    };
    let operation = Operation {
        id,
        kind,
        device,
        request_id,
        set: plan.set,
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

/// Also tells whether another device, which waits for its passwords, comes into service.
fn change_state(
    fabric: &Fabric,
    policy: &Policy,
    name: &ResourceName,
    action: StateAction,
    at: Timestamp,
) -> Result<(Vec<Entry>, bool), ServiceError> {
    let (request, state, event) = match action {
        StateAction::Enable => (
            Request::Enable(name.clone()),
            AdministrativeState::Enabled,
            credential::Event::Release,
        ),
        StateAction::Disable => {
            (Request::Disable(name.clone()), AdministrativeState::Disabled, credential::Event::Hold)
        }
        StateAction::Rma => {
            (Request::Rma(name.clone()), AdministrativeState::RMA, credential::Event::Hold)
        }
    };
    plan::guard::admit(fabric, policy, &request)
        .map_err(|refusal| ServiceError::Refused { refusal })?;
    let mut entries = Vec::new();
    let mut replaced = false;
    if let Some(device) = fabric.devices.get(name) {
        entries = every_secret(device, name, event, at);
        let waits = device.credentials().any(|credential| credential.pending.is_some());
        replaced = waits && action == StateAction::Enable;
    }
    if replaced {
        // Passwords will be brought to it: what blocks a resync blocks this.
        plan::guard::admit(fabric, policy, &Request::Resync)
            .map_err(|refusal| ServiceError::Refused { refusal })?;
    }
    let device = name.clone();
    entries.push(Entry::Durable(Event::AdministrativeStateSet { device, state }));
    Ok((entries, replaced))
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
