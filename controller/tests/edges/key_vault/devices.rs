//! Secrets that devices need: opened by what a device's status says, and taken away by nobody.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use controller::model::OperationState;
use controller::plan::Request as Ask;
use serde_json::{Value, json};

use super::{Site, inner, path, site};
use crate::world::Fault;

const USERS: [&str; 5] = ["admin", "AzureOperatorRO", "AzureOperatorRW", "TelcoRO", "TelcoRW"];

/// What the command line reveals of a device is what its archive reference opens, and the version
/// says so itself.
async fn assert_agreement(site: &Site, device: &str) {
    for user in USERS {
        let id = site.world.device_id(device);
        let revealed = site.world.service.reveal(&id, user).await.unwrap();
        let uri = path(&json!(revealed.reference.key_vault_uri));
        let got = site.get(&uri).await;
        assert_eq!(got.body["value"], revealed.value.expose(), "{user} on {device}: {got:?}");
        assert_eq!(got.body["id"], revealed.reference.key_vault_uri.as_str());
        let tags = &got.body["tags"];
        assert_eq!(
            (&tags["keyturn-fabric"], &tags["keyturn-profile"]),
            (&json!("lab"), &json!(user))
        );
        let key = if revealed.candidates.len() == 1 { "keyturn-opens" } else { "keyturn-may-open" };
        let opens = tags[key].as_str().unwrap_or_else(|| panic!("{user} on {device}: {tags}"));
        assert!(opens.split(',').any(|name| name == device), "{user} on {device}: {tags}");
        let held = site.world.devices.with(device, |device| device.running[user].clone());
        if revealed.candidates.len() == 1 {
            assert_eq!(got.body["value"], held.as_str(), "{user} on {device}");
        }
    }
}

#[tokio::test]
async fn the_archive_references_of_devices_open_as_they_stand_through_a_split_key() {
    let site = site(&["ce-01", "ce-02", "ts-01"]).await;
    site.world.adopt().await;
    site.world.devices.break_it("ce-02", Fault::DropBefore);
    let operation = site.rotate().await;
    assert_eq!(operation.state, OperationState::Failed, "{operation:?}");
    for device in ["ce-01", "ce-02"] {
        assert_agreement(&site, device).await;
    }
    // The versions of one name say among themselves which device has which.
    let id = site.world.device_id("ce-01");
    let name = site.world.service.reveal(&id, "admin").await.unwrap().reference.secret_name;
    let versions = site.get(&format!("/secrets/{}/versions", name.as_str())).await;
    let versions = versions.body["value"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    let opens = |at: usize, key: &str| versions[at]["tags"][key].as_str().unwrap_or("").to_owned();
    assert_eq!(opens(1, "keyturn-opens"), "ce-01");
    // By the name as a whole: what a resync brings, and what lags behind it.
    let labels = [0, 1].map(|at| opens(at, "keyturn-label"));
    assert_eq!(labels, ["PREVIOUS", "CURRENT"]);
    let newest = site.get(&format!("/secrets/{}", name.as_str())).await;
    assert_eq!(newest.body["tags"]["keyturn-label"], "CURRENT");
    assert!(
        format!("{}{}", opens(0, "keyturn-opens"), opens(0, "keyturn-may-open")).contains("ce-02")
    );
    site.world.devices.heal("ce-02");
    let fabric = site.world.fabric();
    let resync = site.world.service.submit(&fabric, Ask::Resync, None).await.unwrap();
    assert_eq!(site.world.wait(resync).await.state, OperationState::Succeeded);
    for device in ["ce-01", "ce-02"] {
        assert_agreement(&site, device).await;
    }
}

#[tokio::test]
async fn what_a_device_needs_is_taken_away_by_nobody() {
    let site = site(&["ce-01", "ce-02", "ts-01"]).await;
    site.world.adopt().await;
    site.rotate().await;
    let id = site.world.device_id("ce-01");
    let revealed = site.world.service.reveal(&id, "admin").await.unwrap();
    let name = revealed.reference.secret_name.as_str().to_owned();
    let version = path(&json!(revealed.reference.key_vault_uri));
    let off = json!({"attributes": {"enabled": false}});
    let attempts = [
        (Method::DELETE, format!("/secrets/{name}"), Value::Null),
        (Method::PATCH, version.clone(), off.clone()),
        (Method::PATCH, format!("/secrets/{name}"), off.clone()),
    ];
    for (method, path, body) in attempts {
        let answer = site.ask(method.clone(), &path, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::CONFLICT, "Conflict"),
            "{answer:?}"
        );
        assert_eq!(inner(&answer), "SecretInUse");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.contains("ce-01") && message.contains("ce-02"), "{message}");
    }
    let set = site.set(&name, "Mine-1").await;
    assert_eq!((set.status, inner(&set)), (StatusCode::FORBIDDEN, "ForbiddenByPolicy"));
    // What no device has any more can be disabled; notes can be made on everything.
    let versions = site.get(&format!("/secrets/{name}/versions")).await;
    let first = path(&versions.body["value"][0]["id"]);
    assert_ne!(first, version);
    assert_eq!(site.ask(Method::PATCH, &first, off).await.status, StatusCode::OK);
    let note = site.ask(Method::PATCH, &version, json!({"tags": {"a": "b"}})).await;
    assert_eq!((note.status, &note.body["tags"]["a"]), (StatusCode::OK, &json!("b")));
    assert_agreement(&site, "ce-01").await;
    site.world.devices.with("ce-01", |device| assert_eq!(device.changes, 1));
}

#[tokio::test]
async fn a_deleted_name_keeps_a_rotation_from_starting_and_nothing_is_lost() {
    let site = site(&["ce-01", "ts-01"]).await;
    // Somebody has used and deleted a name before there was a fabric.
    let name = controller::naming::name(&site.world.fabric(), &"TelcoRO".parse().unwrap(), None);
    site.set(name.as_str(), "theirs").await;
    site.ask(Method::DELETE, &format!("/secrets/{}", name.as_str()), Value::Null).await;
    let inventory = controller::inventory::Inventory::parse(
        "fabric.toml",
        ".".as_ref(),
        &site.world.inventory,
        None,
    )
    .unwrap();
    let passwords = controller::inventory::CurrentPasswords::parse(
        "passwords.toml",
        &site.world.passwords,
        &inventory,
        None,
    )
    .unwrap();
    let error = site.world.service.apply(inventory, passwords).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("recover or purge"), "{error:?} {hint}");
    let names: BTreeSet<String> = site.get("/secrets").await.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| path(&item["id"]))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    site.ask(Method::POST, &format!("/deletedsecrets/{}/recover", name.as_str()), Value::Null)
        .await;
    site.world.adopt().await;
    let operation = site.rotate().await;
    assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    assert_agreement(&site, "ce-01").await;
}

async fn assert_kept(site: &Site, name: &str, method: Method, path: &str, why: &str) {
    let answer = site.ask(method, &format!("{path}/{name}"), Value::Null).await;
    assert_eq!((answer.status, inner(&answer)), (StatusCode::CONFLICT, why), "{answer:?}");
}

#[tokio::test]
async fn what_a_device_was_adopted_with_is_kept_whoever_has_set_it() {
    let mut site = site(&["ce-01", "ts-01"]).await;
    site.set("lab-rw", "Factory-AzureOperatorRW.1").await;
    let older = "[fabric.older-names]\nAzureOperatorRW = \"lab-rw\"\n[[devices]]";
    site.world.inventory = site.world.inventory.replacen("[[devices]]", older, 1);
    let told = site.world.passwords.replace("AzureOperatorRW = ", "# AzureOperatorRW = ");
    site.world.passwords = told;
    site.world.adopt().await;
    assert_kept(&site, "lab-rw", Method::DELETE, "/secrets", "SecretInUse").await;
    let off = json!({"attributes": {"enabled": false}});
    let disabled = site.ask(Method::PATCH, "/secrets/lab-rw", off).await;
    assert_eq!(inner(&disabled), "SecretInUse", "{disabled:?}");
    assert_agreement(&site, "ce-01").await;
    // A rotation gives the secret a name of its own. What lies under the old one can be deleted, and
    // is purged by nobody before its retention is over.
    site.rotate().await;
    let deleted = site.ask(Method::DELETE, "/secrets/lab-rw", Value::Null).await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    assert_kept(&site, "lab-rw", Method::DELETE, "/deletedsecrets", "SecretKept").await;
}

#[tokio::test]
async fn what_was_told_for_a_device_that_is_still_to_come_is_kept() {
    let site = site(&["ce-01", "ts-01"]).await;
    let text = &site.world.inventory;
    let spec = controller::inventory::Inventory::parse("f.toml", ".".as_ref(), text, None);
    let password = protocol::password::Password::new("Factory-ts.1".to_owned()).unwrap();
    let login = controller::service::Login { user: "root".to_owned(), password };
    site.world.service.declare_fabric(spec.unwrap().fabric, Some(login)).await.unwrap();
    let profile = "TerminalServer".parse().unwrap();
    let name = controller::naming::name(&site.world.fabric(), &profile, None);
    assert_kept(&site, name.as_str(), Method::DELETE, "/secrets", "SecretKept").await;
    let shown = site.get(&format!("/secrets/{}", name.as_str())).await;
    assert_eq!(shown.body["value"], "Factory-ts.1", "{shown:?}");
}
