//! Every state that any order of events leads to, with three sets.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::super::{Credential, Event};
use crate::id::{Epoch, PasswordSet};
use crate::report::{Match, Reason};

/// The sets of all these tests.
pub(super) const SETS: [PasswordSet; 3] = [PasswordSet(1), PasswordSet(2), PasswordSet(3)];
/// The window's budget.
pub(super) const BUDGET: u8 = 1;

/// Every event, with every argument that makes a difference.
pub(super) fn events(state: &Credential) -> Vec<Event> {
    let mut events = vec![
        Event::Cancel,
        Event::Expose,
        Event::Send,
        Event::Applied,
        Event::NotSent(Reason::CouldNotConnect),
        Event::Unsure(Reason::TimedOut),
        Event::Restarted(Epoch(state.epoch.0 + 1)),
        Event::QuietOver,
        Event::LoginOk,
        Event::LoginRefused,
        Event::LoginLost,
        Event::LoginNotSent,
        Event::Retry { window_over: false },
        Event::Retry { window_over: true },
        Event::Rebooted,
        Event::Close,
        Event::Hold,
        Event::Release,
        Event::Probe { budget: BUDGET, preferred: None },
        Event::Probe { budget: BUDGET, preferred: state.current },
    ];
    for set in SETS {
        events.push(Event::Begin { set, retries: 1 });
        events.push(Event::Reconcile { set });
        events.push(Event::Purge(set));
    }
    events.push(Event::Adopt { set: PasswordSet(3) });
    events.push(Event::Replaced { bootstrap: PasswordSet(2), set: PasswordSet(3) });
    events.push(Event::ReadBack { running: Match::Absent, startup: Match::Absent });
    for running in SETS.map(Match::Set).into_iter().chain([Match::Foreign]) {
        let startup = SETS.map(Match::Set).into_iter().chain([Match::Foreign]);
        events.extend(startup.map(|startup| Event::ReadBack { running, startup }));
    }
    events
}

/// The state as far as the machine tells it from others: epochs only grow, and most reasons are
/// only for people.
fn essence(mut state: Credential) -> Credential {
    state.epoch = Epoch(1);
    let told_apart = |reason: &Reason| matches!(reason, Reason::NotQuiet | Reason::ConnectionLost);
    state.reason = state.reason.filter(told_apart);
    state
}

/// Returns every reachable state; they are searched for once.
pub(super) fn states() -> &'static [Credential] {
    static STATES: OnceLock<Vec<Credential>> = OnceLock::new();
    STATES.get_or_init(|| {
        let first = Credential::adopted(PasswordSet(1), Epoch(1));
        let mut seen = HashSet::from([first.clone()]);
        let mut edge = vec![first];
        while let Some(state) = edge.pop() {
            let taken = events(&state).into_iter().filter_map(|event| state.step(event).ok());
            for next in taken.map(|transition| essence(transition.next)) {
                if seen.insert(next.clone()) {
                    edge.push(next);
                }
            }
        }
        seen.into_iter().collect()
    })
}
