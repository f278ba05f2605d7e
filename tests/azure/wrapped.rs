//! The vault's key, wrapped by a key of a simulated Key Vault.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use controller::error::Fault as Whose;
use controller::key_vault::KeyVault;
use controller::remote::Pace;
use controller::vault::contract::{clock, password};
use controller::vault::embedded::{Place, Steps};
use controller::vault::key::{KeySource, KeyVaultWrapper, NewKey, Wrapping};
use controller::vault::{EmbeddedVault, Tag, Vault, VaultError};
use fixtures::key_vault::{Fault, KeyKind, Right, TENANT, VAULT};
use harness::site::Site;

use crate::world::{PACE, World, name};

const KEY: &str = "Keyturn-kek";

async fn world(kind: KeyKind) -> World {
    let world = World::start().await;
    let _version = world.azure.create_key(KEY, kind);
    world.azure.grant(Right::Crypto);
    world
}

fn wrapping(world: &World, pace: Pace, version: Option<&str>) -> Wrapping {
    let client: KeyVault = world.client(pace).unwrap();
    Wrapping::new(KeyVaultWrapper::new(Arc::new(client), KEY, version))
}

fn source(world: &World) -> KeySource {
    KeySource::wrapped(world.dir.path(), None, wrapping(world, PACE, None))
}

fn key_file(world: &World) -> PathBuf {
    world.path("vault.key")
}

async fn open(dir: &Path, source: &KeySource) -> Result<EmbeddedVault, VaultError> {
    EmbeddedVault::open_with(&dir.join("vault.db"), source, Place::default(), clock()).await
}

/// Opens the vault and finds the value that was put into it.
async fn assert_opens(world: &World, source: &KeySource) {
    let vault = open(world.dir.path(), source).await.unwrap();
    let versions = vault.versions(&name("lab-admin")).await.unwrap();
    let got = vault.get(&name("lab-admin"), &versions[0].version).await.unwrap();
    assert!(got.matches(&password("Canary-4711")));
    vault.close().await.unwrap();
}

async fn filled(world: &World, source: &KeySource) {
    let vault = open(world.dir.path(), source).await.unwrap();
    let value = password("Canary-4711");
    vault.put(&name("lab-admin"), &Tag::new("op"), &value).await.unwrap();
    vault.close().await.unwrap();
}

async fn rekey(world: &World, source: &KeySource, new: &NewKey) -> Result<(), VaultError> {
    let vault = open(world.dir.path(), source).await?;
    vault.rekey(source, new, None, &Steps::default()).await.map(drop)
}

#[tokio::test]
async fn a_key_that_a_vault_has_wrapped_opens_and_lies_nowhere() {
    for kind in [KeyKind::Rsa, KeyKind::Aes] {
        let world = world(kind).await;
        let source = source(&world);
        filled(&world, &source).await;
        let text = std::fs::read_to_string(key_file(&world)).unwrap();
        let uri = format!("azure-key-vault {}/keys/keyturn-kek ", world.azure.vault_uri());
        assert!(text.starts_with("keyturn-vault-wrapped 1 ") && text.contains(&uri), "{text}");
        assert_eq!(world.azure.asked("POST /keys/{name}/{version}/wrapkey"), 1);
        assert_opens(&world, &source).await;
        assert_eq!(world.azure.asked("POST /keys/{name}/{version}/unwrapkey"), 1);
    }
}

#[tokio::test]
async fn a_wrapping_key_that_is_renewed_still_opens_what_it_has_wrapped_before() {
    let world = world(KeyKind::Rsa).await;
    let source = source(&world);
    filled(&world, &source).await;
    let before = std::fs::read_to_string(key_file(&world)).unwrap();
    let newer = world.azure.create_key(KEY, KeyKind::Rsa);
    assert_opens(&world, &source).await;
    // The change takes the newest, the old file goes with the old vault, and no value is touched.
    let by = wrapping(&world, PACE, None);
    rekey(&world, &source, &NewKey::Wrapped(by)).await.unwrap();
    let text = std::fs::read_to_string(key_file(&world)).unwrap();
    assert!(text.contains(&newer) && !before.contains(&newer), "{text}");
    assert_opens(&world, &source).await;
    let old = text.clone();
    let oldest = before.split(' ').nth(4).unwrap().to_owned();
    let by = wrapping(&world, PACE, Some(&oldest));
    rekey(&world, &source, &NewKey::Wrapped(by)).await.unwrap();
    let text = std::fs::read_to_string(key_file(&world)).unwrap();
    assert!(text.contains(&oldest) && text != old, "a version may be said: {text}");
    rekey(&world, &source, &NewKey::Random).await.unwrap();
    let text = std::fs::read_to_string(key_file(&world)).unwrap();
    assert!(text.starts_with("keyturn-vault-key 1 "));
    assert_opens(&world, &KeySource::File(key_file(&world))).await;
}

#[tokio::test]
async fn what_keeps_a_vault_from_unwrapping_is_told_with_what_mends_it() {
    let world = world(KeyKind::Rsa).await;
    filled(&world, &source(&world)).await;
    let before = std::fs::read(key_file(&world)).unwrap();
    let check = async |pace: Pace, whose: Whose, hint: &str| {
        let by = wrapping(&world, pace, None);
        let source = KeySource::wrapped(world.dir.path(), None, by);
        let error = open(world.dir.path(), &source).await.unwrap_err();
        let told = format!("{error} {}", error.hint().unwrap_or_default());
        assert!(matches!(error, VaultError::Unwrap { .. }), "{hint}: {error:?}");
        assert!(told.contains(hint) && told.contains("Nothing was changed"), "{told}");
        assert_eq!(error.fault(), whose, "{told}");
        assert_eq!(std::fs::read(key_file(&world)).unwrap(), before);
    };
    world.azure.faults().set(Fault::Down);
    check(PACE, Whose::Vault, "the way to it").await;
    world.azure.faults().set(Fault::Status(503));
    check(PACE, Whose::Vault, "the vault is in trouble").await;
    world.azure.faults().set(Fault::Slow(Duration::from_secs(3_600)));
    let impatient = Pace { request_max: Duration::from_millis(100), ..PACE };
    check(impatient, Whose::Vault, "the way to it").await;
    world.azure.faults().clear();
    world.azure.grant(Right::Officer);
    world.azure.end_tokens();
    check(PACE, Whose::Operator, "Key Vault Crypto Service Encryption User").await;
    world.azure.grant(Right::Crypto);
    world.azure.enable_key(KEY, false);
    check(PACE, Whose::Operator, "enable the version").await;
    world.azure.enable_key(KEY, true);
    world.azure.delete_key(KEY, true);
    check(PACE, Whose::Operator, "can be recovered").await;
    world.azure.delete_key(KEY, false);
    assert_opens(&world, &source(&world)).await;
    world.azure.forbid_key(KEY);
    check(PACE, Whose::Operator, "`unwrapKey`").await;
    world.azure.set_client_secret("another");
    check(PACE, Whose::Operator, "`clientsecret`").await;
}

#[tokio::test]
async fn a_new_key_that_is_not_wrapped_leaves_the_old_one() {
    let world = world(KeyKind::Ec).await;
    let plain = KeySource::File(key_file(&world));
    filled(&world, &plain).await;
    let new = || NewKey::Wrapped(wrapping(&world, PACE, None));
    let error = rekey(&world, &plain, &new()).await.unwrap_err();
    assert!(matches!(error, VaultError::Wrap { .. }), "{error:?}");
    let _version = world.azure.create_key(KEY, KeyKind::Rsa);
    world.azure.faults().meet("POST", 0, u64::MAX, Fault::Status(500));
    let error = rekey(&world, &plain, &new()).await.unwrap_err();
    assert_eq!(error.fault(), Whose::Vault, "{error}");
    world.azure.faults().clear();
    assert_opens(&world, &plain).await;
    assert!(!world.path("vault.key.next").exists());
    // An answer that was lost is asked for again: a key that was wrapped twice is wrapped.
    world.azure.faults().meet("POST", 0, 1, Fault::LostAnswer);
    rekey(&world, &plain, &new()).await.unwrap();
    assert_opens(&world, &source(&world)).await;
}

fn config(world: &World, key: &str) -> String {
    let secrets = world.secrets();
    let path = |path: Option<PathBuf>| path.unwrap().display().to_string();
    format!(
        "[secrets]\ndir = \"{}\"\nvault-suffix = \"{}\"\nauthority = \"{}\"\nca-file = \"{}\"\naddress \
         = \"{}\"\n[vault]\n{key}\n",
        path(secrets.dir.clone()),
        secrets.vault_suffix,
        secrets.authority.clone().unwrap(),
        path(secrets.ca_file.clone()),
        secrets.address.unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_starts_with_a_wrapped_key_and_changes_it_to_a_file_and_back() {
    let world = world(KeyKind::Rsa).await;
    let wrapped = format!(
        "[vault.wrapped-key.key-vault]\nvault-key = {{ name = \"{KEY}\" }}\nvault = {{ name = \
         \"{VAULT}\", directory-id = \"{TENANT}\", credentials = {{ \
         service-principal-local-secret-name = \"akv-sp\" }} }}"
    );
    let site = Site::new(&config(&world, &wrapped));
    let file = site.path("config.toml").display().to_string();
    let text = || std::fs::read_to_string(site.path("data/vault.key")).unwrap();
    let rekey =
        |args: &[&str]| site.keyturn(&[&["vault", "rekey", "--config", &file][..], args].concat());
    tokio::task::block_in_place(|| {
        site.serve().stop();
        assert!(text().starts_with("keyturn-vault-wrapped 1 "));
        world.azure.faults().set(Fault::Down);
        let _told = site.serve_in_vain().expect(1).says(&["unwrapped by azure-key-vault https"]);
        world.azure.faults().clear();
        let _plain = rekey(&[]).expect(0);
        assert!(text().starts_with("keyturn-vault-key 1 "));
        let server = site.serve();
        assert!(server.printed().contains("lies open"), "{}", server.printed());
        server.stop();
        let _wrapped = rekey(&["--new-wrapped"]).expect(0);
        assert!(text().starts_with("keyturn-vault-wrapped 1 "));
        site.serve().stop();
        // Without the configuration it is known what is missing.
        let said = site.keyturn(&["vault", "rekey"]).expect(1);
        let _told = said.says(&["nothing is configured to unwrap it", "`wrapped-key`"]);
        let said = site.keyturn(&["vault", "rekey", "--new-wrapped"]).expect(1);
        let _told = said.says(&["nothing is configured to wrap it"]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_takes_the_passphrase_from_where_it_is() {
    let world = World::start().await;
    world.local("vault-passphrase", &[("passphrase", "nine tall giraffes\n")]);
    let site = Site::new(&config(&world, "passphrase = { secret-name = \"vault-passphrase\" }"));
    tokio::task::block_in_place(|| {
        site.serve().stop();
        let text = std::fs::read_to_string(site.path("data/vault.key")).unwrap();
        assert!(text.starts_with("keyturn-vault-passphrase 1 "), "{text}");
        world.local("vault-passphrase", &[("passphrase", "nine tall giraffez\n")]);
        let said = site.serve_in_vain().expect(1);
        let _told = said.says(&["passphrase", "local secret `vault-passphrase`", "another one"]);
        world.local("vault-passphrase", &[("passphrase", "nine tall giraffes\n")]);
        site.serve().stop();
        site.expect_unsaid(["nine tall giraff"]);
    });
}
