//! What the vault promises as every vault does, and what is its own.

use std::sync::Mutex;

use controller::error::Fault as Whose;
use controller::kv2::{Kv2, Kv2Error, Kv2Settings};
use controller::vault::contract::{contract, password};
use controller::vault::{HashicorpVault, Label, Tag, Vault, VaultError};
use protocol::id::SecretVersion;

use crate::world::{PACE, World, key, name, now};

#[tokio::test]
async fn the_vault_keeps_the_contract() {
    let worlds = Mutex::new(Vec::new());
    contract(async || {
        let world = World::start().await;
        let vault = world.vault();
        worlds.lock().unwrap().push(world);
        vault
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_keeps_one_version_of_a_key_loses_no_password() {
    let world = World::start().await;
    world.server.set_max_versions(1);
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let mut versions = Vec::new();
    for n in 0..30 {
        let tag = Tag::new(&n.to_string());
        versions.push(vault.put(&admin, &tag, &password(&format!("value-{n}"))).await.unwrap());
    }
    for (n, version) in versions.iter().enumerate() {
        let value = vault.get(&admin, version).await.unwrap();
        assert!(value.matches(&password(&format!("value-{n}"))));
    }
    let listed = vault.versions(&admin).await.unwrap();
    assert_eq!(listed.into_iter().map(|info| info.version).collect::<Vec<_>>(), versions);
}

#[tokio::test]
async fn a_mount_that_forgets_is_refused_before_anything_is_stored() {
    let world = World::start().await;
    world.server.set_delete_version_after(3_600);
    let (admin, tag) = (name("lab-admin"), Tag::new("1"));
    let error = world.vault().put(&admin, &tag, &password("Canary")).await.unwrap_err();
    assert!(error.to_string().contains("3600s"), "{error}");
    assert!(error.hint().unwrap().contains("delete_version_after=0s"));
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
    assert_eq!(world.values("lab-admin").len(), 0);
    assert!(world.vault().mark().await.is_err());
}

#[tokio::test]
async fn a_mount_that_begins_to_forget_is_noticed_and_what_it_stored_is_kept_once_it_is_mended() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let put = async |tag: &str| vault.put(&admin, &Tag::new(tag), &password(tag)).await;
    put("1").await.unwrap();
    world.server.set_delete_version_after(3_600);
    for _twice in 0..2 {
        let error = put("2").await.unwrap_err();
        assert!(error.is_outcome_unknown() && error.fault() == Whose::Operator, "{error}");
    }
    world.server.set_delete_version_after(0);
    let version = put("2").await.unwrap();
    let custom = world.client(world.approle());
    let known = custom.metadata(&format!("secrets/lab-admin/{version}")).await.unwrap().unwrap();
    assert_eq!(known.version(1).unwrap().deletion(), None);
}

#[tokio::test]
async fn what_another_controller_put_is_found_and_of_two_at_once_one_is_stored() {
    let world = World::start().await;
    let (admin, tag) = (name("lab-admin"), Tag::new("op-1"));
    let vaults: Vec<_> = (0..8).map(|_| world.vault()).collect();
    let values: Vec<_> = (0..8).map(|n| password(&format!("value-{n}"))).collect();
    let puts = vaults.iter().zip(&values).map(|(vault, value)| vault.put(&admin, &tag, value));
    let put = futures_util::future::join_all(puts).await;
    let version = put[0].as_ref().unwrap();
    assert!(put.iter().all(|put| put.as_ref().unwrap() == version));
    assert_eq!(world.values("lab-admin").len(), 1);
    assert_eq!(world.vault().put(&admin, &tag, &values[7]).await.unwrap(), *version);
    assert_eq!(world.values("lab-admin").len(), 1);
}

#[tokio::test]
async fn a_purged_value_is_destroyed_at_once_and_with_it_what_others_wrote_to_its_key() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("Lab-Admin"));
    let version = vault.put(&admin, &Tag::new("1"), &password("Canary-1")).await.unwrap();
    world.server.put(&key("lab-admin", &version), "Canary-1");
    assert_eq!(world.values("lab-admin"), ["Canary-1"]);
    for _twice in 0..2 {
        vault.purge(&admin, &version).await.unwrap();
        assert_eq!(world.values("lab-admin").len(), 0);
    }
    assert_eq!(vault.versions(&admin).await.unwrap(), []);
    let gone = vault.get(&admin, &version).await.unwrap_err();
    assert!(matches!(gone, VaultError::Purged { .. }), "{gone}");
}

#[tokio::test]
async fn what_somebody_deleted_by_hand_is_told_as_disabled_and_can_be_brought_back() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("1"), &password("value")).await.unwrap();
    let (client, key) = (world.client(world.approle()), format!("secrets/lab-admin/{version}"));
    client.delete(&key, &[1]).await.unwrap();
    let error = vault.get(&admin, &version).await.unwrap_err();
    assert!(matches!(error, VaultError::Disabled { .. }), "{error}");
    client.undelete(&key, &[1]).await.unwrap();
    assert!(vault.get(&admin, &version).await.is_ok());
}

#[tokio::test]
async fn keys_that_somebody_else_made_or_wrote_over_change_nothing() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("1"), &password("own")).await.unwrap();
    world.server.put(&key("lab-admin", &version), "by hand");
    assert!(vault.get(&admin, &version).await.unwrap().matches(&password("own")));
    world.server.put("lab/keyturn/secrets/lab-admin/notes/a", "by hand");
    world.server.put("lab/keyturn/secrets/lab-admin/by-hand", "by hand");
    let listed = vault.versions(&admin).await.unwrap();
    let tags: Vec<_> = listed.iter().map(|info| info.tag.as_str()).collect();
    assert_eq!(tags, ["1"]);
    for version in ["by-hand", "notes/a", "../mark", ""] {
        let error = vault.get(&admin, &SecretVersion(version.into())).await.unwrap_err();
        assert!(matches!(error, VaultError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_the_vaults_brings_nothing_back_that_was_disabled() {
    let world = World::start().await;
    let client = world.client(world.approle());
    let vault = HashicorpVault::new(client, "", std::sync::Arc::new(|| now() - 200));
    let (admin, tag) = (name("lab-admin"), Tag::new("1"));
    let version = vault.put(&admin, &tag, &password("value")).await.unwrap();
    vault.disable(&admin, &version).await.unwrap();
    assert!(!vault.versions(&admin).await.unwrap()[0].enabled);
    assert_eq!(vault.put(&admin, &tag, &password("value")).await.unwrap(), version);
    assert!(matches!(vault.get(&admin, &version).await, Err(VaultError::Disabled { .. })));
}

#[tokio::test]
async fn labels_are_custom_metadata_beside_the_tag() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("op-1"), &password("value")).await.unwrap();
    for (label, text) in [(Label::Pending, "PENDING"), (Label::Current, "CURRENT")] {
        vault.label(&admin, &version, label).await.unwrap();
        let custom = world.server.custom(&key("lab-admin", &version));
        let noted = (custom["keyturn-label"].as_str(), custom["keyturn-tag"].as_str());
        assert_eq!(noted, (text, "op-1"));
    }
    vault.put(&admin, &Tag::new("op-1"), &password("value")).await.unwrap();
    assert_eq!(world.server.custom(&key("lab-admin", &version))["keyturn-label"], "CURRENT");
    vault.purge(&admin, &version).await.unwrap();
    assert!(vault.label(&admin, &version, Label::Previous).await.is_err());
}

#[tokio::test]
async fn references_are_urls_of_the_api() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("1"), &password("value")).await.unwrap();
    let expect = format!("{}/v1/teams/kv/data/lab/keyturn", world.server.uri());
    assert_eq!(vault.uri(), expect);
    // What Azure's references append leads to the key.
    assert!(
        world.server.values("lab").contains_key(&format!("lab/keyturn/secrets/{admin}/{version}"))
    );
}

#[tokio::test]
async fn a_mount_or_a_namespace_that_is_not_there_is_not_taken_for_an_empty_vault() {
    let world = World::start().await;
    let (admin, tag, value) = (name("lab-admin"), Tag::new("1"), password("Canary"));
    let settings = world.settings(world.approle());
    let elsewhere = Kv2Settings { mount: "secret".to_owned(), ..settings.clone() };
    let foreign = Kv2Settings { namespace: Some("team/a".to_owned()), ..settings };
    for settings in [elsewhere, foreign] {
        let client = Kv2::open(&settings, PACE).unwrap();
        let vault = HashicorpVault::new(client, "", std::sync::Arc::new(|| 0));
        let errors = [
            vault.versions(&admin).await.unwrap_err(),
            vault.put(&admin, &tag, &value).await.unwrap_err(),
            vault.mark().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.fault(), Whose::Operator, "{error}");
            assert!(error.hint().unwrap().contains("`namespace`"), "{error}");
        }
    }
    world.server.set_namespace("team/a");
    let settings = world.settings(world.approle());
    let own = Kv2Settings { namespace: Some("team/a".to_owned()), ..settings };
    let client = Kv2::open(&own, PACE).unwrap();
    assert_eq!(client.list("secrets").await.unwrap(), Vec::<String>::new());
    assert!(client.uri().contains("/v1/team/a/teams/kv/data/lab/keyturn"));
}

#[tokio::test]
async fn addresses_and_paths_that_are_none_are_refused_at_once() {
    let world = World::start().await;
    let settings = world.settings(world.token());
    for uri in ["http://vault.test", "https://a@vault.test", "https://vault.test/ui", "vault"] {
        let settings = Kv2Settings { uri: uri.to_owned(), ..settings.clone() };
        let error = Kv2::open(&settings, PACE).unwrap_err();
        assert!(matches!(error, Kv2Error::Uri { .. }), "{uri}");
    }
    for path in ["", "..", "a/../b", "a//b", "a b", "a?b"] {
        let settings = Kv2Settings { mount: path.to_owned(), ..settings.clone() };
        let error = Kv2::open(&settings, PACE).unwrap_err();
        assert!(matches!(error, Kv2Error::Path { .. }), "{path}");
        let settings =
            Kv2Settings { prefix: Some(path.to_owned()), ..world.settings(world.token()) };
        assert!(Kv2::open(&settings, PACE).is_err(), "{path}");
    }
}
