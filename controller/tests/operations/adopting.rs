//! Declaring devices again: what is asked anew, and what is refused.

use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::OperationState;
use controller::service::{ServiceError, StateAction};
use protocol::status::SynchronizationStatus;

use crate::world::{World, world};
use crate::{SWITCHES, rotate, status};

/// Applies an inventory that is refused.
async fn refused(world: &World) -> ServiceError {
    let inventory = Inventory::parse("f", ".".as_ref(), &world.inventory, None).unwrap();
    let passwords = CurrentPasswords::parse("p", &world.passwords, &inventory, None).unwrap();
    world.service.apply(inventory, passwords).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_reached_in_another_way_is_verified_again() {
    let mut world = world(&SWITCHES).await;
    world.adopt().await;
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
    world.replace_host_key("ce-02");
    let applied = world.apply().await;
    assert_eq!(applied.changed, ["ce-02".parse().unwrap()]);
    // Another device answers there, with passwords that it was delivered with.
    let factory = world.devices.with("ce-01", |device| device.clone());
    world.devices.with("ce-02", |device| {
        for account in device.running.values_mut().chain(device.startup.values_mut()) {
            *account = format!("{account}-other");
        }
        assert_ne!(device.running, factory.running);
    });
    let operation = world.wait(applied.operation.unwrap()).await;
    assert_eq!(operation.state, OperationState::Failed);
    assert_ne!(status(&world, "ce-02"), SynchronizationStatus::InSync);
    assert_eq!(status(&world, "ce-01"), SynchronizationStatus::InSync);
    assert_eq!(operation.waves, [["ce-02".parse().unwrap()]]);
}

#[tokio::test(start_paused = true)]
async fn a_device_has_its_name_alone_in_its_resource_group() {
    let mut world = world(&SWITCHES).await;
    world.adopt().await;
    world.inventory = world.inventory.replace("networkFabrics/lab", "networkFabrics/another");
    let refused = refused(&world).await;
    assert!(matches!(refused, ServiceError::NameTaken { .. }), "{refused}");
    assert_eq!(world.service.fabrics().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_cannot_be_taken_is_refused_and_never_dropped() {
    let mut world = world(&SWITCHES).await;
    world.adopt().await;
    rotate(&world).await;
    let device = world.device_id("ce-02");
    world.service.set_administrative_state(&device, StateAction::Disable).await.unwrap();
    // What the file says is what the device had once: there is nothing to be taken.
    assert_eq!(world.apply().await.operation, None);
    let file = world.passwords.clone();
    world.passwords = format!("{file}[devices.ce-02]\nadmin = \"Changed-by-hand.1\"\n");
    let refused = refused(&world).await;
    assert!(matches!(refused, ServiceError::PasswordNotTaken { .. }), "{refused}");
}
