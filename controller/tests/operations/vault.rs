//! A rotation over a vault that fails: its values are durable before any device is touched, or nothing
//! is changed.

use controller::model::{Operation, OperationState, Outcome};
use controller::vault::VaultFault;

use crate::world::{World, world};
use crate::{SWITCHES, resync, rotate};

/// More calls than a rotation makes.
const CALLS: u64 = 8;

fn codes(operation: &Operation) -> Vec<String> {
    let outcomes = operation.outcomes.values().filter_map(|outcome| match outcome {
        Outcome::Succeeded => None,
        Outcome::Failed(failure) => Some(failure.code.clone()),
    });
    outcomes.collect()
}

fn changes(world: &World) -> u32 {
    SWITCHES.iter().map(|device| world.devices.with(device, |device| device.changes)).sum()
}

/// What is told where a vault fails at one call and from there on, and what is left of it.
async fn check(fault: VaultFault, call: u64, stays: bool) {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    let faults = world.vault.faults();
    if stays {
        faults.after(call, fault)
    } else {
        faults.once(call, fault)
    }
    let before = changes(&world);
    let operation = rotate(&world).await;
    let told = codes(&operation);
    let what = format!("{fault:?} at call {call}, stays: {stays}: {told:?}");
    let known = |code: &String| code == "VaultUnavailable" || code == "OperationHalted";
    assert!(told.iter().all(known), "{what}");
    let sets = world.service.read(&world.fabric(), |fabric| fabric.sets.len()).unwrap();
    if sets == 1 {
        assert_eq!((told.len(), changes(&world)), (SWITCHES.len(), before), "{what}");
    }
    world.assert_nothing_lost();
    faults.clear();
    world.assert_revealed_opens().await;
    if sets > 1 {
        assert_eq!(resync(&world).await.state, OperationState::Succeeded, "{what}");
    }
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded, "{what}");
    world.assert_nothing_lost();
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_fails_at_any_call_is_told_as_that_and_changes_no_device_before_it_has_the_set()
 {
    for fault in VaultFault::ALL {
        for call in 0..CALLS {
            for stays in [false, true] {
                check(fault, call, stays).await;
            }
        }
    }
}

/// A read that fails once is made again: nothing was sent, and nobody has to do anything.
#[tokio::test(start_paused = true)]
async fn a_vault_that_fails_once_while_passwords_are_opened_costs_nothing() {
    for fault in [VaultFault::DownBefore, VaultFault::Throttled, VaultFault::Expired] {
        let world = world(&SWITCHES).await;
        world.adopt().await;
        world.vault.faults().once(1, fault);
        assert_eq!(rotate(&world).await.state, OperationState::Succeeded, "{fault:?}");
    }
}
