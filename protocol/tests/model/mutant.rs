//! Wrong variants of the protocol, those of other products and of our own drafts first: the checker
//! has to find what each of them breaks.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::flaw::Flaw;
use crate::property::{I1, I2, I4, I7, I8, L1, L2, R1};
use crate::world::{Budget, Protocol};

/// Nothing goes wrong, one operation.
const CALM: Budget = Budget {
    operations: 1,
    crashes: 0,
    reboots: 0,
    drops: 0,
    lies: 0,
    failures: 0,
    changes: 0,
    patrols: 0,
    holds: 0,
    adoptions: 0,
    replacements: 0,
};

/// Checks that a flaw is found to break `property` within `budget`.
fn check(flaw: Flaw, property: &'static str, budget: Budget) {
    let start = Instant::now();
    let finish = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker =
        Protocol::new(budget, Some(flaw)).checker().finish_when(finish).spawn_bfs().join();
    let found = checker.discoveries();
    let actions = found.get(property).map(|path| path.clone().into_actions().len());
    println!(
        "{flaw:?}: {property}, {actions:?} actions, {} unique states in {:.1?}",
        checker.unique_state_count(),
        start.elapsed()
    );
    assert!(actions.is_some(), "{flaw:?} breaks {:?}, not {property}", found.into_keys());
}

#[test]
fn there_are_at_least_fifteen_different_flaws() {
    let different: BTreeSet<String> = Flaw::ALL.iter().map(|flaw| format!("{flaw:?}")).collect();
    assert!(different.len() == Flaw::ALL.len() && different.len() >= 15);
}

#[test]
fn sending_before_the_exposure_is_durable_is_found() {
    check(Flaw::SendBeforeDurable, I1, CALM);
}

#[test]
fn deleting_a_refused_version_is_found() {
    check(Flaw::DropPendingOnError, I1, Budget { lies: 1, ..CALM });
}

#[test]
fn purging_on_the_devices_word_is_found() {
    check(Flaw::PurgeOnApplied, I1, Budget { lies: 1, ..CALM });
}

#[test]
fn in_sync_on_the_devices_word_is_found() {
    check(Flaw::SettledOnApplied, I2, Budget { lies: 1, ..CALM });
}

#[test]
fn in_sync_without_a_save_is_found() {
    check(Flaw::SettledUnsaved, I2, CALM);
}

#[test]
fn purging_before_the_save_is_found() {
    check(Flaw::PurgeBeforeSave, I1, CALM);
}

#[test]
fn one_slot_for_pending_versions_is_found() {
    check(Flaw::SinglePendingSlot, I1, Budget { operations: 2, drops: 1, ..CALM });
}

#[test]
fn looking_before_quiet_is_found() {
    check(Flaw::NoQuiet, I1, Budget { crashes: 1, ..CALM });
}

#[test]
fn commands_without_a_deadline_are_found() {
    check(Flaw::NoDeadline, I1, Budget { drops: 1, ..CALM });
}

#[test]
fn logins_without_a_budget_are_found() {
    check(Flaw::NoBudget, I7, Budget { operations: 3, drops: 2, ..CALM });
}

#[test]
fn attempts_counted_in_memory_alone_are_found() {
    check(Flaw::BudgetInMemory, I7, Budget { operations: 2, drops: 1, crashes: 2, ..CALM });
}

#[test]
fn a_crash_taken_for_nothing_happened_is_found() {
    check(Flaw::CrashForgotten, I1, Budget { crashes: 1, ..CALM });
}

#[test]
fn probing_only_the_pending_and_the_current_version_is_found() {
    check(Flaw::ProbeTwoOnly, L1, Budget { operations: 2, crashes: 1, ..CALM });
}

#[test]
fn taking_a_device_for_settled_after_a_crash_is_found() {
    check(Flaw::IdleAfterCrash, I2, Budget { crashes: 1, patrols: 1, ..CALM });
}

#[test]
fn starting_every_window_with_the_same_candidate_is_found() {
    check(Flaw::ForgetTried, L1, Budget { crashes: 1, ..CALM });
}

#[test]
fn retiring_on_a_login_without_reading_startup_is_found() {
    check(Flaw::RetireOnLogin, I1, CALM);
}

#[test]
fn a_new_version_on_each_retry_is_found() {
    check(Flaw::NewVersionOnRetry, R1, Budget { crashes: 1, ..CALM });
}

#[test]
fn a_save_believed_without_a_read_back_is_found() {
    check(Flaw::SaveTrustedUnread, I2, Budget { failures: 1, ..CALM });
}

#[test]
fn confirming_the_timer_before_verifying_is_found() {
    check(Flaw::ConfirmUnverified, I1, Budget { failures: 1, ..CALM });
}

#[test]
fn saving_without_confirming_the_timer_is_found() {
    check(Flaw::SaveUnconfirmed, I2, CALM);
}

#[test]
fn believing_a_reply_to_an_older_job_is_found() {
    check(Flaw::StaleReplies, I1, Budget { drops: 1, ..CALM });
}

#[test]
fn an_agent_that_repeats_commands_is_found() {
    check(Flaw::NoLedger, I1, Budget { operations: 2, drops: 1, ..CALM });
}

#[test]
fn taking_the_devices_word_for_quiet_is_found() {
    check(Flaw::AppliedIsQuiet, I4, Budget { lies: 1, ..CALM });
}

#[test]
fn setting_a_retired_version_without_exposing_it_is_found() {
    check(Flaw::RetiredSetAgain, I1, Budget { lies: 1, reboots: 1, ..CALM });
}

#[test]
fn claiming_to_be_settled_when_called_off_is_found() {
    check(Flaw::CancelSettles, I2, Budget { operations: 2, crashes: 1, ..CALM });
}

#[test]
fn holding_a_device_before_quiet_is_found() {
    check(Flaw::HoldUnquiet, I4, Budget { drops: 1, holds: 1, ..CALM });
}

#[test]
fn taking_refused_for_not_sent_is_found() {
    check(Flaw::RefusedIsDefinite, I4, Budget { lies: 1, ..CALM });
}

#[test]
fn giving_lost_logins_back_to_the_budget_is_found() {
    check(Flaw::LostLoginRefunded, I7, Budget { operations: 2, drops: 3, ..CALM });
}

#[test]
fn a_restart_that_nobody_follows_up_is_found() {
    check(Flaw::NobodyWaits, L2, Budget { crashes: 1, ..CALM });
}

#[test]
fn purging_the_wanted_version_is_found() {
    check(Flaw::PurgeWanted, I8, Budget { lies: 1, ..CALM });
}

#[test]
fn giving_a_drifted_device_up_for_ever_is_found() {
    check(Flaw::DriftForEver, L1, Budget { crashes: 1, reboots: 1, lies: 1, ..CALM });
}
