//! Older copies of the vault and the store, on a real disk: nothing is exposed on their ground.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use controller::config::{Config, Flags};
use controller::execute::Settings;
use controller::offline::{DataDir, OfflineError};
use controller::plan::Request;
use controller::rollback::{RollbackError, RollbackGuard, Suspicion};
use controller::service::{Service, ServiceError};
use controller::store::{SqliteStore, Store};
use controller::vault::embedded::Place;
use controller::vault::{EmbeddedVault, Vault};

use super::world::{Archives, Fault, World, start_over, world};
use super::{failure, rotate};

const NAMES: [&str; 2] = ["ce-01", "ce-02"];

/// Starts a service over the files of a directory.
async fn on_disk(dir: &Path, world: &World) -> (Arc<Service>, RollbackGuard) {
    let vault = EmbeddedVault::open(dir, Place::default(), Arc::new(|| 0)).await.unwrap();
    let vault: Arc<dyn Vault> = Arc::new(vault);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir.join("store.db")).await.unwrap());
    let rollback = RollbackGuard::open(dir, vault.clone(), store.clone()).await.unwrap();
    let settings = Settings {
        quiet_time: Duration::from_millis(1),
        retry_backoff: Duration::from_millis(1),
        ..Settings::default()
    };
    let archives = Archives {
        store,
        vault,
        rollback: rollback.clone(),
        customers: Arc::new(controller::service::NoArchives),
    };
    (start_over(archives, settings, &world.auditor, &world.devices).await, rollback)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
        }
    }
    to
}

/// Brings files back from another directory, with their logs.
fn bring_back(from: &Path, names: &[&str], to: &Path) {
    for name in names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}-wal")]) {
        let _absent = fs::remove_file(to.join(&name));
        if from.join(&name).exists() {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

fn changes(world: &World) -> Vec<u32> {
    NAMES.iter().map(|name| world.devices.with(name, |device| device.changes)).collect()
}

/// Returns why a request is refused, if it is because of an older copy.
async fn refused(world: &World, request: Request) -> Option<Suspicion> {
    match world.service.submit(&world.fabric(), request, None).await {
        Err(ServiceError::Rollback { source: RollbackError::Held { suspicion } }) => {
            Some(suspicion)
        }
        Ok(_) | Err(_) => None,
    }
}

#[tokio::test]
async fn an_older_vault_or_store_changes_no_device_until_the_newest_is_back() {
    let mut world = world(&NAMES).await;
    let home = tempfile::tempdir().unwrap();
    world.service = on_disk(home.path(), &world).await.0;
    world.adopt().await;
    rotate(&world).await;
    let before = copy(home.path());
    rotate(&world).await;
    let (newest, changed) = (copy(home.path()), changes(&world));
    let cases: [(&[&str], &str); 6] = [
        (&["vault.db"], "the vault is an older copy"),
        (&["store.db"], "the store is an older copy"),
        (&["vault.db", "store.db"], "the vault is an older copy"),
        (&["store.db", "vault.mark"], "the store is an older copy"),
        (&["vault.db", "vault.mark"], "is not in it"),
        (&[], ""),
    ];
    for (names, wanted) in cases {
        let dir = copy(newest.path());
        bring_back(before.path(), names, dir.path());
        world.service = on_disk(dir.path(), &world).await.0;
        if wanted.is_empty() {
            continue;
        }
        let device = "ce-01".parse().unwrap();
        for request in [Request::Rotate, Request::Resync, Request::ResyncDevice(device)] {
            let suspicion = refused(&world, request).await.unwrap();
            assert!(suspicion.to_string().contains(wanted), "{names:?}: {suspicion}");
        }
        let deleted = world.service.delete_fabric(&world.fabric()).await;
        assert!(matches!(deleted, Err(ServiceError::Rollback { .. })), "{names:?}: {deleted:?}");
        let shown = world.service.reveal(&world.device_id("ce-01"), "admin").await;
        let vault_is_older = names.contains(&"vault.db") && !names.contains(&"store.db");
        assert_eq!(shown.is_ok(), !vault_is_older, "{names:?}: {shown:?}");
        assert_eq!(changes(&world), changed, "{names:?}");
    }
    // The last case is the newest of all.
    rotate(&world).await;
    world.assert_revealed_opens().await;
}

#[tokio::test]
async fn an_operation_that_runs_already_ends_without_touching_a_device() {
    let mut world = world(&NAMES).await;
    let home = tempfile::tempdir().unwrap();
    let (service, rollback) = on_disk(home.path(), &world).await;
    world.service = service;
    world.adopt().await;
    world.devices.break_it("ce-02", Fault::DropBefore);
    rotate(&world).await;
    world.devices.heal("ce-02");
    let changed = changes(&world);
    let sets = |world: &World| world.service.read(&world.fabric(), |f| f.sets.len()).unwrap();
    let before = sets(&world);
    let resync = world.service.submit(&world.fabric(), Request::Resync, None).await.unwrap();
    rollback.hold(Suspicion::VaultOther);
    let operation = world.wait(resync).await;
    assert_eq!(failure(&operation, "ce-02"), "RollbackSuspected");
    assert_eq!((changes(&world), sets(&world)), (changed.clone(), before));
    // The next start takes it up, since nothing was wrong with the files; a rotation is the same.
    let dir = copy(home.path());
    let (service, rollback) = on_disk(dir.path(), &world).await;
    world.service = service;
    let rotation = world.service.submit(&world.fabric(), Request::Rotate, None).await.unwrap();
    rollback.hold(Suspicion::VaultOther);
    let operation = world.wait(rotation).await;
    assert!(NAMES.iter().all(|name| failure(&operation, name) == "RollbackSuspected"));
    assert_eq!((changes(&world), sets(&world)), (changed, before));
}

#[tokio::test]
async fn what_is_accepted_is_gone_on_with_and_what_is_lost_is_named_first() {
    let mut world = world(&NAMES).await;
    let home = tempfile::tempdir().unwrap();
    world.service = on_disk(home.path(), &world).await.0;
    world.adopt().await;
    rotate(&world).await;
    let before = copy(home.path());
    rotate(&world).await;
    let newest = copy(home.path());
    let cases: [(&[&str], bool); 3] =
        [(&["store.db"], false), (&["vault.db"], true), (&["vault.db", "vault.mark"], true)];
    for (names, is_lost) in cases {
        let dir = copy(newest.path());
        bring_back(before.path(), names, dir.path());
        let flags = Flags { data_dir: Some(dir.path().to_owned()), listen: None };
        let offline = DataDir::take(&Config::without_file(&flags)).await.unwrap();
        if is_lost {
            let error = offline.accept_restored(false).await.unwrap_err();
            assert!(matches!(&error, OfflineError::Lost { lost } if lost.len() >= 10), "{error}");
            assert!(NAMES.iter().all(|name| error.to_string().contains(name)));
        }
        let accepted = offline.accept_restored(is_lost).await.unwrap();
        assert!(accepted.suspicion.is_some(), "{names:?}");
        assert_eq!(accepted.lost.is_empty(), !is_lost, "{names:?}");
        drop(offline);
        let (service, rollback) = on_disk(dir.path(), &world).await;
        rollback.check().unwrap();
        assert_eq!(service.fabrics(), [world.fabric()]);
        let epoch = service.read(&world.fabric(), |fabric| fabric.epoch.0).unwrap();
        assert!(epoch > 1_000_000, "agents would take this for a controller of the past");
        let log = fs::read_to_string(dir.path().join("audit.log")).unwrap();
        assert!(log.contains("Keyturn/vault/acceptRestored/action"), "{log}");
    }
}

#[tokio::test]
async fn without_a_store_an_empty_one_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let vault = EmbeddedVault::open(dir.path(), Place::default(), Arc::new(|| 0)).await.unwrap();
    vault.close().await.unwrap();
    let flags = Flags { data_dir: Some(dir.path().to_owned()), listen: None };
    let offline = DataDir::take(&Config::without_file(&flags)).await.unwrap();
    let accepted = offline.accept_restored(false).await.unwrap();
    assert_eq!(accepted.new_store, Some(dir.path().join("store.db")));
    assert!(dir.path().join("store.db").exists() && accepted.lost.is_empty());
}
