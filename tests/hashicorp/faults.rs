//! A vault that does not do its work: a put is refused as a whole or settled by asking again.

use std::sync::Arc;
use std::time::Duration;

use controller::error::Fault as Whose;
use controller::kv2::Kv2;
use controller::remote::Pace;
use controller::vault::contract::password;
use controller::vault::{HashicorpVault, Tag, Vault, VaultError};
use fixtures::kv2::Fault;
use protocol::id::SecretVersion;
use protocol::password::Password;

use crate::world::{ID, PACE, World, key, name};

/// Puts a set of three values.
async fn put(vault: &HashicorpVault) -> Result<Vec<SecretVersion>, VaultError> {
    let values: Vec<Password> = (0..3).map(|n| password(&format!("Canary-{n}"))).collect();
    let items: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, value)| (name(&format!("lab-{n}")), Tag::new("op-1"), value))
        .collect();
    vault.put_all(&items).await
}

fn stored(world: &World) -> usize {
    (0..3).map(|n| world.values(&format!("lab-{n}")).len()).sum()
}

#[tokio::test]
async fn a_vault_that_is_down_stores_nothing_and_the_put_says_so() {
    for fault in [Fault::Down, Fault::Status(500), Fault::Status(503), Fault::Page] {
        let world = World::start().await;
        let vault = world.vault();
        world.server.faults().set(fault);
        let error = put(&vault).await.unwrap_err();
        assert_eq!(error.fault(), Whose::Vault, "{fault:?}: {error}");
        assert!(!format!("{error:?} {error}").contains("Canary"), "{error}");
        world.server.faults().clear();
        assert_eq!(stored(&world), 0);
        put(&vault).await.unwrap();
        assert_eq!(stored(&world), 3);
    }
}

#[tokio::test]
async fn a_sealed_vault_is_told_and_used_again_when_it_is_open() {
    let world = World::start().await;
    let vault = world.vault();
    put(&vault).await.unwrap();
    world.server.seal(true);
    let error = vault.versions(&name("lab-0")).await.unwrap_err();
    assert!(error.to_string().contains("sealed"), "{error}");
    assert!(error.hint().unwrap().contains("unseal") && error.fault() == Whose::Vault);
    world.server.seal(false);
    assert_eq!(vault.versions(&name("lab-0")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn whatever_request_of_a_put_fails_asking_again_stores_each_value_once() {
    for fault in [Fault::Down, Fault::LostAnswer, Fault::Status(500), Fault::Page] {
        for what in ["POST", "write"] {
            for skip in 0..3 {
                let world = World::start().await;
                let vault = world.vault();
                world.server.faults().meet(what, skip, u64::MAX, fault);
                let error = put(&vault).await.unwrap_err();
                assert!(error.is_outcome_unknown(), "{fault:?} {what} {skip}: {error}");
                world.server.faults().clear();
                let versions = put(&vault).await.unwrap();
                assert_eq!(stored(&world), 3, "{fault:?} {what} {skip}");
                assert_eq!(put(&world.vault()).await.unwrap(), versions);
            }
        }
    }
}

#[tokio::test]
async fn faults_that_pass_are_not_felt_and_nothing_is_stored_twice() {
    for fault in [Fault::Down, Fault::LostAnswer, Fault::Status(503), Fault::Status(412)] {
        for what in ["GET", "POST", "write", "auth"] {
            let world = World::start().await;
            let vault = world.vault();
            world.server.faults().meet(what, 0, 1, fault);
            let put = put(&vault).await;
            put.unwrap_or_else(|error| panic!("{fault:?} {what}: {error}"));
            assert_eq!(stored(&world), 3, "{fault:?} {what}");
        }
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_unknown_also_if_nobody_can_be_reached_after_that() {
    let world = World::start().await;
    let vault = world.vault();
    let versions = put(&vault).await.unwrap();
    world.server.faults().meet("POST", 0, u64::MAX, Fault::LostAnswer);
    let error = vault.disable(&name("lab-0"), &versions[0]).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    world.server.faults().clear();
    let error = vault.get(&name("lab-0"), &versions[0]).await.unwrap_err();
    assert!(matches!(error, VaultError::Disabled { .. }), "{error}");
}

#[tokio::test]
async fn a_vault_that_throttles_is_given_the_time_that_it_asks_for() {
    let world = World::start().await;
    let vault = world.vault();
    world.server.faults().meet("write", 0, 4, Fault::Throttled { retry_after: 0 });
    put(&vault).await.unwrap();
    assert_eq!((world.server.asked("429"), stored(&world)), (4, 3));
    // Longer than anybody waits.
    world.server.faults().meet("write", 0, 9, Fault::Throttled { retry_after: 3_600 });
    let item = [(name("other"), Tag::new("op-1"), &password("Canary"))];
    let error = vault.put_all(&item).await.unwrap_err();
    assert!(error.to_string().contains("429") && error.fault() == Whose::Vault, "{error}");
    assert!(!error.is_outcome_unknown());
    assert_eq!(world.server.asked("429"), 5);
}

#[tokio::test]
async fn a_vault_that_is_slow_is_given_up_in_time() {
    let world = World::start().await;
    let pace = Pace { request_max: Duration::from_millis(100), ..PACE };
    let client = Kv2::open(&world.settings(world.approle()), pace).unwrap();
    let vault = HashicorpVault::new(client, ID, Arc::new(|| 1));
    world.server.faults().set(Fault::Slow(Duration::from_secs(3_600)));
    let error = put(&vault).await.unwrap_err();
    assert_eq!(error.fault(), Whose::Vault, "{error}");
}

#[tokio::test]
async fn a_policy_that_is_too_narrow_is_told_with_what_is_missing() {
    let cases = [
        ("GET config", "read", "teams/kv/config"),
        ("GET metadata", "read", "teams/kv/metadata/lab/keyturn/*"),
        ("POST metadata", "create", "teams/kv/metadata/lab/keyturn/*"),
        ("POST data", "update", "teams/kv/data/lab/keyturn/*"),
    ];
    for (denied, capability, path) in cases {
        let world = World::start().await;
        world.server.deny(denied);
        let error = put(&world.vault()).await.unwrap_err();
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        assert!(text.contains(capability) && text.contains(path), "{denied}: {text}");
        assert!(hint.contains(&format!("path \"{path}\"")), "{denied}: {hint}");
        assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
        assert_eq!((stored(&world), world.server.asked("login")), (0, 1), "{denied}");
    }
}

#[tokio::test]
async fn whoever_may_only_read_reads() {
    let world = World::start().await;
    let version = put(&world.vault()).await.unwrap().remove(0);
    for denied in ["POST data", "POST metadata", "POST delete", "POST destroy", "PATCH metadata"] {
        world.server.deny(denied);
    }
    let (vault, first) = (world.vault(), name("lab-0"));
    assert!(vault.get(&first, &version).await.is_ok());
    assert_eq!(vault.versions(&first).await.unwrap().len(), 1);
    for error in [
        vault.put(&first, &Tag::new("op-2"), &password("Canary")).await.unwrap_err(),
        vault.disable(&first, &version).await.unwrap_err(),
        vault.purge(&first, &version).await.unwrap_err(),
        vault.label(&first, &version, controller::vault::Label::Current).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
    world.server.allow_all();
    assert_eq!(vault.versions(&first).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_version_that_was_there_and_is_gone_is_named() {
    let world = World::start().await;
    let vault = world.vault();
    let versions = put(&vault).await.unwrap();
    world.server.lose(&key("lab-1", &versions[1]));
    let error = vault.get(&name("lab-1"), &versions[1]).await.unwrap_err();
    assert!(matches!(&error, VaultError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_proxy_that_knows_no_vault_is_not_taken_for_an_empty_one() {
    let world = World::start().await;
    let vault = world.vault();
    let versions = put(&vault).await.unwrap();
    world.server.faults().set(Fault::Status(404));
    for error in [
        vault.versions(&name("lab-0")).await.unwrap_err(),
        vault.get(&name("lab-0"), &versions[0]).await.unwrap_err(),
        vault.mark().await.unwrap_err(),
        put(&vault).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("it answered 404"), "{error}");
    }
}

#[tokio::test]
async fn a_put_that_was_cut_between_its_two_writes_left_no_version() {
    let world = World::start().await;
    let vault = world.vault();
    world.server.deny("POST data");
    put(&vault).await.unwrap_err();
    assert_eq!(vault.versions(&name("lab-0")).await.unwrap(), []);
    world.server.allow_all();
    put(&vault).await.unwrap();
    assert_eq!(vault.versions(&name("lab-0")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_standby_is_followed_on_the_same_host_only() {
    let world = World::start().await;
    let (vault, active) = (world.vault(), World::start().await);
    let looks = async || vault.versions(&name("lab-0")).await.unwrap_err();
    vault.versions(&name("lab-0")).await.unwrap();
    let elsewhere = ["https://other.test:8200", &active.server.uri().replace("https", "http")];
    for active in elsewhere {
        world.server.stand_by(Some(active));
        let error = looks().await;
        assert!(
            error.to_string().contains("standby") && error.to_string().contains(active),
            "{error}"
        );
        assert_eq!(error.fault(), Whose::Operator);
    }
    // Another port of the host is asked, and has a certificate that is not trusted.
    world.server.stand_by(Some(&active.server.uri()));
    let untrusted = looks().await;
    assert!(untrusted.to_string().contains("does not answer"), "{untrusted}");
    world.server.stand_by(Some(&world.server.uri()));
    let endless = looks().await;
    assert!(endless.to_string().contains("it answered 307"), "{endless}");
    world.server.stand_by(None);
    vault.versions(&name("lab-0")).await.unwrap();
}
