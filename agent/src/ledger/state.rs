//! What the ledger's records add up to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use protocol::id::{DeviceId, Epoch, FabricId, OperationId};
use protocol::job::{Job, JobId};
use protocol::report::Finish;
use serde::{Deserialize, Serialize};

use super::budget::Attempts;
use super::record::Record;
use crate::learned::Learned;

/// How many ended steps are remembered. A controller repeats a step within minutes, if at all.
const ENDED_MAX: usize = 50_000;

/// One step of an operation on a device: carried out at most once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// The operation.
    pub operation: OperationId,
    /// The device.
    pub device: DeviceId,
    /// The step, from 1.
    pub step: u32,
}

impl Step {
    /// Returns the step that a job is.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        Self { operation: job.operation, device: job.device.clone(), step: job.step }
    }
}

/// The sum of all records.
#[derive(Debug, Default)]
pub(super) struct State {
    epochs: HashMap<FabricId, Epoch>,
    prepared: HashMap<JobId, Arc<Job>>,
    begun: HashMap<JobId, Step>,
    ended: HashMap<JobId, (Step, Finish)>,
    ended_order: VecDeque<JobId>,
    steps: HashSet<Step>,
    learned: HashMap<DeviceId, Learned>,
    pub(super) attempts: Attempts,
}

impl State {
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Epoch { fabric, epoch } => {
                let highest = self.epochs.entry(fabric.clone()).or_default();
                *highest = (*highest).max(*epoch);
            }
            Record::Prepared { job } => {
                self.prepared.insert(job.id, Arc::clone(job));
            }
            Record::Begun { job, step } => {
                self.steps.insert(step.clone());
                self.begun.insert(*job, step.clone());
            }
            Record::Ended { job, finish } => self.end(*job, finish.clone()),
            Record::Forgotten { job } => {
                if !self.begun.contains_key(job) {
                    self.prepared.remove(job);
                }
            }
            Record::Attempt { who, until_ms } => self.attempts.add(who, 1, *until_ms),
            Record::Attempts { who, count, until_ms } => self.attempts.add(who, *count, *until_ms),
            Record::Succeeded { who } => self.attempts.succeed(who),
            Record::Learned { device, learned } => {
                self.learned.insert(device.clone(), learned.clone());
            }
        }
    }

    fn end(&mut self, id: JobId, finish: Finish) {
        self.prepared.remove(&id);
        let Some(step) = self.begun.remove(&id) else { return };
        self.ended.insert(id, (step, finish));
        self.ended_order.push_back(id);
        if self.ended_order.len() > ENDED_MAX
            && let Some(oldest) = self.ended_order.pop_front()
            && let Some((step, _)) = self.ended.remove(&oldest)
        {
            self.steps.remove(&step);
        }
    }

    pub(super) fn epoch(&self, fabric: &FabricId) -> Epoch {
        self.epochs.get(fabric).copied().unwrap_or_default()
    }

    pub(super) fn prepared(&self, id: JobId) -> Option<&Arc<Job>> {
        self.prepared.get(&id)
    }

    pub(super) fn was_begun(&self, step: &Step) -> bool {
        self.steps.contains(step)
    }

    /// Returns the step of a job that was begun, ended or not.
    pub(super) fn begun_step(&self, id: JobId) -> Option<u32> {
        let ended = || self.ended.get(&id).map(|(step, _)| step);
        self.begun.get(&id).or_else(ended).map(|step| step.step)
    }

    pub(super) fn finish(&self, id: JobId) -> Option<&Finish> {
        self.ended.get(&id).map(|(_, finish)| finish)
    }

    pub(super) fn interrupted(&self) -> Vec<JobId> {
        self.begun.keys().copied().collect()
    }

    pub(super) fn learned(&self, device: &DeviceId) -> Learned {
        self.learned.get(device).cloned().unwrap_or_default()
    }

    /// Returns records that add up to this state.
    pub(super) fn snapshot(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (fabric, epoch) in &self.epochs {
            records.push(Record::Epoch { fabric: fabric.clone(), epoch: *epoch });
        }
        for job in self.prepared.values() {
            records.push(Record::Prepared { job: Arc::clone(job) });
        }
        for (job, step) in &self.begun {
            records.push(Record::Begun { job: *job, step: step.clone() });
        }
        for job in &self.ended_order {
            let Some((step, finish)) = self.ended.get(job) else { continue };
            records.push(Record::Begun { job: *job, step: step.clone() });
            records.push(Record::Ended { job: *job, finish: finish.clone() });
        }
        for (who, count, until_ms) in self.attempts.all() {
            records.push(Record::Attempts { who: who.clone(), count, until_ms });
        }
        for (device, learned) in &self.learned {
            let (device, learned) = (device.clone(), learned.clone());
            records.push(Record::Learned { device, learned });
        }
        records
    }
}
