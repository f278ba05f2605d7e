//! Explores the production state machine of one secret against a device, and shows that the
//! checker finds what is wrong with variants of it. `cargo run --release -p protocol --example
//! explore` goes further than there is time for here.
#![cfg(test)]

#[path = "model/controller.rs"]
mod controller;
#[path = "model/device.rs"]
mod device;
#[path = "model/event.rs"]
mod event;
#[path = "model/flat.rs"]
mod flat;
#[path = "model/flaw.rs"]
mod flaw;
#[path = "model/liveness.rs"]
mod liveness;
#[path = "model/mutant.rs"]
mod mutant;
#[path = "model/property.rs"]
mod property;
#[path = "model/search.rs"]
mod search;
#[path = "model/world.rs"]
mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::search::Search;
use crate::world::{Budget, Protocol};

/// Checks the production machine within bounds and returns how many unique states there are.
fn check(name: &str, budget: Budget) -> usize {
    let start = Instant::now();
    let finish = HasDiscoveries::AnyFailures;
    let checker =
        Protocol::new(budget, None).checker().finish_when(finish).threads(2).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} unique states to depth {depth} in {:.1?}", start.elapsed());
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        let last = *path.last_state();
        let actions = path.into_actions();
        panic!("{property} is broken by\n{actions:#?}\nwhich leads to\n{last:?}");
    }
    states
}

#[test]
fn a_million_states_of_the_protocol_keep_every_invariant() {
    let faults =
        Budget { operations: 2, crashes: 1, reboots: 1, drops: 1, lies: 1, ..Budget::default() };
    let states = check("two operations with one fault of each kind", faults);
    assert!(states >= 1_000_000, "only {states} states");
}

#[test]
fn the_protocol_survives_mangled_changes_and_full_disks() {
    let faults =
        Budget { operations: 1, crashes: 1, drops: 1, lies: 1, failures: 2, ..Budget::default() };
    check("two failures in one operation", faults);
}

#[test]
fn the_protocol_survives_humans_patrols_and_times_out_of_service() {
    let humans =
        Budget { operations: 2, crashes: 1, changes: 1, patrols: 1, holds: 1, ..Budget::default() };
    check("two operations among humans", humans);
}

#[test]
fn the_protocol_survives_a_replaced_device_and_adopted_passwords() {
    let replaced = Budget {
        operations: 1,
        crashes: 1,
        drops: 1,
        holds: 1,
        replacements: 1,
        ..Budget::default()
    };
    check("a replaced device", replaced);
    let adopted = Budget {
        operations: 1,
        crashes: 1,
        drops: 1,
        changes: 1,
        adoptions: 1,
        ..Budget::default()
    };
    check("an adopted password", adopted);
}

#[test]
fn the_long_search_finds_the_same_states_as_the_checker() {
    let budget = Budget { operations: 2, crashes: 1, lies: 1, ..Budget::default() };
    let model = Protocol::new(budget, None);
    let mut search = Search::new(&model, usize::MAX);
    assert_eq!(search.run(|_progress| {}), None);
    assert!(search.is_complete());
    assert_eq!(search.states(), check("both searches", budget));
}
