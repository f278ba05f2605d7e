//! A cluster that does not do its work: a put is refused as a whole or settled by asking again.

use std::time::Duration;

use controller::error::Fault as Whose;
use controller::remote::Pace;
use controller::vault::contract::password;
use controller::vault::{KubernetesVault, Tag, Vault, VaultError};
use fixtures::kubernetes::Fault;
use protocol::id::SecretVersion;
use protocol::password::Password;

use crate::world::{HOUR, PACE, World, name};

/// Puts a set of three values.
async fn put(vault: &KubernetesVault) -> Result<Vec<SecretVersion>, VaultError> {
    let values: Vec<Password> = (0..3).map(|n| password(&format!("Canary-{n}"))).collect();
    let items: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, value)| (name(&format!("lab-{n}")), Tag::new("op-1"), value))
        .collect();
    vault.put_all(&items).await
}

fn shows_nothing(error: &VaultError) {
    let (told, debug) = (error.to_string(), format!("{error:?}"));
    let hidden = ["Canary", "Q2FuYXJ5", "eyJ"];
    assert!(!hidden.iter().any(|text| told.contains(text) || debug.contains(text)), "{debug}");
    assert!(error.hint().is_some(), "{error}");
}

#[tokio::test]
async fn a_cluster_that_is_down_stores_nothing_and_the_put_says_so() {
    for fault in [Fault::Down, Fault::Status(500), Fault::Status(503), Fault::Page(502)] {
        let world = World::start().await;
        let vault = world.vault().await;
        world.cluster.faults().set(fault);
        let error = put(&vault).await.unwrap_err();
        assert_eq!(error.fault(), Whose::Vault, "{fault:?}: {error}");
        shows_nothing(&error);
        world.cluster.faults().clear();
        assert!(world.stored().is_empty());
        put(&vault).await.unwrap();
        assert_eq!(world.stored().len(), 3);
    }
}

#[tokio::test]
async fn whatever_request_of_a_put_fails_asking_again_stores_each_value_once() {
    let faults = [Fault::Down, Fault::LostAnswer, Fault::Status(500), Fault::Page(200)];
    for (fault, skip) in faults.into_iter().flat_map(|fault| [(fault, 0), (fault, 1), (fault, 2)]) {
        let world = World::start().await;
        let vault = world.vault().await;
        world.cluster.faults().meet("create", skip, u64::MAX, fault);
        let error = put(&vault).await.unwrap_err();
        assert!(error.is_outcome_unknown(), "{fault:?} {skip}: {error}");
        shows_nothing(&error);
        world.cluster.faults().clear();
        let versions = put(&vault).await.unwrap();
        assert_eq!(world.stored().len(), 3, "{fault:?} {skip}");
        assert_eq!(put(&world.vault().await).await.unwrap(), versions);
    }
}

#[tokio::test]
async fn faults_that_pass_are_not_felt_since_every_request_may_be_repeated() {
    let world = World::start().await;
    let vault = world.vault().await;
    for fault in [Fault::Status(503), Fault::Down, Fault::LostAnswer] {
        let world = World::start().await;
        let vault = world.vault().await;
        world.cluster.faults().meet("create", 1, 1, fault);
        let versions = put(&vault).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(put(&vault).await.unwrap(), versions);
        assert_eq!(world.stored().len(), 3);
    }
    let versions = put(&vault).await.unwrap();
    for (n, fault) in [Fault::Status(503), Fault::Down, Fault::LostAnswer].iter().enumerate() {
        let (name, version) = (name(&format!("lab-{n}")), &versions[n]);
        world.cluster.faults().meet("get", 0, 1, *fault);
        vault.get(&name, version).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        world.cluster.faults().meet("list", 0, 1, *fault);
        assert_eq!(vault.versions(&name).await.unwrap().len(), 1);
        world.cluster.faults().meet("patch", 0, 1, *fault);
        vault.disable(&name, version).await.unwrap();
        world.cluster.faults().meet("patch", 0, 1, *fault);
        vault.purge(&name, version).await.unwrap();
        assert_eq!(vault.versions(&name).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_cluster_that_throttles_is_given_the_time_that_it_asks_for() {
    let world = World::start().await;
    let vault = world.vault().await;
    world.cluster.faults().meet("create", 0, 4, Fault::Throttled { retry_after: 0 });
    put(&vault).await.unwrap();
    assert_eq!((world.cluster.asked("429"), world.stored().len()), (4, 3));
    // Longer than anybody waits.
    world.cluster.faults().meet("create", 0, 9, Fault::Throttled { retry_after: 3_600 });
    let item = [(name("other"), Tag::new("op-1"), &password("Canary"))];
    let error = vault.put_all(&item).await.unwrap_err();
    assert!(error.to_string().contains("429 `TooManyRequests`"), "{error}");
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Vault, false));
    assert_eq!(world.cluster.asked("429"), 5);
}

#[tokio::test]
async fn a_cluster_that_is_slow_is_given_up_in_time() {
    let world = World::start().await;
    let pace = Pace { request_max: Duration::from_millis(300), ..PACE };
    let vault = world.vault_with(&world.settings(), pace).await;
    world.cluster.faults().meet("create", 0, 9, Fault::Slow(Duration::from_secs(3_600)));
    let error = put(&vault).await.unwrap_err();
    assert!(error.to_string().contains("no answer in"), "{error}");
    assert!(error.is_outcome_unknown() && error.fault() == Whose::Vault);
    world.cluster.faults().clear();
    put(&world.vault().await).await.unwrap();
    assert_eq!(world.stored().len(), 3);
}

#[tokio::test]
async fn an_identity_without_a_right_is_told_which_one() {
    let world = World::start().await;
    let version = put(&world.vault().await).await.unwrap().remove(0);
    world.cluster.grant(&["get", "list"]);
    let (vault, first) = (world.vault().await, name("lab-0"));
    let value = password("Canary");
    let error = vault.put(&first, &Tag::new("op-2"), &value).await.unwrap_err();
    let expect = "it may not `create` Secrets in the namespace `keyturn`";
    assert!(error.to_string().contains(expect), "{error}");
    assert!(error.hint().unwrap().contains("kubectl auth can-i create secrets -n keyturn"));
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
    assert!(vault.get(&first, &version).await.is_ok());
    let error = vault.disable(&first, &version).await.unwrap_err();
    assert!(error.to_string().contains("may not `patch`"), "{error}");
    world.cluster.grant(&["create"]);
    let error = vault.get(&first, &version).await.unwrap_err();
    assert!(error.to_string().contains("may not `get`"), "{error}");
    let error = vault.versions(&first).await.unwrap_err();
    assert!(error.to_string().contains("may not `list`"), "{error}");
}

#[tokio::test]
async fn a_token_that_rotated_is_read_again_and_one_that_ended_is_told() {
    let world = World::start().await;
    let vault = world.vault().await;
    put(&vault).await.unwrap();
    world.cluster.end_tokens();
    world.write("token", &world.cluster.token(HOUR));
    assert_eq!(vault.versions(&name("lab-0")).await.unwrap().len(), 1);
    world.write("token", &world.cluster.token(0));
    world.cluster.end_tokens();
    let error = vault.versions(&name("lab-0")).await.unwrap_err();
    assert!(error.to_string().contains("401 `Unauthorized`"), "{error}");
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
    shows_nothing(&error);
    world.write("token", &world.cluster.token(HOUR));
    assert_eq!(vault.versions(&name("lab-0")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_cluster_that_is_full_is_told_as_that_and_still_reads() {
    let world = World::start().await;
    let vault = world.vault().await;
    let versions = put(&vault).await.unwrap();
    let (other, tag, value) = (name("other"), Tag::new("op-2"), password("Canary"));
    world.cluster.set_full(true);
    let etcd = vault.put(&other, &tag, &value).await.unwrap_err();
    assert!(vault.disable(&name("lab-0"), &versions[0]).await.is_err());
    assert_eq!(world.cluster.asked("create"), 4, "trying again makes no room");
    world.cluster.set_full(false);
    world.cluster.set_quota(Some(3));
    let quota = vault.put(&other, &tag, &value).await.unwrap_err();
    for (error, expect) in [(etcd, "database space exceeded"), (quota, "exceeded quota")] {
        assert!(error.to_string().contains("it is full, nothing was changed"), "{error}");
        assert!(error.to_string().contains(expect), "{error}");
        assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Vault, false));
        shows_nothing(&error);
    }
    assert!(vault.get(&name("lab-0"), &versions[0]).await.is_ok());
    world.cluster.set_quota(None);
    vault.put(&other, &tag, &value).await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_becomes_full_amid_a_set_has_some_of_it_and_says_how_many() {
    let world = World::start().await;
    let vault = world.vault().await;
    world.cluster.set_quota(Some(2));
    let error = put(&vault).await.unwrap_err();
    assert!(error.to_string().contains("store 3 values in the vault: 2 are stored"), "{error}");
    assert!(error.is_outcome_unknown() && error.hint().unwrap().contains("quota"));
    world.cluster.set_quota(None);
    put(&vault).await.unwrap();
    assert_eq!(world.stored().len(), 3);
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_or_is_not_there_is_told() {
    let world = World::start().await;
    let vault = world.vault().await;
    let version = put(&vault).await.unwrap().remove(0);
    world.cluster.terminate();
    let value = password("Canary");
    let error = vault.put(&name("other"), &Tag::new("1"), &value).await.unwrap_err();
    assert!(error.to_string().contains("namespace `keyturn` is being deleted"), "{error}");
    shows_nothing(&error);
    assert!(vault.get(&name("lab-0"), &version).await.is_ok());
    let settings = controller::kubernetes::KubernetesSettings {
        namespace: Some("elsewhere".to_owned()),
        ..world.settings()
    };
    let vault = world.vault_with(&settings, PACE).await;
    let error = vault.put(&name("other"), &Tag::new("1"), &value).await.unwrap_err();
    assert!(error.to_string().contains("Secrets in the namespace `elsewhere`"), "{error}");
}

#[tokio::test]
async fn what_is_no_api_server_is_not_taken_for_an_empty_one() {
    let world = World::start().await;
    let vault = world.vault().await;
    let version = put(&vault).await.unwrap().remove(0);
    world.cluster.faults().set(Fault::Page(404));
    for error in [
        vault.get(&name("lab-0"), &version).await.unwrap_err(),
        put(&vault).await.unwrap_err(),
        vault.versions(&name("lab-0")).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("expected the API server's answer"), "{error}");
    }
}
