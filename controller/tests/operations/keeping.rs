//! What is kept in the vault and what goes: in normal life, when fabrics are deleted, whatever fails
//! in between.

use controller::auditor::PaperFault;
use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::{OperationState, Reboot};
use controller::plan::Request;
use controller::plan::retention::{Hold, Stay};
use controller::service::{ServiceError, StateAction};
use controller::vault::{Vault, VaultFault};
use protocol::password::Password;

use crate::world::{World, start, world};
use crate::{SWITCHES, rotate};

const PAIR: [&str; 2] = ["ce-01", "ts-01"];

/// How many passwords the pair has: five profiles, and one of the terminal server.
const PASSWORDS: usize = 6;

async fn delete_device(world: &World, device: &str, wipes: bool) {
    let id = world.device_id(device);
    world.service.set_administrative_state(&id, StateAction::Disable).await.unwrap();
    if wipes {
        let request = Request::Reboot(device.parse().unwrap(), Reboot::new(false, true));
        let id = world.service.submit(&world.fabric(), request, None).await.unwrap();
        world.wait(id).await;
    }
    assert!(world.service.delete_device(&id).await.unwrap());
}

async fn delete_fabric(world: &World, devices: &[&str], wipes: bool) {
    for device in devices {
        delete_device(world, device, wipes).await;
    }
    assert!(world.service.delete_fabric(&world.fabric()).await.unwrap());
    assert!(!world.service.delete_fabric(&world.fabric()).await.unwrap(), "it is gone");
}

/// Tells the passwords that the devices have now, as an operator would who adopts them again.
fn tell_passwords(world: &mut World) {
    let running = world.devices.with("ce-01", |device| device.running.clone());
    let server = world.devices.with("ts-01", |device| device.running["root"].clone());
    world.passwords = format!("[profiles]\nTerminalServer = \"{server}\"\n");
    for (user, password) in running {
        world.passwords.push_str(&format!("{user} = \"{password}\"\n"));
    }
}

/// The service over the same store and vault, as after a crash.
async fn restarted(world: World) -> World {
    let service = start(&world.store, &world.vault, &world.auditor, &world.devices).await;
    World { service, ..world }
}

fn code(error: &ServiceError) -> &'static str {
    match error {
        ServiceError::Refused { refusal } => refusal.code,
        ServiceError::NotFound { .. } => "NotFound",
        ServiceError::Vault { .. } => "Vault",
        ServiceError::Audit { .. } => "Audit",
        _ => "other",
    }
}

fn purges(world: &World) -> usize {
    let text = world.paper.text();
    text.lines().filter(|line| line.contains("Keyturn/passwords/purge/action")).count()
}

/// Rotated twelve times; by the twelfth, three sets have more than ten newer ones.
async fn rotated_often() -> World {
    let world = world(&PAIR).await;
    world.adopt().await;
    for _ in 0..12 {
        assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
    }
    world
}

#[tokio::test(start_paused = true)]
async fn what_no_device_may_have_goes_after_its_retention_and_not_before() {
    let world = rotated_often().await;
    assert_eq!(world.vault.len(), 13 * PASSWORDS);
    world.pass_days(89);
    world.service.sweep().await;
    assert_eq!((world.vault.len(), purges(&world)), (13 * PASSWORDS, 0));
    world.pass_days(1);
    let purged = world.service.purge_due(&world.fabric()).await.unwrap();
    assert_eq!((purged.len(), world.vault.len()), (3 * PASSWORDS, 10 * PASSWORDS));
    assert_eq!(purges(&world), purged.len());
    world.assert_nothing_lost();
    world.assert_revealed_opens().await;
    // No job asks for what is gone, and nothing is done twice.
    let world = restarted(world).await;
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
    assert_eq!(world.vault.len(), 11 * PASSWORDS);
    world.service.sweep().await;
    assert_eq!(world.vault.len(), 10 * PASSWORDS);
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_out_of_service_holds_back_all_that_it_ever_had() {
    let world = rotated_often().await;
    let id = world.device_id("ce-01");
    world.service.set_administrative_state(&id, StateAction::Disable).await.unwrap();
    world.pass_days(1000);
    world.service.sweep().await;
    // Three of the terminal server's have gone.
    assert_eq!(world.vault.len(), 13 * PASSWORDS - 3);
    let review = world.service.review(&world.fabric()).unwrap();
    assert!(review.verdicts.iter().all(|verdict| !verdict.stays.is_empty()), "{review:?}");
}

/// Whatever fails between the decision and its confirmation, nothing that is needed goes, nothing
/// refers to what was given up, and a later sweep finishes it.
#[tokio::test(start_paused = true)]
async fn a_purge_that_is_interrupted_anywhere_is_finished_later() {
    let due = 3 * PASSWORDS;
    for purged_before in 0..=due {
        for fault in [VaultFault::DownBefore, VaultFault::DownAfter] {
            let world = rotated_often().await;
            world.pass_days(90);
            let skip = u64::try_from(purged_before).unwrap();
            world.vault.faults().after(skip, fault);
            let failed = world.service.purge_due(&world.fabric()).await;
            assert_eq!(failed.is_err(), purged_before < due, "{purged_before} {failed:?}");
            world.vault.faults().clear();
            let world = restarted(world).await;
            world.assert_revealed_opens().await;
            assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
            world.service.sweep().await;
            // With the set that was made since, one more has ten newer ones.
            assert_eq!(world.vault.len(), 10 * PASSWORDS, "{purged_before} {fault:?}");
            let left = world.service.read(&world.fabric(), |fabric| fabric.purging.len());
            assert_eq!(left.unwrap(), 0);
            world.assert_nothing_lost();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_is_not_purged() {
    let world = rotated_often().await;
    world.pass_days(90);
    world.paper.faults().set(PaperFault::Full);
    let failed = world.service.purge_due(&world.fabric()).await.unwrap_err();
    assert_eq!((code(&failed), world.vault.len()), ("Audit", 13 * PASSWORDS));
    world.paper.faults().clear();
    world.service.sweep().await;
    assert_eq!(world.vault.len(), 10 * PASSWORDS);
}

#[tokio::test(start_paused = true)]
async fn a_version_names_the_devices_that_need_it() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    rotate(&world).await;
    let revealed = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap();
    let reference = revealed.reference;
    let holders = || world.service.holders(&reference.secret_name, &reference.secret_version);
    let named = |holders: Vec<controller::plan::retention::Holder>| {
        holders.iter().map(|it| it.device.name().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(named(holders()), ["ce-01", "ce-02", "ce-03"]);
    delete_device(&world, "ce-01", false).await;
    delete_device(&world, "ce-02", true).await;
    assert_eq!(named(holders()), ["ce-01", "ce-03"]);
    assert!(matches!(holders()[0].hold, Hold::Deleted(_)));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_fabric_keeps_what_its_devices_may_have_until_somebody_purges_it_by_force() {
    let world = world(&PAIR).await;
    world.adopt().await;
    rotate(&world).await;
    let values = world.vault.len();
    delete_fabric(&world, &PAIR, false).await;
    world.assert_nothing_lost();
    assert_eq!(world.vault.len(), values);

    // It is gone, and still told of, after a restart too.
    let world = restarted(world).await;
    assert!(world.service.fabrics().is_empty());
    let deleted = world.service.deleted_fabrics();
    assert_eq!((deleted.len(), deleted[0].versions), (1, values));
    let devices: Vec<String> = deleted[0].devices.keys().map(ToString::to_string).collect();
    assert_eq!(devices, PAIR);
    let (fabric, device) = (world.fabric(), "ce-01".parse().unwrap());
    let revealed = world.service.reveal_gone(&fabric, &device, "TelcoRW").await.unwrap();
    let on_device = world.devices.with("ce-01", |device| device.running["TelcoRW"].clone());
    assert!(revealed.value.matches(&Password::new(on_device).unwrap()));

    let refused = world.service.purge_deleted(&fabric, false).await.unwrap_err();
    assert_eq!(code(&refused), "DevicesMayHoldPasswords");
    let purged = world.service.purge_deleted(&fabric, true).await.unwrap();
    assert_eq!((purged.len(), world.vault.len()), (values, 0));
    assert_eq!(purges(&world), values);
    assert!(world.service.deleted_fabrics().is_empty());
    let nothing = world.service.purge_deleted(&fabric, true).await.unwrap_err();
    assert_eq!(code(&nothing), "NotFound");
    assert!(world.service.reveal_gone(&fabric, &device, "TelcoRW").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_fabric_that_is_declared_under_a_deleted_ones_name_loses_nothing_with_it() {
    let mut world = world(&PAIR).await;
    world.adopt().await;
    rotate(&world).await;
    let values = world.vault.len();
    for round in 1..=3 {
        delete_fabric(&world, &PAIR, false).await;
        // The devices have the last passwords still; told so, they are adopted as at first.
        tell_passwords(&mut world);
        world.adopt().await;
        assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
        world.assert_revealed_opens().await;
        assert_eq!(world.service.deleted_fabrics().len(), round);
        world = restarted(world).await;
    }
    world.pass_days(1000);
    world.service.sweep().await;
    world.assert_nothing_lost();
    let purged = world.service.purge_deleted(&world.fabric(), true).await.unwrap();
    assert!(purged.len() >= PASSWORDS * 3, "{}", purged.len());
    assert_eq!(world.vault.len(), values, "that of the last one");
    assert!(world.service.deleted_fabrics().is_empty());
    world = restarted(world).await;
    world.assert_nothing_lost();
    world.assert_revealed_opens().await;
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_fabric_whose_devices_were_wiped_takes_its_secrets_along() {
    let world = world(&PAIR).await;
    world.adopt().await;
    rotate(&world).await;
    // One value that was made for a rotation which the journal never heard of.
    let name = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap();
    let (name, value) = (name.reference.secret_name, Password::new("Unused-1".to_owned()).unwrap());
    world.vault.put(&name, &controller::vault::Tag::new("never"), &value).await.unwrap();
    delete_fabric(&world, &PAIR, true).await;
    assert_eq!(world.vault.len(), 0);
    assert!(world.service.deleted_fabrics().is_empty());
    assert!(restarted(world).await.service.fabrics().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_is_down_delays_the_purge_and_not_the_deletion() {
    let world = world(&PAIR).await;
    world.adopt().await;
    for device in PAIR {
        delete_device(&world, device, true).await;
    }
    world.vault.faults().set(VaultFault::DownBefore);
    assert!(world.service.delete_fabric(&world.fabric()).await.unwrap());
    assert_eq!(world.vault.len(), PASSWORDS);
    let world = restarted(world).await;
    world.vault.faults().clear();
    world.service.sweep().await;
    assert_eq!(world.vault.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn hardware_that_an_administrator_releases_holds_nothing_back() {
    let world = rotated_often().await;
    delete_device(&world, "ts-01", false).await;
    let (fabric, device) = (world.fabric(), "ts-01".parse().unwrap());
    let is_held = || {
        let verdicts = world.service.review(&fabric).unwrap().verdicts;
        let mut stays = verdicts.iter().flat_map(|verdict| &verdict.stays);
        stays.any(|stay| matches!(stay, Stay::Held(it) if *it.device.name() == device))
    };
    assert!(is_held());
    world.service.release_gone(&fabric, &device, None).await.unwrap();
    assert!(!is_held());
    let again = world.service.release_gone(&fabric, &device, None).await.unwrap_err();
    assert_eq!(code(&again), "NotFound");
}

#[tokio::test(start_paused = true)]
async fn what_another_fabric_refers_to_is_not_purged_with_a_deleted_one() {
    const OLDER: &str = "[fabric.older-names]\nAzureOperatorRW = \"lab-rw\"\n";
    let mut world = world(&SWITCHES).await;
    world.inventory = world.inventory.replacen("[[devices]]", &format!("{OLDER}[[devices]]"), 1);
    world.adopt().await;
    delete_fabric(&world, &SWITCHES, false).await;
    // The same devices and names, declared in the right place this time.
    let inventory = world.inventory.replace("resourceGroups/lab", "resourceGroups/right");
    let inventory = Inventory::parse("fabric.toml", ".".as_ref(), &inventory, None).unwrap();
    let told = world.passwords.replace("AzureOperatorRW", "# AzureOperatorRW");
    let passwords = CurrentPasswords::parse("p.toml", &told, &inventory, None).unwrap();
    world.service.apply(inventory, passwords).await.unwrap();
    let name = controller::naming::SecretName::try_from("lab-rw".to_owned()).unwrap();
    let held = world.vault.versions(&name).await.unwrap();
    assert_eq!(held.len(), 1, "it was found, and not stored again");
    world.service.purge_deleted(&world.fabric(), true).await.unwrap();
    assert_eq!(world.vault.versions(&name).await.unwrap(), held);
    let world = restarted(world).await;
    world.service.sweep().await;
    assert_eq!(world.vault.versions(&name).await.unwrap(), held);
}

#[tokio::test(start_paused = true)]
async fn what_lies_under_a_name_that_another_fabric_has_taken_over_is_not_purged() {
    let mut world = world(&PAIR).await;
    world.adopt().await;
    rotate(&world).await;
    let revealed = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap();
    let name = revealed.reference.secret_name;
    delete_fabric(&world, &PAIR, false).await;
    // Somebody has set another password since, and adopts the devices elsewhere by the name that
    // the secret had in the fabric that is deleted.
    world.devices.with("ce-01", |device| {
        device.running.insert("admin".into(), "Console-admin.9".into());
        device.startup = device.running.clone();
    });
    tell_passwords(&mut world);
    let older = format!("[fabric.older-names]\nadmin = \"{}\"\n[[devices]]", name.as_str());
    let inventory = world.inventory.replace("resourceGroups/lab", "resourceGroups/right");
    let inventory = inventory.replacen("[[devices]]", &older, 1);
    let inventory = Inventory::parse("fabric.toml", ".".as_ref(), &inventory, None).unwrap();
    let passwords = CurrentPasswords::parse("p.toml", &world.passwords, &inventory, None).unwrap();
    world.service.apply(inventory, passwords).await.unwrap();
    let password = Password::new("Console-admin.9".to_owned()).unwrap();
    assert!(world.vault.holds(&password));
    world.service.purge_deleted(&world.fabric(), true).await.unwrap();
    assert!(world.vault.holds(&password), "a live fabric's password was purged");
}

#[tokio::test(start_paused = true)]
async fn what_hardware_took_along_is_not_taken_for_what_another_one_of_its_name_has() {
    let world = world(&["ce-01", "ce-02", "ts-01"]).await;
    world.adopt().await;
    let fabric = world.fabric();
    let of_first = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap();
    let of_first = of_first.reference;
    let deleted = || {
        let held = world.service.holders(&of_first.secret_name, &of_first.secret_version);
        let mut gone = held.into_iter().filter(|it| matches!(it.hold, Hold::Deleted(_)));
        gone.any(|it| it.device.name().as_str() == "ce-01")
    };
    delete_device(&world, "ce-01", false).await;
    assert!(deleted());
    // Another box under the same name, with a password of its own.
    world.devices.with("ce-01", |device| {
        device.running.insert("admin".into(), "Other-box-admin.1".into());
        device.startup = device.running.clone();
    });
    let own = "[devices.ce-01]\nadmin = \"Other-box-admin.1\"\n";
    let told = format!("{}{own}", world.passwords);
    let inventory = Inventory::parse("fabric.toml", ".".as_ref(), &world.inventory, None).unwrap();
    let passwords = CurrentPasswords::parse("p.toml", &told, &inventory, None).unwrap();
    world.service.apply(inventory, passwords).await.unwrap();
    assert!(deleted());
    let gone = world.service.reveal_gone(&fabric, &"ce-01".parse().unwrap(), "admin").await;
    assert_eq!(gone.unwrap().value.expose(), "Factory-admin.1");
}

#[tokio::test(start_paused = true)]
async fn of_several_devices_of_a_name_the_one_that_is_meant_is_released() {
    let world = world(&PAIR).await;
    world.adopt().await;
    rotate(&world).await;
    let (fabric, device) = (world.fabric(), "ce-01".parse().unwrap());
    let of = async || {
        let revealed = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap();
        revealed.reference
    };
    let first = of().await;
    delete_device(&world, "ce-01", false).await;
    // Another box under the name, as it comes from the factory.
    world.devices.with("ce-01", |device| {
        device.running = device.factory.clone();
        device.startup = device.factory.clone();
    });
    world.adopt().await;
    rotate(&world).await;
    let second = of().await;
    world.pass_days(1);
    delete_device(&world, "ce-01", false).await;
    let gone_at = |reference: &controller::service::ArchiveReference| {
        let held = world.service.holders(&reference.secret_name, &reference.secret_version);
        held.into_iter().find_map(|it| match it.hold {
            Hold::Deleted(at) if *it.device.name() == device => Some(at),
            _ => None,
        })
    };
    let (went, later) = (gone_at(&first).unwrap(), gone_at(&second).unwrap());
    assert_ne!(went, later);
    let refused = world.service.release_gone(&fabric, &device, None).await.unwrap_err();
    assert_eq!(code(&refused), "SeveralDevicesGone");
    assert!(refused.to_string().contains(&later.to_string()), "{refused}");
    world.service.release_gone(&fabric, &device, Some(later)).await.unwrap();
    assert_eq!((gone_at(&first), gone_at(&second)), (Some(went), None));
    let again = world.service.release_gone(&fabric, &device, Some(later)).await.unwrap_err();
    assert_eq!(code(&again), "NotFound");
    world.service.release_gone(&fabric, &device, None).await.unwrap();
    assert_eq!(gone_at(&first), None);
}
