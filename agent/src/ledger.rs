//! The agent's durable journal: what must survive a crash of the agent.
//!
//! An append-only file of JSON lines. A record is on the disk (`fdatasync`) before the caller goes
//! on; records that queued up during one flush share the next one. The file holds the highest epoch
//! obeyed for each fabric, the jobs that were prepared (sealed), begun and ended, every login
//! attempt with its window, and what was learned of devices. It holds no password in the clear and
//! none that the agent's key alone would open without the job's own binding.
//!
//! A torn last line (the machine died while it was written) is dropped; anything else that cannot
//! be read is an error, since forgetting an attempt could lock an account. After a write or flush
//! has failed nothing more is taken until the agent is started again: a page that was not flushed
//! may be lost although a later flush succeeds.

mod budget;
mod file;
mod record;
mod state;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use protocol::id::{DeviceId, Epoch, FabricId, OperationId};
use protocol::job::{Job, JobId, Work};
use protocol::report::Finish;

use crate::learned::Learned;

pub use budget::{Budget, Who};
pub use record::Record;
pub use state::Step;

use file::Writer;
use state::State;

/// Tells the time of day; injected, so that tests can step it back.
pub trait Clock: Send + Sync {
    /// Returns milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        u64::try_from(now).unwrap_or(0)
    }
}

/// Keeps a ledger's records somewhere else than in a file: for simulations of what a disk does.
#[async_trait]
pub trait Records: Send + Sync {
    /// Makes records durable, in this order, before it returns.
    ///
    /// # Errors
    /// Returns [`LedgerError::Write`]; whether the records are durable is then not known.
    async fn append(&self, records: &[Record]) -> Result<(), LedgerError>;
}

/// Where records go.
enum Keeper {
    Nowhere,
    File(Writer),
    Elsewhere(Arc<dyn Records>),
}

/// Tells why the ledger refused.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LedgerError {
    /// The file could not be opened, read or rewritten.
    #[error("use the ledger `{path}`: {why}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// A line of the file is no record, and it is not the last one.
    #[error("read line {line} of the ledger `{path}`")]
    Corrupt {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// A record could not be made durable; nothing more is taken.
    #[error("make a record durable: {0}")]
    Write(String),
    /// The controller's epoch is lower than one that was obeyed.
    #[error("obey epoch {}: {} was obeyed before", given.0, obeyed.0)]
    StaleEpoch {
        /// The epoch given.
        given: Epoch,
        /// The highest one obeyed.
        obeyed: Epoch,
    },
    /// The step was begun or ended before.
    #[error("carry out step {step} once more")]
    Repeated {
        /// The step.
        step: u32,
    },
    /// The job was not prepared.
    #[error("find the job: it was not prepared here")]
    UnknownJob,
    /// One more login could lock the account.
    #[error("log in once more: the budget of this window is spent")]
    BudgetSpent {
        /// Until the window is over.
        wait: Duration,
    },
}

/// The agent's durable journal. Cloning it gives another handle to the same one.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    state: Arc<Mutex<State>>,
    keeper: Keeper,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let durable = !matches!(self.shared.keeper, Keeper::Nowhere);
        f.debug_struct("Ledger").field("durable", &durable).finish()
    }
}

impl Ledger {
    /// Opens a ledger file, making it (mode 0600) where there is none, and compacts it. Must be
    /// called inside a tokio runtime: its writer is a task.
    ///
    /// # Errors
    /// Returns [`LedgerError`] where the file cannot be used or read.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, LedgerError> {
        let state = Arc::new(Mutex::new(file::load(path)?));
        let writer = Writer::start(path, Arc::clone(&state))?;
        let shared = Shared { state, keeper: Keeper::File(writer), clock };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes a ledger that forgets everything when it is dropped, for simulations.
    #[must_use]
    pub fn in_memory(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared { state: Arc::default(), keeper: Keeper::Nowhere, clock };
        Self { shared: Arc::new(shared) }
    }

    /// Opens a ledger that finds `kept` and gives its records to `records`, for simulations.
    #[must_use]
    pub fn over(kept: &[Record], records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        let mut state = State::default();
        kept.iter().for_each(|record| state.apply(record));
        let (state, keeper) = (Arc::new(Mutex::new(state)), Keeper::Elsewhere(records));
        Self { shared: Arc::new(Shared { state, keeper, clock }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), LedgerError> {
        match &self.shared.keeper {
            Keeper::Nowhere => Ok(()),
            Keeper::File(writer) => writer.append(&records).await,
            Keeper::Elsewhere(keeper) => keeper.append(&records).await,
        }
    }

    /// Refuses an epoch below the highest one obeyed for the fabric, and obeys it otherwise.
    ///
    /// # Errors
    /// Returns [`LedgerError::StaleEpoch`], or why the epoch could not be made durable.
    pub async fn obey(&self, fabric: &FabricId, epoch: Epoch) -> Result<(), LedgerError> {
        let record = Record::Epoch { fabric: fabric.clone(), epoch };
        {
            let mut state = self.state();
            let obeyed = state.epoch(fabric);
            if epoch < obeyed {
                return Err(LedgerError::StaleEpoch { given: epoch, obeyed });
            }
            if epoch == obeyed {
                return Ok(());
            }
            state.apply(&record);
        }
        self.append(vec![record]).await
    }

    /// Keeps a prepared job. Preparing the same job again is no repeat.
    ///
    /// # Errors
    /// Returns [`LedgerError::StaleEpoch`], [`LedgerError::Repeated`] where this step was begun
    /// before, or why the job could not be made durable.
    pub async fn prepare(&self, job: &Arc<Job>) -> Result<(), LedgerError> {
        self.obey(&job.fabric, job.epoch).await?;
        let record = Record::Prepared { job: Arc::clone(job) };
        {
            let mut state = self.state();
            let step = Step::of(job);
            if state.was_begun(&step) {
                return Err(LedgerError::Repeated { step: job.step });
            }
            state.apply(&record);
        }
        self.append(vec![record]).await
    }

    /// Notes durably that a prepared job begins, and returns it.
    ///
    /// # Errors
    /// Returns [`LedgerError::UnknownJob`], [`LedgerError::StaleEpoch`] where a higher epoch was
    /// obeyed since, [`LedgerError::Repeated`], or why it could not be made durable.
    pub async fn begin(&self, id: JobId) -> Result<Arc<Job>, LedgerError> {
        let (job, record) = {
            let mut state = self.state();
            if let Some(step) = state.begun_step(id) {
                return Err(LedgerError::Repeated { step });
            }
            let job = Arc::clone(state.prepared(id).ok_or(LedgerError::UnknownJob)?);
            let obeyed = state.epoch(&job.fabric);
            if job.epoch < obeyed {
                return Err(LedgerError::StaleEpoch { given: job.epoch, obeyed });
            }
            if state.was_begun(&Step::of(&job)) {
                return Err(LedgerError::Repeated { step: job.step });
            }
            let record = Record::Begun { job: id, step: Step::of(&job) };
            state.apply(&record);
            (job, record)
        };
        self.append(vec![record]).await?;
        Ok(job)
    }

    /// Notes durably how a job ended; its passwords are forgotten.
    ///
    /// # Errors
    /// Returns why it could not be made durable.
    pub async fn end(&self, id: JobId, finish: &Finish) -> Result<(), LedgerError> {
        let record = Record::Ended { job: id, finish: finish.clone() };
        self.state().apply(&record);
        self.append(vec![record]).await
    }

    /// Forgets a prepared job that was not begun.
    ///
    /// # Errors
    /// Returns why it could not be made durable.
    pub async fn forget(&self, id: JobId) -> Result<(), LedgerError> {
        let record = Record::Forgotten { job: id };
        self.state().apply(&record);
        self.append(vec![record]).await
    }

    /// Returns how a job ended, if it did and that is still known.
    #[must_use]
    pub fn finish(&self, id: JobId) -> Option<Finish> {
        self.state().finish(id).cloned()
    }

    /// Returns the kind of work of a job that was prepared and has not ended.
    #[must_use]
    pub fn work(&self, id: JobId) -> Option<Work> {
        self.state().prepared(id).map(|job| job.work)
    }

    /// Returns the jobs that an earlier run of this agent has begun and not ended.
    #[must_use]
    pub fn interrupted(&self) -> Vec<JobId> {
        self.state().interrupted()
    }

    /// Counts a login attempt durably before it is made.
    ///
    /// # Errors
    /// Returns [`LedgerError::BudgetSpent`], or why the attempt could not be made durable; then
    /// it must not be made.
    pub async fn attempt(&self, who: &Who, budget: &Budget) -> Result<(), LedgerError> {
        let now_ms = self.shared.clock.now_ms();
        let record = {
            let mut state = self.state();
            state.attempts.check(who, budget, now_ms)?;
            let until_ms = state.attempts.window_end(who, budget, now_ms);
            let record = Record::Attempt { who: who.clone(), until_ms };
            state.apply(&record);
            state.attempts.hold(who, budget.window);
            record
        };
        self.append(vec![record]).await
    }

    /// Notes that the last attempt succeeded, so that it was no wrong guess.
    ///
    /// # Errors
    /// Returns why it could not be made durable. The count is then too high, which is safe.
    pub async fn succeeded(&self, who: &Who) -> Result<(), LedgerError> {
        let record = Record::Succeeded { who: who.clone() };
        self.state().apply(&record);
        self.append(vec![record]).await
    }

    /// Returns what was learned of a device.
    #[must_use]
    pub fn learned(&self, device: &DeviceId) -> Learned {
        self.state().learned(device)
    }

    /// Remembers what was learned of a device, if it is new.
    ///
    /// # Errors
    /// Returns why it could not be made durable.
    pub async fn learn(&self, device: &DeviceId, learned: Learned) -> Result<(), LedgerError> {
        let record = {
            let mut state = self.state();
            if state.learned(device) == learned {
                return Ok(());
            }
            let record = Record::Learned { device: device.clone(), learned };
            state.apply(&record);
            record
        };
        self.append(vec![record]).await
    }

    /// Tells whether a step was begun.
    #[must_use]
    pub fn was_begun(&self, operation: OperationId, device: &DeviceId, step: u32) -> bool {
        self.state().was_begun(&Step { operation, device: device.clone(), step })
    }
}

#[cfg(test)]
mod tests;
