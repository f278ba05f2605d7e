//! What the audit has of requests: a record before the effect, one of the outcome, and no effect
//! without a record.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use controller::audit::{Outcome, Record, Verifier};
use controller::auditor::PaperFault;
use serde_json::json;

use crate::ask::{
    Answer, TOKEN, get, on_fabric, post, request, request_by, router, send, versioned,
};
use crate::rights::{populated, routes};
use crate::world::{FABRIC, World, world};

/// Returns all records, after checking the chain.
fn records(world: &World) -> Vec<Record> {
    let mut verifier = Verifier::new(world.auditor.public_key()).reaching(world.auditor.end());
    let text = world.paper.text();
    let records = text.lines().map(|line| verifier.next(line).unwrap()).collect();
    verifier.finish().unwrap();
    records
}

async fn reveal(router: &axum::Router, world: &World) -> Answer {
    let body = json!({"deviceId": world.device_id("ce-01").to_string(), "user": "admin"});
    post(router, "/keyturn/v1/secrets:reveal", &body.to_string()).await
}

#[tokio::test(start_paused = true)]
async fn every_request_that_changes_or_reveals_is_recorded_before_and_after() {
    let world = populated().await;
    let router = router(&world);
    let operation = get(&router, "/keyturn/v1/operations").await.body["value"][0]["name"].clone();
    let mut seen = 0;
    for route in routes(operation.as_str().unwrap()) {
        let before = records(&world).len();
        let asked = request_by(TOKEN, route.method.clone(), &versioned(&route.path))
            .header("x-ms-client-request-id", "from-the-test");
        let body = match &route.body {
            // What these are about is known when their body is.
            _ if route.method == Method::PUT => "{}".to_owned(),
            _ if route.method == Method::PATCH && route.path == FABRIC => "{}".to_owned(),
            serde_json::Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = send(&router, asked.body(Body::from(body)).unwrap()).await;
        let id = answer.header("x-ms-request-id").unwrap();
        let all = records(&world);
        let new: Vec<&Record> =
            all[before..].iter().filter(|record| record.request.as_deref() == Some(id)).collect();
        let path = format!("{} {}", route.method, route.path);
        // These are refused for their form, before there is anything to be recorded.
        let formless =
            [":apply", "/tokens", "-019", ":backup"].iter().any(|end| route.path.ends_with(end));
        if route.right.only_looks() || formless || route.path.ends_with("/audit") {
            assert!(new.is_empty(), "{path}: {new:?}");
            continue;
        }
        let [asked, ended] = new[..] else { panic!("{path}: {new:?}") };
        assert_eq!((asked.outcome, asked.who.as_str()), (Outcome::Requested, "owner"), "{path}");
        assert_eq!(ended.of, Some(asked.sequence), "{path}");
        assert_eq!(asked.client_request.as_deref(), Some("from-the-test"));
        let wanted = match answer.status {
            status if status.is_success() => Outcome::Succeeded,
            _ => Outcome::Refused,
        };
        assert_eq!(ended.outcome, wanted, "{path}: {answer:?}");
        assert_eq!(ended.code.as_deref().unwrap_or(""), answer.code(), "{path}");
        assert_eq!(ended.operation.is_some(), answer.header("location").is_some(), "{path}");
        let object = if route.path.contains("tokens") { "/keyturn/" } else { "/subscriptions/" };
        assert!(asked.object.starts_with(object), "{path}: {asked:?}");
        seen += 1;
    }
    assert!(seen >= 14, "only {seen} routes change or reveal something");
    assert!(!world.paper.text().contains("Factory-"), "no value is in the audit");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_revealed_or_changed_that_cannot_be_recorded() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let router = router(&world);
    world.paper.faults().set(PaperFault::Full);
    let lock = json!({"lockType": "Administrative", "action": "Lock"}).to_string();
    let answers = [
        reveal(&router, &world).await,
        on_fabric(&router, "rotatePasswords", "").await,
        on_fabric(&router, "lockFabric", &lock).await,
        post(&router, "/keyturn/v1/tokens", &json!({"role": "reader"}).to_string()).await,
    ];
    for answer in answers {
        let expected = (StatusCode::SERVICE_UNAVAILABLE, "AuditUnavailable");
        assert_eq!((answer.status, answer.code()), expected, "{answer:?}");
        assert!(!answer.body.to_string().contains("Factory-"));
    }
    let operations = get(&router, "/keyturn/v1/operations").await;
    assert_eq!(operations.body["value"].as_array().unwrap().len(), 1, "only the adoption");
    let fabric = get(&router, FABRIC).await;
    assert_eq!(fabric.body["properties"]["fabricLocks"][0]["lockState"], "Disabled");
    assert_eq!(get(&router, "/keyturn/v1/tokens").await.body["value"], json!([]));
    world.paper.faults().clear();
    assert_eq!(reveal(&router, &world).await.status, StatusCode::OK);
    let last = records(&world).pop().unwrap();
    assert_eq!(
        (last.outcome, last.action.as_str()),
        (Outcome::Succeeded, "Keyturn/secrets/reveal/action")
    );
    assert!(last.object.ends_with("/networkDevices/ce-01/users/admin"), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_is_recorded_too() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let router = router(&world);
    let endless =
        Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let path = versioned(&format!("{FABRIC}/rotatePasswords"));
    let asked = send(&router, request(Method::POST, &path).body(endless).unwrap());
    tokio::time::timeout(Duration::from_secs(1), asked).await.unwrap_err();
    let asked = records(&world).pop().unwrap();
    assert_eq!(asked.outcome, Outcome::Requested);
    // It goes on without the caller, until its body is not waited for any more.
    tokio::time::advance(Duration::from_secs(60)).await;
    let ended = loop {
        let last = records(&world).pop().unwrap();
        if last.of == Some(asked.sequence) {
            break last;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((ended.outcome, ended.code.as_deref()), (Outcome::Refused, Some("RequestTimeout")));
}

#[tokio::test(start_paused = true)]
async fn the_audit_is_read_in_parts_and_from_the_beginning_of_a_line_only() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let router = router(&world);
    for _ in 0..3 {
        reveal(&router, &world).await;
    }
    let page = get(&router, "/keyturn/v1/audit").await;
    let lines = page.body["lines"].as_array().unwrap();
    assert_eq!(lines.len(), world.paper.text().lines().count());
    assert_eq!(page.body["end"], world.auditor.end().to_string());
    assert_eq!(page.body["publicKey"], world.auditor.public_key().to_string());
    let next = format!("/keyturn/v1/audit?from={}", page.body["next"]);
    assert_eq!(get(&router, &next).await.body["lines"], json!([]));
    for from in ["1", "99999999", "-1", "x"] {
        let answer = get(&router, &format!("/keyturn/v1/audit?from={from}")).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "InvalidQuery"));
    }
}
