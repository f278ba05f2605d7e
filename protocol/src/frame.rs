//! The messages between a controller and an agent, and the handshake of their versions.
//!
//! On the wire a frame is one JSON text of at most [`FRAME_BYTES_MAX`] bytes. The built-in agent
//! gets the very same values through a channel inside the process.

use serde::{Deserialize, Serialize};

use crate::id::Epoch;
use crate::job::{Job, JobId};
use crate::report::Report;
use crate::seal::AgentKey;

/// The newest version of these messages that this build speaks.
pub const VERSION: u16 = 1;

/// The largest frame, in bytes: a job for 21 accounts with 10 candidates each is under 100 KiB.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// What a controller says to an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToAgent {
    /// Answers [`FromAgent::Hello`]; jobs below this epoch are refused from now on.
    Welcome {
        /// The version that both speak from now on.
        version: u16,
        /// The controller's epoch.
        epoch: Epoch,
    },
    /// Keep this job, do nothing yet. Answered by [`FromAgent::Prepared`].
    Prepare(Box<Job>),
    /// Carry out the prepared job.
    Commit {
        /// The job.
        job: JobId,
    },
    /// Forget a prepared job that was not committed. A job that runs is not cut off: it ends by
    /// itself within its time.
    Forget {
        /// The job.
        job: JobId,
    },
}

/// What an agent says to a controller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromAgent {
    /// The first message.
    Hello {
        /// The newest version that the agent speaks.
        version: u16,
        /// The agent's name, for people.
        agent: String,
        /// The key to which passwords for this agent are sealed.
        key: AgentKey,
    },
    /// The job was taken and is durable in the agent's ledger, or why it was not.
    Prepared {
        /// The job.
        job: JobId,
        /// `None`: taken.
        refused: Option<crate::report::Stop>,
    },
    /// Evidence from a committed job.
    Report {
        /// The job.
        job: JobId,
        /// What was seen.
        report: Report,
    },
}
