//! Carries out one job on one device, as `protocol::job` says, and reports what it saw.
//!
//! ```text
//!  apply:   log in ─▶ abort stale ─▶ read ─▶ stage ─▶ [deadline] ─▶ Changing ─▶ commit ─▶ read back
//!             └─ lifeline stays open ────────────────────────────────────────────────┐     │
//!           log out ◀─ read startup ◀─ save ◀─ confirm ◀────────────── fresh login ◀─┴─────┘
//!  settle:  log in with the probes ─▶ quiet? ─▶ abort stale ─▶ read both ─▶ save? ─▶ read startup
//!  reboot:  log in ─▶ abort stale, save? ─▶ [deadline] ─▶ Changing ─▶ reboot ─▶ the session ends
//! ```
//!
//! Every error before `Changing` ends in [`Finish::NothingSent`], every one from there on in
//! [`Finish::Unsure`]: a refusal, a parse error, a time-out and a cut line all mean *unknown*. On a
//! serial line there is no second connection: the fresh login is made on the same line, after
//! logging out, once the stored hashes were read back.

mod accounts;
mod apply;
mod door;
mod observe;
mod reboot;
mod session;
mod settle;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use protocol::frame::FromAgent;
use protocol::job::{Job, Work};
use protocol::report::{Finish, Report};
use protocol::seal::Bundle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::hash::Hashes;
use crate::ledger::Ledger;
use crate::platform::{Platform, Platforms};
use crate::transport::Transports;

pub(crate) use stop::{by_ledger, stop};

/// What all jobs of an agent share.
#[derive(Debug, Clone)]
pub struct Kit {
    /// The platforms.
    pub platforms: Platforms,
    /// The durable journal.
    pub ledger: Ledger,
    /// The hashes.
    pub hashes: Arc<Hashes>,
    /// The ways to devices.
    pub transports: Transports,
}

/// Where a job's reports go.
#[derive(Debug, Clone)]
pub(crate) struct Reports {
    job: protocol::job::JobId,
    out: mpsc::UnboundedSender<FromAgent>,
}

impl Reports {
    pub(crate) fn new(job: protocol::job::JobId, out: mpsc::UnboundedSender<FromAgent>) -> Self {
        Self { job, out }
    }

    /// Sends a report. A controller that has gone asks again when it comes back.
    pub(crate) fn send(&self, report: Report) {
        if self.out.send(FromAgent::Report { job: self.job, report }).is_err() {
            tracing::debug!("nobody listens to the job's reports any more");
        }
    }
}

/// One job being carried out.
pub(crate) struct Task<'a> {
    pub(crate) job: &'a Job,
    pub(crate) bundle: &'a Bundle,
    pub(crate) platform: Arc<Platform>,
    pub(crate) kit: &'a Kit,
    pub(crate) reports: &'a Reports,
    pub(crate) deadline: Instant,
}

/// Carries a job out until its end or its deadline, and says how it ended.
pub(crate) async fn carry_out(
    job: &Job,
    bundle: &Bundle,
    kit: &Kit,
    reports: &Reports,
    deadline: Instant,
) -> Finish {
    let platform = match kit.platforms.find(&job.access.platform) {
        Ok(platform) => platform,
        Err(error) => return Finish::NothingSent(stop::bad_job(&error.to_string())),
    };
    let task = Task { job, bundle, platform, kit, reports, deadline };
    match job.work {
        Work::Apply => apply::apply(&task).await,
        Work::Settle => match settle::settle(&task).await {
            Ok(()) => Finish::Done,
            Err(stop) => Finish::NothingSent(stop),
        },
        Work::Reboot { graceful, ztp } => reboot::reboot(&task, graceful, ztp).await,
    }
}

impl Task<'_> {
    /// Returns the commit timer of the job.
    fn timer(&self) -> Duration {
        match self.job.rules.commit_timer_ms {
            0 => self.platform.limits.commit_timer,
            ms => Duration::from_millis(ms),
        }
    }

    /// Returns the name of this job's configuration session on the device: ours by its prefix, and
    /// a new one for every attempt, since a completed session cannot be entered again.
    fn session_name(&self) -> String {
        let id = self.job.id.0.simple().to_string();
        format!("{SESSION_PREFIX}{}", id.get(..12).unwrap_or(&id))
    }

    fn report(&self, report: Report) {
        self.reports.send(report);
    }
}

/// The prefix of our configuration sessions on devices; others are never touched.
const SESSION_PREFIX: &str = "kt-";
