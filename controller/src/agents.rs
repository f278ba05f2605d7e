//! The controller's side of the link to an agent: prepare a job, commit it, hear its reports.
//!
//! The built-in agent is reached through channels inside the process, a remote one through a
//! socket; both speak [`protocol::frame`], and neither is known here as more than two channels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::frame::{FromAgent, ToAgent, VERSION};
use protocol::id::Epoch;
use protocol::job::{Job, JobId};
use protocol::report::{Finish, Reason, Report, Stop};
use protocol::seal::{Binding, Bundle, SealError, Sealed, Sealer};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// The longest wait for an agent to take a job: a record on its disk.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long after a job's own time its last report may come: an agent that still leaves a serial
/// line and closes its sessions takes a minute.
const FINISH_MAX: Duration = Duration::from_secs(90);

/// Tells why an agent could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The agent said something else than hello, or nothing.
    #[error("greet the agent: expected `Hello`, got {got}")]
    Greeting {
        /// What came instead.
        got: &'static str,
    },
    /// The agent's key is not a key.
    #[error("use the key of agent `{agent}`")]
    Key {
        /// The agent's name.
        agent: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The link is gone.
    #[error("reach the agent: its link is closed")]
    Gone,
    /// The agent says nothing.
    #[error("hear from the agent: it gave no answer in {} s", ANSWER_MAX.as_secs())]
    Silent,
    /// The agent refused a job.
    #[error("have the agent take the job: {0:?}")]
    Refused(Stop),
    /// Sealing failed.
    #[error("seal the passwords of a job")]
    Seal {
        /// Why.
        #[source]
        source: SealError,
    },
}

/// One agent and its link. Clones share it.
#[derive(Clone, Debug)]
pub struct Agent {
    link: Arc<Link>,
}

struct Link {
    name: String,
    to: mpsc::Sender<ToAgent>,
    sealer: Sealer,
    jobs: Mutex<HashMap<JobId, Waiting>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agent({})", self.name)
    }
}

enum Waiting {
    ForPrepared(oneshot::Sender<Option<Stop>>),
    ForReports(mpsc::UnboundedSender<Report>),
}

/// A job that the agent has taken, durable in its ledger, and not yet begun.
#[derive(Debug)]
#[must_use = "a prepared job is carried out only when it is committed"]
pub struct Prepared {
    agent: Agent,
    job: JobId,
    time_max: Duration,
    reports: mpsc::UnboundedReceiver<Report>,
}

impl Agent {
    /// Waits for the agent's hello, fences it at `epoch` and starts to hear it.
    ///
    /// # Errors
    /// Returns [`AgentError`] where the agent does not greet as it should.
    pub async fn attach(
        to: mpsc::Sender<ToAgent>,
        mut from: mpsc::Receiver<FromAgent>,
        epoch: Epoch,
    ) -> Result<Self, AgentError> {
        let hello = from.recv().await.ok_or(AgentError::Gone)?;
        let FromAgent::Hello { version, agent, key } = hello else {
            let got =
                if matches!(hello, FromAgent::Report { .. }) { "a report" } else { "an answer" };
            return Err(AgentError::Greeting { got });
        };
        let sealer =
            Sealer::new(&key).map_err(|source| AgentError::Key { agent: agent.clone(), source })?;
        let welcome = ToAgent::Welcome { version: version.min(VERSION), epoch };
        to.send(welcome).await.map_err(|_closed| AgentError::Gone)?;
        let jobs = Mutex::new(HashMap::new());
        let link = Arc::new(Link { name: agent, to, sealer, jobs });
        tokio::spawn(hear(Arc::downgrade(&link), from));
        Ok(Self { link })
    }

    /// Seals the passwords of a job to this agent.
    ///
    /// # Errors
    /// Returns [`AgentError::Seal`] where the system's generator fails.
    pub fn seal(&self, bundle: &Bundle, binding: &Binding<'_>) -> Result<Sealed, AgentError> {
        self.link.sealer.seal(bundle, binding).map_err(|source| AgentError::Seal { source })
    }

    /// Has the agent take a job, and returns when it is durable in its ledger.
    ///
    /// # Errors
    /// Returns [`AgentError::Refused`] where the agent does not take it, [`AgentError::Gone`] where
    /// the link is closed, [`AgentError::Silent`] where no answer comes.
    pub async fn prepare(&self, job: Job) -> Result<Prepared, AgentError> {
        let id = job.id;
        let time_max = Duration::from_millis(job.rules.time_max_ms);
        let (answer, answered) = oneshot::channel();
        self.link.wait(id, Waiting::ForPrepared(answer));
        let prepare = ToAgent::Prepare(Box::new(job));
        let sent = self.link.to.send(prepare).await;
        let refused = match sent {
            Ok(()) => match timeout(ANSWER_MAX, answered).await {
                Ok(answer) => answer.map_err(|_closed| AgentError::Gone),
                Err(_elapsed) => Err(AgentError::Silent),
            },
            Err(_closed) => Err(AgentError::Gone),
        };
        match refused {
            Ok(None) => {
                let (tell, reports) = mpsc::unbounded_channel();
                self.link.wait(id, Waiting::ForReports(tell));
                Ok(Prepared { agent: self.clone(), job: id, time_max, reports })
            }
            Ok(Some(stop)) => {
                self.link.done(id);
                Err(AgentError::Refused(stop))
            }
            Err(gone) => {
                self.link.done(id);
                Err(gone)
            }
        }
    }
}

impl Prepared {
    /// Has the agent carry the job out. Whatever happens from here on, the passwords of the job may
    /// be on the device.
    ///
    /// # Errors
    /// Returns [`AgentError::Gone`] where the link is closed; the job may run all the same.
    pub async fn commit(self) -> Result<Reports, AgentError> {
        let commit = ToAgent::Commit { job: self.job };
        let sent = self.agent.link.to.send(commit).await;
        let Self { agent, job, time_max, reports } = self;
        sent.map_err(|_closed| AgentError::Gone)?;
        let until = Instant::now() + time_max + FINISH_MAX;
        Ok(Reports { agent, job, until, reports })
    }

    /// Has the agent forget the job.
    pub async fn forget(self) {
        let forget = ToAgent::Forget { job: self.job };
        // An agent that is gone has nothing left to forget: it opens nothing without a commit.
        let _gone = self.agent.link.to.send(forget).await;
        self.agent.link.done(self.job);
    }
}

/// The evidence of one committed job, as it comes.
#[derive(Debug)]
pub struct Reports {
    agent: Agent,
    job: JobId,
    /// When the agent must have said how the job ended.
    until: Instant,
    reports: mpsc::UnboundedReceiver<Report>,
}

impl Reports {
    /// Returns the next report. The last one is always a [`Report::Finished`]: where the link
    /// breaks before it, or it does not come in the job's time, one that says so is made up.
    pub async fn next(&mut self) -> Report {
        let (reason, detail) = match timeout_at(self.until, self.reports.recv()).await {
            Ok(Some(report)) => return report,
            Ok(None) => {
                (Reason::ConnectionLost, "the link to the agent was lost while the job ran")
            }
            Err(_elapsed) => (Reason::TimedOut, "the agent did not say how the job ended"),
        };
        Report::Finished(Finish::Unsure(Stop { reason, detail: detail.to_owned() }))
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.agent.link.done(self.job);
    }
}

impl Link {
    fn wait(&self, job: JobId, waiting: Waiting) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).insert(job, waiting);
    }

    fn done(&self, job: JobId) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }
}

async fn hear(link: std::sync::Weak<Link>, mut from: mpsc::Receiver<FromAgent>) {
    while let Some(frame) = from.recv().await {
        let Some(link) = link.upgrade() else { return };
        let mut jobs = link.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match frame {
            FromAgent::Hello { .. } => {
                tracing::warn!(agent = %link.name, "the agent greeted twice");
            }
            FromAgent::Prepared { job, refused } => match jobs.remove(&job) {
                Some(Waiting::ForPrepared(answer)) => {
                    let _gone = answer.send(refused);
                }
                Some(waiting @ Waiting::ForReports(_)) => {
                    jobs.insert(job, waiting);
                }
                None => {}
            },
            FromAgent::Report { job, report } => {
                if let Some(Waiting::ForReports(tell)) = jobs.get(&job) {
                    let _gone = tell.send(report);
                }
            }
        }
    }
    if let Some(link) = link.upgrade() {
        tracing::warn!(agent = %link.name, "the link to the agent is closed");
        link.jobs.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
