//! What holds for every transition of every reachable state, whatever a device, an agent or a
//! controller may do.

use std::collections::HashSet;

use super::super::{Credential, Effect, Event, Label, Phase, Transition, Write};
use super::reach::{BUDGET, events, states};
use crate::id::{Epoch, PasswordSet};
use crate::report::{Match, Reason};
use crate::status::SynchronizationStatus;

/// Checks a law for every transition.
fn check(law: impl Fn(&Credential, Event, &Transition) -> bool) {
    for state in states() {
        for event in events(state) {
            let Ok(transition) = state.step(event) else { continue };
            assert!(law(state, event, &transition), "{state:?}\n{event:?}\n{transition:?}");
        }
    }
}

fn in_use(state: &Credential, set: PasswordSet) -> bool {
    state.in_use().any(|used| used == set)
}

#[test]
fn what_is_wanted_never_moves_back_unless_it_is_called_off() {
    check(|state, event, transition| {
        let called_off = event == Event::Cancel;
        called_off || transition.next.desired >= state.desired
    });
}

#[test]
fn what_was_wanted_before_a_cancelled_operation_is_wanted_again() {
    check(|state, event, transition| {
        let Event::Begin { set, .. } = event else { return true };
        let guessed = state.labels.keys().any(|label| *label > state.desired);
        let Ok(called_off) = transition.next.step(Event::Cancel) else { return true };
        guessed || set == state.desired || called_off.next.desired == state.desired
    });
}

#[test]
fn an_open_operation_brings_what_is_wanted() {
    check(|_state, _event, transition| {
        let next = &transition.next;
        next.pending.is_none_or(|pending| pending == next.desired)
    });
}

#[test]
fn what_is_wanted_is_retained() {
    check(|_state, _event, transition| {
        transition.next.labels.contains_key(&transition.next.desired)
    });
}

#[test]
fn only_a_read_back_of_both_configurations_leads_to_in_sync() {
    check(|state, event, transition| {
        let in_sync = transition.next.status() == SynchronizationStatus::InSync;
        let proven = match event {
            Event::ReadBack { running, startup } => {
                running == startup && transition.next.current.map(Match::Set) == Some(running)
            }
            // A secret that was in sync before an operation, and from which nothing was sent, is.
            Event::Cancel => true,
            _ => false,
        };
        let was = state.status() == SynchronizationStatus::InSync;
        !in_sync || was || proven
    });
}

#[test]
fn a_settled_secret_has_nothing_open_and_works_with_its_current_version() {
    check(|_state, _event, transition| {
        let next = &transition.next;
        let current = next.current.and_then(|current| next.labels.get(&current));
        next.phase != Phase::Settled
            || (next.pending.is_none()
                && next.tried.is_empty()
                && current == Some(&Label::Saved)
                && next.in_use().count() == 1)
    });
}

#[test]
fn a_record_is_removed_only_by_cancel_and_purge_and_never_in_use() {
    check(|state, event, transition| {
        state.labels.iter().all(|(set, label)| {
            let kept = transition.next.labels.contains_key(set);
            let unused = !matches!(label, Label::Exposed | Label::Saved);
            match event {
                Event::Cancel => kept || (*label == Label::Staged && state.pending == Some(*set)),
                Event::Purge(purged) => kept || (purged == *set && unused),
                _ => kept,
            }
        })
    });
}

#[test]
fn a_version_in_use_is_retired_only_by_proof_of_another() {
    check(|state, event, transition| {
        let retired = |set| in_use(state, set) && !in_use(&transition.next, set);
        let lost: Vec<PasswordSet> = state.in_use().filter(|set| retired(*set)).collect();
        match event {
            _ if lost.is_empty() => true,
            Event::ReadBack { running, startup } => {
                running == startup && !lost.iter().any(|set| running == Match::Set(*set))
            }
            // Nothing was sent, and all else was disproved before.
            Event::Close => state.phase == Phase::Exposed && lost.iter().eq(&state.pending),
            Event::Replaced { .. } => state.phase == Phase::Held,
            _ => false,
        }
    });
}

#[test]
fn a_version_is_durably_exposed_before_it_is_sent() {
    check(|_state, _event, transition| match transition.effect {
        Effect::Apply(set) => in_use(&transition.next, set),
        Effect::Proceed => transition.next.pending.is_some_and(|set| in_use(&transition.next, set)),
        _ => true,
    });
}

#[test]
fn a_login_is_counted_durably_before_it_is_made_and_within_the_budget() {
    check(|_state, _event, transition| match transition.effect {
        Effect::Login(set) => {
            transition.writes.contains(&Write::Attempt(set))
                && transition.next.tried.contains(&set)
                && (1..=BUDGET).contains(&transition.next.attempts)
        }
        _ => true,
    });
}

#[test]
fn attempts_are_forgotten_only_when_a_login_worked_or_the_window_is_over() {
    check(|state, event, transition| {
        let forgiven = matches!(
            event,
            Event::LoginOk
                | Event::LoginNotSent
                | Event::Retry { window_over: true }
                | Event::Replaced { .. }
        );
        forgiven || transition.next.attempts >= state.attempts
    });
}

#[test]
fn what_a_crash_may_undo_is_only_where_it_stands() {
    check(|state, _event, transition| {
        let mut next = transition.next.clone();
        next.phase = state.phase;
        next.reason = state.reason;
        !transition.writes.is_empty() || next == *state
    });
}

#[test]
fn a_restart_never_leaves_open_what_may_be_in_flight() {
    check(|_state, event, transition| {
        let safe = matches!(
            transition.next.phase,
            Phase::Settled
                | Phase::Staged
                | Phase::Quiet
                | Phase::BackOff
                | Phase::Drift
                | Phase::Held
        );
        !matches!(event, Event::Restarted(_)) || safe
    });
}

#[test]
fn an_older_epoch_means_nothing() {
    for state in states() {
        assert!(state.step(Event::Restarted(state.epoch)).is_err());
        assert!(state.step(Event::Restarted(Epoch(0))).is_err());
    }
}

#[test]
fn candidates_are_all_that_the_device_may_have_once_each() {
    check(|_state, _event, transition| {
        let next = &transition.next;
        let candidates = next.candidates();
        let unique: HashSet<PasswordSet> = candidates.iter().copied().collect();
        let may_be_there = |label: &Label| !matches!(label, Label::Staged | Label::OtherDevice);
        let expected = next.labels.values().filter(|label| may_be_there(label)).count();
        unique.len() == candidates.len()
            && candidates.len() == expected
            && next.in_use().all(|set| candidates.contains(&set))
    });
}

#[test]
fn an_event_that_comes_twice_changes_nothing_more_or_means_nothing() {
    check(|_state, event, transition| {
        // Each of these is a new question or a new request every time.
        let is_answer =
            !matches!(event, Event::Probe { .. } | Event::ReadBack { .. } | Event::Replaced { .. });
        let again = transition.next.step(event);
        !is_answer || again.is_err() || again.is_ok_and(|again| again.next == transition.next)
    });
}

#[test]
fn somebody_is_at_work_while_it_is_synchronizing() {
    check(|_state, _event, transition| {
        transition.next.status() != SynchronizationStatus::Synchronizing
            || !matches!(transition.effect, Effect::Rest | Effect::Alarm)
    });
}

#[test]
fn every_reachable_state_can_come_into_sync() {
    for state in states() {
        let mut now = state.clone();
        for _step in 0..20 {
            let way = way_into_sync(&now);
            if let Some(next) = way.iter().find_map(|event| now.step(*event).ok()) {
                now = next.next;
            }
        }
        assert_eq!(now.status(), SynchronizationStatus::InSync, "{state:?}\n{now:?}");
    }
}

/// What happens to a secret when all goes well; the first event that means something is taken.
fn way_into_sync(state: &Credential) -> Vec<Event> {
    let set = Match::Set(state.desired);
    let mut way = vec![Event::Release, Event::LoginLost, Event::QuietOver];
    if state.status() != SynchronizationStatus::InSync {
        way.extend([
            Event::Begin { set: state.desired, retries: 0 },
            Event::ReadBack { running: set, startup: set },
            Event::Expose,
            Event::Send,
            Event::Applied,
            Event::Unsure(Reason::SaveFailed),
        ]);
    }
    way
}

#[test]
fn a_record_survives_the_journal() {
    for state in states() {
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<Credential>(&json).unwrap(), *state);
    }
}

#[test]
fn events_cover_every_kind() {
    let state = Credential::adopted(PasswordSet(1), Epoch(1));
    let kinds: HashSet<_> = events(&state).iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 24, "an event is missing among those that the laws are checked with");
}
