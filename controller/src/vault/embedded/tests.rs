use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::cipher::{Cipher, KEY_BYTES, KeyBytes};
use super::super::contract;
use super::*;
use crate::disk::DiskError;

async fn try_open(dir: &tempfile::TempDir) -> Result<EmbeddedVault, VaultError> {
    let source = KeySource::File(dir.path().join("vault.key"));
    let file = dir.path().join(VAULT_FILE);
    EmbeddedVault::open_with(&file, &source, Place::default(), contract::clock()).await
}

async fn open(dir: &tempfile::TempDir) -> EmbeddedVault {
    try_open(dir).await.unwrap()
}

fn name(text: &str) -> SecretName {
    SecretName::for_tests(text)
}

/// Runs a statement past the vault, as a fault or an intruder would.
async fn tamper(vault: &EmbeddedVault, sql: &'static str) {
    let write = vault.database.write(async move |mut session: Session| session.run(sql).await);
    let done: Result<(), DiskError> = write.await;
    done.unwrap();
}

/// A closed vault with two versions of one secret and one of another.
struct Closed {
    dir: tempfile::TempDir,
    versions: Vec<(SecretName, SecretVersion)>,
}

const VALUES: [&str; 3] = ["Canary-one-4711", "Canary-two-4712", "Canary-three-4713"];

async fn closed() -> Closed {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(&dir).await;
    assert!(vault.is_new());
    let mut versions = Vec::new();
    for (n, (secret, value)) in ["lab-a", "lab-a", "lab-b"].iter().zip(VALUES).enumerate() {
        let tag = Tag::new(&format!("op-{n}"));
        let version = vault.put(&name(secret), &tag, &contract::password(value)).await.unwrap();
        versions.push((name(secret), version));
    }
    vault.close().await.unwrap();
    Closed { dir, versions }
}

impl Closed {
    async fn assert_whole(&self) {
        let vault = open(&self.dir).await;
        let values = vault.get_all(&self.versions).await.unwrap();
        assert!(values.iter().zip(VALUES).all(|(got, text)| got.expose() == text));
        assert_eq!(vault.verify().await.unwrap(), 3);
        vault.close().await.unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[tokio::test]
async fn the_embedded_vault_keeps_the_contract() {
    let dirs = Mutex::new(Vec::new());
    contract::contract(async || {
        let dir = tempfile::tempdir().unwrap();
        let vault = open(&dir).await;
        dirs.lock().unwrap().push(dir);
        vault
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_closing_and_opening() {
    let closed = closed().await;
    closed.assert_whole().await;
    assert!(!open(&closed.dir).await.is_new());
}

#[tokio::test]
async fn everything_confirmed_is_there_after_a_kill_before_the_log_was_moved() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(&dir).await;
    let value = contract::password("Canary-4711");
    let version = vault.put(&name("lab-a"), &Tag::new("1"), &value).await.unwrap();
    let killed = tempfile::tempdir().unwrap();
    for file in [VAULT_FILE, "vault.db-wal", "vault.key"] {
        fs::copy(dir.path().join(file), killed.path().join(file)).unwrap();
    }
    let left = open(&killed).await;
    assert!(left.get(&name("lab-a"), &version).await.unwrap().matches(&value));
}

#[tokio::test]
async fn a_missing_key_is_said_and_never_made_anew() {
    let closed = closed().await;
    let key = fs::read(closed.path("vault.key")).unwrap();
    fs::remove_file(closed.path("vault.key")).unwrap();
    let error = try_open(&closed.dir).await.unwrap_err();
    assert!(matches!(error, VaultError::KeyMissing { .. }), "{error}");
    assert!(error.to_string().contains("vault.key") && error.hint().is_some(), "{error}");
    assert!(!closed.path("vault.key").exists());
    crate::disk::file::create_private(&closed.path("vault.key"), &key).unwrap();
    closed.assert_whole().await;
}

#[tokio::test]
async fn the_key_of_another_vault_is_told_from_damage() {
    let (closed, other) = (closed().await, closed().await);
    let key = fs::read(closed.path("vault.key")).unwrap();
    fs::copy(other.path("vault.key"), closed.path("vault.key")).unwrap();
    let before = fs::read(closed.path(VAULT_FILE)).unwrap();
    let error = try_open(&closed.dir).await.unwrap_err();
    assert!(matches!(error, VaultError::KeyWrong { .. }), "{error}");
    assert_eq!(fs::read(closed.path(VAULT_FILE)).unwrap(), before);
    fs::write(closed.path("vault.key"), key).unwrap();
    closed.assert_whole().await;
}

#[tokio::test]
async fn damage_to_what_proves_the_key_is_told_from_a_wrong_key() {
    let changes = [
        "UPDATE vault SET key_id = 'ffffffffffffffff'",
        "UPDATE vault SET proof = zeroblob(41)",
        "DELETE FROM vault",
        "UPDATE data_key SET wrapped = zeroblob(60)",
        "UPDATE data_key SET key_id = 'ffffffffffffffff'",
        "UPDATE data_key SET used = -1",
    ];
    for change in changes {
        let closed = closed().await;
        let vault = open(&closed.dir).await;
        tamper(&vault, change).await;
        vault.close().await.unwrap();
        let error = try_open(&closed.dir).await.unwrap_err();
        let is_corrupt = matches!(&error, VaultError::Disk(DiskError::Corrupt { .. }));
        assert!(is_corrupt, "{change}: {error:?}");
        assert!(error.to_string().contains(VAULT_FILE), "{error}");
    }
}

#[tokio::test]
async fn a_value_that_was_moved_or_changed_does_not_open() {
    let changes = [
        // Exchange the values of two versions of one secret, and of two secrets.
        "UPDATE secret SET value = (SELECT value FROM secret o WHERE o.number = 3 - secret.number)
         WHERE number < 3",
        "UPDATE secret SET value = (SELECT value FROM secret o WHERE o.number = 4 - secret.number)
         WHERE number <> 2",
        "UPDATE secret SET tag = 'other' WHERE number = 1",
        "UPDATE secret SET value = substr(value, 1, 30) WHERE number = 1",
        "UPDATE secret SET value = zeroblob(40) WHERE number = 1",
        "UPDATE secret SET value = x'' WHERE number = 1",
        "UPDATE secret SET tag = 'x' || tag WHERE number = 1",
        "UPDATE secret SET name = 'lab-c' WHERE number = 1",
        "UPDATE secret SET version = 'ffffffffffffffffffffffffffffffff' WHERE number = 1",
    ];
    for change in changes {
        let closed = closed().await;
        let vault = open(&closed.dir).await;
        tamper(&vault, change).await;
        let error = vault.verify().await.unwrap_err();
        assert!(matches!(error, VaultError::Damaged { .. }), "{change}: {error:?}");
        let (secret, version) = &closed.versions[0];
        let error = vault.get(secret, version).await.unwrap_err();
        let refused = matches!(error, VaultError::Damaged { .. } | VaultError::NotFound { .. });
        assert!(refused, "{change}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("Canary"));
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_file_never_gives_a_wrong_password_and_mends() {
    let closed = closed().await;
    let good = fs::read(closed.path(VAULT_FILE)).unwrap();
    let mut refused = 0;
    for at in (0..good.len()).step_by(89).chain(0..100) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        fs::write(closed.path(VAULT_FILE), &bad).unwrap();
        match try_open(&closed.dir).await {
            Err(error) => {
                assert!(!matches!(error, VaultError::KeyWrong { .. }), "byte {at}: {error:?}");
                assert!(error.hint().is_some(), "byte {at}: {error:?}");
                refused += 1;
            }
            Ok(vault) => {
                for ((secret, version), text) in closed.versions.iter().zip(VALUES) {
                    match vault.get(secret, version).await {
                        Ok(value) => assert_eq!(value.expose(), text, "byte {at}"),
                        Err(_) => refused += 1,
                    }
                }
                let _closed = vault.close().await;
            }
        }
        for name in ["vault.db-wal", "vault.db-shm"] {
            let _removed = fs::remove_file(closed.path(name));
        }
    }
    assert!(refused > 20, "{refused}");
    fs::write(closed.path(VAULT_FILE), &good).unwrap();
    closed.assert_whole().await;
}

#[tokio::test]
async fn a_lost_file_is_not_taken_for_a_fresh_start() {
    let closed = closed().await;
    fs::write(closed.path(VAULT_FILE), "").unwrap();
    let error = try_open(&closed.dir).await.unwrap_err();
    assert!(matches!(error, VaultError::Disk(DiskError::Corrupt { .. })), "{error}");
}

#[tokio::test]
async fn a_key_made_before_a_kill_is_used_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    KeySource::File(dir.path().join("vault.key")).create(Path::new("vault.db")).await.unwrap();
    let key = fs::read(dir.path().join("vault.key")).unwrap();
    assert!(open(&dir).await.is_new());
    assert_eq!(fs::read(dir.path().join("vault.key")).unwrap(), key);
}

#[tokio::test]
async fn a_full_disk_is_refused_and_loses_nothing() {
    let closed = closed().await;
    let vault = open(&closed.dir).await;
    tamper(&vault, "PRAGMA max_page_count = 1").await;
    let value = contract::password("Canary-4711");
    let items: Vec<_> =
        (0..200).map(|n| (name(&format!("lab-{n}")), Tag::new("op-9"), &value)).collect();
    for _again in 0..3 {
        let error = vault.put_all(&items).await.unwrap_err();
        assert!(matches!(error, VaultError::Disk(DiskError::Full { .. })), "{error:?}");
        assert_eq!(vault.versions(&name("lab-0")).await.unwrap(), []);
        assert_eq!(vault.verify().await.unwrap(), 3);
    }
    tamper(&vault, "PRAGMA max_page_count = 1000000").await;
    assert_eq!(vault.put_all(&items).await.unwrap().len(), 200);
}

/// Tells whether any file of the vault contains these bytes.
fn on_disk(dir: &tempfile::TempDir, bytes: &[u8]) -> bool {
    fs::read_dir(dir.path()).unwrap().any(|entry| {
        let content = fs::read(entry.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn no_file_ever_contains_a_password_and_a_purge_removes_its_sealed_value_too() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(&dir).await;
    let mut versions = Vec::new();
    for n in 0..50 {
        let value = contract::password(&format!("Canary-{n}-in-the-vault"));
        versions.push(vault.put(&name("lab-a"), &Tag::new(&n.to_string()), &value).await.unwrap());
    }
    assert!(!on_disk(&dir, b"Canary") && on_disk(&dir, b"lab-a"));
    let wanted: Vec<_> = versions.iter().map(|v| (name("lab-a"), v.clone())).collect();
    let read =
        vault.database.read(async move |mut session| rows::find(&mut session, &wanted).await);
    let rows: Result<Vec<Option<Row>>, DiskError> = read.await;
    let sealed: Vec<Vec<u8>> =
        rows.unwrap().into_iter().map(|r| r.unwrap().value.unwrap()).collect();
    assert!(sealed.iter().all(|value| on_disk(&dir, value)));
    for version in versions.iter().step_by(2) {
        vault.purge(&name("lab-a"), version).await.unwrap();
    }
    for (n, value) in sealed.iter().enumerate() {
        assert_eq!(on_disk(&dir, value), n % 2 == 1, "value {n}");
    }
    assert_eq!(vault.verify().await.unwrap(), 25);
    vault.close().await.unwrap();
    assert!(!on_disk(&dir, b"Canary"));
}

#[tokio::test]
async fn a_data_key_seals_no_more_values_than_it_may_and_the_old_ones_still_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = open(&dir).await;
    Arc::get_mut(&mut vault.keys).unwrap().values_max = 3;
    let secret = name("lab-a");
    let mut versions = Vec::new();
    for n in 0..8 {
        let value = contract::password(&format!("value-{n}"));
        versions.push(vault.put(&secret, &Tag::new(&n.to_string()), &value).await.unwrap());
    }
    let read = vault.database.read(async move |mut session: Session| {
        let keys: Vec<(i64, i64)> =
            sqlx::query_as("SELECT number, used FROM data_key ORDER BY number")
                .fetch_all(session.connection())
                .await
                .unwrap();
        Ok(keys)
    });
    let keys: Result<Vec<(i64, i64)>, DiskError> = read.await;
    assert_eq!(keys.unwrap(), [(1, 3), (2, 3), (3, 2)]);
    vault.close().await.unwrap();
    let vault = open(&dir).await;
    for (n, version) in versions.iter().enumerate() {
        assert_eq!(vault.get(&secret, version).await.unwrap().expose(), format!("value-{n}"));
    }
}

#[test]
fn nothing_that_is_printed_tells_a_key() {
    let cipher = Cipher::new(&KeyBytes::new([0x5a; KEY_BYTES])).unwrap();
    let printed = format!("{cipher:?}");
    assert!(!printed.contains("5a5a") && !printed.contains("90, 90"), "{printed}");
}
