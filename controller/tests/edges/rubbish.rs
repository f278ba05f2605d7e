//! Whatever is sent: an answer in the API's form, never a fault of ours, and nothing changed by
//! whoever may only look.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use controller::access::{Admission, Role, Tokens, Wanted};
use controller::model::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::ask::{Answer, TOKEN, router_for, send};
use crate::world::{FABRIC, world};

/// Requests of each kind of caller.
const CASES: u32 = 5000;

/// What paths are made of: words that mean something, names that exist, and tricks.
const WORDS: &[&str] = &[
    "subscriptions",
    "00000000-0000-0000-0000-000000000001",
    "resourceGroups",
    "lab",
    "providers",
    "Microsoft.ManagedNetworkFabric",
    "networkFabrics",
    "networkDevices",
    "networkBootstrapDevices",
    "ce-01",
    "rotatePasswords",
    "resyncPasswords",
    "lockFabric",
    "upgrade",
    "commitConfiguration",
    "updateAdministrativeState",
    "locations",
    "operationStatuses",
    "tenants",
    "operations",
    "metadata",
    "endpoints",
    "keyturn",
    "v1",
    "fabrics",
    "fabrics:apply",
    "secrets:reveal",
    "tokens",
    "plan",
    "summary",
    "..",
    ".",
    "%2e%2e",
    "%00",
    "%ff%fe",
    "%2F",
    "",
    "a%20b",
    "ı",
];

const BODIES: &[&str] = &[
    "",
    "null",
    "[]",
    "{",
    "{\"state\":\"Disable\"}",
    "{\"state\":null}",
    "{\"lockType\":\"Administrative\",\"action\":\"Lock\"}",
    "{\"lockType\":{},\"action\":[]}",
    "{\"action\":\"Start\",\"version\":\"2\"}",
    "{\"commitStage\":\"Start\"}",
    "{\"tags\":{\"a\":\"b\"}}",
    "{\"properties\":{\"serialNumber\":7}}",
    "{\"location\":\"x\",\"properties\":{\"keyturn\":{\"platform\":\"linux\"}}}",
    "{\"role\":\"owner\"}",
    "\u{feff}{}",
];

fn paths() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => prop::sample::select(WORDS).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9%._~-]{0,40}",
    ];
    let free = prop::collection::vec(word.clone(), 0..10).prop_map(|words| words.join("/"));
    // Most random paths mean nothing: these begin as a good one does.
    let good = prop::collection::vec(word, 0..3)
        .prop_map(|words| format!("{}/{}", FABRIC.trim_start_matches('/'), words.join("/")));
    prop_oneof![free, good]
}

fn queries() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("?api-version=2025-07-15".to_owned()),
        1 => Just(String::new()),
        1 => "\\?[a-z=&%$0-9-]{0,60}",
        1 => "[a-f0-9]{0,40}".prop_map(|token| format!("?api-version=2025-07-15&$skipToken={token}")),
    ]
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(BODIES).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (1_usize..100_000).prop_map(|depth| vec![b'['; depth]),
        1 => (1_usize..20_000).prop_map(|depth| "{\"a\":".repeat(depth).into_bytes()),
    ]
}

fn methods() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ])
}

/// Sends rubbish with a role's token and hands each answer to `check`.
fn throw(role: Role, check: impl Fn(&Method, &str, &Answer)) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    let world = runtime.block_on(async {
        let world = world(&["ce-01", "ts-01"]).await;
        world.adopt().await;
        world
    });
    let tokens = Arc::new(Tokens::in_memory(TOKEN));
    let wanted = Wanted {
        name: "rubbish".to_owned(),
        role,
        fabric: None,
        secret_prefix: None,
        lifetime: Duration::from_secs(24 * 3600),
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap());
    let token = tokens.create(wanted, now).unwrap().token;
    let router = router_for(&world, &Admission::local(tokens));
    let state = || {
        let state = |fabric: &controller::model::Fabric| serde_json::to_string(fabric).unwrap();
        world.service.read(&world.fabric(), state).ok()
    };
    let before = state();
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let requests = (methods(), paths(), queries(), bodies());
    let thrown = runner.run(&requests, |(method, path, query, body)| {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("/{path}{query}"))
            .header("host", "keyturn.test:1")
            .header("authorization", format!("Bearer {}", token.as_str()))
            .body(Body::from(body));
        let Ok(request) = request else { return Ok(()) };
        let answer = runtime.block_on(async {
            // So that the limit to one principal's requests does not answer for the rest.
            tokio::time::advance(Duration::from_secs(1)).await;
            send(&router, request).await
        });
        check(&method, &format!("/{path}{query}"), &answer);
        Ok(())
    });
    thrown.unwrap();
    if role == Role::Reader {
        assert_eq!(state(), before, "whoever may only look has changed something");
    }
}

fn is_in_form(method: &Method, path: &str, answer: &Answer) {
    let status = answer.status;
    assert!(!status.is_server_error(), "{method} {path}: {answer:?}");
    if status.is_client_error() && *method != Method::HEAD {
        let (code, message) = (answer.code(), &answer.body["error"]["message"]);
        assert!(!code.is_empty() && message.is_string(), "{method} {path}: {answer:?}");
    }
    assert!(answer.header("x-ms-request-id").is_some(), "{method} {path}");
}

#[test]
fn rubbish_of_a_reader_is_answered_in_form_and_changes_nothing() {
    throw(Role::Reader, is_in_form);
}

#[test]
fn rubbish_of_an_administrator_is_answered_in_form() {
    throw(Role::Administrator, is_in_form);
}
