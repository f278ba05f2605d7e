//! Reboots one device, and settles what it holds when it has come back.
//!
//! That the reboot is sent is durable before the agent is told, and that it was seen before the
//! device is looked at: whoever goes on after a restart never sends it a second time, and takes for
//! proven only what was.

use std::time::Duration;

use protocol::credential::{Event as CredentialEvent, Phase};
use protocol::id::ResourceName;
use protocol::job::Work;
use protocol::report::{Finish, Reason, Report, Stop};
use tokio::time::Instant;

use super::apply::not_taken;
use super::device::{first_step, retry_later, wait_for_quiet};
use super::{Executor, Run, failure};
use crate::agents::Reports;
use crate::journal::JournalError;
use crate::model::{Device, Event, OperationKind, Outcome, Reboot, RebootProgress};
use crate::plan::next::{Next, next};

/// The pause between two looks at a device that boots.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest that a device may take to come back: switches with modules boot in five to ten
/// minutes.
const BACK_MAX: Duration = Duration::from_secs(15 * 60);

/// What is known of the reboot once the agent's job is over.
enum Sent {
    /// The agent saw the device end its session.
    Seen,
    /// The line may have been sent, and nobody has seen what came of it.
    Unseen,
    /// It was not sent.
    Not(Stop),
}

/// Reboots a device, or goes on where an earlier run has stopped. Says how it ended.
pub(super) async fn reboot(
    executor: &Executor,
    run: &Run,
    reboot: Reboot,
    name: &ResourceName,
) -> Result<Outcome, JournalError> {
    let step = executor.inner.journal.read(first_step).saturating_add(1);
    let sent = match reboot.progress {
        RebootProgress::Admitted => executor.send_reboot(run, reboot, name, step).await?,
        RebootProgress::Sent => Sent::Unseen,
        RebootProgress::Seen => Sent::Seen,
    };
    if let Sent::Not(stop) = &sent {
        return Ok(failure::reboot_not_sent(stop));
    }
    // Also where it was sent by a controller that has gone an instant ago.
    executor.touch(name);
    // A device out of service is not looked at, and what was wiped has passwords of its own.
    let last = match reboot.ztp {
        true => None,
        false => executor.settle_after_boot(run, name, step).await?,
    };
    if matches!(sent, Sent::Unseen) {
        return Ok(failure::not_rebooted());
    }
    let (settled, reason) = executor.inner.journal.read(|fabric| {
        let device = fabric.devices.get(name);
        let settled = |device: &Device| device.credentials().all(|c| c.phase == Phase::Settled);
        (device.is_some_and(settled), device.and_then(Device::reason))
    });
    Ok(match last {
        _ if reboot.ztp || settled => Outcome::Succeeded,
        Some(stop) => failure::stopped(OperationKind::Reboot, &stop),
        None => failure::unproven(reason),
    })
}

impl Executor {
    async fn send_reboot(
        &self,
        run: &Run,
        reboot: Reboot,
        name: &ResourceName,
        step: u32,
    ) -> Result<Sent, JournalError> {
        let work = Work::Reboot { graceful: reboot.graceful, ztp: reboot.ztp };
        let job = match self.job(run, name, step, work).await {
            Ok(job) => job,
            Err(stop) => return Ok(Sent::Not(stop)),
        };
        let prepared = match self.inner.agent.prepare(job).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Sent::Not(not_taken(&error))),
        };
        if let Err(error) = self.note_reboot(run, name, RebootProgress::Sent).await {
            prepared.forget().await;
            return Err(error);
        }
        let finish = match prepared.commit().await {
            Ok(reports) => finish(reports).await,
            Err(error) => Finish::Unsure(not_taken(&error)),
        };
        match finish {
            Finish::Done => {
                self.note_reboot(run, name, RebootProgress::Seen).await?;
                Ok(Sent::Seen)
            }
            Finish::NothingSent(stop) => Ok(Sent::Not(stop)),
            Finish::Unsure(stop) => {
                tracing::warn!(
                    device = %name, operation = %run.operation,
                    reason = ?stop.reason, detail = stop.detail, "nobody saw the device reboot"
                );
                Ok(Sent::Unseen)
            }
        }
    }

    async fn note_reboot(
        &self,
        run: &Run,
        device: &ResourceName,
        progress: RebootProgress,
    ) -> Result<(), JournalError> {
        let (operation, device) = (run.operation, device.clone());
        self.write(move |_fabric| vec![Event::Rebooting { operation, device, progress }]).await
    }

    /// Looks at a device that boots until its secrets are settled, or until it should be back.
    /// Returns why the last look stopped, if it did.
    async fn settle_after_boot(
        &self,
        run: &Run,
        name: &ResourceName,
        sent_at: u32,
    ) -> Result<Option<Stop>, JournalError> {
        let until = Instant::now() + BACK_MAX;
        let (mut step, mut last) = (sent_at, None);
        self.feed_where(name, |_any| true, CredentialEvent::Rebooted).await?;
        // What was in doubt before the reboot is looked at with the rest.
        retry_later(self, name).await?;
        loop {
            let todo = self.inner.journal.read(|fabric| fabric.devices.get(name).map(next));
            match todo {
                Some(Next::Settle | Next::Observe | Next::Later(_)) => {}
                _ => return Ok(last),
            }
            if step > sent_at {
                if Instant::now() >= until {
                    return Ok(last);
                }
                tokio::time::sleep(PAUSE).await;
            }
            step = step.saturating_add(1);
            retry_later(self, name).await?;
            wait_for_quiet(self, name).await;
            let stop = self.settle(run, name, step).await?;
            let again = stop.as_ref().is_none_or(|stop| is_of_booting(stop.reason));
            if let Some(stop) = &stop {
                tracing::info!(
                    device = %name, operation = %run.operation, step,
                    reason = ?stop.reason, detail = stop.detail, again, "not back yet"
                );
            }
            last = stop;
            if !again {
                return Ok(last);
            }
        }
    }
}

/// Hears a rebooting job to its end.
async fn finish(mut reports: Reports) -> Finish {
    loop {
        if let Report::Finished(finish) = reports.next().await {
            return finish;
        }
    }
}

/// Tells whether a device that boots may be the reason; nothing is guessed more than once.
fn is_of_booting(reason: Reason) -> bool {
    reason.is_transient() || reason == Reason::LoginBudgetSpent
}
