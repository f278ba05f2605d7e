//! Operations of the controller over a world in memory, under paused time.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of a test panic as the test itself does"
)]

mod adopting;
mod archive;
mod keeping;
mod labels;
mod lost;
mod older;
mod reboot;
mod rollback;
mod vault;
mod world;

use controller::auditor::PaperFault;
use controller::model::{Lock, OperationState, Outcome};
use controller::plan::Request;
use controller::service::{ServiceError, StateAction};
use protocol::status::{ConfigurationState, SynchronizationStatus};
use world::{Fault, World, start, world};

const SWITCHES: [&str; 4] = ["ce-01", "ce-02", "ce-03", "ts-01"];

async fn rotate(world: &World) -> controller::model::Operation {
    let id = world.service.submit(&world.fabric(), Request::Rotate, None).await.unwrap();
    world.wait(id).await
}

async fn resync(world: &World) -> controller::model::Operation {
    let id = world.service.submit(&world.fabric(), Request::Resync, None).await.unwrap();
    world.wait(id).await
}

fn sets(world: &World) -> usize {
    world.service.read(&world.fabric(), |fabric| fabric.active_sets().len()).unwrap()
}

fn status(world: &World, device: &str) -> SynchronizationStatus {
    let name = device.parse().unwrap();
    let status =
        |fabric: &controller::model::Fabric| fabric.devices[&name].synchronization_status();
    world.service.read(&world.fabric(), status).unwrap()
}

fn failure(operation: &controller::model::Operation, device: &str) -> String {
    match &operation.outcomes[&device.parse().unwrap()] {
        Outcome::Failed(failure) => failure.code.clone(),
        Outcome::Succeeded => "Succeeded".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn adoption_verifies_every_device_and_changes_none() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    for device in SWITCHES {
        assert_eq!(status(&world, device), SynchronizationStatus::InSync);
        world.devices.with(device, |device| assert_eq!(device.changes, 0));
    }
    world.assert_revealed_opens().await;
    let again = world.apply().await;
    assert_eq!((again.operation, again.unchanged), (None, 4));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_current_password_is_told_and_never_tried_again() {
    let world = world(&SWITCHES).await;
    world.devices.with("ce-02", |device| {
        for value in device.running.values_mut() {
            "Somebody-elses.1".clone_into(value);
        }
        device.startup = device.running.clone();
    });
    let applied = world.apply().await;
    let operation = world.wait(applied.operation.unwrap()).await;
    assert_eq!(failure(&operation, "ce-02"), "AuthenticationFailed");
    assert_eq!(failure(&operation, "ce-01"), "Succeeded");
    world.devices.with("ce-02", |device| assert_eq!(device.refused_logins, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_changes_every_password_once_and_proves_it() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    let operation = rotate(&world).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    assert_eq!(sets(&world), 1);
    for device in SWITCHES {
        assert_eq!(status(&world, device), SynchronizationStatus::InSync);
        world.devices.with(device, |device| {
            assert_eq!((device.changes, device.refused_logins), (1, 0));
            assert!(device.running.values().all(|value| !value.starts_with("Factory")));
        });
    }
    world.assert_revealed_opens().await;
    world.assert_nothing_lost();
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_device_keeps_its_password_until_a_resync() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.devices.break_it("ce-02", Fault::Unreachable);
    let operation = rotate(&world).await;
    assert_eq!(operation.state, OperationState::Failed);
    assert_eq!(failure(&operation, "ce-02"), "CouldNotConnect");
    assert_eq!((operation.succeeded(), sets(&world)), (3, 2));
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::OutOfSync);
    world.assert_revealed_opens().await;

    let before = world.vault.len();
    world.devices.heal("ce-02");
    let operation = resync(&world).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    assert_eq!((sets(&world), world.vault.len()), (1, before));
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn one_device_that_stays_down_never_blocks_rotations() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.devices.break_it("ce-02", Fault::Unreachable);
    for _ in 0..4 {
        rotate(&world).await;
        let active = |f: &controller::model::Fabric| format!("{:?}", f.active_sets());
        let active = world.service.read(&world.fabric(), active).unwrap();
        assert_eq!(
            sets(&world),
            2,
            "{active} {:?}",
            world
                .service
                .read(&world.fabric(), |f| f.devices[&"ce-02".parse().unwrap()].secrets.clone())
        );
    }
    world.devices.heal("ce-02");
    assert_eq!(resync(&world).await.state, OperationState::Succeeded);
    assert_eq!(sets(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cut_line_is_settled_within_the_operation() {
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::LieYes, Fault::DiskFull] {
        let world = world(&SWITCHES).await;
        world.adopt().await;
        world.devices.break_it("ce-03", fault);
        let operation = rotate(&world).await;
        world.assert_nothing_lost();
        if fault == Fault::DropAfter {
            assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
        } else {
            assert_eq!(operation.state, OperationState::Failed, "{fault:?}");
            assert_ne!(status(&world, "ce-03"), SynchronizationStatus::InSync);
        }
        world.devices.with("ce-03", |device| assert!(device.refused_logins <= 4, "{fault:?}"));
        world.devices.heal("ce-03");
        if operation.state == OperationState::Failed {
            let resynced = resync(&world).await;
            assert_eq!(resynced.state, OperationState::Succeeded, "{fault:?} {resynced:?}");
        }
        assert_eq!(sets(&world), 1, "{fault:?}");
        world.assert_revealed_opens().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_at_any_event_finishes_the_rotation() {
    for events in 0.. {
        let world = world(&SWITCHES).await;
        world.adopt().await;
        world.store.faults().after(events, controller::store::StoreFault::FailBefore);
        let submitted = world.service.submit(&world.fabric(), Request::Rotate, None).await;
        if submitted.is_ok() {
            tokio::time::sleep(std::time::Duration::from_secs(1200)).await;
        }
        let reached = world.store.faults().calls();
        world.store.faults().clear();
        let service = start(&world.store, &world.vault, &world.auditor, &world.devices).await;
        let world = World { service, ..world };
        if let Ok(id) = submitted {
            let operation = world.wait(id).await;
            assert_eq!(operation.state, OperationState::Succeeded, "{events}: {operation:?}");
            assert_eq!(sets(&world), 1);
        }
        world.assert_nothing_lost();
        world.assert_revealed_opens().await;
        if reached < events {
            assert!(events > 10, "too few crash points: {events}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn disabled_devices_are_skipped_and_named_and_come_back_by_resync() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    let device = world.device_id("ce-02");
    world.service.set_administrative_state(&device, StateAction::Disable).await.unwrap();
    let operation = rotate(&world).await;
    assert_eq!(operation.state, OperationState::Failed);
    assert_eq!(operation.skipped[0].code, "DeviceDisabled");
    assert_eq!((operation.succeeded(), sets(&world)), (3, 2));
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::OutOfSync);
    let request = Request::ResyncDevice("ce-02".parse().unwrap());
    let refused = world.service.submit(&world.fabric(), request.clone(), None).await.unwrap_err();
    assert!(
        matches!(refused, ServiceError::Refused { refusal } if refusal.code == "DeviceDisabled")
    );

    let verified =
        world.service.set_administrative_state(&device, StateAction::Enable).await.unwrap();
    world.wait(verified.unwrap()).await;
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::OutOfSync);
    let id = world.service.submit(&world.fabric(), request, None).await.unwrap();
    assert_eq!(world.wait(id).await.state, OperationState::Succeeded);
    assert_eq!(sets(&world), 1);
    world.assert_revealed_opens().await;
}

/// In an inventory `bootstrap` says that a device waits, and its absence that it joins.
#[tokio::test(start_paused = true)]
async fn a_device_joins_the_fabric_when_its_inventory_no_longer_says_that_it_waits() {
    let mut world = world(&SWITCHES).await;
    let joined = world.inventory.clone();
    let waits = "name = \"ce-02\"\nbootstrap = true";
    world.inventory = joined.replace("name = \"ce-02\"", waits);
    world.adopt().await;
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
    assert_eq!((sets(&world), status(&world, "ce-02")), (1, SynchronizationStatus::OutOfSync));
    world.devices.with("ce-02", |device| assert_eq!(device.changes, 0));
    world.assert_nothing_lost();
    // The fence of another controller, and the fold of the journal, keep what is known of it.
    let service = start(&world.store, &world.vault, &world.auditor, &world.devices).await;
    let mut world = World { service, ..world };
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::OutOfSync);
    world.inventory = joined;
    assert_eq!(world.apply().await.changed, ["ce-02".parse().unwrap()]);
    assert_eq!(sets(&world), 2);
    assert_eq!(resync(&world).await.state, OperationState::Succeeded);
    assert_eq!(sets(&world), 1);
    world.assert_revealed_opens().await;
}

/// Takes a device out of service, to be replaced.
async fn in_replacement(world: &World, name: &str) -> protocol::id::DeviceId {
    let device = world.device_id(name);
    for action in [StateAction::Disable, StateAction::Rma] {
        world.service.set_administrative_state(&device, action).await.unwrap();
    }
    device
}

/// The documents' flow: disable, RMA, the replacement approved by its host key and the passwords
/// that it came with, enable; the newest set follows by itself.
#[tokio::test(start_paused = true)]
async fn a_replacement_device_gets_the_newest_set_when_it_is_enabled() {
    let mut world = world(&SWITCHES).await;
    world.adopt().await;
    rotate(&world).await;
    let device = in_replacement(&world, "ce-02").await;
    let resync = Request::ResyncDevice("ce-02".parse().unwrap());
    let refused = world.service.submit(&world.fabric(), resync, None).await.unwrap_err();
    assert!(matches!(refused, ServiceError::Refused { refusal } if refusal.code == "DeviceInRma"));

    let factory = |user: &str| format!("Replacement-{user}.9");
    let old = world.devices.with("ce-02", |device| {
        let old = device.running.clone();
        for user in old.keys() {
            device.running.insert(user.clone(), factory(user));
        }
        device.startup = device.running.clone();
        device.refused_logins = 0;
        old
    });
    // The same inventory again says of no replacement, and must not take the device for one.
    world.apply().await;
    let revealed = world.service.reveal(&device, "admin").await.unwrap();
    assert_eq!(revealed.value.expose(), old["admin"]);
    world.replace_host_key("ce-02");
    world.passwords.push_str("[devices.ce-02]\n");
    for user in old.keys() {
        world.passwords.push_str(&format!("{user} = \"{}\"\n", factory(user)));
    }
    world.apply().await;
    assert_eq!(world.devices.with("ce-02", |device| device.changes), 1, "nothing yet");
    let enabled = world.service.set_administrative_state(&device, StateAction::Enable).await;
    let operation = world.wait(enabled.unwrap().unwrap()).await;
    assert_eq!(
        (operation.state, operation.set),
        (OperationState::Succeeded, protocol::id::PasswordSet(2))
    );
    assert_eq!(sets(&world), 1);
    assert_eq!(status(&world, "ce-02"), SynchronizationStatus::InSync);
    let (now, refused) =
        world.devices.with("ce-02", |device| (device.running.clone(), device.refused_logins));
    assert_eq!((now, refused), (old, 0), "the set that the fabric has, without a wrong guess");
    world.assert_revealed_opens().await;
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_not_enabled_while_passwords_must_not_be_brought() {
    let mut world = world(&SWITCHES).await;
    world.adopt().await;
    rotate(&world).await;
    let device = in_replacement(&world, "ce-02").await;
    world.replace_host_key("ce-02");
    world.apply().await;
    world.service.set_lock(&world.fabric(), Lock::Administrative, true).await.unwrap();
    let refused = world.service.set_administrative_state(&device, StateAction::Enable).await;
    assert!(
        matches!(refused, Err(ServiceError::Refused { refusal }) if refusal.code == "FabricLocked")
    );
    let state =
        |f: &controller::model::Fabric| f.devices[&"ce-02".parse().unwrap()].administrative_state;
    let state = world.service.read(&world.fabric(), state).unwrap();
    assert_eq!(state, protocol::status::AdministrativeState::RMA, "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn only_what_is_out_of_service_is_deleted_and_only_a_fabric_without_devices() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let fabric = world.fabric();
    for name in ["ce-01", "ts-01"] {
        let device = world.device_id(name);
        let refused = world.service.delete_device(&device).await.unwrap_err();
        assert!(
            matches!(refused, ServiceError::Refused { refusal } if refusal.code == "DeviceInService")
        );
        world.service.set_administrative_state(&device, StateAction::Disable).await.unwrap();
        let refused = world.service.delete_fabric(&fabric).await.unwrap_err();
        assert!(
            matches!(refused, ServiceError::Refused { refusal } if refusal.code == "FabricNotEmpty")
        );
        assert!(world.service.delete_device(&device).await.unwrap());
        assert!(!world.service.delete_device(&device).await.unwrap(), "it is gone");
    }
    assert!(world.service.delete_fabric(&fabric).await.unwrap());
    assert!(!world.service.delete_fabric(&fabric).await.unwrap(), "it is gone");
    let again = start(&world.store, &world.vault, &world.auditor, &world.devices).await;
    assert!(again.fabrics().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_device_is_in_deferred_control_until_resynced() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.devices.break_it("ce-02", Fault::Unreachable);
    rotate(&world).await;
    let state = || {
        let name = "ce-02".parse().unwrap();
        let state = |f: &controller::model::Fabric| f.devices[&name].configuration_state;
        world.service.read(&world.fabric(), state).unwrap()
    };
    assert_eq!(state(), ConfigurationState::DeferredControl);
    for action in [StateAction::Disable, StateAction::Rma] {
        let device = world.device_id("ce-02");
        let refused = world.service.set_administrative_state(&device, action).await.unwrap_err();
        assert!(
            matches!(refused, ServiceError::Refused { refusal } if refusal.code == "DeferredControl")
        );
    }
    world.devices.heal("ce-02");
    resync(&world).await;
    assert_eq!(state(), ConfigurationState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_locked_fabric_refuses_rotation_and_resync() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.service.set_lock(&world.fabric(), Lock::Administrative, true).await.unwrap();
    for request in [Request::Rotate, Request::Resync] {
        let refused = world.service.submit(&world.fabric(), request, None).await.unwrap_err();
        assert!(
            matches!(refused, ServiceError::Refused { refusal } if refusal.code == "FabricLocked")
        );
    }
    world.service.set_lock(&world.fabric(), Lock::Administrative, false).await.unwrap();
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_second_rotation_while_one_runs_is_refused_and_a_repeated_one_is_the_same() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    let id = Some("request-1".to_owned());
    let fabric = world.fabric();
    let submit = |id| world.service.submit(&fabric, Request::Rotate, id);
    let first = submit(id.clone()).await.unwrap();
    assert_eq!(submit(id).await.unwrap(), first);
    let refused = submit(None).await.unwrap_err();
    assert!(
        matches!(refused, ServiceError::Refused { refusal } if refusal.code == "OperationInProgress")
    );
    world.wait(first).await;
    assert_eq!(sets(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_is_down_changes_no_device() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.vault.faults().set(controller::vault::VaultFault::DownBefore);
    let operation = rotate(&world).await;
    assert_eq!(failure(&operation, "ce-01"), "VaultUnavailable");
    for device in SWITCHES {
        world.devices.with(device, |device| assert_eq!(device.changes, 0));
    }
    world.vault.faults().clear();
    world.assert_revealed_opens().await;
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_audit_that_cannot_be_written_exposes_nothing() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.paper.faults().set(PaperFault::Full);
    let operation = rotate(&world).await;
    assert_eq!(operation.state, OperationState::Failed);
    for device in SWITCHES {
        assert_eq!(failure(&operation, device), "AuditUnavailable");
        world.devices.with(device, |device| assert_eq!(device.changes, 0));
    }
    world.assert_revealed_opens().await;
    // The record of the canary's wave can be written, that of the next one cannot.
    world.paper.faults().clear();
    world.paper.faults().after(1, PaperFault::Full);
    let operation = resync(&world).await;
    let changed = |device: &str| world.devices.with(device, |device| device.changes > 0);
    let ended = |device: &str| operation.outcomes[&device.parse().unwrap()] == Outcome::Succeeded;
    let changes = SWITCHES.iter().filter(|device| changed(device)).count();
    assert!((1..SWITCHES.len()).contains(&changes), "{changes} devices were changed");
    for device in &SWITCHES {
        assert_eq!(changed(device), ended(device), "{device}");
    }
    world.paper.faults().clear();
    assert_eq!(resync(&world).await.state, OperationState::Succeeded);
    world.assert_revealed_opens().await;
}
