//! Labels of versions in the own vault and in the customer's: for information, in nobody's way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use controller::execute::Settings;
use controller::inventory::SecretArchive;
use controller::model::{Fabric, OperationState};
use controller::naming::{self, SecretName};
use controller::plan::Request;
use controller::rollback::RollbackGuard;
use controller::service::{Archives as CustomerArchives, Service};
use controller::vault::{Label, MemoryVault, Vault, VaultError, VaultFault};

use crate::world::{Archives, Fault, World, start_over, world};

const CUSTOMER: &str = "https://customer.example.net";

/// The vaults of customers: one.
#[derive(Clone, Debug)]
struct Customers(MemoryVault);

impl CustomerArchives for Customers {
    fn open(&self, _archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        Ok(Arc::new(self.0.clone()))
    }
}

async fn start(world: &World, customer: &MemoryVault) -> Arc<Service> {
    let archives = Archives {
        store: Arc::new(world.store.reopen()),
        vault: Arc::new(world.vault.clone().with_labels()),
        rollback: RollbackGuard::none(),
        customers: Arc::new(Customers(customer.clone())),
    };
    start_over(archives, Settings::default(), &world.auditor, &world.devices).await
}

/// A world whose own vault has labels, and whose customer's has.
async fn labelled() -> (World, MemoryVault) {
    let mut world = world(&["ce-01", "ce-02", "ts-01"]).await;
    let customer = MemoryVault::new(Arc::new(|| 1_800_000_000)).with_labels();
    world.service = start(&world, &customer).await;
    let archive = format!("secret-archive = {{ vault-uri = \"{CUSTOMER}\" }}\nlocation = ");
    world.inventory = world.inventory.replace("location = ", &archive);
    world.adopt().await;
    (world, customer)
}

async fn rotate(world: &World) -> OperationState {
    let id = world.service.submit(&world.fabric(), Request::Rotate, None).await.unwrap();
    world.wait(id).await.state
}

/// Long enough for everything that is due to be labelled.
async fn later() {
    tokio::time::sleep(Duration::from_secs(600)).await;
}

fn secret(world: &World) -> SecretName {
    naming::name(&world.fabric(), &"admin".parse().unwrap(), None)
}

/// The labels of the administrator's versions, by their sets.
fn labels(world: &World) -> BTreeMap<u32, Option<Label>> {
    let name = secret(world);
    let of = |fabric: &Fabric| -> BTreeMap<u32, Option<Label>> {
        let values = fabric.values().into_iter().filter(|value| value.located.0 == name);
        values.map(|value| (value.set.0, world.vault.label_of(&name, &value.located.1))).collect()
    };
    world.service.read(&world.fabric(), of).unwrap()
}

/// The same of the copies.
fn copied(world: &World, customer: &MemoryVault) -> BTreeMap<u32, Option<Label>> {
    let name = secret(world);
    let of = |fabric: &Fabric| -> BTreeMap<u32, Option<Label>> {
        let values = fabric.values().into_iter().filter(|value| value.located.0 == name);
        let copies = values.filter_map(|value| {
            let copy = &fabric.copy_of(&value.located.1)?.version;
            Some((value.set.0, customer.label_of(&name, copy)))
        });
        copies.collect()
    };
    world.service.read(&world.fabric(), of).unwrap()
}

fn all(of: &[(u32, Label)]) -> BTreeMap<u32, Option<Label>> {
    of.iter().map(|(set, label)| (*set, Some(*label))).collect()
}

use Label::{Current, Pending, Previous};

#[tokio::test(start_paused = true)]
async fn versions_and_their_copies_are_labelled_by_what_devices_have() {
    let (world, customer) = labelled().await;
    later().await;
    assert_eq!(labels(&world), all(&[(1, Current)]), "what was adopted and proven");
    assert_eq!(rotate(&world).await, OperationState::Succeeded);
    later().await;
    assert_eq!(labels(&world), all(&[(1, Previous), (2, Current)]));
    assert_eq!(copied(&world, &customer), all(&[(2, Current)]));
    // A device lags behind: what it has is a previous version, also once it is brought along.
    world.devices.break_it("ce-02", Fault::Unreachable);
    assert_eq!(rotate(&world).await, OperationState::Failed);
    later().await;
    let split = [(1, Previous), (2, Previous), (3, Current)];
    assert_eq!(labels(&world), all(&split));
    assert_eq!(copied(&world, &customer), all(&split[1..]));
    // No device has it: it is still on its way, and a resync brings it.
    for device in ["ce-01", "ts-01"] {
        world.devices.break_it(device, Fault::Unreachable);
    }
    assert_eq!(rotate(&world).await, OperationState::Failed);
    later().await;
    assert_eq!(labels(&world)[&4], Some(Pending));
    assert_eq!(labels(&world)[&3], Some(Current));
    for device in ["ce-01", "ce-02", "ts-01"] {
        world.devices.heal(device);
    }
    let id = world.service.submit(&world.fabric(), Request::Resync, None).await.unwrap();
    assert_eq!(world.wait(id).await.state, OperationState::Succeeded);
    later().await;
    let after = [(1, Previous), (2, Previous), (3, Previous), (4, Current)];
    assert_eq!(labels(&world), all(&after));
    assert_eq!(copied(&world, &customer), all(&after[1..]));
}

#[tokio::test(start_paused = true)]
async fn a_label_that_fails_holds_nothing_up_and_is_set_later_also_after_a_restart() {
    let (mut world, customer) = labelled().await;
    later().await;
    // The customer's vault takes nothing at all; the own one is healthy.
    customer.faults().set(VaultFault::ReadOnly);
    assert_eq!(rotate(&world).await, OperationState::Succeeded);
    later().await;
    assert_eq!(labels(&world), all(&[(1, Previous), (2, Current)]));
    assert!(copied(&world, &customer).is_empty());
    customer.faults().clear();
    world.service.retry_archive(&world.fabric()).unwrap();
    later().await;
    assert_eq!(copied(&world, &customer), all(&[(2, Current)]));
    // Copied, and not labelled: the process ends before the vault takes labels again.
    assert_eq!(rotate(&world).await, OperationState::Succeeded);
    while world.service.archive_status(&world.fabric()).unwrap().pending > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    customer.faults().set(VaultFault::DownBefore);
    world.service = start(&world, &customer).await;
    later().await;
    customer.faults().clear();
    later().await;
    assert_eq!(copied(&world, &customer), all(&[(2, Previous), (3, Current)]));
}

#[tokio::test(start_paused = true)]
async fn an_own_vault_that_takes_no_labels_rotates_all_the_same() {
    let (world, _customer) = labelled().await;
    later().await;
    let before = tokio::time::Instant::now();
    assert_eq!(rotate(&world).await, OperationState::Succeeded);
    let taken = before.elapsed();
    later().await;
    let before = tokio::time::Instant::now();
    // From the moment on that the set is stored, the vault takes no more writes.
    let id = world.service.submit(&world.fabric(), Request::Rotate, None).await.unwrap();
    let mut changes = world.service.changes(&world.fabric()).unwrap();
    while labels(&world).len() < 3 {
        changes.changed().await.unwrap();
    }
    world.vault.faults().set(VaultFault::ReadOnly);
    assert_eq!(world.wait(id).await.state, OperationState::Succeeded);
    assert!(before.elapsed() < taken * 2, "it did not wait for labels");
    later().await;
    assert_eq!(labels(&world)[&2], Some(Current), "nothing newer could be said");
    world.vault.faults().clear();
    later().await;
    assert_eq!(labels(&world), all(&[(1, Previous), (2, Previous), (3, Current)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_labelled_is_labelled_once() {
    let (mut world, customer) = labelled().await;
    assert_eq!(rotate(&world).await, OperationState::Succeeded);
    later().await;
    let seen = *world.service.changes(&world.fabric()).unwrap().borrow();
    later().await;
    assert_eq!(*world.service.changes(&world.fabric()).unwrap().borrow(), seen);
    // Somebody else's label is theirs: nobody looks for it, and a restart asks no vault.
    world.service = start(&world, &customer).await;
    let calls = || (world.vault.faults().calls(), customer.faults().calls());
    let before = calls();
    later().await;
    assert_eq!(calls(), before);
}
