use std::collections::BTreeMap;

use protocol::password::Password;

use super::super::super::secrets::VALUE_BYTES_MAX;
use super::super::super::{Vault, contract};
use super::super::Place;
use super::*;

struct Kept {
    vault: EmbeddedVault,
    dir: tempfile::TempDir,
}

async fn kept() -> Kept {
    let dir = tempfile::tempdir().unwrap();
    let vault = EmbeddedVault::open(dir.path(), Place::default(), contract::clock()).await.unwrap();
    Kept { vault, dir }
}

fn name(text: &str) -> SecretName {
    SecretName::for_tests(text)
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned()).unwrap()
}

async fn set(vault: &EmbeddedVault, secret: &str, text: &str) -> Described {
    vault.set(&name(secret), value(text), Properties::default()).await.unwrap()
}

async fn opened(vault: &EmbeddedVault, secret: &str) -> Result<String, VaultError> {
    let (_described, value) = vault.open_secret(&name(secret), None).await?;
    Ok(value.expose().to_owned())
}

#[tokio::test]
async fn every_set_is_a_new_version_and_the_newest_is_opened() {
    let Kept { vault, .. } = kept().await;
    let first = set(&vault, "Web", "one").await;
    let second = set(&vault, "WEB", "one").await;
    assert_ne!(first.version, second.version);
    assert!(first.tag.is_of_client() && first.created < second.created);
    let long = "x".repeat(VALUE_BYTES_MAX);
    for text in ["", "two\nlines, grüße", &long] {
        set(&vault, "web", text).await;
        assert_eq!(opened(&vault, "weB").await.unwrap(), text);
    }
    let (described, old) = vault.open_secret(&name("web"), Some(&first.version)).await.unwrap();
    assert_eq!((described, old.expose()), (first, "one"));
    assert!(SecretValue::new(format!("{long}x")).is_err());
}

#[tokio::test]
async fn properties_are_changed_one_by_one_and_kept() {
    let Kept { vault, .. } = kept().await;
    let tags = BTreeMap::from([("team".to_owned(), "a \"b\"".to_owned())]);
    let properties = Properties { tags: tags.clone(), ..Properties::default() };
    let made = vault.set(&name("web"), value("1"), properties).await.unwrap();
    let change = Change { expires: Some(1_800_000_000), ..Change::default() };
    let changed = vault.change(&name("web"), None, change).await.unwrap();
    assert_eq!(changed.properties.tags, tags);
    assert_eq!(changed.properties.expires, Some(1_800_000_000));
    assert!(changed.updated > made.updated && changed.created == made.created);
    let off = Change { enabled: Some(false), ..Change::default() };
    let off = vault.change(&name("web"), Some(&made.version), off).await.unwrap();
    let error = vault.open_secret(&name("web"), None).await.unwrap_err();
    assert!(matches!(error, VaultError::Disabled { .. }), "{error}");
    let listed = vault.list(None, 10).await.unwrap();
    assert_eq!(listed.items, [off]);
    let on = Change { enabled: Some(true), tags: Some(BTreeMap::new()), ..Change::default() };
    assert!(vault.change(&name("web"), None, on).await.unwrap().properties.tags.is_empty());
    assert_eq!(opened(&vault, "web").await.unwrap(), "1");
}

#[tokio::test]
async fn the_newest_version_is_opened_even_if_it_is_disabled() {
    let Kept { vault, .. } = kept().await;
    set(&vault, "web", "1").await;
    let newest = set(&vault, "web", "2").await;
    let off = Change { enabled: Some(false), ..Change::default() };
    vault.change(&name("web"), None, off).await.unwrap();
    let error = opened(&vault, "web").await.unwrap_err();
    assert!(matches!(error, VaultError::Disabled { version, .. } if version == newest.version));
}

#[tokio::test]
async fn lists_come_in_pages_without_gaps_or_repetition() {
    let Kept { vault, .. } = kept().await;
    for n in 0..7 {
        set(&vault, &format!("Web-{n}"), "1").await;
        set(&vault, &format!("web-{n}"), "2").await;
    }
    vault.delete(&name("web-3"), 60).await.unwrap();
    for count in 1..9 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = vault.list(after.as_deref(), count).await.unwrap();
            assert!(page.items.len() <= count);
            seen.extend(page.items.into_iter().map(|item| item.name.as_str().to_owned()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["web-0", "web-1", "web-2", "web-4", "web-5", "web-6"]);
    }
    let first = vault.list_versions(&name("web-0"), None, 1).await.unwrap();
    let second = vault.list_versions(&name("web-0"), first.next.as_deref(), 1).await.unwrap();
    assert!(first.items[0].created < second.items[0].created && second.next.is_none());
    let error = vault.list_versions(&name("web-3"), None, 1).await.unwrap_err();
    assert!(matches!(error, VaultError::NoSecret { .. }), "{error}");
}

#[tokio::test]
async fn a_deleted_secret_keeps_its_name_until_it_is_recovered_or_purged() {
    let Kept { vault, .. } = kept().await;
    set(&vault, "web", "1").await;
    let deleted = vault.delete(&name("WEB"), 600).await.unwrap();
    assert_eq!(deleted.purge_at - deleted.at, 600);
    assert!(matches!(opened(&vault, "web").await, Err(VaultError::NoSecret { .. })));
    let again = vault.set(&name("web"), value("2"), Properties::default()).await.unwrap_err();
    assert!(matches!(again, VaultError::Deleted { .. }), "{again}");
    let twice = vault.delete(&name("web"), 600).await.unwrap_err();
    assert!(matches!(twice, VaultError::NoSecret { .. }), "{twice}");
    assert_eq!(vault.deleted(&name("web")).await.unwrap(), deleted);
    assert_eq!(vault.list_deleted(None, 5).await.unwrap().items, [deleted]);
    vault.recover(&name("web")).await.unwrap();
    assert_eq!(opened(&vault, "web").await.unwrap(), "1");
    assert!(matches!(vault.recover(&name("web")).await, Err(VaultError::NoSecret { .. })));
    assert!(matches!(vault.purge_deleted(&name("web")).await, Err(VaultError::NoSecret { .. })));
    vault.delete(&name("web"), 600).await.unwrap();
    vault.purge_deleted(&name("web")).await.unwrap();
    assert!(matches!(vault.deleted(&name("web")).await, Err(VaultError::NoSecret { .. })));
    assert!(vault.all_versions(&name("web")).await.unwrap().is_empty());
    set(&vault, "web", "3").await;
    assert_eq!(opened(&vault, "web").await.unwrap(), "3");
}

#[tokio::test]
async fn a_rotation_stores_nothing_under_a_deleted_name_and_can_still_open_what_it_stored() {
    let Kept { vault, .. } = kept().await;
    let (password, tag) = (Password::new("Old-1".to_owned()).unwrap(), Tag::new("op-1/1"));
    let version = vault.put(&name("lab-admin"), &tag, &password).await.unwrap();
    vault.delete(&name("lab-admin"), 600).await.unwrap();
    let other = Password::new("New-1".to_owned()).unwrap();
    let items = [
        (name("lab-other"), Tag::new("op-2/2"), &other),
        (name("LAB-admin"), Tag::new("op-2/2"), &other),
    ];
    let error = vault.put_all(&items).await.unwrap_err();
    assert!(matches!(error, VaultError::Deleted { .. }), "{error}");
    assert!(vault.versions(&name("lab-other")).await.unwrap().is_empty());
    assert!(vault.get(&name("lab-admin"), &version).await.unwrap().matches(&password));
    assert!(!vault.all_versions(&name("lab-admin")).await.unwrap()[0].tag.is_of_client());
    vault.purge(&name("lab-admin"), &version).await.unwrap();
    assert!(vault.list_deleted(None, 5).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_backup_brings_all_versions_back_and_no_other_bytes_do() {
    let Kept { vault, dir } = kept().await;
    let canary = "Canary-\"1\"\n";
    let tags = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let properties = Properties { tags, expires: Some(7), ..Properties::default() };
    vault.set(&name("web"), value(canary), properties).await.unwrap();
    set(&vault, "web", "2").await;
    let before = vault.all_versions(&name("web")).await.unwrap();
    let backup = vault.back_up(&name("web")).await.unwrap();
    assert!(!backup.windows(6).any(|six| six == b"Canary"));
    let error = vault.restore(&backup).await.unwrap_err();
    assert!(matches!(error, VaultError::Exists { .. }), "{error}");
    vault.delete(&name("web"), 600).await.unwrap();
    let error = vault.restore(&backup).await.unwrap_err();
    assert!(matches!(error, VaultError::Deleted { .. }), "{error}");
    vault.purge_deleted(&name("web")).await.unwrap();
    for at in 0..backup.len() {
        let mut other = backup.clone();
        other[at] ^= 1;
        for bytes in [&other[..], &backup[..at]] {
            let error = vault.restore(bytes).await.unwrap_err();
            assert!(matches!(error, VaultError::NotOurs), "{at}: {error}");
        }
    }
    let elsewhere = kept().await.vault.restore(&backup).await.unwrap_err();
    assert!(matches!(elsewhere, VaultError::NotOurs), "{elsewhere}");
    vault.restore(&backup).await.unwrap();
    assert_eq!(vault.all_versions(&name("web")).await.unwrap(), before);
    assert_eq!(opened(&vault, "web").await.unwrap(), "2");
    let first = Some(&before[0].version);
    let (_described, old) = vault.open_secret(&name("web"), first).await.unwrap();
    assert_eq!(old.expose(), canary);
    vault.close().await.unwrap();
    let bytes = std::fs::read(dir.path().join(super::super::VAULT_FILE)).unwrap();
    assert!(!bytes.windows(6).any(|six| six == b"Canary"));
}

#[tokio::test]
async fn a_vault_of_the_first_layout_is_brought_to_this_one() {
    let Kept { vault, dir } = kept().await;
    let (password, tag) = (Password::new("Old-1".to_owned()).unwrap(), Tag::new("op-1/1"));
    let version = vault.put(&name("lab-admin"), &tag, &password).await.unwrap();
    vault
        .database
        .write(async move |mut session| {
            for column in ["updated", "not_before", "expires", "content_type", "tags"] {
                session.run(&format!("ALTER TABLE secret DROP COLUMN {column}")).await?;
            }
            session.run("DROP INDEX secret_by_name; DROP TABLE deleted; DROP TABLE mark").await?;
            Ok::<_, VaultError>(session.run("PRAGMA user_version = 1").await?)
        })
        .await
        .unwrap();
    vault.close().await.unwrap();
    let vault = EmbeddedVault::open(dir.path(), Place::default(), contract::clock()).await.unwrap();
    let listed = vault.list(None, 5).await.unwrap().items;
    assert_eq!(listed[0].version, version);
    assert_eq!(listed[0].properties, Properties::default());
    assert_eq!(listed[0].updated, listed[0].created);
    assert_eq!(opened(&vault, "lab-admin").await.unwrap(), "Old-1");
}
