//! Reboots: sent once, taken for done only where they were seen, and settled afterwards.

use std::time::Duration;

use controller::model::{Operation, OperationState, Reboot};
use controller::plan::Request;
use controller::service::{ServiceError, StateAction};
use controller::store::StoreFault;
use protocol::id::PasswordSet;
use protocol::status::{ConfigurationState, SynchronizationStatus};
use tokio::time::Instant;

use super::world::{Fault, World, start, world};
use super::{SWITCHES, failure, in_replacement, resync, rotate, status};

fn request(device: &str, graceful: bool, ztp: bool) -> Request {
    Request::Reboot(device.parse().unwrap(), Reboot::new(graceful, ztp))
}

async fn reboot(world: &World, device: &str, ztp: bool) -> Operation {
    let wanted = request(device, false, ztp);
    let id = world.service.submit(&world.fabric(), wanted, None).await.unwrap();
    world.wait(id).await
}

fn reboots(world: &World, device: &str) -> u32 {
    world.devices.with(device, |device| device.reboots)
}

#[tokio::test(start_paused = true)]
async fn a_rebooted_device_is_in_sync_when_it_is_back_and_nothing_was_changed() {
    for device in ["ce-02", "ts-01"] {
        let world = world(&SWITCHES).await;
        world.adopt().await;
        rotate(&world).await;
        let begun = Instant::now();
        let operation = reboot(&world, device, false).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
        assert!(begun.elapsed() >= Duration::from_secs(200), "it was not waited for");
        assert_eq!(reboots(&world, device), 1);
        assert_eq!(status(&world, device), SynchronizationStatus::InSync);
        world.devices.with(device, |device| {
            assert_eq!((device.changes, device.refused_logins), (1, 0));
        });
        world.assert_revealed_opens().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_saved_is_known_to_be_gone_after_an_ungraceful_reboot() {
    for (graceful, expect) in [(true, 2), (false, 1)] {
        let world = world(&SWITCHES).await;
        world.adopt().await;
        world.devices.break_it("ce-02", Fault::DiskFull);
        rotate(&world).await;
        world.devices.heal("ce-02");
        let wanted = request("ce-02", graceful, false);
        let id = world.service.submit(&world.fabric(), wanted, None).await.unwrap();
        assert_eq!(world.wait(id).await.state, OperationState::Succeeded, "{graceful}");
        let name = "ce-02".parse().unwrap();
        let (set, state) = world
            .service
            .read(&world.fabric(), |fabric| {
                let device = &fabric.devices[&name];
                let set = device.credentials().next().unwrap().current;
                (set, device.configuration_state)
            })
            .unwrap();
        assert_eq!(set, Some(PasswordSet(expect)), "graceful: {graceful}");
        assert_eq!(state, ConfigurationState::DeferredControl, "a reboot is no resync");
        world.assert_nothing_lost();
        world.assert_revealed_opens().await;
        resync(&world).await;
        assert_eq!(status(&world, "ce-02"), SynchronizationStatus::InSync);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_come_back_fails_within_the_bound_and_nothing_is_lost() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.devices.break_it("ce-02", Fault::StaysAway);
    let begun = Instant::now();
    let operation = reboot(&world, "ce-02", false).await;
    assert_eq!(operation.state, OperationState::Failed);
    assert_eq!(failure(&operation, "ce-02"), "CouldNotConnect");
    let took = begun.elapsed();
    assert!((900..1000).contains(&took.as_secs()), "{took:?}");
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::OutOfSync);
    world.assert_nothing_lost();
    world.devices.heal("ce-02");
    resync(&world).await;
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::InSync);
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_nobody_saw_is_looked_at_and_not_taken_for_one() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.devices.break_it("ce-02", Fault::StaysUp);
    let operation = reboot(&world, "ce-02", false).await;
    assert_eq!(failure(&operation, "ce-02"), "NotRebooted");
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::InSync, "it was looked at");
    assert_eq!(reboots(&world, "ce-02"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_leaves_the_device_as_it_was() {
    for (fault, code) in
        [(Fault::NoReboot, "NotSupported"), (Fault::Unreachable, "CouldNotConnect")]
    {
        let world = world(&SWITCHES).await;
        world.adopt().await;
        world.devices.break_it("ce-02", fault);
        let operation = reboot(&world, "ce-02", false).await;
        assert_eq!(failure(&operation, "ce-02"), code);
        assert_eq!(status(&world, "ce-02"), SynchronizationStatus::InSync, "{fault:?}");
        assert_eq!(reboots(&world, "ce-02"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_cannot_be_recorded_is_not_sent() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.paper.faults().set(controller::auditor::PaperFault::Full);
    let operation = reboot(&world, "ce-02", false).await;
    assert_eq!(failure(&operation, "ce-02"), "AuditUnavailable");
    assert_eq!(reboots(&world, "ce-02"), 0);
}

/// The journal fails at each of its writes in turn, which ends that controller; another one goes on.
#[tokio::test(start_paused = true)]
async fn a_restart_at_any_event_never_sends_a_reboot_twice() {
    let mut ends = Vec::new();
    for events in 0.. {
        let world = world(&["ce-01", "ts-01"]).await;
        world.adopt().await;
        world.store.faults().after(events, StoreFault::FailBefore);
        let wanted = request("ce-01", false, false);
        let submitted = world.service.submit(&world.fabric(), wanted, None).await;
        if submitted.is_ok() {
            tokio::time::sleep(Duration::from_secs(1200)).await;
        }
        let reached = world.store.faults().calls();
        world.store.faults().clear();
        let service = start(&world.store, &world.vault, &world.auditor, &world.devices).await;
        let world = World { service, ..world };
        if let Ok(id) = submitted {
            let operation = world.wait(id).await;
            let (end, sent) = (failure(&operation, "ce-01"), reboots(&world, "ce-01"));
            assert!(sent <= 1, "{events}: sent {sent} times");
            assert_eq!(end == "Succeeded", sent == 1 && end != "NotRebooted", "{events}: {end}");
            assert_eq!(status(&world, "ce-01"), SynchronizationStatus::InSync, "{events}");
            ends.push(end);
        }
        world.assert_nothing_lost();
        world.assert_revealed_opens().await;
        if reached < events {
            break;
        }
    }
    assert!(ends.contains(&"NotRebooted".to_owned()), "no restart between sending and seeing");
    assert!(ends.len() > 4, "too few crash points: {ends:?}");
}

async fn refused(world: &World, request: Request) -> String {
    let submitted = world.service.submit(&world.fabric(), request, None).await;
    match submitted.unwrap_err() {
        ServiceError::Refused { refusal } => refusal.code.to_owned(),
        other => other.to_string(),
    }
}

fn is_wiped(world: &World, device: &str) -> bool {
    let name = device.parse().unwrap();
    world.service.read(&world.fabric(), |fabric| fabric.devices[&name].wiped).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_device_is_wiped_only_out_of_service_and_comes_back_by_the_replacement_flow() {
    let mut world = world(&SWITCHES).await;
    world.adopt().await;
    rotate(&world).await;
    assert_eq!(refused(&world, request("ce-02", true, true)).await, "DeviceInService");
    let device = world.device_id("ce-02");
    world.service.set_administrative_state(&device, StateAction::Disable).await.unwrap();
    assert_eq!(refused(&world, request("ce-02", true, false)).await, "DeviceDisabled");
    let before = world.devices.with("ce-02", |device| device.running.clone());
    let begun = Instant::now();
    let operation = reboot(&world, "ce-02", true).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody waits for a device out of service");
    world.devices.with("ce-02", |device| assert_eq!(device.running, device.factory));

    // It has its host key still; that it was wiped is known all the same.
    in_replacement(&world, "ce-02").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    for user in before.keys() {
        let value = world.devices.with("ce-02", |device| device.running[user].clone());
        if !world.passwords.contains("[devices.ce-02]") {
            world.passwords.push_str("[devices.ce-02]\n");
        }
        world.passwords.push_str(&format!("{user} = \"{value}\"\n"));
    }
    assert!(is_wiped(&world, "ce-02"));
    world.apply().await;
    assert!(!is_wiped(&world, "ce-02"), "what it has now was told");
    assert_eq!(world.apply().await.unchanged, SWITCHES.len());
    let enabled = world.service.set_administrative_state(&device, StateAction::Enable).await;
    let operation = world.wait(enabled.unwrap().unwrap()).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::InSync);
    let (now, refused) =
        world.devices.with("ce-02", |device| (device.running.clone(), device.refused_logins));
    assert_eq!((now, refused), (before, 0), "the set that the fabric has, without a wrong guess");
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn a_wipe_that_nobody_saw_is_not_taken_for_one() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    let device = world.device_id("ce-02");
    world.service.set_administrative_state(&device, StateAction::Disable).await.unwrap();
    world.devices.break_it("ce-02", Fault::StaysUp);
    let operation = reboot(&world, "ce-02", true).await;
    assert_eq!(failure(&operation, "ce-02"), "NotRebooted");
    assert!(!is_wiped(&world, "ce-02"));
}
