//! How Keyturn is known to a vault, and what is done when it is not.

use controller::error::Fault as Whose;
use controller::kv2::Login;
use controller::vault::{Vault, VaultError};

use crate::world::{World, name};

async fn looks(world: &World, login: Login) -> Result<usize, VaultError> {
    world.vault_as(login).versions(&name("lab-admin")).await.map(|versions| versions.len())
}

#[tokio::test]
async fn each_method_gets_a_token_once() {
    let world = World::start().await;
    for (login, asked) in
        [(world.approle(), "login"), (world.kubernetes(), "login"), (world.token(), "lookup-self")]
    {
        let before = world.server.asked(asked);
        let vault = world.vault_as(login);
        for _ in 0..5 {
            vault.versions(&name("lab-admin")).await.unwrap();
        }
        assert_eq!(world.server.asked(asked), before + 1, "{asked}");
    }
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_login() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    let asking = (0..50).map(|_| vault.versions(&admin));
    assert!(futures_util::future::join_all(asking).await.iter().all(Result::is_ok));
    assert_eq!(world.server.asked("login"), 1);
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_replaced_once() {
    for login in [World::approle, World::kubernetes] {
        let world = World::start().await;
        let (vault, admin) = (world.vault_as(login(&world)), name("lab-admin"));
        vault.versions(&admin).await.unwrap();
        world.server.end_tokens();
        vault.versions(&admin).await.unwrap();
        assert_eq!(world.server.asked("login"), 2);
    }
}

#[tokio::test]
async fn a_token_in_a_file_is_read_again_when_it_is_not_taken() {
    let world = World::start().await;
    let (vault, admin) = (world.vault_as(world.token()), name("lab-admin"));
    vault.versions(&admin).await.unwrap();
    world.server.end_tokens();
    world.write("token", &world.server.give_token(3_600));
    vault.versions(&admin).await.unwrap();
    world.server.end_tokens();
    let error = vault.versions(&admin).await.unwrap_err();
    assert!(error.to_string().contains("there is no token"), "{error}");
    assert!(error.hint().unwrap().contains("lookup-self"));
    assert_eq!((error.fault(), error.is_outcome_unknown()), (Whose::Operator, false));
}

#[tokio::test]
async fn a_token_is_renewed_and_after_its_longest_life_there_is_a_new_one() {
    let world = World::start().await;
    // Half of its life is over at once.
    world.server.set_token_life(1, 2);
    let (vault, admin) = (world.vault(), name("lab-admin"));
    vault.versions(&admin).await.unwrap();
    assert_eq!(world.server.asked("login"), 1);
    let began = std::time::Instant::now();
    // No pause: it is asked as often as can be, and every token is taken.
    while world.server.asked("login") < 2 {
        vault.versions(&admin).await.unwrap();
        assert!(began.elapsed() < std::time::Duration::from_secs(60));
    }
    assert!(world.server.asked("renew-self") > 0);
    assert_eq!(world.server.asked("403 LIST metadata"), 0);
}

#[tokio::test]
async fn a_refused_credential_is_told_without_it_and_a_new_one_needs_no_restart() {
    let world = World::start().await;
    let (vault, admin) = (world.vault(), name("lab-admin"));
    world.server.set_secret_id("Canary-4712");
    let error = vault.versions(&admin).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("invalid role or secret ID"), "{text}");
    assert!(!text.to_lowercase().contains("canary"), "{text}");
    assert!(error.hint().unwrap().contains("secret id"));
    world.write("secret-id", "Canary-4712\n");
    vault.versions(&admin).await.unwrap();
}

#[tokio::test]
async fn a_credential_that_is_missing_or_empty_is_named() {
    let world = World::start().await;
    for (file, login) in [
        ("role-id", world.approle()),
        ("secret-id", world.approle()),
        ("jwt", world.kubernetes()),
        ("token", world.token()),
    ] {
        world.write(file, "\n");
        let error = looks(&world, login.clone()).await.unwrap_err();
        assert!(error.hint().unwrap().contains(file), "{error:?}");
        std::fs::remove_file(world.path(file)).unwrap();
        let error = looks(&world, login).await.unwrap_err();
        assert!(error.hint().unwrap().contains(file), "{error:?}");
        world.write(file, "x");
    }
    assert_eq!(world.server.asked("login"), 0);
}

#[tokio::test]
async fn a_method_that_is_mounted_elsewhere_is_named() {
    let world = World::start().await;
    let (role_id, secret_id) = (world.path("role-id"), world.path("secret-id"));
    let login = Login::AppRole { mount: "machines/approle".to_owned(), role_id, secret_id };
    let error = looks(&world, login).await.unwrap_err();
    assert!(error.hint().unwrap().contains("auth/machines/approle/login"), "{error:?}");
}

#[tokio::test]
async fn a_right_that_is_missing_costs_no_login() {
    let world = World::start().await;
    world.server.deny("LIST metadata");
    for _ in 0..3 {
        let error = looks(&world, world.token()).await.unwrap_err();
        assert!(
            error.to_string().contains("\"list\" on `teams/kv/metadata/lab/keyturn/*`"),
            "{error}"
        );
    }
    assert_eq!(world.server.asked("login"), 0);
    // Once to take it, and once to see that it is still taken.
    assert_eq!(world.server.asked("lookup-self"), 6);
}
