//! Keyturn's own routes.

use axum::http::StatusCode;
use controller::naming::SecretName;
use controller::vault::Vault;
use insta::assert_snapshot;
use protocol::id::SecretVersion;
use serde_json::json;

use crate::ask::{ended, get, on_fabric, post, router};
use crate::world::{FABRIC, Fault, world};

#[tokio::test(start_paused = true)]
async fn a_fabric_is_declared_verified_and_then_found() {
    let world = world(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let body = json!({"inventory": world.inventory, "passwords": world.passwords}).to_string();
    let applied = post(&router, "/keyturn/v1/fabrics:apply", &body).await;
    assert_snapshot!("applied", applied.golden());
    let operation = applied.body["operation"].as_str().unwrap().to_owned();
    let progress = format!("/keyturn/v1/operations/{operation}");
    assert_snapshot!("progress", get(&router, &progress).await.golden());
    let known = get(&router, "/keyturn/v1/fabrics").await;
    assert_eq!(known.body["value"][0]["devices"], json!(["ce-01", "ts-01"]));
    let path = get(&router, &progress).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(ended(&router, &path).await.body["status"], "Succeeded");
    let again = post(&router, "/keyturn/v1/fabrics:apply", &body).await;
    assert_eq!(again.body["unchanged"], 2);
    assert_eq!(again.body["operation"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn a_broken_inventory_is_told_by_line_and_key_and_changes_nothing() {
    let world = world(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let cases = [
        (world.inventory.replace("role = \"CE\"", "rol = \"CE\""), world.passwords.clone()),
        (world.inventory.replace("arista-eos", "arista-eso"), world.passwords.clone()),
        (world.inventory.clone(), world.passwords.replace("TelcoRW", "TelcoWR")),
    ];
    let nearest = ["did you mean `role`?", "did you mean `arista-eos`?", "did you mean `TelcoRW`?"];
    for ((inventory, passwords), nearest) in cases.into_iter().zip(nearest) {
        let body = json!({"inventory": inventory, "passwords": passwords,
                          "inventoryFile": "fabric.toml", "passwordsFile": "passwords.toml"});
        let answer = post(&router, "/keyturn/v1/fabrics:apply", &body.to_string()).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "InvalidInventory"));
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(".toml, line ") && message.contains(nearest), "{message}");
        assert!(!message.contains("Factory"), "{message}");
    }
    assert!(world.service.fabrics().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_shown_and_nothing_is_done() {
    let world = world(&["ce-01", "ce-02", "ts-01"]).await;
    world.adopt().await;
    let router = router(&world);
    let path = |view: &str| format!("/keyturn/v1/fabrics{FABRIC}/{view}");
    assert_snapshot!("plan", get(&router, &path("plan")).await.golden());
    let resync = get(&router, &path("plan?request=resync")).await;
    assert_eq!(resync.body["waves"], json!([]));
    for (view, status) in [("plan?request=explode", 400), ("other", 404)] {
        assert_eq!(get(&router, &path(view)).await.status.as_u16(), status, "{view}");
    }
    assert_eq!(world.service.operations().len(), 1, "only the adoption");
}

#[tokio::test(start_paused = true)]
async fn the_summary_names_the_devices_that_miss_the_newest_set() {
    let world = world(&["ce-01", "ce-02", "ts-01"]).await;
    world.adopt().await;
    let router = router(&world);
    let summary = format!("/keyturn/v1/fabrics{FABRIC}/summary");
    world.devices.break_it("ce-02", Fault::Unreachable);
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    assert_eq!(get(&router, &summary).await.body["state"], "Updating");
    ended(&router, accepted.operation()).await;
    assert_snapshot!("summary", get(&router, &summary).await.golden());
    world.devices.heal("ce-02");
    let accepted = on_fabric(&router, "resyncPasswords", "").await;
    ended(&router, accepted.operation()).await;
    let healed = get(&router, &summary).await.body;
    assert_eq!(
        (&healed["state"], &healed["uniquePasswordSetCount"]),
        (&json!("Succeeded"), &json!(1))
    );
}

#[tokio::test(start_paused = true)]
async fn what_opens_a_device_is_revealed_and_not_kept_by_anybody() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let router = router(&world);
    let device = FABRIC.replace("networkFabrics/lab", "networkDevices/ce-01");
    let reveal = |device: &str, user: &str| json!({"deviceId": device, "user": user}).to_string();
    let path = "/keyturn/v1/secrets:reveal";
    let revealed = post(&router, path, &reveal(&device, "admin")).await;
    assert_eq!(revealed.header("cache-control"), Some("no-store"));
    assert_snapshot!("revealed", revealed.golden());
    let unknown = post(&router, path, &reveal(&device, "nobody")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let malformed = post(&router, path, &reveal("ce-01", "admin")).await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn while_the_outcome_is_unknown_all_candidates_are_revealed_in_order() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let router = router(&world);
    world.devices.break_it("ce-01", Fault::DropBefore);
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    let operation = accepted.operation().rsplit('/').next().unwrap().to_owned();
    let operation = operation.split('?').next().unwrap().to_owned();
    // Until the device is in doubt.
    loop {
        let progress = get(&router, &format!("/keyturn/v1/operations/{operation}")).await;
        if progress.body["devices"][0]["phase"] == "quiet" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let device = FABRIC.replace("networkFabrics/lab", "networkDevices/ce-01");
    let body = json!({"deviceId": device, "user": "admin"}).to_string();
    let revealed = post(&router, "/keyturn/v1/secrets:reveal", &body).await.body;
    assert_eq!(revealed["synchronizationStatus"], "Synchronizing");
    let candidates = revealed["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    assert_eq!(candidates[1]["value"], "Factory-admin.1");
    assert_eq!(revealed["value"], "Factory-admin.1", "what worked last");
    assert_eq!(revealed.get("missing"), None);

    let name = revealed["secretArchiveReference"]["secretName"].as_str().unwrap();
    let name = SecretName::try_from(name.to_owned()).unwrap();
    let lost = candidates[0]["secretVersion"].as_str().unwrap();
    world.vault.purge(&name, &SecretVersion(lost.into())).await.unwrap();
    let revealed = post(&router, "/keyturn/v1/secrets:reveal", &body).await.body;
    assert_eq!(revealed["candidates"].as_array().map(Vec::len), Some(1));
    assert_eq!(revealed["missing"][0]["secretVersion"], lost);
    let reason = revealed["missing"][0]["reason"].as_str().unwrap();
    assert!(reason.ends_with("it has been purged."), "{reason}");
}
