//! A vault that does not do its work: a put is refused as a whole or settled by asking again.

use std::time::Duration;

use controller::error::Fault as Whose;
use controller::remote::Pace;
use controller::vault::contract::password;
use controller::vault::{AzureVault, Tag, Vault, VaultError};
use fixtures::key_vault::{Fault, Right};
use protocol::password::Password;

use crate::world::{ID, PACE, World, name};

/// Puts a set of three values.
async fn put(vault: &AzureVault) -> Result<Vec<protocol::id::SecretVersion>, VaultError> {
    let values: Vec<Password> = (0..3).map(|n| password(&format!("Canary-{n}"))).collect();
    let items: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, value)| (name(&format!("lab-{n}")), Tag::new("op-1"), value))
        .collect();
    vault.put_all(&items).await
}

fn stored(world: &World) -> usize {
    (0..3).map(|n| world.azure.values(&format!("lab-{n}")).len()).sum()
}

#[tokio::test]
async fn a_vault_that_is_down_stores_nothing_and_the_put_says_so() {
    for fault in [Fault::Down, Fault::Status(500), Fault::Status(503), Fault::Page] {
        let world = World::start().await;
        let vault = world.vault();
        world.azure.faults().set(fault);
        let error = put(&vault).await.unwrap_err();
        assert_eq!(
            error.fault(),
            if fault == Fault::Page { Whose::Operator } else { Whose::Vault }
        );
        assert!(error.hint().is_some() && !format!("{error:?}").contains("Canary"), "{error}");
        world.azure.faults().clear();
        assert_eq!(stored(&world), 0);
        put(&vault).await.unwrap();
        assert_eq!(stored(&world), 3);
    }
}

#[tokio::test]
async fn whatever_request_of_a_put_fails_asking_again_stores_each_value_once() {
    for fault in [Fault::Down, Fault::LostAnswer, Fault::Status(500), Fault::Page] {
        for skip in 0..3 {
            let world = World::start().await;
            let vault = world.vault();
            world.azure.faults().meet("PUT", skip, u64::MAX, fault);
            let error = put(&vault).await.unwrap_err();
            assert!(error.is_outcome_unknown(), "{fault:?} {skip}: {error}");
            world.azure.faults().clear();
            let versions = put(&vault).await.unwrap();
            assert_eq!(stored(&world), 3, "{fault:?} {skip}");
            assert_eq!(put(&world.vault()).await.unwrap(), versions);
        }
    }
}

#[tokio::test]
async fn faults_that_pass_are_not_felt_where_a_request_may_be_repeated() {
    let world = World::start().await;
    let vault = world.vault();
    let versions = put(&vault).await.unwrap();
    let asked = [(name("lab-0"), versions[0].clone())];
    for fault in [Fault::Status(503), Fault::Down, Fault::LostAnswer] {
        world.azure.faults().meet("GET", 0, 1, fault);
        vault.get_all(&asked).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        world.azure.faults().meet("PATCH", 0, 1, fault);
        vault.disable(&name("lab-1"), &versions[1]).await.unwrap();
    }
}

#[tokio::test]
async fn a_vault_that_throttles_is_given_the_time_that_it_asks_for() {
    let world = World::start().await;
    let vault = world.vault();
    world.azure.faults().meet("PUT", 0, 4, Fault::Throttled { retry_after: 0 });
    put(&vault).await.unwrap();
    assert_eq!((world.azure.asked("429"), stored(&world)), (4, 3));
    // Longer than anybody waits.
    world.azure.faults().meet("PUT", 0, 9, Fault::Throttled { retry_after: 3_600 });
    let item = [(name("other"), Tag::new("op-1"), &password("Canary"))];
    let error = vault.put_all(&item).await.unwrap_err();
    assert!(error.to_string().contains("429") && error.fault() == Whose::Vault, "{error}");
    assert!(!error.is_outcome_unknown());
    assert_eq!(world.azure.asked("429"), 5);
}

#[tokio::test]
async fn a_vault_that_is_slow_is_given_up_in_time() {
    let world = World::start().await;
    let pace = Pace { request_max: Duration::from_millis(100), ..PACE };
    let vault = AzureVault::new(world.client(pace).unwrap(), ID, pace, std::sync::Arc::new(|| 1));
    world.azure.faults().set(Fault::Slow(Duration::from_secs(3_600)));
    let error = put(&vault).await.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert_eq!(error.fault(), Whose::Vault);
}

#[tokio::test]
async fn an_identity_that_may_only_read_is_told_the_role_that_is_missing() {
    let world = World::start().await;
    let version = put(&world.vault()).await.unwrap().remove(0);
    world.azure.grant(Right::User);
    let (vault, first) = (world.vault(), name("lab-0"));
    let value = password("Canary");
    let error = vault.put(&first, &Tag::new("op-2"), &value).await.unwrap_err();
    assert!(error.to_string().contains("ForbiddenByRbac"), "{error}");
    assert!(error.hint().unwrap().contains("Key Vault Secrets Officer"));
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
    assert!(vault.get(&first, &version).await.is_ok());
    assert!(vault.disable(&first, &version).await.is_err());
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_replaced_once() {
    let world = World::start().await;
    let vault = world.vault();
    put(&vault).await.unwrap();
    world.azure.end_tokens();
    vault.versions(&name("lab-0")).await.unwrap();
    assert_eq!(world.azure.asked("token"), 2);
    world.azure.end_tokens();
    world.azure.set_client_secret("another");
    let error = vault.versions(&name("lab-0")).await.unwrap_err();
    assert!(error.to_string().contains("there is no token"), "{error}");
}

#[tokio::test]
async fn a_version_that_was_there_and_is_gone_is_named() {
    let world = World::start().await;
    let vault = world.vault();
    let versions = put(&vault).await.unwrap();
    world.azure.lose("lab-1", &versions[1].0);
    let error = vault.get(&name("lab-1"), &versions[1]).await.unwrap_err();
    assert!(matches!(&error, VaultError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_is_deleted_and_may_not_be_recovered_refuses_the_whole_set() {
    let world = World::start().await;
    put(&world.vault()).await.unwrap();
    world.azure.delete("lab-1");
    world.azure.grant(Right::User);
    let values = [password("Canary-1"), password("Canary-2")];
    let items = [
        (name("new"), Tag::new("op-2"), &values[0]),
        (name("lab-1"), Tag::new("op-2"), &values[1]),
    ];
    let error = world.vault().put_all(&items).await.unwrap_err();
    assert!(error.to_string().contains("recover `lab-1`"), "{error}");
    assert!(world.azure.values("new").is_empty());
}
