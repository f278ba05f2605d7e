//! What `/openapi.json` says, against the routes that are served.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use controller::access::Role;
use controller::edge;
use serde_json::Value;

use crate::ask::{Answer, get, request, router, send, versioned};
use crate::rights;
use crate::world::World;

/// A method and a path, what varies in braces.
type Route = (String, String);

async fn site() -> (World, Router) {
    let world = rights::populated().await;
    let router = router(&world);
    (world, router)
}

/// Asks as nobody.
async fn description(router: &Router) -> Value {
    let request = Request::builder().uri("/openapi.json").header("host", "keyturn.test:1");
    let answer = send(router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body
}

/// Every operation that is described.
fn described(document: &Value) -> BTreeMap<Route, &Value> {
    let mut all = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.insert((method.to_uppercase(), path.clone()), operation);
        }
    }
    all
}

async fn operation(router: &Router) -> String {
    let operations = get(router, "/keyturn/v1/operations").await;
    operations.body["value"][0]["name"].as_str().unwrap().to_owned()
}

/// Puts the names of what there is in the place of those in braces.
fn fill(template: &str, operation: &str) -> String {
    let names = [
        ("{subscriptionId}", "00000000-0000-0000-0000-000000000001"),
        ("{resourceGroupName}", "lab"),
        ("{networkFabricName}", "lab"),
        ("{networkDeviceName}", "ce-01"),
        ("{networkBootstrapDeviceName}", "new-01"),
        ("{location}", "LOCAL"),
        ("{operationId}", operation),
        ("{tokenId}", "none"),
    ];
    let filled =
        names.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!filled.contains('{'), "{template}: give the test a value");
    filled
}

async fn ask(router: &Router, method: Method, path: &str) -> Answer {
    send(router, request(method, &versioned(path)).body(Body::empty()).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn what_is_served_is_described_and_what_is_described_is_served() {
    let (_world, router) = site().await;
    let document = description(&router).await;
    let operation = operation(&router).await;
    let mut served: BTreeSet<Route> = BTreeSet::new();
    for path in edge::paths() {
        // No route has this method: each says which ones it has.
        let answer = ask(&router, Method::TRACE, &fill(&path, &operation)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}: {answer:?}");
        let allowed = answer.header("allow").unwrap().split(',');
        let allowed = allowed.filter(|method| *method != "HEAD");
        served.extend(allowed.map(|method| (method.to_owned(), path.clone())));
    }
    let described = described(&document);
    assert_eq!(served, described.keys().cloned().collect());
    for (method, path) in described.keys().filter(|(method, _path)| method == "GET") {
        let answer = ask(&router, Method::GET, &fill(path, &operation)).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_table_of_rights_has_every_route_and_the_description_the_same_rights() {
    let (_world, router) = site().await;
    let document = description(&router).await;
    let operation = operation(&router).await;
    let described = described(&document);
    let filled: BTreeMap<Route, Value> = described
        .into_iter()
        .filter(|(_route, described)| described["security"].is_null())
        .map(|((method, path), described)| {
            ((method, fill(&path, &operation)), described["x-keyturn-roles"].clone())
        })
        .collect();
    let table: BTreeMap<Route, Value> = rights::routes(&operation)
        .into_iter()
        // To declare what is not there wants another right than to note on what is.
        .filter(|route| !route.path.ends_with("-019"))
        .map(|route| {
            let roles = Role::ALL.into_iter().filter(|role| role.grants(route.right));
            let roles = roles.map(Role::as_str).collect();
            ((route.method.to_string(), route.path), roles)
        })
        .collect();
    assert_eq!(filled, table);
}

/// Every `$ref` in a part of the description, with what it stands in.
fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").map(|to| to.as_str().unwrap().to_owned()));
            fields.values().for_each(|value| references(value, into));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

/// A property that must be there is one that is described.
fn requires_what_it_knows(value: &Value) {
    match value {
        Value::Object(fields) => {
            let required = fields.get("required").and_then(Value::as_array);
            for name in required.into_iter().flatten() {
                let known = &fields["properties"][name.as_str().unwrap()];
                assert!(!known.is_null(), "{name} of {value}");
            }
            fields.values().for_each(requires_what_it_knows);
        }
        Value::Array(values) => values.iter().for_each(requires_what_it_knows),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn the_description_names_what_it_has_and_has_what_it_names() {
    let (_world, router) = site().await;
    let document = description(&router).await;
    let mut named = BTreeSet::from(["#/components/securitySchemes/token".to_owned()]);
    references(&document, &mut named);
    let mut has = BTreeSet::new();
    for (kind, components) in document["components"].as_object().unwrap() {
        let names = components.as_object().unwrap().keys();
        has.extend(names.map(|name| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(named, has);
    let described = described(&document);
    let ids: BTreeSet<&str> =
        described.values().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), described.len(), "two operations have one id");
    requires_what_it_knows(&document);
}
