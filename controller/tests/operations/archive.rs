//! Copies of secrets in the customer's own vault.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use controller::execute::Settings;
use controller::inventory::{ArchiveIdentity, CurrentPasswords, Inventory, SecretArchive};
use controller::model::OperationState;
use controller::naming::SecretName;
use controller::plan::Request;
use controller::rollback::RollbackGuard;
use controller::service::{Archives as CustomerArchives, Found, Service, ServiceError};
use controller::vault::{MemoryVault, Tag, Vault, VaultError, VaultFault, VersionInfo};
use protocol::id::SecretVersion;
use protocol::password::Password;

use crate::world::{Archives, World, start_over, world};

const CUSTOMER: &str = "https://customer.example.net";

/// The vaults of customers: one.
#[derive(Clone, Debug)]
struct Customers(Arc<dyn Vault>);

impl CustomerArchives for Customers {
    fn open(&self, archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        assert_eq!(archive.vault_uri, CUSTOMER);
        Ok(Arc::clone(&self.0))
    }
}

async fn start(world: &World, customer: &MemoryVault) -> Arc<Service> {
    start_with(world, Arc::new(customer.clone())).await
}

async fn start_with(world: &World, customer: Arc<dyn Vault>) -> Arc<Service> {
    let archives = Archives {
        store: Arc::new(world.store.reopen()),
        vault: Arc::new(world.vault.clone()),
        rollback: RollbackGuard::none(),
        customers: Arc::new(Customers(customer)),
    };
    start_over(archives, Settings::default(), &world.auditor, &world.devices).await
}

/// A world whose inventory may name the customer's vault.
async fn with_customer(is_used: bool) -> (World, MemoryVault) {
    let mut world = world(&["ce-01", "ce-02", "ts-01"]).await;
    let customer = MemoryVault::new(Arc::new(|| 1_800_000_000));
    world.service = start(&world, &customer).await;
    if is_used {
        world.inventory = used(&world.inventory);
    }
    (world, customer)
}

fn used(inventory: &str) -> String {
    let archive = format!("secret-archive = {{ vault-uri = \"{CUSTOMER}\" }}\n");
    inventory.replace("location = ", &format!("{archive}location = "))
}

async fn rotate(world: &World) {
    let id = world.service.submit(&world.fabric(), Request::Rotate, None).await.unwrap();
    let operation = world.wait(id).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
}

/// Waits until nothing is left to be copied.
async fn settled(world: &World) {
    while world.service.archive_status(&world.fabric()).unwrap().pending > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn from_the_next_rotation_on_secrets_are_copied_and_references_point_to_the_copies() {
    let (world, customer) = with_customer(true).await;
    world.adopt().await;
    let probed = customer.len();
    assert_eq!(probed, 0, "what was tried out is gone");
    let id = world.device_id("ce-01");
    let own = world.service.reveal(&id, "admin").await.unwrap().reference;
    assert!(own.key_vault_uri.starts_with("https://memory.vault.invalid/"), "{own:?}");
    rotate(&world).await;
    settled(&world).await;
    assert_eq!(customer.len(), 6);
    for (device, user) in [("ce-01", "admin"), ("ce-02", "TelcoRO"), ("ts-01", "root")] {
        let revealed = world.service.reveal(&world.device_id(device), user).await.unwrap();
        let reference = &revealed.reference;
        let start = format!("{CUSTOMER}/secrets/{}/", reference.secret_name.as_str());
        assert!(reference.key_vault_uri.starts_with(&start), "{reference:?}");
        let copy = customer.get(&reference.secret_name, &reference.secret_version).await.unwrap();
        assert!(copy.matches(&revealed.value), "{user} on {device}");
    }
    let log = world.paper.text();
    assert!(log.contains("Keyturn/secrets/archive/action") && log.contains(CUSTOMER));
    let compared = world.service.verify_archive(&world.fabric()).await.unwrap();
    assert_eq!(compared.len(), 6);
    assert!(compared.iter().all(|one| one.found == Found::Same));
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_takes_nothing_is_found_out_when_it_is_declared() {
    let (world, customer) = with_customer(true).await;
    customer.faults().set(VaultFault::ReadOnly);
    let error = apply(&world.service, &world.inventory, &world.passwords).await.unwrap_err();
    let ServiceError::Archive { vault, .. } = &error else { panic!("{error:?}") };
    assert_eq!(vault, CUSTOMER);
    assert!(error.hint().unwrap().contains("Key Vault Secrets Officer"), "{:?}", error.hint());
    assert!(world.service.fabrics().is_empty(), "nothing was declared");
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_fails_holds_no_rotation_up_and_has_everything_in_the_end() {
    let (world, customer) = with_customer(true).await;
    world.adopt().await;
    for fault in [VaultFault::DownBefore, VaultFault::DownAfter, VaultFault::Full] {
        customer.faults().set(fault);
        rotate(&world).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let status = world.service.archive_status(&world.fabric()).unwrap();
        assert!(status.pending >= 6 && status.last_error.is_some(), "{fault:?} {status:?}");
        let reference =
            world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap().reference;
        assert!(reference.key_vault_uri.contains("memory.vault.invalid"), "{fault:?}");
    }
    customer.faults().clear();
    world.service.retry_archive(&world.fabric()).unwrap();
    let before = tokio::time::Instant::now();
    settled(&world).await;
    assert!(before.elapsed() < Duration::from_secs(10), "it was tried at once");
    let status = world.service.archive_status(&world.fabric()).unwrap();
    assert_eq!((status.copied, status.last_error), (18, None));
    // What was stored before an answer was lost is not stored again.
    assert_eq!(customer.len(), 18);
}

#[tokio::test(start_paused = true)]
async fn copying_goes_on_after_a_restart() {
    let (mut world, customer) = with_customer(true).await;
    world.adopt().await;
    customer.faults().set(VaultFault::DownAfter);
    rotate(&world).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    customer.faults().clear();
    world.service = start(&world, &customer).await;
    settled(&world).await;
    let status = world.service.archive_status(&world.fabric()).unwrap();
    assert_eq!((status.copied, customer.len()), (6, 6));
}

#[tokio::test(start_paused = true)]
async fn what_was_made_before_the_vault_was_declared_is_not_copied() {
    let (mut world, customer) = with_customer(false).await;
    world.adopt().await;
    rotate(&world).await;
    world.inventory = used(&world.inventory);
    world.apply().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(customer.len(), 0);
    rotate(&world).await;
    settled(&world).await;
    assert_eq!(customer.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_changed_or_removed_is_found_by_comparing() {
    let (world, customer) = with_customer(true).await;
    world.adopt().await;
    rotate(&world).await;
    settled(&world).await;
    let of = async |user| {
        let revealed = world.service.reveal(&world.device_id("ce-01"), user).await.unwrap();
        (revealed.reference.secret_name, revealed.reference.secret_version)
    };
    let ((name, version), (other, changed)) = (of("admin").await, of("TelcoRO").await);
    customer.disable(&name, &version).await.unwrap();
    customer.replace(&other, &changed, &Password::new("Other-1".to_owned()).unwrap());
    let compared = world.service.verify_archive(&world.fabric()).await.unwrap();
    let found =
        |name: &SecretName| compared.iter().find(|one| one.name == *name).map(|one| one.found);
    assert_eq!((found(&name), found(&other)), (Some(Found::Missing), Some(Found::Different)));
    assert_eq!(compared.iter().filter(|one| one.found == Found::Same).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_cannot_be_read_holds_no_other_copy_up() {
    let (world, customer) = with_customer(true).await;
    world.adopt().await;
    customer.faults().set(VaultFault::DownBefore);
    rotate(&world).await;
    let first = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap().reference;
    world.vault.disable(&first.secret_name, &first.secret_version).await.unwrap();
    customer.faults().clear();
    let until = |pending| {
        let status = || world.service.archive_status(&world.fabric()).unwrap();
        async move {
            while status().pending > pending {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            status()
        }
    };
    let status = until(1).await;
    assert_eq!((status.copied, customer.len()), (5, 5));
    let (error, ..) = status.last_error.unwrap();
    assert!(error.contains("it is disabled"), "{error}");

    // After a newer version of its secret it would be taken for the newest.
    rotate(&world).await;
    let status = until(0).await;
    assert_eq!((status.copied, status.left_out, status.last_error), (11, 1, None));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let admin = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap();
    let copies = customer.versions(&first.secret_name).await.unwrap();
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(copies[0].version, admin.reference.secret_version);
    rotate(&world).await;
    let before = tokio::time::Instant::now();
    assert_eq!(until(0).await.copied, 17);
    assert!(before.elapsed() < Duration::from_secs(10), "nothing is waited for any more");

    // What the own vault does not give cannot be compared, and the rest can.
    let own = world.vault.versions(&first.secret_name).await.unwrap();
    let of_admin = &own.last().unwrap().version;
    world.vault.disable(&first.secret_name, of_admin).await.unwrap();
    let compared = world.service.verify_archive(&world.fabric()).await.unwrap();
    let of = |found| compared.iter().filter(|one| one.found == found).count();
    assert_eq!((of(Found::Unreadable), of(Found::Same)), (1, 16));
}

#[tokio::test(start_paused = true)]
async fn a_silent_vault_is_told_and_has_everything_once_it_answers() {
    let (world, customer) = with_customer(true).await;
    world.adopt().await;
    customer.faults().set(VaultFault::Silent);
    rotate(&world).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let status = world.service.archive_status(&world.fabric()).unwrap();
    let (error, ..) = status.last_error.unwrap();
    assert!(error.contains("it has not answered within"), "{error}");
    customer.faults().clear();
    world.service.retry_archive(&world.fabric()).unwrap();
    settled(&world).await;
    assert_eq!(customer.len(), 6);
}

/// Applies the world's inventory.
async fn apply(service: &Service, inventory: &str, passwords: &str) -> Result<(), ServiceError> {
    let inventory = Inventory::parse("f", ".".as_ref(), inventory, None).unwrap();
    let passwords = CurrentPasswords::parse("p", passwords, &inventory, None).unwrap();
    service.apply(inventory, passwords).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_silent_vault_of_one_fabric_holds_no_other_fabric_up() {
    let (world, customer) = with_customer(false).await;
    world.adopt().await;
    customer.faults().set(VaultFault::Silent);
    let other = used(&world.inventory).replace("resourceGroups/lab", "resourceGroups/other");
    let other = other.replace("networkFabrics/lab", "networkFabrics/other");
    let (service, passwords) = (Arc::clone(&world.service), world.passwords.clone());
    let stuck = tokio::spawn(async move { apply(&service, &other, &passwords).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = tokio::time::Instant::now();
    world.service.purge_due(&world.fabric()).await.unwrap();
    assert_eq!(world.apply().await.unchanged, 3);
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert!(!stuck.is_finished());
    let refused = stuck.await.unwrap().unwrap_err();
    assert!(matches!(refused, ServiceError::Archive { .. }), "{refused}");
    assert_eq!(world.service.fabrics(), [world.fabric()]);
}

#[tokio::test(start_paused = true)]
async fn what_a_vault_was_tried_out_with_is_removed_however_that_ends() {
    let (world, customer) = with_customer(true).await;
    // The answer to the set is lost; or the secret cannot be read.
    for (call, fault) in [(0, VaultFault::DownAfter), (1, VaultFault::DownBefore)] {
        customer.faults().once(call, fault);
        let refused = apply(&world.service, &world.inventory, &world.passwords).await.unwrap_err();
        assert!(matches!(refused, ServiceError::Archive { .. }), "{refused}");
        assert!(customer.is_empty(), "{fault:?} at call {call}");
    }
    apply(&world.service, &world.inventory, &world.passwords).await.unwrap();
    assert!(customer.is_empty());
}

/// A vault that keeps the names of what was removed, and lets nobody recover any of it.
#[derive(Debug)]
struct NoRecovery(MemoryVault, Mutex<BTreeSet<SecretName>>);

#[async_trait]
impl Vault for NoRecovery {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let removed = self.1.lock().unwrap().clone();
        match items.iter().find(|(name, ..)| removed.contains(name)) {
            Some((name, ..)) => Err(VaultError::Deleted { name: name.clone() }),
            None => self.0.put_all(items).await,
        }
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        self.0.get_all(items).await
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        self.0.versions(name).await
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.0.disable(name, version).await
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.1.lock().unwrap().insert(name.clone());
        self.0.purge(name, version).await
    }

    fn uri(&self) -> String {
        self.0.uri()
    }

    fn id(&self) -> String {
        self.0.id()
    }
}

#[tokio::test(start_paused = true)]
async fn a_vault_is_tried_out_again_without_a_right_to_recover() {
    let (mut world, customer) = with_customer(true).await;
    let removed = Mutex::default();
    world.service = start_with(&world, Arc::new(NoRecovery(customer, removed))).await;
    world.adopt().await;
    // Another identity: what it may do is tried out.
    let own = "associated-identity = { identity-type = \"SystemAssignedIdentity\" }";
    let (from, to) = (format!("\"{CUSTOMER}\""), format!("\"{CUSTOMER}\", {own}"));
    world.inventory = world.inventory.replace(&from, &to);
    apply(&world.service, &world.inventory, &world.passwords).await.unwrap();
    let archive = world.service.archive_status(&world.fabric()).unwrap().archive.unwrap();
    assert_eq!(archive.associated_identity, Some(ArchiveIdentity::SystemAssigned));
}
