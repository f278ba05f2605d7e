//! The whole product with a customer's vault: the built programs before a simulated Azure.

use fixtures::key_vault::{Right, TENANT};
use harness::process::Said;
use harness::simulated::{Accepts, Simulated};
use harness::site::{IMPATIENT, Site};
use harness::wait;
use serde_json::{Value, json};

use crate::world::{World, trusting};

const PROFILES: [&str; 3] = ["admin", "TelcoRO", "AzureOperatorRW"];

/// An installation that is an application to a simulated Azure, and a fabric whose inventory names
/// a vault there.
fn installation(world: &World) -> (Site, Simulated) {
    let folder = world.dir.path().display();
    let config = format!(
        "{IMPATIENT}\n[archive]\nidentity = \"service-principal\"\ntenant-id = \"{TENANT}\"\n\
         credentials-dir = \"{folder}\"\nauthority = \"{}\"\nca-file = \"{folder}/ca.pem\"\n\
         address = \"{}\"\n",
        world.azure.login_uri(),
        world.azure.address(),
    );
    let site = Site::new(&config);
    let lab = Simulated::up(&site, 3, &[]);
    let archive =
        format!("secret-archive = {{ vault-uri = \"{}\" }}\nlocation", world.azure.vault_uri());
    let inventory = lab.inventory().replacen("location", &archive, 1);
    std::fs::write(lab.path("fabric.toml"), inventory).unwrap();
    (site, lab)
}

fn apply(site: &Site, lab: &Simulated) -> Said {
    let file = lab.path("fabric.toml").display().to_string();
    site.keyturn(&["fabric", "apply", "-f", &file])
}

fn status(site: &Site) -> Value {
    site.keyturn(&["archive", "status", "-o", "json"]).expect(0).json()
}

fn until_copied(site: &Site) {
    let is_done = || (status(site)["pending"] == 0).then_some(());
    wait::until("everything is copied", wait::STEP_MAX, is_done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_vault_has_what_opens_the_devices_and_references_lead_there() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    let _server = site.serve();
    tokio::task::block_in_place(|| {
        let _applied = apply(&site, &lab).expect(0);
        let _rotated = site.keyturn(&["fabric", "rotate-password"]).expect(0);
        until_copied(&site);
        let args = ["secret", "show", "--device", "ce-01", "--user"];
        for user in PROFILES {
            let shown = site.keyturn(&[&args[..], &[user, "-o", "json"]].concat());
            let shown = shown.expect(0).json();
            let reference = &shown["secretArchiveReference"];
            let uri = reference["keyVaultUri"].as_str().unwrap();
            assert!(uri.starts_with(&world.azure.vault_uri()), "{uri}");
            let copies = world.azure.values(reference["secretName"].as_str().unwrap());
            let revealed = site.reveal("ce-01", user).value;
            assert_eq!(copies, std::slice::from_ref(&revealed), "{user}");
            assert_eq!(lab.check("ce-01", user, &revealed), Accepts::BOTH);
        }
        let said = site.keyturn(&["archive", "verify"]).expect(0);
        assert!(said.err.contains("copies are as they should be"), "{}", said.err);
        // Somebody removes a copy: that is found out, and whose fault it is not.
        let shown = site.keyturn(&[&args[..], &["admin", "-o", "json"]].concat()).expect(0).json();
        let name = shown["secretArchiveReference"]["secretName"].as_str().unwrap().to_owned();
        world.azure.delete(&name);
        let said = site.keyturn(&["archive", "verify", "-o", "json"]).expect(1);
        assert!(said.out.contains("\"Missing\""), "{}", said.out);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_missing_is_named_before_anything_is_declared() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    let _server = site.serve();
    world.azure.grant(Right::User);
    tokio::task::block_in_place(|| {
        let said = apply(&site, &lab).expect(1);
        let _named = said.says(&[&world.azure.vault_uri(), "Key Vault Secrets Officer"]);
        let fabrics = site.keyturn(&["fabric", "list", "-o", "json"]).expect(0).json();
        assert_eq!(fabrics.as_array().map(Vec::len), Some(0), "{fabrics}");
    });
    world.azure.grant(Right::Officer);
    world.azure.end_tokens();
    tokio::task::block_in_place(|| {
        let _applied = apply(&site, &lab).expect(0);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_is_closed_during_a_rotation_gets_everything_when_it_opens_again() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    let server = site.serve();
    tokio::task::block_in_place(|| apply(&site, &lab).expect(0));
    world.azure.grant(Right::User);
    world.azure.end_tokens();
    tokio::task::block_in_place(|| {
        let _rotated = site.keyturn(&["fabric", "rotate-password"]).expect(0);
        let is_shown = || (!status(&site)["lastError"].is_null()).then_some(());
        wait::until("the failure is shown", wait::STEP_MAX, is_shown);
        assert_ne!(status(&site)["pending"], 0);
    });
    // Killed and started again: what is left to do is known from the journal alone.
    drop(server);
    let _server = site.serve();
    world.azure.grant(Right::Officer);
    world.azure.end_tokens();
    tokio::task::block_in_place(|| {
        let _retried = site.keyturn(&["archive", "retry"]).expect(0);
        until_copied(&site);
        let _verified = site.keyturn(&["archive", "verify"]).expect(0);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_say_in_a_tag_which_of_them_is_current() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    let _server = site.serve();
    tokio::task::block_in_place(|| {
        let _applied = apply(&site, &lab).expect(0);
        let rotated = || {
            let _rotated = site.keyturn(&["fabric", "rotate-password"]).expect(0);
            until_copied(&site);
            let args = ["secret", "show", "--device", "ce-01", "--user", "admin", "-o", "json"];
            let reference = site.keyturn(&args).expect(0).json()["secretArchiveReference"].clone();
            let part = |name: &str| reference[name].as_str().unwrap().to_owned();
            (part("secretName"), part("secretVersion"))
        };
        let until = |(name, version): &(String, String), label: &str| {
            let tags = || world.azure.tags(name, version);
            let is_so =
                || (tags().get("keyturn-label").is_some_and(|it| it == label)).then_some(());
            wait::until(label, wait::STEP_MAX, is_so);
            // What it was put for, and in which order, is still there.
            assert_eq!(tags().len(), 3, "{:?}", tags());
        };
        let first = rotated();
        until(&first, "CURRENT");
        let second = rotated();
        until(&second, "CURRENT");
        until(&first, "PREVIOUS");
        let _verified = site.keyturn(&["archive", "verify"]).expect(0);
    });
}

/// Asks the daemon's API as its owner.
async fn patch(site: &Site, url: &str, properties: Value) -> Value {
    let fabric = site.keyturn(&["fabric", "show", "-o", "json"]).expect(0).json();
    let path = fabric["id"].as_str().unwrap();
    let token = std::fs::read_to_string(site.path("data/admin.token")).unwrap();
    let authority = std::fs::read(site.path("data/ca.pem")).unwrap();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trusting(&authority))
        .no_proxy()
        .build()
        .unwrap();
    let request = client
        .patch(format!("{url}{path}?api-version=2025-07-15"))
        .bearer_auth(token.trim())
        .header("content-type", "application/json")
        .body(json!({ "properties": properties }).to_string());
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_over_the_api_lead_to_a_customers_vault_by_the_identity_that_they_name() {
    let world = World::start().await;
    let (site, lab) = installation(&world);
    // The inventory names no archive.
    let silent = std::fs::read_to_string(lab.path("fabric.toml")).unwrap();
    let silent = silent.lines().filter(|line| !line.starts_with("secret-archive"));
    std::fs::write(lab.path("fabric.toml"), silent.collect::<Vec<_>>().join("\n")).unwrap();
    let start = || {
        let mut command = site.command();
        command.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", world.azure.imds_uri());
        site.serve_by(command).unwrap()
    };
    let server = start();
    tokio::task::block_in_place(|| apply(&site, &lab).expect(0));
    let identity = json!({"identityType": "SystemAssignedIdentity"});
    let settings = json!({"vaultUri": world.azure.vault_uri(), "associatedIdentity": identity});
    let asked = world.azure.asked("imds");
    let shown = patch(&site, &server.url, json!({ "secretArchiveSettings": settings })).await;
    assert_eq!(shown["properties"]["secretArchiveSettings"], settings);
    assert!(world.azure.asked("imds") > asked, "it was tried out by the host's identity");
    // Killed and started again, and its inventory applied once more: the settings are kept.
    drop(server);
    let server = start();
    tokio::task::block_in_place(|| {
        let _applied = apply(&site, &lab).expect(0);
        let said = site.keyturn(&["fabric", "show", "-o", "table"]).expect(0);
        let told = format!("{} as SystemAssignedIdentity", world.azure.vault_uri());
        assert!(said.out.contains(&told), "{}", said.out);
        let shown = site.keyturn(&["fabric", "show", "-o", "json"]).expect(0).json();
        assert_eq!(shown["secretArchiveSettings"], settings, "{shown}");
        let _rotated = site.keyturn(&["fabric", "rotate-password"]).expect(0);
        until_copied(&site);
        let args = ["secret", "show", "--device", "ce-01", "--user", "admin", "-o", "json"];
        let reference = site.keyturn(&args).expect(0).json()["secretArchiveReference"].clone();
        let copies = world.azure.values(reference["secretName"].as_str().unwrap());
        assert_eq!(copies, [site.reveal("ce-01", "admin").value]);
    });
    let shown = patch(&site, &server.url, json!({ "secretArchiveSettings": null })).await;
    assert_eq!(shown["properties"]["secretArchiveSettings"], Value::Null);
    tokio::task::block_in_place(|| assert_eq!(status(&site)["secretArchive"], Value::Null));
}
