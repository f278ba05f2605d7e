//! What Azure's vault promises as every vault does, and what is its own.

use std::sync::Mutex;

use controller::error::Fault as Whose;
use controller::key_vault::{KeyVault, KeyVaultError};
use controller::vault::contract::{contract, password};
use controller::vault::{Label, Tag, Vault, VaultError};

use crate::world::{PACE, World, name};

#[tokio::test]
async fn azures_vault_keeps_the_contract() {
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
async fn a_tag_is_found_again_by_another_process() {
    let world = World::start().await;
    let (admin, tag) = (name("lab-admin"), Tag::new("op-1"));
    let version = world.vault().put(&admin, &tag, &password("first")).await.unwrap();
    let again = world.vault().put(&admin, &tag, &password("second")).await.unwrap();
    assert_eq!((again, world.azure.values("lab-admin").len()), (version, 1));
}

#[tokio::test]
async fn long_lists_are_read_to_their_end_also_where_a_page_is_empty() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let mut wanted = Vec::new();
    for n in 0..75 {
        let tag = Tag::new(&n.to_string());
        wanted.push(vault.put(&admin, &tag, &password("value")).await.unwrap());
    }
    let listed = vault.versions(&admin).await.unwrap();
    assert_eq!(listed.into_iter().map(|info| info.version).collect::<Vec<_>>(), wanted);
    let again = vault.put(&admin, &Tag::new("3"), &password("other")).await.unwrap();
    assert_eq!(again, wanted[3]);
}

#[tokio::test]
async fn a_name_whose_versions_are_all_purged_is_deleted_and_comes_back_when_it_is_needed() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let first = vault.put(&admin, &Tag::new("1"), &password("first")).await.unwrap();
    for _twice in 0..2 {
        vault.purge(&admin, &first).await.unwrap();
        assert_eq!(world.azure.asked("DELETE /secrets/{name}"), 1);
        let gone = vault.get(&admin, &first).await.unwrap_err();
        assert!(matches!(gone, VaultError::Purged { .. }), "{gone}");
    }
    let second = vault.put(&admin, &Tag::new("2"), &password("second")).await.unwrap();
    assert!(vault.get(&admin, &second).await.unwrap().matches(&password("second")));
    let gone = vault.get(&admin, &first).await.unwrap_err();
    assert!(matches!(gone, VaultError::Purged { .. }), "{gone}");
}

#[tokio::test]
async fn a_name_that_somebody_deleted_is_recovered_by_a_put_and_told_by_a_get() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let first = vault.put(&admin, &Tag::new("1"), &password("first")).await.unwrap();
    world.azure.delete("lab-admin");
    let error = vault.get(&admin, &first).await.unwrap_err();
    assert!(error.hint().unwrap().contains("recover"), "{error}");
    let second = vault.put(&admin, &Tag::new("2"), &password("second")).await.unwrap();
    assert!(vault.get(&admin, &first).await.unwrap().matches(&password("first")));
    assert!(vault.get(&admin, &second).await.unwrap().matches(&password("second")));
}

#[tokio::test]
async fn versions_that_somebody_else_made_belong_to_no_tag() {
    let world = World::start().await;
    let foreign = world.azure.put("lab-admin", "by hand", "");
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let own = vault.put(&admin, &Tag::new(""), &password("own")).await.unwrap();
    assert_ne!(*own.0, *foreign);
    assert_eq!(vault.versions(&admin).await.unwrap().len(), 2);
}

#[tokio::test]
async fn labels_are_tags_beside_the_others() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("op-1"), &password("value")).await.unwrap();
    for (label, text) in [(Label::Pending, "PENDING"), (Label::Current, "CURRENT")] {
        vault.label(&admin, &version, label).await.unwrap();
        let tags = world.azure.tags("lab-admin", &version.0);
        assert_eq!((tags["keyturn-label"].as_str(), tags["keyturn-tag"].as_str()), (text, "op-1"));
    }
    assert!(vault.get(&admin, &version).await.is_ok());
    vault.purge(&admin, &version).await.unwrap();
    assert!(vault.label(&admin, &version, Label::Previous).await.is_err());
}

#[tokio::test]
async fn a_token_goes_to_no_vault_of_another_directory_or_resource() {
    let world = World::start().await;
    let asks = async || world.client(PACE).unwrap().versions("a").await.unwrap_err();
    world.azure.set_vault_tenant("00000000-0000-0000-0000-00000000dead");
    let error = asks().await;
    assert!(matches!(&error, KeyVaultError::Tenant { .. }), "{error}");
    assert!(error.hint().unwrap().contains("00000000dead"));
    world.azure.set_vault_tenant(fixtures::key_vault::TENANT);
    world.azure.set_resource("https://management.azure.com");
    let error = asks().await;
    assert!(matches!(&error, KeyVaultError::Resource { .. }), "{error}");
    assert_eq!(error.fault(), Whose::Operator);
    assert_eq!(world.azure.asked("token"), 0);
    let resource = Some("https://management.azure.com".to_owned());
    let settings = controller::key_vault::KeyVaultSettings { resource, ..world.settings() };
    let trusting = KeyVault::open(&settings, world.application(), PACE).unwrap();
    assert_eq!(trusting.versions("a").await.unwrap(), []);
}

#[tokio::test]
async fn a_vault_that_moved_to_another_directory_gets_no_further_token() {
    let world = World::start().await;
    let client = world.client(PACE).unwrap();
    client.versions("a").await.unwrap();
    world.azure.set_vault_tenant("00000000-0000-0000-0000-00000000dead");
    let error = client.versions("a").await.unwrap_err();
    assert!(matches!(&error, KeyVaultError::Tenant { .. }), "{error}");
    assert_eq!(world.azure.asked("token"), 1);
}
