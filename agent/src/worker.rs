//! The agent: takes frames, keeps prepared jobs, carries committed ones out, reports.
//!
//! Jobs run side by side, one at a time on each device; how many at once is bounded by the sessions
//! that the agent may hold, not by a count of workers. A job that runs is never cut off: it ends by
//! itself within its time, whether or not anybody listens.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::frame::{FromAgent, ToAgent, VERSION};
use protocol::id::{DeviceId, Epoch};
use protocol::job::{Job, JobId, Work};
use protocol::report::{Finish, Reason, Report, Stop};
use protocol::seal::{Binding, Bundle, Opener};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::driver::{self, Kit, Reports, by_ledger, stop};
use crate::ledger::LedgerError;
use crate::link::{AgentEnd, Link, pair};

/// How many jobs that may be carried out at once without asking: each holds two sessions, of about
/// 90 KiB each.
const SESSIONS_MAX: usize = 4096;
/// Sessions that one job holds at once: the lifeline and the fresh login.
const SESSIONS_PER_JOB: usize = 2;
/// How long a job may take in all, however much its rules allow.
const JOB_TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// How much longer than its deadline a job may take to leave a serial line and close its sessions.
const LEAVING_MAX: Duration = Duration::from_secs(60);

/// Limits of one agent.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The most device sessions that are open at once.
    pub sessions_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sessions_max: SESSIONS_MAX }
    }
}

/// An agent.
#[derive(Debug)]
pub struct Agent {
    name: String,
    kit: Kit,
    opener: Opener,
    jobs: Semaphore,
    devices: Mutex<HashMap<DeviceId, Arc<tokio::sync::Mutex<()>>>>,
    running: Mutex<HashSet<JobId>>,
    floor: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agent {
    /// Makes an agent with a name, its tools, and the key to which passwords for it are sealed.
    #[must_use]
    pub fn new(name: &str, kit: Kit, opener: Opener, settings: Settings) -> Arc<Self> {
        let jobs_max = (settings.sessions_max / SESSIONS_PER_JOB).max(1);
        Arc::new(Self {
            name: name.to_owned(),
            kit,
            opener,
            jobs: Semaphore::new(jobs_max),
            devices: Mutex::default(),
            running: Mutex::default(),
            floor: AtomicU64::new(0),
        })
    }

    /// Serves a link inside this process and returns the controller's end of it. Dropping that end
    /// ends the serving; jobs that run go on.
    #[must_use]
    pub fn attach(self: &Arc<Self>) -> Link {
        let (link, end) = pair();
        tokio::spawn(Arc::clone(self).serve(end));
        link
    }

    /// Serves a link until the controller has gone.
    pub async fn serve(self: Arc<Self>, end: AgentEnd) {
        let AgentEnd { mut frames, out } = end;
        let key = self.opener.key().clone();
        let hello = FromAgent::Hello { version: VERSION, agent: self.name.clone(), key };
        let (reports, queue) = mpsc::unbounded_channel();
        tokio::spawn(forward(queue, out));
        send(&reports, hello);
        while let Some(frame) = frames.recv().await {
            self.take(frame, &reports);
        }
    }

    /// Takes one frame; whatever waits for a disk or a device does so in a task of its own.
    fn take(self: &Arc<Self>, frame: ToAgent, out: &mpsc::UnboundedSender<FromAgent>) {
        let (agent, out) = (Arc::clone(self), out.clone());
        match frame {
            ToAgent::Welcome { version, epoch } => {
                if version > VERSION {
                    tracing::warn!(version, "the controller speaks a newer version than agreed");
                }
                self.floor.fetch_max(epoch.0, Ordering::Relaxed);
            }
            ToAgent::Prepare(job) => {
                let job = Arc::<Job>::from(job);
                tokio::spawn(async move {
                    let refused = agent.prepare(&job).await.err();
                    send(&out, FromAgent::Prepared { job: job.id, refused });
                });
            }
            ToAgent::Commit { job } => {
                // Noted before the task starts, so that a second commit finds the first.
                if lock(&self.running).insert(job) {
                    tokio::spawn(agent.commit(job, Instant::now(), out));
                }
            }
            ToAgent::Forget { job } => {
                tokio::spawn(async move {
                    if let Err(error) = agent.kit.ledger.forget(job).await {
                        tracing::warn!(%error, "a job was not forgotten");
                    }
                });
            }
        }
    }

    /// Checks a job and keeps it durably.
    async fn prepare(&self, job: &Arc<Job>) -> Result<(), Stop> {
        let floor = Epoch(self.floor.load(Ordering::Relaxed));
        if job.epoch < floor {
            let error = LedgerError::StaleEpoch { given: job.epoch, obeyed: floor };
            return Err(by_ledger(&error));
        }
        if let Err(error) = self.kit.platforms.find(&job.access.platform) {
            let hint = error.hint().unwrap_or_default();
            return Err(stop(Reason::BadJob, &format!("failed to {error}; {hint}")));
        }
        self.open(job)?;
        self.kit.ledger.prepare(job).await.map_err(|error| by_ledger(&error))
    }

    fn open(&self, job: &Job) -> Result<Bundle, Stop> {
        let Job { device, operation, step, epoch, .. } = job;
        let binding = Binding { device, operation: *operation, step: *step, epoch: *epoch };
        let opened = self.opener.open(&job.sealed, &binding);
        opened.map_err(|error| stop(Reason::BadJob, &format!("failed to {error}")))
    }

    /// Carries a prepared job out and reports its end.
    async fn commit(
        self: Arc<Self>,
        id: JobId,
        from: Instant,
        out: mpsc::UnboundedSender<FromAgent>,
    ) {
        let reports = Reports::new(id, out);
        let finish = match self.kit.ledger.finish(id) {
            Some(finish) => finish,
            None => self.begin(id, from, &reports).await,
        };
        lock(&self.running).remove(&id);
        reports.send(Report::Finished(finish));
    }

    async fn begin(self: &Arc<Self>, id: JobId, from: Instant, reports: &Reports) -> Finish {
        let job = match self.kit.ledger.begin(id).await {
            Ok(job) => job,
            Err(error) => return self.not_begun(id, &error),
        };
        let finish = self.run(&job, from, reports).await;
        if let Err(error) = self.kit.ledger.end(id, &finish).await {
            tracing::error!(device = %job.device.name(), %error, "the end of a job was not recorded");
        }
        tracing::debug!(device = %job.device.name(), ?finish, "a job has ended");
        finish
    }

    /// A job that an earlier run of this agent has begun may have changed the device.
    fn not_begun(&self, id: JobId, error: &LedgerError) -> Finish {
        let stop = by_ledger(error);
        let changes = self.kit.ledger.work(id) != Some(Work::Settle);
        match error {
            LedgerError::Repeated { .. } if changes => Finish::Unsure(stop),
            _ => Finish::NothingSent(stop),
        }
    }

    async fn run(self: &Arc<Self>, job: &Arc<Job>, from: Instant, reports: &Reports) -> Finish {
        let time = Duration::from_millis(job.rules.time_max_ms).min(JOB_TIME_MAX);
        let deadline = from + time;
        let bundle = match self.open(job) {
            Ok(bundle) => bundle,
            Err(stop) => return Finish::NothingSent(stop),
        };
        let device = self.device(&job.device);
        let admitted = tokio::time::timeout_at(deadline, async {
            let one = device.lock_owned().await;
            (one, self.jobs.acquire().await)
        });
        let Ok((_one, _permit)) = admitted.await else {
            let detail = "the device or the agent was busy for all of the job's time";
            return Finish::NothingSent(stop(Reason::TimedOut, detail));
        };
        let (agent, job, sender) = (Arc::clone(self), Arc::clone(job), reports.clone());
        let work = job.work;
        let task = tokio::spawn(async move {
            driver::carry_out(&job, &bundle, &agent.kit, &sender, deadline).await
        });
        let abort = task.abort_handle();
        let unknown = |detail: &str| match work {
            Work::Apply | Work::Reboot { .. } => Finish::Unsure(stop(Reason::TimedOut, detail)),
            Work::Settle => Finish::NothingSent(stop(Reason::TimedOut, detail)),
        };
        match tokio::time::timeout_at(deadline + LEAVING_MAX, task).await {
            Ok(Ok(finish)) => finish,
            Ok(Err(error)) => {
                tracing::error!(%error, "a job has broken down");
                unknown("the agent broke down in this job")
            }
            Err(_elapsed) => {
                abort.abort();
                unknown("the job did not end in its time")
            }
        }
    }

    fn device(&self, id: &DeviceId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.devices).entry(id.clone()).or_default())
    }
}

/// Brings what the agent says to the link; what is said after the controller has gone is lost, and
/// it asks again.
async fn forward(mut queue: mpsc::UnboundedReceiver<FromAgent>, out: mpsc::Sender<FromAgent>) {
    while let Some(frame) = queue.recv().await {
        if out.send(frame).await.is_err() {
            return;
        }
    }
}

fn send(out: &mpsc::UnboundedSender<FromAgent>, frame: FromAgent) {
    if out.send(frame).is_err() {
        tracing::debug!("the controller has gone");
    }
}
