//! Carries an operation out on one device: asks [`crate::plan::next`] what comes next, does it, and
//! asks again, until nothing is left or the operation's retries are spent.

use std::time::Duration;

use protocol::credential::{Credential, Event, Phase};
use protocol::id::ResourceName;
use protocol::report::{Reason, Stop};

use super::feed::window_over;
use super::{Executor, Run, failure, in_service, reboot};
use crate::journal::JournalError;
use crate::model::{self, Fabric, OperationKind, Outcome};
use crate::plan::next::{Next, next};

/// How much an operation may still try on one device.
struct Tries {
    /// Jobs that change; each failed one costs one.
    apply: u8,
    /// Jobs that only look; each failed one costs one.
    settle: u8,
    /// Jobs so far: the steps of the operation on this device.
    steps: u32,
    /// Failed jobs so far: the pause grows with them.
    failures: u32,
}

/// Brings one device to its end in this operation.
pub(super) async fn carry_out(
    executor: &Executor,
    run: &Run,
    name: &ResourceName,
) -> Result<(), JournalError> {
    let journal = &executor.inner.journal;
    if journal.read(|fabric| has_ended(fabric, run, name)) {
        return Ok(());
    }
    let wipes = run.reboot.is_some_and(|reboot| reboot.ztp);
    if journal.read(|fabric| in_service(fabric, name)) == wipes {
        return end(executor, run, name, failure::out_of_service()).await;
    }
    if let Some(reboot) = run.reboot {
        let outcome = reboot::reboot(executor, run, reboot, name).await?;
        return end(executor, run, name, outcome).await;
    }
    if let Some(partner) = journal.read(|fabric| partner_in_doubt(fabric, run, name)) {
        return end(executor, run, name, failure::partner_in_doubt(&partner)).await;
    }
    let stop = work(executor, run, name).await?;
    let outcome = close(executor, run, name, stop).await?;
    end(executor, run, name, outcome).await
}

async fn work(
    executor: &Executor,
    run: &Run,
    name: &ResourceName,
) -> Result<Option<Stop>, JournalError> {
    let retries = executor.inner.settings.retries_max;
    let tries_max = retries.saturating_add(1);
    let steps = executor.inner.journal.read(first_step);
    let mut tries = Tries { apply: tries_max, settle: tries_max, steps, failures: 0 };
    let mut last = None;
    loop {
        let todo = executor.inner.journal.read(|fabric| fabric.devices.get(name).map(next));
        tries.steps = tries.steps.saturating_add(1);
        let (stop, left) = match todo {
            None | Some(Next::Done | Next::Stuck) => return Ok(last),
            Some(Next::Later(_)) if tries.settle == 0 => return Ok(last),
            Some(Next::Later(_)) => {
                retry_later(executor, name).await?;
                continue;
            }
            Some(Next::Settle | Next::Observe) if tries.settle == 0 => return Ok(last),
            Some(Next::Settle | Next::Observe) => {
                retry_later(executor, name).await?;
                wait_for_quiet(executor, name).await;
                (executor.settle(run, name, tries.steps).await?, &mut tries.settle)
            }
            Some(Next::Expose(_) | Next::Apply(_)) if tries.apply == 0 => return Ok(last),
            Some(Next::Expose(_) | Next::Apply(_)) => {
                (executor.apply(run, name, tries.steps).await?, &mut tries.apply)
            }
        };
        *left = left.saturating_sub(1);
        let Some(stop) = stop else { continue };
        let waited = *left > 0 && wait_for_window(executor, name, &stop).await;
        let again = waited || stop.reason.is_transient() || drifts(executor, name, &stop);
        let pause = again && *left > 0;
        tracing::info!(
            device = %name, operation = %run.operation, step = tries.steps,
            reason = ?stop.reason, detail = stop.detail, again, "a job stopped"
        );
        last = Some(stop);
        if !again {
            return Ok(last);
        }
        if pause {
            back_off(executor, &mut tries.failures).await;
        }
    }
}

/// Steps are counted from the epoch, so that a restarted controller never repeats one.
pub(super) fn first_step(fabric: &Fabric) -> u32 {
    const STEPS_PER_EPOCH: u64 = 1000;
    u32::try_from(fabric.epoch.0.saturating_mul(STEPS_PER_EPOCH) % u64::from(u32::MAX)).unwrap_or(0)
}

/// A foreign password on some secrets is told for them; the others go on.
fn drifts(executor: &Executor, name: &ResourceName, stop: &Stop) -> bool {
    if !matches!(stop.reason, Reason::ForeignChange | Reason::UserMissing) {
        return false;
    }
    executor.inner.journal.read(|fabric| {
        let device = fabric.devices.get(name);
        device.is_some_and(|device| device.credentials().any(|c| c.phase == Phase::Drift))
    })
}

/// The longest lockout window that an operation waits for. An address ban of a terminal server is
/// over in a minute; a quarter of an hour is for an operator to decide.
const WINDOW_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// Waits for the lockout window of a device whose accounts have candidates left to try, if the
/// inventory says that it is short. Tells whether it has waited.
async fn wait_for_window(executor: &Executor, name: &ResourceName, stop: &Stop) -> bool {
    if !matches!(stop.reason, Reason::AuthenticationRefused | Reason::LoginBudgetSpent) {
        return false;
    }
    let window = executor.inner.journal.read(|fabric| {
        let device = fabric.devices.get(name)?;
        let untried = |credential: &Credential| {
            let tried = |set| credential.tried.contains(set);
            credential.attempts > 0 && !credential.candidates().iter().all(tried)
        };
        let left = device.credentials().any(untried);
        device.spec.lockout.as_ref().map(|lockout| lockout.window).filter(|_window| left)
    });
    let Some(window) = window.filter(|window| *window <= WINDOW_WAIT_MAX) else { return false };
    tracing::info!(device = %name, seconds = window.as_secs(), "waits for the lockout window");
    tokio::time::sleep(window.saturating_mul(11) / 10 + Duration::from_secs(2)).await;
    true
}

pub(super) async fn wait_for_quiet(executor: &Executor, name: &ResourceName) {
    if let Some(quiet_from) = executor.quiet_from(name) {
        tokio::time::sleep_until(quiet_from).await;
    }
}

async fn back_off(executor: &Executor, failures: &mut u32) {
    let factor = 2_u32.saturating_pow((*failures).min(6));
    *failures = failures.saturating_add(1);
    tokio::time::sleep(executor.inner.settings.retry_backoff.saturating_mul(factor)).await;
}

pub(super) async fn retry_later(
    executor: &Executor,
    name: &ResourceName,
) -> Result<(), JournalError> {
    let at = (executor.inner.clock)();
    let events = executor.inner.journal.read(|fabric| {
        let Some(device) = fabric.devices.get(name) else { return Vec::new() };
        let retry = |(profile, secret): (&protocol::id::ProfileName, &model::Secret)| {
            let window_over = window_over(device, secret, at);
            (profile.clone(), Event::Retry { window_over })
        };
        device.secrets.iter().map(retry).collect()
    });
    executor.feed(name, events, None).await
}

/// Closes the operation for every secret of the device, and says how it ended.
async fn close(
    executor: &Executor,
    run: &Run,
    name: &ResourceName,
    stop: Option<Stop>,
) -> Result<Outcome, JournalError> {
    executor.feed_where(name, |phase| phase != Phase::Settled, Event::Close).await?;
    Ok(executor.inner.journal.read(|fabric| outcome(fabric, run, name, stop.as_ref())))
}

fn outcome(fabric: &Fabric, run: &Run, name: &ResourceName, stop: Option<&Stop>) -> Outcome {
    let Some(device) = fabric.devices.get(name) else { return failure::out_of_service() };
    let reached = match run.kind {
        OperationKind::Verify | OperationKind::Reboot => {
            device.credentials().all(|c| c.phase == Phase::Settled)
        }
        OperationKind::Rotate | OperationKind::Resync => device.is_on(run.set),
    };
    match stop {
        _ if reached => Outcome::Succeeded,
        Some(stop) => failure::stopped(run.kind, stop),
        None => failure::unproven(device.reason()),
    }
}

/// Records how the operation ended on the device.
pub(super) async fn end(
    executor: &Executor,
    run: &Run,
    name: &ResourceName,
    outcome: Outcome,
) -> Result<(), JournalError> {
    if executor.inner.journal.read(|fabric| has_ended(fabric, run, name)) {
        return Ok(());
    }
    executor.feed_where(name, |phase| phase != Phase::Settled, Event::Close).await?;
    match &outcome {
        Outcome::Succeeded => {
            tracing::info!(device = %name, operation = %run.operation, set = run.set.0, "done");
        }
        Outcome::Failed(failure) => tracing::warn!(
            device = %name, operation = %run.operation, set = run.set.0,
            code = failure.code, message = failure.message, "not done"
        ),
    }
    let (operation, device) = (run.operation, name.clone());
    executor
        .write(move |_fabric| vec![model::Event::DeviceEnded { operation, device, outcome }])
        .await
}

fn has_ended(fabric: &Fabric, run: &Run, name: &ResourceName) -> bool {
    fabric.operation(run.operation).is_none_or(|operation| operation.outcomes.contains_key(name))
}

/// Returns a member of the device's redundancy group that this operation has brought into doubt.
fn partner_in_doubt(fabric: &Fabric, run: &Run, name: &ResourceName) -> Option<ResourceName> {
    if !run.kind.is_maintenance() {
        return None;
    }
    let group = fabric.devices.get(name)?.spec.redundancy_group.as_ref()?;
    let doubtful = |(partner, device): &(&ResourceName, &model::Device)| {
        *partner != name
            && device.spec.redundancy_group.as_ref() == Some(group)
            && device.credentials().any(|credential| {
                credential.is_in_doubt()
                    && credential.in_use().any(|set| set == run.set)
                    && credential.in_use().count() > 1
            })
    };
    fabric.devices.iter().find(doubtful).map(|(partner, _device)| partner.clone())
}
