//! The whole product with all passwords in an Azure Key Vault: the built programs before a simulated
//! Azure.

use fixtures::key_vault::{Right, TENANT};
use harness::process::Said;
use harness::simulated::{Accepts, Simulated};
use harness::site::{IMPATIENT, Site};

use crate::world::World;

const DEVICES: [&str; 2] = ["ce-01", "ce-02"];
const PROFILES: [&str; 3] = ["admin", "TelcoRO", "AzureOperatorRW"];

fn config(world: &World) -> String {
    let folder = world.dir.path().display();
    format!(
        "{IMPATIENT}\n[vault.azure-key-vault]\nuri = \"{}\"\nidentity = \"service-principal\"\n\
         tenant-id = \"{TENANT}\"\ncredentials-dir = \"{folder}\"\nauthority = \"{}\"\n\
         ca-file = \"{folder}/ca.pem\"\naddress = \"{}\"\n",
        world.azure.vault_uri(),
        world.azure.login_uri(),
        world.azure.address(),
    )
}

fn installation(world: &World) -> (Site, Simulated) {
    let site = Site::new(&config(world));
    let lab = Simulated::up(&site, 3, &[]);
    (site, lab)
}

fn apply(site: &Site, lab: &Simulated) -> Said {
    let file = lab.path("fabric.toml").display().to_string();
    site.keyturn(&["fabric", "apply", "-f", &file])
}

fn rotate(site: &Site) -> Said {
    site.keyturn(&["fabric", "rotate-password"])
}

/// What opens the devices is what is revealed, and the newest value in the vault.
fn check(world: &World, site: &Site, lab: &Simulated) {
    for device in DEVICES {
        for user in PROFILES {
            let args = ["secret", "show", "--device", device, "--user", user, "-o", "json"];
            let shown = site.keyturn(&args).expect(0).json();
            let reference = &shown["secretArchiveReference"];
            let uri = reference["keyVaultUri"].as_str().unwrap();
            assert!(uri.starts_with(&world.azure.vault_uri()), "{uri}");
            let values = world.azure.values(reference["secretName"].as_str().unwrap());
            let revealed = site.reveal(device, user).value;
            assert_eq!(values.last(), Some(&revealed), "{user} on {device}");
            assert_eq!(lab.check(device, user, &revealed), Accepts::BOTH, "{user} on {device}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_azure_key_vault_has_all_passwords_and_no_file_of_ours_has_one() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    let server = site.serve();
    tokio::task::block_in_place(|| {
        let _applied = apply(&site, &lab).expect(0);
        let _first = rotate(&site).expect(0);
        check(&world, &site, &lab);
    });
    // Killed and started again: what is in the vault is enough.
    drop(server);
    let _server = site.serve();
    tokio::task::block_in_place(|| {
        let _second = rotate(&site).expect(0);
        check(&world, &site, &lab);
    });
    for embedded in ["vault.db", "vault.key"] {
        assert!(!site.path("data").join(embedded).exists(), "{embedded}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_takes_nothing_changes_no_device_and_a_start_needs_none() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    let server = site.serve();
    let before = tokio::task::block_in_place(|| {
        let _applied = apply(&site, &lab).expect(0);
        let _first = rotate(&site).expect(0);
        site.reveal("ce-01", "admin").value
    });
    drop(server);
    world.azure.grant(Right::User);
    world.azure.end_tokens();
    let _server = site.serve();
    tokio::task::block_in_place(|| {
        let said = rotate(&site).expect(1);
        let _named = said.says(&["Key Vault Secrets Officer"]);
        assert_eq!(lab.check("ce-01", "admin", &before), Accepts::BOTH);
        assert_eq!(site.reveal("ce-01", "admin").value, before);
    });
    world.azure.grant(Right::Officer);
    world.azure.end_tokens();
    tokio::task::block_in_place(|| {
        let _again = rotate(&site).expect(0);
        check(&world, &site, &lab);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_the_embedded_vaults_is_refused_and_another_vault_exposes_nothing() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    let server = site.serve();
    let before = tokio::task::block_in_place(|| {
        let _applied = apply(&site, &lab).expect(0);
        let _first = rotate(&site).expect(0);
        let to = site.path("backup.age").display().to_string();
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let said = site.keyturn(&["vault", "backup", "--recipient", recipient, "--to", &to]);
        let _refused = said.expect(1).says(&["it is not the embedded one"]);
        site.reveal("ce-01", "admin").value
    });
    drop(server);
    let configuration = site.path("config.toml").display().to_string();
    let said = site.keyturn(&["vault", "rekey", "--config", &configuration]).expect(1);
    let _refused = said.says(&[&world.azure.vault_uri(), "others run that vault"]);
    // A vault in which no password of these devices is.
    let other = World::start().await;
    site.write("config.toml", &config(&other));
    let _server = site.serve();
    tokio::task::block_in_place(|| {
        let said = rotate(&site).expect(1);
        let _held = said.says(&["the vault is another one than was noted"]);
        assert_eq!(lab.check("ce-01", "admin", &before), Accepts::BOTH);
    });
}
