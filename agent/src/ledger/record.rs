//! The lines of the ledger's file.

use std::sync::Arc;

use protocol::id::{DeviceId, Epoch, FabricId};
use protocol::job::{Job, JobId};
use protocol::report::Finish;
use serde::{Deserialize, Serialize};

use super::budget::Who;
use super::state::Step;
use crate::learned::Learned;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The highest epoch obeyed for a fabric.
    Epoch {
        /// The fabric.
        fabric: FabricId,
        /// The epoch.
        epoch: Epoch,
    },
    /// A job was taken; its passwords are sealed.
    Prepared {
        /// The job.
        job: Arc<Job>,
    },
    /// A job begins.
    Begun {
        /// The job.
        job: JobId,
        /// Its step, which is carried out at most once.
        step: Step,
    },
    /// A job has ended.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        finish: Finish,
    },
    /// A prepared job is forgotten.
    Forgotten {
        /// The job.
        job: JobId,
    },
    /// A login is about to be made.
    Attempt {
        /// Who logs in.
        who: Who,
        /// When its window ends, in milliseconds since 1970.
        until_ms: u64,
    },
    /// The last login has succeeded.
    Succeeded {
        /// Who logged in.
        who: Who,
    },
    /// The attempts of a window that a compaction has summed up.
    Attempts {
        /// Who logged in.
        who: Who,
        /// How many may have been wrong.
        count: u32,
        /// When the window ends, in milliseconds since 1970.
        until_ms: u64,
    },
    /// Something was learned of a device.
    Learned {
        /// The device.
        device: DeviceId,
        /// What is known now.
        learned: Learned,
    },
}
