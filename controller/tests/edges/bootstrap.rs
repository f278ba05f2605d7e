//! Devices that wait outside the fabric for their first password set.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ask::{GROUP, ended, get, on_fabric, post, put, request, router, send, versioned};
use crate::declare::{declared, device, fabric, operation, path, switch};
use crate::world::{FABRIC, Fault, World, world};

fn waiting(device: &str) -> String {
    format!("{GROUP}/networkBootstrapDevices/{device}")
}

/// A fabric of two devices that has been rotated, and a third one that waits.
async fn site() -> (World, Router) {
    let world = world(&["ce-01", "ce-02", "ts-01"]).await;
    let router = router(&world);
    assert_eq!(put(&router, FABRIC, &fabric()).await.status, StatusCode::CREATED);
    declared(&router, "ts-01", &device("TS", "opengear", 2222)).await;
    declared(&router, "ce-01", &switch(22)).await;
    rotate(&router).await;
    let answer = put(&router, &waiting("ce-02"), &switch(2022)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let verified = ended(&router, operation(&answer)).await;
    assert_eq!(verified.body["status"], "Succeeded", "{verified:?}");
    assert_eq!(verified.body["operations"][0]["resourceId"], waiting("ce-02"));
    (world, router)
}

async fn rotate(router: &Router) {
    let accepted = on_fabric(router, "rotatePasswords", "").await;
    let rotated = ended(router, accepted.operation()).await;
    assert_eq!(rotated.body["status"], "Succeeded", "{rotated:?}");
}

async fn names(router: &Router, kind: &str) -> Vec<String> {
    let listed = get(router, &format!("{GROUP}/{kind}")).await;
    let value = listed.body["value"].as_array().unwrap().clone();
    value.iter().map(|device| device["name"].as_str().unwrap().to_owned()).collect()
}

async fn sets(router: &Router) -> Value {
    let fabric = get(router, FABRIC).await;
    fabric.body["properties"]["secretRotationSummary"]["activePasswordSetCount"].clone()
}

async fn statuses(router: &Router) -> Vec<String> {
    let known = get(router, &format!("/keyturn/v1/fabrics{FABRIC}/bootstrap-devices")).await;
    let secrets = known.body["value"][0]["secretRotationStatus"].as_array().unwrap().clone();
    secrets.iter().map(|s| s["synchronizationStatus"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_device_waits_is_brought_the_newest_set_and_joins_the_fabric() {
    let (world, router) = site().await;
    assert_eq!(names(&router, "networkDevices").await, ["ce-01", "ts-01"]);
    assert_eq!(names(&router, "networkBootstrapDevices").await, ["ce-02"]);
    let shown = get(&router, &waiting("ce-02")).await;
    assert_eq!(shown.body["properties"]["primaryManagementIpv4Address"], "127.0.0.1");
    assert_eq!(shown.body["properties"].get("secretRotationStatus"), None);
    assert_eq!(get(&router, &path("ce-02")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, &waiting("ce-01")).await.status, StatusCode::NOT_FOUND);

    // It misses the fabric's newest set, and no rotation or resync of the fabric is about it.
    world.devices.break_it("ce-02", Fault::Unreachable);
    rotate(&router).await;
    let accepted = on_fabric(&router, "resyncPasswords", "").await;
    assert_eq!(ended(&router, accepted.operation()).await.body["status"], "Succeeded");
    assert_eq!(sets(&router).await, 1);
    assert_eq!(statuses(&router).await, ["OutOfSync"; 5]);
    world.devices.with("ce-02", |device| assert_eq!(device.changes, 0));

    world.devices.heal("ce-02");
    let accepted = post(&router, &format!("{}/resyncPasswords", waiting("ce-02")), "").await;
    let brought = ended(&router, accepted.operation()).await;
    assert_eq!(brought.body["status"], "Succeeded", "{brought:?}");
    assert_eq!(brought.body["resourceId"], waiting("ce-02"));
    assert_eq!(statuses(&router).await, ["InSync"; 5]);
    world.assert_revealed_opens().await;

    // The client's typed model says no more than this.
    let joins = json!({"location": "local", "properties": {"serialNumber": "Make;Model;1;S2022"}});
    let joined = put(&router, &path("ce-02"), &joins).await;
    assert_eq!((joined.status, joined.header("azure-asyncoperation")), (StatusCode::CREATED, None));
    let secrets = joined.body["properties"]["secretRotationStatus"].as_array().unwrap();
    assert!(secrets.iter().all(|secret| secret["synchronizationStatus"] == "InSync"));
    assert_eq!(get(&router, &waiting("ce-02")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(names(&router, "networkDevices").await, ["ce-01", "ce-02", "ts-01"]);
    rotate(&router).await;
    assert_eq!(sets(&router).await, 1);
    world.devices.with("ce-02", |device| assert_eq!(device.changes, 2));
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_joins_without_the_newest_set_is_seen_to_miss_it() {
    let (world, router) = site().await;
    let joined = put(&router, &path("ce-02"), &switch(2022)).await;
    assert_eq!(joined.status, StatusCode::CREATED, "{joined:?}");
    assert_eq!(sets(&router).await, 2);
    let accepted = on_fabric(&router, "resyncPasswords", "").await;
    assert_eq!(ended(&router, accepted.operation()).await.body["status"], "Succeeded");
    assert_eq!(sets(&router).await, 1);
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_can_be_noted_on_disabled_and_deleted_and_not_replaced() {
    let (_world, router) = site().await;
    let patch = request(Method::PATCH, &versioned(&waiting("ce-02")));
    let body = json!({"tags": {"a": "b"}, "properties": {"annotation": "shelf 3"}});
    let noted = send(&router, patch.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(noted.body["tags"]["a"], "b", "{noted:?}");
    let state = format!("{}/updateAdministrativeState", waiting("ce-02"));
    let refused = post(&router, &state, r#"{"state":"RMA"}"#).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "BootstrapDevice"));
    let upgrade = format!("{}/upgrade", waiting("ce-02"));
    let upgraded = post(&router, &upgrade, r#"{"version":"2"}"#).await;
    assert_eq!(upgraded.body["resourceId"], waiting("ce-02"));
    assert_eq!(get(&router, &waiting("ce-02")).await.body["properties"]["version"], "2");
    let disabled = post(&router, &state, r#"{"state":"Disable"}"#).await;
    assert_eq!(disabled.status, StatusCode::OK);
    assert_eq!(get(&router, FABRIC).await.body["properties"]["administrativeState"], "Enabled");
    let resync = format!("{}/resyncPasswords", waiting("ce-02"));
    assert_eq!(post(&router, &resync, "").await.code(), "DeviceDisabled");
    let enabled = post(&router, &state, r#"{"state":"Enable"}"#).await;
    ended(&router, enabled.operation()).await;

    // None goes back to waiting, and a name of the other kind is none of this kind.
    let back = put(&router, &waiting("ce-01"), &switch(22)).await;
    assert_eq!((back.status, back.code()), (StatusCode::BAD_REQUEST, "InvalidRequestContent"));
    for (path, left) in [(path("ce-02"), 1), (waiting("ce-02"), 0), (waiting("ce-01"), 0)] {
        let delete = request(Method::DELETE, &versioned(&path));
        let answer = send(&router, delete.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}");
        assert_eq!(names(&router, "networkBootstrapDevices").await.len(), left, "{path}");
    }
    assert_eq!(names(&router, "networkDevices").await, ["ce-01", "ts-01"]);
}

/// The first terminal server comes after the first rotation, whose set has no password for it.
#[tokio::test(start_paused = true)]
async fn a_device_of_a_new_role_waits_for_the_next_set() {
    let world = world(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    assert_eq!(put(&router, FABRIC, &fabric()).await.status, StatusCode::CREATED);
    declared(&router, "ce-01", &switch(22)).await;
    rotate(&router).await;
    let server = put(&router, &waiting("ts-01"), &device("TS", "opengear", 2222)).await;
    ended(&router, operation(&server)).await;
    let resync = format!("{}/resyncPasswords", waiting("ts-01"));
    let refused = post(&router, &resync, "").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "PasswordSetIncomplete"));
    // The same where it has joined: a resync of the fabric names it, and leaves it as it is.
    assert_eq!(
        put(&router, &path("ts-01"), &device("TS", "opengear", 2222)).await.status,
        StatusCode::CREATED
    );
    let accepted = on_fabric(&router, "resyncPasswords", "").await;
    let named = ended(&router, accepted.operation()).await;
    assert_eq!(named.body["error"]["details"][0]["code"], "PasswordSetIncomplete", "{named:?}");
    let server = get(&router, &path("ts-01")).await;
    assert_eq!(server.body["properties"]["configurationState"], "Succeeded");
    let secret = &server.body["properties"]["secretRotationStatus"][0];
    assert_eq!(secret["synchronizationStatus"], "OutOfSync");
    rotate(&router).await;
    assert_eq!(sets(&router).await, 1);
    world.assert_revealed_opens().await;
}
