//! Passwords that are not in the vault any more: they hide no others, and are replaced by what an
//! operator tells.

use std::sync::Arc;

use async_trait::async_trait;
use controller::execute::Settings;
use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::{Operation, OperationState};
use controller::naming::SecretName;
use controller::rollback::RollbackGuard;
use controller::service::{NoArchives, ServiceError, StateAction};
use controller::vault::{MemoryVault, Tag, Vault, VaultError, VaultFault, VersionInfo};
use protocol::id::SecretVersion;
use protocol::password::Password;
use protocol::status::SynchronizationStatus;

use crate::world::{Archives, Fault, World, start_over, world};
use crate::{SWITCHES, failure, resync, rotate, status};

/// Where the value is that a device has for a user.
async fn place(world: &World, device: &str, user: &str) -> (SecretName, SecretVersion) {
    let revealed = world.service.reveal(&world.device_id(device), user).await.unwrap();
    (revealed.reference.secret_name, revealed.reference.secret_version)
}

/// Takes a version out of the vault, as after a restored backup that did not have it.
async fn lose(world: &World, device: &str, user: &str) -> SecretVersion {
    let (name, version) = place(world, device, user).await;
    world.vault.purge(&name, &version).await.unwrap();
    version
}

/// Sets a password over a device's console.
fn set(world: &World, device: &str, user: &str, value: &str) {
    world.devices.with(device, |device| {
        device.running.insert(user.to_owned(), value.to_owned());
        device.startup = device.running.clone();
    });
}

/// Applies the inventory and waits for what follows.
async fn apply(world: &World) -> Operation {
    let applied = world.apply().await;
    world.wait(applied.operation.unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn a_told_password_takes_the_place_of_one_that_is_lost() {
    for (device, user, profile) in
        [("ce-02", "admin", "admin"), ("ts-01", "root", "TerminalServer")]
    {
        let mut world = world(&SWITCHES).await;
        world.adopt().await;
        rotate(&world).await;
        lose(&world, device, user).await;
        set(&world, device, user, "Set-by-console.1");
        world
            .passwords
            .push_str(&format!("[devices.{device}]\n{profile} = \"Set-by-console.1\"\n"));
        // The other switches had the same one: it is lost for them, too.
        for other in SWITCHES.iter().filter(|other| **other != device && user == "admin") {
            if !other.starts_with("ts") {
                set(&world, other, user, "Factory-admin.1");
            }
        }
        let operation = apply(&world).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
        world.assert_nothing_lost();
        world.assert_revealed_opens().await;
        let again = world.apply().await;
        assert_eq!(again.operation, None, "what is proven again keeps what it has");
        let operation = rotate(&world).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
        assert_eq!(status(&world, device), SynchronizationStatus::InSync);
        world.assert_nothing_lost();
        world.assert_revealed_opens().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_candidate_hides_no_other() {
    let mut world = world(&SWITCHES).await;
    world.adopt().await;
    world.devices.break_it("ce-02", Fault::DiskFull);
    rotate(&world).await;
    let lost = lose(&world, "ce-01", "admin").await;
    world.devices.heal("ce-02");
    let id = world.device_id("ce-02");
    let revealed = world.service.reveal(&id, "admin").await.unwrap();
    assert_eq!(revealed.candidates.len(), 1);
    assert_eq!(revealed.value.expose(), "Factory-admin.1");
    let [missing] = revealed.missing.as_slice() else { panic!("{revealed:?}") };
    assert_eq!(missing.version, lost);
    assert!(matches!(missing.reason, VaultError::Purged { .. }), "{missing:?}");

    // The device has the lost one: nobody can know that, and the other accounts are found out.
    let operation = resync(&world).await;
    assert_eq!(failure(&operation, "ce-02"), "PasswordChangedOutside");
    let other = world.service.reveal(&id, "TelcoRO").await.unwrap();
    world.devices.with("ce-02", |device| {
        assert_eq!(device.running["TelcoRO"], other.value.expose());
    });

    set(&world, "ce-02", "admin", "Set-by-console.1");
    world.passwords = "[devices.ce-02]\nadmin = \"Set-by-console.1\"\n".to_owned();
    let operation = apply(&world).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    assert_eq!(rotate(&world).await.state, OperationState::Succeeded);
    world.assert_nothing_lost();
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_whose_one_account_has_lost_a_candidate_is_asked_with_the_other() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    world.devices.break_it("ts-01", Fault::DropBefore);
    rotate(&world).await;
    let wanted = world.service.reveal(&world.device_id("ts-01"), "root").await.unwrap();
    assert_eq!(wanted.candidates.len(), 2, "in doubt");
    let sent = wanted.candidates.iter().find(|it| it.value.expose() != "Factory-ts.1").unwrap();
    world.vault.purge(&sent.name, &sent.version).await.unwrap();
    world.devices.heal("ts-01");
    // It cannot be brought, and another one can.
    world.pass_days(1);
    assert_eq!(failure(&resync(&world).await, "ts-01"), "VaultUnavailable");
    let operation = rotate(&world).await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    world.assert_nothing_lost();
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn the_passwords_of_a_vault_that_does_not_answer_are_not_lost() {
    let world = world(&SWITCHES).await;
    world.adopt().await;
    rotate(&world).await;
    for fault in [VaultFault::DownBefore, VaultFault::Throttled, VaultFault::Silent] {
        world.vault.faults().set(fault);
        let inventory = Inventory::parse("f", ".".as_ref(), &world.inventory, None).unwrap();
        let told = CurrentPasswords::parse("p", &world.passwords, &inventory, None).unwrap();
        let refused = world.service.apply(inventory, told).await.unwrap_err();
        assert!(matches!(refused, ServiceError::Vault { .. }), "{fault:?} {refused}");
        let refused = world.service.reveal(&world.device_id("ce-01"), "admin").await.unwrap_err();
        assert!(matches!(refused, ServiceError::Vault { .. }), "{fault:?} {refused}");
        world.vault.faults().clear();
    }
    assert_eq!(world.apply().await.operation, None, "nothing was told anew");
    world.assert_revealed_opens().await;
}

/// A vault in which somebody else has deleted a secret, which can be recovered.
#[derive(Debug)]
struct Deleted(MemoryVault, SecretName);

#[async_trait]
impl Vault for Deleted {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        self.0.put_all(items).await
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
        match *name == self.1 {
            true => Err(VaultError::Deleted { name: name.clone() }),
            false => self.0.purge(name, version).await,
        }
    }

    fn uri(&self) -> String {
        self.0.uri()
    }

    fn id(&self) -> String {
        self.0.id()
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_cannot_be_purged_holds_up_no_other() {
    let mut world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let (name, version) = place(&world, "ce-01", "AzureOperatorRO").await;
    let archives = Archives {
        store: Arc::new(world.store.reopen()),
        vault: Arc::new(Deleted(world.vault.clone(), name.clone())),
        rollback: RollbackGuard::none(),
        customers: Arc::new(NoArchives),
    };
    world.service = start_over(archives, Settings::default(), &world.auditor, &world.devices).await;
    for device in ["ce-01", "ts-01"] {
        let id = world.device_id(device);
        world.service.set_administrative_state(&id, StateAction::Disable).await.unwrap();
        assert!(world.service.delete_device(&id).await.unwrap());
    }
    assert!(world.service.delete_fabric(&world.fabric()).await.unwrap());
    let error = world.service.purge_deleted(&world.fabric(), true).await.unwrap_err();
    assert!(matches!(error, ServiceError::Vault { source: VaultError::Deleted { .. } }), "{error}");
    assert!(world.vault.has(&name, &version));
    assert_eq!(world.vault.len(), 1, "all others are purged");
}
