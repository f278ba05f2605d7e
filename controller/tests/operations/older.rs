//! Fabrics whose passwords lie in the vault under older names: adopted by a map of the names,
//! rotated under them, migrated by a rotation.

use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::OperationState;
use controller::naming::SecretName;
use controller::plan::Request;
use controller::service::ServiceError;
use controller::vault::{Tag, Vault};
use protocol::password::Password;

use crate::world::{Fault, World, start, world};
use crate::{SWITCHES, resync, rotate};

const OLDER: &str = "[fabric.older-names]\nadmin = \"lab-{device}-admin\"\n\
                     AzureOperatorRO = \"lab-ro\"\nAzureOperatorRW = \"lab-rw\"\n\
                     TelcoRO = \"lab-telco-ro\"\nTelcoRW = \"lab-telco-rw\"\n\
                     TerminalServer = \"lab-ts\"\n";

fn name(text: &str) -> SecretName {
    SecretName::try_from(text.to_owned()).unwrap()
}

/// A fabric that is declared with older names.
async fn older_world() -> World {
    let mut world = world(&SWITCHES).await;
    world.inventory = world.inventory.replacen("[[devices]]", &format!("{OLDER}[[devices]]"), 1);
    world
}

async fn rotate_older(world: &World) -> Result<OperationState, &'static str> {
    let submitted = world.service.submit(&world.fabric(), Request::RotateOlder, None).await;
    match submitted {
        Ok(id) => Ok(world.wait(id).await.state),
        Err(ServiceError::Refused { refusal }) => Err(refusal.code),
        Err(_other) => Err("no refusal"),
    }
}

async fn revealed_name(world: &World, device: &str, user: &str) -> String {
    let revealed = world.service.reveal(&world.device_id(device), user).await.unwrap();
    revealed.reference.secret_name.as_str().to_owned()
}

fn on_older(world: &World) -> Vec<String> {
    let names = world.service.read(&world.fabric(), |fabric| fabric.on_older_names()).unwrap();
    names.iter().map(ToString::to_string).collect()
}

async fn count(world: &World, secret: &str) -> usize {
    world.vault.versions(&name(secret)).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_fabric_is_adopted_from_what_lies_under_its_older_names() {
    let mut world = older_world().await;
    // What an earlier system has left in the vault; the newest version is the one in use.
    for (secret, value) in [
        ("lab-ce-01-admin", "Outdated-admin.1"),
        ("lab-ce-01-admin", "Factory-admin.1"),
        ("lab-ce-02-admin", "Factory-admin.1"),
        ("lab-ce-03-admin", "Factory-admin.1"),
        ("lab-ro", "Factory-AzureOperatorRO.1"),
        ("lab-rw", "Factory-AzureOperatorRW.1"),
        ("lab-telco-ro", "Factory-TelcoRO.1"),
        ("lab-telco-rw", "Factory-TelcoRW.1"),
        ("lab-ts", "Factory-ts.1"),
    ] {
        let value = Password::new(value.to_owned()).unwrap();
        let tag = Tag::new(&format!("{secret}{}", count(&world, secret).await));
        world.vault.put(&name(secret), &tag, &value).await.unwrap();
    }
    world.passwords = String::new();
    world.adopt().await;
    assert_eq!(revealed_name(&world, "ce-01", "admin").await, "lab-ce-01-admin");
    assert_eq!(count(&world, "lab-ce-01-admin").await, 2, "nothing was stored again");
    assert_eq!(on_older(&world), SWITCHES);
    world.assert_revealed_opens().await;
    let again = world.apply().await;
    assert_eq!((again.unchanged, again.operation), (SWITCHES.len(), None));
}

#[tokio::test(start_paused = true)]
async fn a_fabric_is_rotated_under_older_names_until_a_rotation_has_migrated_it() {
    let world = older_world().await;
    // Its passwords are told: they are stored under the older names.
    world.adopt().await;
    assert_eq!(revealed_name(&world, "ce-02", "AzureOperatorRW").await, "lab-rw");
    assert_eq!(rotate_older(&world).await, Ok(OperationState::Succeeded));
    assert_eq!(revealed_name(&world, "ce-02", "AzureOperatorRW").await, "lab-rw");
    assert_eq!(revealed_name(&world, "ce-02", "admin").await, "lab-ce-02-admin");
    world.assert_revealed_opens().await;
    world.assert_nothing_lost();
    let admins =
        ["ce-01", "ce-02"].map(|device| world.devices.with(device, |d| d.running["admin"].clone()));
    assert_ne!(admins[0], admins[1], "a name of its own, a password of its own");

    // Migrated by a rotation, which one device misses: it depends on its older names.
    world.devices.break_it("ce-02", Fault::Unreachable);
    assert_eq!(rotate(&world).await.state, OperationState::Failed);
    assert_eq!(on_older(&world), ["ce-02"]);
    assert_eq!(revealed_name(&world, "ce-02", "admin").await, "lab-ce-02-admin");
    assert!(revealed_name(&world, "ce-01", "admin").await.contains("-devicePassword-"));
    assert_eq!(rotate_older(&world).await, Err("FabricMigrated"));
    world.assert_nothing_lost();

    world.devices.heal("ce-02");
    assert_eq!(resync(&world).await.state, OperationState::Succeeded);
    assert!(on_older(&world).is_empty(), "no device depends on an older name");
    assert!(revealed_name(&world, "ce-02", "admin").await.contains("-devicePassword-"));
    assert_eq!(rotate_older(&world).await, Err("FabricMigrated"));
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn what_no_device_depends_on_can_go_and_holds_nobody_up() {
    let world = older_world().await;
    world.adopt().await;
    rotate(&world).await;
    assert!(on_older(&world).is_empty());
    for secret in ["lab-rw", "lab-ts", "lab-ce-01-admin"] {
        for version in world.vault.versions(&name(secret)).await.unwrap() {
            world.vault.purge(&name(secret), &version.version).await.unwrap();
        }
    }
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn a_fabric_without_older_names_is_not_rotated_under_any() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    assert_eq!(rotate_older(&world).await, Err("OlderNamesNotGiven"));
    assert!(on_older(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_fabric_leaves_nothing_under_its_older_names_either() {
    let world = older_world().await;
    world.adopt().await;
    rotate_older(&world).await.unwrap();
    rotate(&world).await;
    for device in SWITCHES {
        let id = world.device_id(device);
        let disable = controller::service::StateAction::Disable;
        world.service.set_administrative_state(&id, disable).await.unwrap();
        assert!(world.service.delete_device(&id).await.unwrap());
    }
    assert!(world.service.delete_fabric(&world.fabric()).await.unwrap());
    assert!(count(&world, "lab-ro").await > 0, "kept for its retention");
    world.service.purge_deleted(&world.fabric(), true).await.unwrap();
    for secret in ["lab-ce-01-admin", "lab-ro", "lab-telco-rw", "lab-ts"] {
        assert_eq!(count(&world, secret).await, 0, "{secret}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_name_that_is_taken_or_of_no_profile_is_refused_and_nothing_is_stored() {
    let world = older_world().await;
    world.adopt().await;
    let check = |inventory: String, wanted: &str| {
        let inventory = Inventory::parse("fabric.toml", ".".as_ref(), &inventory, None).unwrap();
        let passwords =
            CurrentPasswords::parse("p.toml", &world.passwords, &inventory, None).unwrap();
        let (service, wanted) = (world.service.clone(), wanted.to_owned());
        async move {
            let error = service.apply(inventory, passwords).await.unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error}: {}", source.unwrap_or_default());
            assert!(text.contains(&wanted), "{text}");
        }
    };
    let other = world.inventory.replace("networkFabrics/lab", "networkFabrics/other");
    let other = other.replace("resourceGroups/lab", "resourceGroups/other");
    check(other.clone(), "a secret of fabric lab").await;
    check(other.replace("TelcoRW = \"lab", "Telco0 = \"lab"), "user profile").await;
    assert_eq!(world.service.fabrics().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_purge_is_done_once_and_takes_nothing_of_another_fabric() {
    let mut world = older_world().await;
    world.adopt().await;
    for device in SWITCHES {
        let id = world.device_id(device);
        let disable = controller::service::StateAction::Disable;
        world.service.set_administrative_state(&id, disable).await.unwrap();
        world.service.delete_device(&id).await.unwrap();
    }
    world.service.delete_fabric(&world.fabric()).await.unwrap();
    world.service.purge_deleted(&world.fabric(), true).await.unwrap();
    // The same devices and names, declared in the right place this time.
    let elsewhere = world.inventory.replace("resourceGroups/lab", "resourceGroups/right");
    world.inventory = elsewhere;
    let applied = world.apply().await;
    let held = count(&world, "lab-rw").await;
    assert_eq!((applied.created.len(), held), (SWITCHES.len(), 1));
    for _ in 0..2 {
        let again = start(&world.store, &world.vault, &world.auditor, &world.devices).await;
        again.sweep().await;
        assert_eq!(count(&world, "lab-rw").await, held, "a restart purges nothing again");
        assert_eq!(count(&world, "lab-ce-01-admin").await, 1);
    }
}
