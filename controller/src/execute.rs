//! Carries plans out: the only order that never loses a password.
//!
//! For each device: the value is durable in the vault; the agent has it sealed; that it may be on
//! the device from now on is durable in the journal; only then is the agent told to go on. What the
//! agent reports is evidence for [`protocol::credential`], which alone says what a secret's state
//! is; [`crate::plan::next`] says what comes next. So the executor has nothing to remember: it can
//! be started again at any moment, on the same operation, and goes on from what is durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::credential;
use protocol::id::{OperationId, PasswordSet, ResourceName};
use protocol::job::Verification;
use protocol::status::AdministrativeState;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agents::Agent;
use crate::auditor::Auditor;
use crate::error::chain;
use crate::journal::{Entry, Journal, JournalError};
use crate::model::{
    Event, Fabric, Operation, OperationKind, OperationState, Outcome, Reboot, Timestamp,
};
use crate::rollback::RollbackGuard;
use crate::vault::Vault;

mod apply;
mod device;
mod exposure;
mod failure;
mod feed;
mod job;
mod reboot;
mod set;
mod settle;
mod values;

pub(crate) use self::feed::durable;
pub use self::set::{MakeSet, SetError, TemplateSets};
pub(crate) use self::values::Values;

/// The wall clock, handed in; for display and records only.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How operations are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long after the end of a session a device may still act on what it was sent.
    pub quiet_time: Duration,
    /// The longest that one job may take on the agent's clock.
    pub device_time_max: Duration,
    /// The rollback timer that is armed on devices that have one.
    pub commit_timer: Duration,
    /// How a change is verified.
    pub verification: Verification,
    /// How many times a failed job is tried again within an operation.
    pub retries_max: u8,
    /// The pause before the first retry; doubled for each further one.
    pub retry_backoff: Duration,
    /// The waves end when this many devices have failed in an operation ...
    pub halt_failures_min: usize,
    /// ... and they are at least this share of those that have ended, in percent.
    pub halt_failures_percent: usize,
}

/// As without a configuration, where the reasons are.
impl Default for Settings {
    fn default() -> Self {
        Self {
            quiet_time: Duration::from_secs(30),
            device_time_max: Duration::from_secs(90),
            commit_timer: Duration::from_secs(300),
            verification: Verification::ReadbackLogin,
            retries_max: 2,
            retry_backoff: Duration::from_secs(2),
            halt_failures_min: 3,
            halt_failures_percent: 34,
        }
    }
}

/// What goes before every exposure: it is recorded, and an older copy of vault or journal ruled out.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The record of who did what.
    pub auditor: Auditor,
    /// What notices an older copy.
    pub rollback: RollbackGuard,
}

/// Carries out the operations of one fabric.
#[derive(Clone)]
pub struct Executor {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Journal,
    vault: Arc<dyn Vault>,
    agent: Agent,
    settings: Settings,
    clock: Clock,
    make_set: Arc<dyn MakeSet>,
    gate: Gate,
    /// When the last job on a device ended, in this process or, for devices that were in doubt at
    /// its start, when it started.
    touched: Mutex<HashMap<ResourceName, Instant>>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executor({:?})", self.inner.journal)
    }
}

/// What all tasks of one operation share.
struct Run {
    operation: OperationId,
    kind: OperationKind,
    set: PasswordSet,
    /// How to reboot, and how far that was when this run began.
    reboot: Option<Reboot>,
    values: Values,
}

impl Executor {
    /// Makes an executor for the fabric of `journal`.
    #[must_use]
    pub fn new(
        journal: Journal,
        vault: Arc<dyn Vault>,
        agent: Agent,
        settings: Settings,
        clock: Clock,
        make_set: Arc<dyn MakeSet>,
        gate: Gate,
    ) -> Self {
        let doubtful = journal.read(|fabric| {
            let doubtful = fabric.devices.iter().filter(|(_name, device)| device.is_in_doubt());
            doubtful.map(|(name, _device)| (name.clone(), Instant::now())).collect()
        });
        let touched = Mutex::new(doubtful);
        let inner = Inner { journal, vault, agent, settings, clock, make_set, gate, touched };
        Self { inner: Arc::new(inner) }
    }

    /// Carries an admitted operation to its end. Safe to call again after a crash.
    ///
    /// # Errors
    /// Returns [`JournalError`] where the journal can no longer be written: nothing further is
    /// exposed then, and the operation stays open for the next start.
    pub async fn run(&self, id: OperationId) -> Result<(), JournalError> {
        let Some(operation) = self.inner.journal.read(|fabric| fabric.operation(id).cloned())
        else {
            return Ok(());
        };
        if operation.state != OperationState::Running {
            return Ok(());
        }
        let (kind, set, reboot) = (operation.kind, operation.set, operation.reboot);
        let values = Values::new(Arc::clone(&self.inner.vault));
        let run = Arc::new(Run { operation: id, kind, set, reboot, values });
        if let Some(stop) = self.make_set(&operation).await? {
            return self.end_all(&operation, &stop).await;
        }
        self.begin(&operation).await?;
        let mut halted = None;
        for wave in &operation.waves {
            if halted.is_none() {
                halted = self.record_exposure(&run, wave).await.err();
            }
            match &halted {
                None => self.wave(&run, wave).await?,
                Some(outcome) => self.leave(&run, wave, outcome).await?,
            }
            halted = halted.or_else(|| self.halt(id));
        }
        self.end(id).await
    }

    /// Makes the password set of a rotation, unless it is durable already. Returns the outcome for
    /// all devices if that cannot be done: no device was touched then.
    async fn make_set(&self, operation: &Operation) -> Result<Option<Outcome>, JournalError> {
        let stored = |fabric: &Fabric| fabric.sets.contains_key(&operation.set);
        if operation.kind != OperationKind::Rotate || self.inner.journal.read(stored) {
            return Ok(None);
        }
        if let Err(error) = self.inner.gate.rollback.check() {
            return Ok(Some(failure::rolled_back(operation.kind, &error)));
        }
        let fabric = self.inner.journal.read(Clone::clone);
        let event = match self.inner.make_set.make(&fabric, operation).await {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(operation = %operation.id, error = chain(&error), "no password set");
                return Ok(Some(failure::no_set(&error)));
            }
        };
        self.write(move |_fabric| vec![event]).await?;
        Ok(None)
    }

    /// Opens the operation for every secret that it is about, in one commit. A device that has
    /// ended, or that was opened before a crash, is left as it is.
    async fn begin(&self, operation: &Operation) -> Result<(), JournalError> {
        let (operation, settings) = (operation.clone(), self.inner.settings);
        let at = (self.inner.clock)();
        self.write(move |fabric| {
            let mut events = Vec::new();
            let planned = operation.waves.iter().flatten();
            // What is out of service is told what it misses; nobody would close what is opened for
            // another device that is left out.
            let skipped = operation.skipped.iter().map(|skipped| &skipped.device);
            let skipped = skipped.filter(|name| !in_service(fabric, name));
            for name in planned.chain(skipped) {
                let ended = fabric
                    .operation(operation.id)
                    .is_some_and(|record| record.outcomes.contains_key(name));
                let Some(device) = fabric.devices.get(name).filter(|_device| !ended) else {
                    continue;
                };
                let wanted: Vec<_> = device
                    .secrets
                    .iter()
                    .flat_map(|(profile, secret)| {
                        let events = begin_events(&operation, &settings, device, secret, at);
                        events.into_iter().map(|event| (profile.clone(), event))
                    })
                    .collect();
                events.extend(durable(device, name, &wanted, None, at));
            }
            events
        })
        .await
    }

    /// Brings one wave's devices to the set, all at once.
    async fn wave(&self, run: &Arc<Run>, wave: &[ResourceName]) -> Result<(), JournalError> {
        let mut devices = JoinSet::new();
        for name in wave {
            let (executor, run, name) = (self.clone(), Arc::clone(run), name.clone());
            devices.spawn(async move { device::carry_out(&executor, &run, &name).await });
        }
        let mut failed = None;
        while let Some(joined) = devices.join_next().await {
            match joined {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed = Some(error),
                Err(panicked) => {
                    // The device stays as its journal says, and is settled at the next start.
                    tracing::error!(operation = %run.operation, error = %panicked, "task failed");
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Ends the devices of a wave that is not begun because the operation was halted.
    async fn leave(
        &self,
        run: &Run,
        wave: &[ResourceName],
        outcome: &Outcome,
    ) -> Result<(), JournalError> {
        for name in wave {
            device::end(self, run, name, outcome.clone()).await?;
        }
        Ok(())
    }

    /// Ends every device with one outcome, and the operation.
    async fn end_all(&self, operation: &Operation, outcome: &Outcome) -> Result<(), JournalError> {
        let (id, outcome) = (operation.id, outcome.clone());
        let devices: Vec<ResourceName> = operation.waves.iter().flatten().cloned().collect();
        self.write(move |_fabric| {
            let ended =
                |device| Event::DeviceEnded { operation: id, device, outcome: outcome.clone() };
            devices.into_iter().map(ended).collect()
        })
        .await?;
        self.end(id).await
    }

    /// Tells whether so many devices have failed that the rest is better left alone. A device that
    /// could not be reached says nothing about the others and does not count.
    fn halt(&self, id: OperationId) -> Option<Outcome> {
        let settings = self.inner.settings;
        self.inner.journal.read(|fabric| {
            let operation = fabric.operation(id)?;
            let counted = operation.outcomes.values().filter(|o| failure::speaks_for_others(o));
            let failed = counted.count();
            let ended = operation.outcomes.len().max(1);
            let halt = operation.kind.is_maintenance()
                && failed >= settings.halt_failures_min
                && failed * 100 >= settings.halt_failures_percent * ended;
            halt.then(|| failure::halted(failed, ended))
        })
    }

    async fn end(&self, id: OperationId) -> Result<(), JournalError> {
        // Before the journal says so: a stop in between leads to a second record, and not to none.
        self.record_end(id).await;
        let at = (self.inner.clock)();
        self.write(move |fabric| {
            let Some(operation) = fabric.operation(id) else { return Vec::new() };
            let state = verdict(operation);
            vec![Event::OperationEnded { operation: id, state, at }]
        })
        .await
    }

    async fn write(
        &self,
        decide: impl FnOnce(&Fabric) -> Vec<Event> + Send + 'static,
    ) -> Result<(), JournalError> {
        let decide = move |fabric: &Fabric| -> Result<_, std::convert::Infallible> {
            Ok((decide(fabric).into_iter().map(Entry::Durable).collect(), ()))
        };
        match self.inner.journal.write(decide).await? {
            Ok(()) => Ok(()),
            Err(never) => match never {},
        }
    }

    /// Notes that a session with the device has ended just now.
    fn touch(&self, device: &ResourceName) {
        let mut touched = self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.insert(device.clone(), Instant::now());
    }

    /// Returns when nothing that was sent to the device before can act on it any more. A device
    /// that this process has not touched and that was not in doubt at its start is quiet.
    fn quiet_from(&self, device: &ResourceName) -> Option<Instant> {
        let touched = self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.get(device).map(|last| *last + self.inner.settings.quiet_time)
    }
}

/// Tells how an operation ends whose devices have all ended.
fn verdict(operation: &Operation) -> OperationState {
    let mut planned = operation.waves.iter().flatten();
    let all = planned.all(|name| operation.outcomes.get(name) == Some(&Outcome::Succeeded));
    match all && operation.skipped.is_empty() {
        true => OperationState::Succeeded,
        false => OperationState::Failed,
    }
}

/// Returns the events that open an operation for one secret.
fn begin_events(
    operation: &Operation,
    settings: &Settings,
    device: &crate::model::Device,
    secret: &crate::model::Secret,
    at: Timestamp,
) -> Vec<credential::Event> {
    let window_over = feed::window_over(device, secret, at);
    let retry = credential::Event::Retry { window_over };
    match operation.kind {
        OperationKind::Verify => vec![retry],
        // Opened once the device goes down.
        OperationKind::Reboot => Vec::new(),
        OperationKind::Rotate | OperationKind::Resync => {
            let begin =
                credential::Event::Begin { set: operation.set, retries: settings.retries_max };
            // An operation that is begun after the lockout window has the whole budget again: the
            // retry says so, and nothing is done in between.
            if window_over && secret.credential.attempts > 0 {
                vec![retry, credential::Event::Close, begin]
            } else {
                vec![begin]
            }
        }
    }
}

/// Tells whether a device takes part in operations.
fn in_service(fabric: &Fabric, device: &ResourceName) -> bool {
    let state = fabric.devices.get(device).map(|device| device.administrative_state);
    state == Some(AdministrativeState::Enabled)
}
