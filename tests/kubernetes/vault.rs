//! What the vault in Kubernetes promises as every vault does, and what is its own.

use std::sync::Mutex;

use controller::error::Fault as Whose;
use controller::vault::Label;
use controller::vault::contract::{contract, password};
use controller::vault::{Tag, Vault, VaultError};
use fixtures::kubernetes::Fault;
use protocol::id::SecretVersion;
use serde_json::json;

use crate::world::{World, name};

#[tokio::test]
async fn the_vault_in_kubernetes_keeps_the_contract() {
    let worlds = Mutex::new(Vec::new());
    contract(async || {
        let world = World::start().await;
        let vault = world.vault().await;
        worlds.lock().unwrap().push(world);
        vault
    })
    .await;
}

#[tokio::test]
async fn a_version_is_one_secret_whose_value_is_nowhere_but_in_its_data() {
    let world = World::start().await;
    let (admin, tag) = (name("Lab-East-Admin"), Tag::new("op-1 / set 3"));
    let version = world.vault().await.put(&admin, &tag, &password("Canary-1")).await.unwrap();
    let (object, secret) = world.only();
    assert_eq!(object, format!("keyturn-{}", &version.0[..20]));
    let annotations = &secret["metadata"]["annotations"];
    assert_eq!(annotations["keyturn-name"], "Lab-East-Admin");
    assert_eq!(annotations["keyturn-tag"], "op-1 / set 3");
    assert_eq!(annotations["keyturn-version"], *version.0);
    assert_eq!(secret["metadata"]["labels"]["app.kubernetes.io/managed-by"], "keyturn");
    assert_eq!(secret["type"], "keyturn/password");
    assert_eq!(secret["data"]["password"], "Q2FuYXJ5LTE=");
    let rest = json!([secret["metadata"], secret["type"]]).to_string();
    assert!(!rest.contains("Canary") && !rest.contains("Q2FuYXJ5"), "{rest}");
}

#[tokio::test]
async fn two_controllers_that_put_the_same_at_once_store_it_once() {
    let world = World::start().await;
    let admin = name("lab-admin");
    for n in 0..20 {
        let tag = Tag::new(&n.to_string());
        let (one, two) = (world.vault().await, world.vault().await);
        let (first, second) = (password("first"), password("second"));
        let both = tokio::join!(one.put(&admin, &tag, &first), two.put(&admin, &tag, &second));
        assert_eq!(both.0.unwrap(), both.1.unwrap());
    }
    assert_eq!(world.stored().len(), 20);
}

#[tokio::test]
async fn long_lists_are_read_to_their_end_and_anew_when_they_are_too_old() {
    let world = World::start().await;
    let (vault, admin) = (world.vault().await, name("lab-admin"));
    let mut wanted = Vec::new();
    for n in 0..260 {
        let tag = Tag::new(&n.to_string());
        wanted.push(vault.put(&admin, &tag, &password("value")).await.unwrap());
    }
    vault.put(&name("lab-other"), &Tag::new("1"), &password("value")).await.unwrap();
    let listed = async || -> Vec<SecretVersion> {
        let listed = vault.versions(&admin).await.unwrap();
        listed.into_iter().map(|info| info.version).collect()
    };
    assert_eq!(listed().await, wanted);
    assert_eq!(world.cluster.asked("list"), 2);
    world.cluster.faults().meet("list", 1, 1, Fault::Expired);
    assert_eq!(listed().await, wanted);
    assert_eq!(world.cluster.asked("list"), 6);
    world.cluster.faults().meet("list", 0, u64::MAX, Fault::Expired);
    let error = vault.versions(&admin).await.unwrap_err();
    assert!(error.to_string().contains("somebody else changed it"), "{error}");
}

#[tokio::test]
async fn a_purge_takes_the_value_away_and_keeps_the_number_for_ever() {
    let world = World::start().await;
    let (vault, admin, tag) = (world.vault().await, name("lab-admin"), Tag::new("op-1"));
    let version = vault.put(&admin, &tag, &password("Canary-1")).await.unwrap();
    vault.label(&admin, &version, Label::Previous).await.unwrap();
    vault.purge(&admin, &version).await.unwrap();
    let (object, secret) = world.only();
    assert!(secret.get("data").is_none() && secret["immutable"] == true, "{secret}");
    assert!(secret["metadata"]["labels"].get("keyturn-label").is_none());
    let data = json!({ "data": { "password": "Q2FuYXJ5LTE=" } });
    assert!(world.cluster.patch(&object, &data).unwrap_err().contains("immutable"));
    let error = world.vault().await.put(&admin, &tag, &password("second")).await.unwrap_err();
    assert!(matches!(&error, VaultError::Purged { version: of, .. } if *of == version), "{error}");
}

#[tokio::test]
async fn labels_are_for_selectors_and_go_with_the_value() {
    let world = World::start().await;
    let (vault, admin) = (world.vault().await, name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("op-1"), &password("value")).await.unwrap();
    for (label, text) in [(Label::Pending, "PENDING"), (Label::Current, "CURRENT")] {
        vault.label(&admin, &version, label).await.unwrap();
        assert_eq!(world.only().1["metadata"]["labels"]["keyturn-label"], text);
    }
    assert!(vault.get(&admin, &version).await.is_ok());
    vault.purge(&admin, &version).await.unwrap();
    let error = vault.label(&admin, &version, Label::Previous).await.unwrap_err();
    assert!(matches!(error, VaultError::Purged { .. }), "{error}");
}

#[tokio::test]
async fn a_version_that_somebody_deleted_is_missed_and_its_number_is_never_used_again() {
    let world = World::start().await;
    let (vault, admin, tag) = (world.vault().await, name("lab-admin"), Tag::new("op-1"));
    let first = vault.put(&admin, &tag, &password("first")).await.unwrap();
    world.cluster.delete(&world.only().0);
    let error = vault.get(&admin, &first).await.unwrap_err();
    assert!(matches!(error, VaultError::NotFound { .. }), "{error}");
    let second = vault.put(&admin, &tag, &password("second")).await.unwrap();
    assert_ne!(first, second);
    let error = vault.get(&admin, &first).await.unwrap_err();
    assert!(matches!(error, VaultError::NotFound { .. }), "{error}");
    assert!(vault.get(&admin, &second).await.unwrap().matches(&password("second")));
}

#[tokio::test]
async fn a_value_that_somebody_changed_is_not_taken_for_the_one_that_was_put() {
    let world = World::start().await;
    let (vault, admin) = (world.vault().await, name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("1"), &password("Canary-1")).await.unwrap();
    let object = world.only().0;
    for data in [json!({ "password": "Q2FuYXJ5LTI=" }), json!({ "digest": null }), json!(null)] {
        world.cluster.patch(&object, &json!({ "data": data })).unwrap();
        let error = vault.get(&admin, &version).await.unwrap_err();
        assert!(error.to_string().contains("not what was put into it"), "{error}");
        assert!(error.hint().unwrap().contains(&object) && error.fault() == Whose::Vault);
        assert!(!format!("{error:?}").contains("Canary"));
    }
}

#[tokio::test]
async fn a_secret_of_others_under_one_of_our_names_is_left_alone() {
    let world = World::start().await;
    let (vault, admin, tag) = (world.vault().await, name("lab-admin"), Tag::new("1"));
    vault.put(&admin, &tag, &password("value")).await.unwrap();
    let (object, _secret) = world.only();
    world.cluster.delete(&object);
    let foreign = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": object },
        "data": { "password": "dGhlaXJz" },
    });
    world.cluster.make(&foreign).unwrap();
    let error = vault.put(&admin, &tag, &password("value")).await.unwrap_err();
    assert!(error.to_string().contains("not made by Keyturn"), "{error}");
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
    assert_eq!(world.only().1["data"]["password"], "dGhlaXJz");
    assert_eq!(vault.versions(&admin).await.unwrap(), []);
}

#[tokio::test]
async fn a_secret_that_a_policy_made_immutable_cannot_be_purged_and_it_is_told() {
    let world = World::start().await;
    let (vault, admin) = (world.vault().await, name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("1"), &password("value")).await.unwrap();
    let object = world.only().0;
    world.cluster.patch(&object, &json!({ "immutable": true })).unwrap();
    vault.disable(&admin, &version).await.unwrap();
    let error = vault.purge(&admin, &version).await.unwrap_err();
    assert!(error.to_string().contains("immutable"), "{error}");
    assert!(error.hint().unwrap().contains(&format!("kubectl delete secret {object}")));
}

#[tokio::test]
async fn an_older_copy_of_the_cluster_has_an_older_mark() {
    let world = World::start().await;
    let vault = world.vault().await;
    let first = vault.mark().await.unwrap().unwrap();
    assert_eq!((first.serial, first.note.as_str(), first.vault.len()), (0, "", 32));
    vault.raise_mark(7, "seven").await.unwrap();
    let snapshot = world.cluster.snapshot();
    vault.raise_mark(9, "nine").await.unwrap();
    vault.raise_mark(8, "eight").await.unwrap();
    let mark = world.vault().await.mark().await.unwrap().unwrap();
    assert_eq!((mark.serial, mark.note.as_str()), (9, "nine"));
    assert_eq!(mark.vault, first.vault);
    world.cluster.restore(&snapshot);
    assert_eq!(vault.mark().await.unwrap().unwrap().serial, 7);
}

#[tokio::test]
async fn of_two_that_raise_the_mark_at_once_the_higher_one_stays() {
    let world = World::start().await;
    let (one, two) = (world.vault().await, world.vault().await);
    for serial in [1, 3, 5, 7] {
        let both = tokio::join!(one.raise_mark(serial, "one"), two.raise_mark(serial + 1, "two"));
        both.0.unwrap();
        both.1.unwrap();
        let mark = one.mark().await.unwrap().unwrap();
        assert_eq!((mark.serial, mark.note.as_str()), (serial + 1, "two"));
    }
}

#[tokio::test]
async fn whoever_is_overtaken_looks_again_and_then_changes() {
    let world = World::start().await;
    let (vault, admin) = (world.vault().await, name("lab-admin"));
    let version = vault.put(&admin, &Tag::new("1"), &password("value")).await.unwrap();
    world.cluster.faults().meet("patch", 0, 3, Fault::Overtaken);
    vault.disable(&admin, &version).await.unwrap();
    assert_eq!(world.cluster.asked("patch"), 4);
    assert!(!vault.versions(&admin).await.unwrap()[0].enabled);
    world.cluster.faults().set(Fault::Overtaken);
    let error = vault.purge(&admin, &version).await.unwrap_err();
    assert!(error.to_string().contains("somebody else changed it each of 10 times"), "{error}");
}
