//! Wrong variants of the protocol. Each is the production step with its outcome bent, or an agent
//! or a controller that cheats; the checker has to find what it breaks.

use protocol::credential::{Credential, Effect, Event, Label, Meaningless, Phase, Transition};
use protocol::id::PasswordSet;

/// One thing done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The change is sent before its exposure is durable.
    SendBeforeDurable,
    /// A refused version is deleted.
    DropPendingOnError,
    /// The old version goes when the device says that it took the new one.
    PurgeOnApplied,
    /// The device's word settles.
    SettledOnApplied,
    /// A verified version counts as settled without a save.
    SettledUnsaved,
    /// The old version goes when the new one is verified, before it is saved.
    PurgeBeforeSave,
    /// There is one slot for a version that may be on the device.
    SinglePendingSlot,
    /// An unknown outcome is looked into at once.
    NoQuiet,
    /// Quiet ends although commands may still land.
    NoDeadline,
    /// Logins are not limited.
    NoBudget,
    /// Attempts are counted in memory alone.
    BudgetInMemory,
    /// A restart takes an open operation for one that never began.
    CrashForgotten,
    /// Only the pending and the current version are tried.
    ProbeTwoOnly,
    /// A restart takes a device without an operation for settled, and its budget for fresh.
    IdleAfterCrash,
    /// Every window starts again with the likeliest candidate.
    ForgetTried,
    /// A login settles, and retires the other versions.
    RetireOnLogin,
    /// Every new try brings another version.
    NewVersionOnRetry,
    /// The device's word that it saved is taken for a read-back.
    SaveTrustedUnread,
    /// The commit timer is confirmed before the change was verified.
    ConfirmUnverified,
    /// The commit timer is left running while the configuration is saved.
    SaveUnconfirmed,
    /// A reply to an older job is believed.
    StaleReplies,
    /// An agent carries a repeated command out again.
    NoLedger,
    /// The device's word that it took the change is taken for quiet.
    AppliedIsQuiet,
    /// A retired version is set again without being exposed.
    RetiredSetAgain,
    /// Calling an operation off claims that the device is settled.
    CancelSettles,
    /// A device goes out of service while a change may still land.
    HoldUnquiet,
    /// "Refused" is taken for "not sent".
    RefusedIsDefinite,
    /// A login without an answer is given back to the budget.
    LostLoginRefunded,
    /// A restart waits for quiet, but nobody watches the clock.
    NobodyWaits,
    /// The version that is wanted is purged.
    PurgeWanted,
    /// A device that refused every candidate once is never asked again.
    DriftForEver,
}

impl Flaw {
    pub(crate) const ALL: [Self; 31] = [
        Self::SendBeforeDurable,
        Self::DropPendingOnError,
        Self::PurgeOnApplied,
        Self::SettledOnApplied,
        Self::SettledUnsaved,
        Self::PurgeBeforeSave,
        Self::SinglePendingSlot,
        Self::NoQuiet,
        Self::NoDeadline,
        Self::NoBudget,
        Self::BudgetInMemory,
        Self::CrashForgotten,
        Self::ProbeTwoOnly,
        Self::IdleAfterCrash,
        Self::ForgetTried,
        Self::RetireOnLogin,
        Self::NewVersionOnRetry,
        Self::SaveTrustedUnread,
        Self::ConfirmUnverified,
        Self::SaveUnconfirmed,
        Self::StaleReplies,
        Self::NoLedger,
        Self::AppliedIsQuiet,
        Self::RetiredSetAgain,
        Self::CancelSettles,
        Self::HoldUnquiet,
        Self::RefusedIsDefinite,
        Self::LostLoginRefunded,
        Self::NobodyWaits,
        Self::PurgeWanted,
        Self::DriftForEver,
    ];
}

/// Takes one event: the production's step, bent by the flaw if there is one.
pub(crate) fn step(
    flaw: Option<Flaw>,
    state: &Credential,
    event: Event,
) -> Result<Transition, Meaningless> {
    let Some(flaw) = flaw else {
        return state.step(event);
    };
    let event = match (flaw, event) {
        (Flaw::RefusedIsDefinite, Event::Unsure(reason)) if state.phase == Phase::Waiting => {
            Event::NotSent(reason)
        }
        (Flaw::NoBudget, Event::Probe { preferred, .. }) => {
            Event::Probe { budget: u8::MAX, preferred }
        }
        _ => event,
    };
    match (flaw, event) {
        (Flaw::ProbeTwoOnly, Event::Probe { .. }) => probe_two(state, event),
        (Flaw::PurgeWanted, Event::Purge(set)) if set == state.desired => {
            let mut other = state.clone();
            other.desired = PasswordSet(0);
            let mut taken = other.step(event)?;
            taken.next.desired = set;
            Ok(taken)
        }
        (Flaw::DriftForEver, Event::Retry { .. }) if state.phase == Phase::Drift => {
            Err(Meaningless { phase: state.phase, event })
        }
        _ => Ok(bend(flaw, state, event, state.step(event)?)),
    }
}

/// Bends a transition of the production machine.
fn bend(flaw: Flaw, was: &Credential, event: Event, mut taken: Transition) -> Transition {
    let next = &mut taken.next;
    let applied = event == Event::Applied;
    let restarted = matches!(event, Event::Restarted(_));
    let observed = matches!(event, Event::ReadBack { .. } | Event::LoginOk);
    match (flaw, next.phase) {
        (Flaw::DropPendingOnError, _) if matches!(event, Event::Unsure(_)) => {
            next.pending.take().map(|pending| next.labels.remove(&pending));
        }
        (Flaw::PurgeOnApplied, _) if applied => retire_others(next, was.pending),
        (Flaw::SettledOnApplied, _) if applied => settle(&mut taken, was.pending),
        (Flaw::SettledUnsaved, Phase::Saving(set)) => settle(&mut taken, Some(set)),
        (Flaw::PurgeBeforeSave, Phase::Saving(set)) => retire_others(next, Some(set)),
        (Flaw::RetireOnLogin, Phase::Saving(set)) if event == Event::LoginOk => {
            retire_others(next, Some(set));
            settle(&mut taken, Some(set));
        }
        (Flaw::SinglePendingSlot, _) if matches!(event, Event::Begin { .. }) => {
            let current = next.current;
            next.labels.retain(|set, label| *label != Label::Exposed || current == Some(*set));
        }
        (Flaw::NoQuiet, Phase::Quiet) => {
            next.phase = Phase::Probing;
            taken.effect = Effect::Observe;
        }
        (Flaw::NobodyWaits, Phase::Quiet) if restarted => taken.effect = Effect::Rest,
        (Flaw::CrashForgotten, Phase::Quiet) if restarted => {
            next.pending.take().map(|pending| next.labels.remove(&pending));
            settle(&mut taken, was.current);
        }
        (Flaw::IdleAfterCrash, Phase::Quiet) if restarted && was.pending.is_none() => {
            next.attempts = 0;
            settle(&mut taken, was.current);
        }
        (Flaw::ForgetTried, _) if matches!(event, Event::Retry { .. }) => next.tried.clear(),
        (Flaw::NewVersionOnRetry, Phase::Exposed) if observed => {
            let set = PasswordSet(next.desired.0 + 1);
            next.desired = set;
            next.pending = Some(set);
            next.labels.insert(set, Label::Exposed);
        }
        (Flaw::AppliedIsQuiet, _) if applied => next.reason = None,
        (Flaw::RetiredSetAgain, Phase::Staged) if observed => {
            next.phase = Phase::Exposed;
            taken.effect = Effect::Proceed;
        }
        (Flaw::CancelSettles, _) if event == Event::Cancel => {
            next.desired = next.current.unwrap_or(next.desired);
            next.phase = Phase::Settled;
            taken.effect = Effect::Rest;
        }
        (Flaw::LostLoginRefunded, _) if event == Event::LoginLost => {
            next.attempts = next.attempts.saturating_sub(1);
        }
        _ => {}
    }
    taken
}

fn settle(taken: &mut Transition, set: Option<PasswordSet>) {
    taken.next.current = set;
    taken.next.pending = None;
    taken.next.phase = Phase::Settled;
    taken.effect = Effect::Rest;
    taken.writes.extend(set.map(protocol::credential::Write::Saved));
}

fn retire_others(next: &mut Credential, kept: Option<PasswordSet>) {
    for (set, label) in &mut next.labels {
        if Some(*set) != kept && matches!(label, Label::Exposed | Label::Saved) {
            *label = Label::Retired;
        }
    }
}

fn probe_two(state: &Credential, event: Event) -> Result<Transition, Meaningless> {
    let mut two = state.clone();
    let (pending, current) = (state.pending, state.current);
    two.labels.retain(|set, _label| pending == Some(*set) || current == Some(*set));
    let mut taken = two.step(event)?;
    taken.next.labels.clone_from(&state.labels);
    Ok(taken)
}
