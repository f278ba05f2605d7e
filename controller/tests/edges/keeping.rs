//! Deleting a fabric over the APIs, and what is left of it.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ask::{GROUP, get, post, request, router, send, versioned};
use crate::world::{FABRIC, World, world};

const DELETED: &str = "/keyturn/v1/deletedFabrics";
const PURGE: &str = "/keyturn/v1/fabrics:purge";
const RELEASE: &str = "/keyturn/v1/fabrics:releaseDevice";

async fn delete(router: &axum::Router, path: &str) {
    let delete = request(Method::DELETE, &versioned(path)).body(Body::empty()).unwrap();
    let answer = send(router, delete).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
}

async fn deleted() -> (World, axum::Router) {
    let world = world(&["ce-01"]).await;
    world.adopt().await;
    let router = router(&world);
    let device = format!("{GROUP}/networkDevices/ce-01");
    let state = format!("{device}/updateAdministrativeState");
    assert_eq!(post(&router, &state, r#"{"state":"Disable"}"#).await.status, StatusCode::OK);
    delete(&router, &device).await;
    delete(&router, FABRIC).await;
    delete(&router, FABRIC).await;
    (world, router)
}

#[tokio::test(start_paused = true)]
async fn a_deleted_fabric_is_gone_and_what_its_devices_may_have_is_listed_revealed_and_purged() {
    let (world, router) = deleted().await;
    assert_eq!(get(&router, FABRIC).await.status, StatusCode::NOT_FOUND);
    let left = get(&router, DELETED).await.body;
    let left = &left["value"][0];
    assert_eq!((&left["id"], &left["devices"]), (&json!(FABRIC), &json!(["ce-01"])));
    assert_eq!(left["accounts"]["ce-01"].as_array().unwrap().len(), 5);

    let review = get(&router, &format!("/keyturn/v1/fabrics{FABRIC}/retention")).await;
    let values = review.body["value"].as_array().unwrap();
    let code = |value: &Value| value["stays"][0]["code"].as_str().unwrap().to_owned();
    assert_eq!(values.len(), 5);
    assert!(values.iter().all(|value| code(value) == "DeviceDeleted"), "{values:?}");

    let reveal = |from: &str| {
        json!({"deviceId": format!("{GROUP}/networkDevices/CE-01"), "user": "admin",
               "deletedFrom": from})
    };
    let path = "/keyturn/v1/secrets:reveal";
    let revealed = post(&router, path, &reveal(FABRIC).to_string()).await;
    assert_eq!(revealed.body["value"], "Factory-admin.1", "{revealed:?}");
    let other = reveal(&FABRIC.replace("/lab", "/none"));
    let other = post(&router, path, &other.to_string()).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);

    let purge = json!({"fabricId": FABRIC, "deleted": true});
    let refused = post(&router, PURGE, &purge.to_string()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "DevicesMayHoldPasswords"));
    assert_eq!(refused.body["error"]["details"][0]["target"], "ce-01");
    let purge = json!({"fabricId": FABRIC, "deleted": true, "force": true});
    let purged = post(&router, PURGE, &purge.to_string()).await;
    assert_eq!(purged.body["value"].as_array().unwrap().len(), 5, "{purged:?}");
    assert_eq!((world.vault.len(), get(&router, DELETED).await.body), (0, json!({"value": []})));
    let again = post(&router, PURGE, &purge.to_string()).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let text = world.paper.text();
    assert!(text.contains("Keyturn/deletedFabrics/purge/force/action"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_fabric_goes_as_a_whole_once_its_hardware_is_released() {
    let (world, router) = deleted().await;
    for (body, status) in [
        (json!({"fabricId": FABRIC, "device": "ce-09"}), StatusCode::NOT_FOUND),
        (json!({"fabricId": FABRIC, "device": "?"}), StatusCode::BAD_REQUEST),
        (json!({"fabricId": "lab", "device": "ce-01"}), StatusCode::BAD_REQUEST),
        (json!({"fabricId": FABRIC, "device": "ce-01"}), StatusCode::OK),
    ] {
        let answer = post(&router, RELEASE, &body.to_string()).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    world.service.sweep().await;
    assert_eq!((world.vault.len(), get(&router, DELETED).await.body), (0, json!({"value": []})));
}
