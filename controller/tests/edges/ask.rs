//! Asking a router, and making its answers comparable.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use controller::access::{Admission, Tokens};
use controller::edge::{self, KnownNames};
use serde_json::Value;
use tower::ServiceExt;

use crate::world::{FABRIC, World};

pub(crate) const TOKEN: &str = "test-token-of-more-than-32-characters";

pub(crate) const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups\
                                /lab/providers/Microsoft.ManagedNetworkFabric";

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }

    /// The operation that the answer points to.
    pub(crate) fn operation(&self) -> &str {
        let location = self.header("location").unwrap();
        location.strip_prefix("https://keyturn.test:1").unwrap()
    }

    /// Status, telling headers and body, without what differs from run to run.
    pub(crate) fn golden(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for name in ["azure-asyncoperation", "location", "retry-after", "content-type"] {
            if let Some(value) = self.header(name) {
                writeln!(text, "{name}: {}", scrub(value)).unwrap();
            }
        }
        let body = serde_json::to_string_pretty(&self.body).unwrap();
        text + "\n" + &scrub(&body)
    }
}

pub(crate) fn router(world: &World) -> Router {
    router_for(world, &Admission::local(Arc::new(Tokens::in_memory(TOKEN))))
}

/// A router that lets in whom this lets in.
pub(crate) fn router_for(world: &World, admission: &Admission) -> Router {
    let names = KnownNames {
        platforms: vec!["arista-eos".to_owned(), "opengear".to_owned()],
        profiles: [
            "admin",
            "AzureOperatorRO",
            "AzureOperatorRW",
            "TelcoRO",
            "TelcoRW",
            "TerminalServer",
        ]
        .map(str::to_owned)
        .to_vec(),
        references: None,
    };
    edge::routes(&world.service, admission, names)
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 64 << 20).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(crate) fn request(method: Method, path: &str) -> axum::http::request::Builder {
    request_by(TOKEN, method, path)
}

/// A request of whoever has a token.
pub(crate) fn request_by(token: &str, method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "keyturn.test:1")
        .header("authorization", format!("Bearer {token}"))
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    let path = versioned(path);
    send(router, request(Method::GET, &path).body(Body::empty()).unwrap()).await
}

pub(crate) async fn post(router: &Router, path: &str, body: &str) -> Answer {
    let request = request(Method::POST, &versioned(path));
    send(router, request.body(Body::from(body.to_owned())).unwrap()).await
}

pub(crate) async fn put(router: &Router, path: &str, body: &Value) -> Answer {
    let request = request(Method::PUT, &versioned(path));
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

pub(crate) async fn on_fabric(router: &Router, action: &str, body: &str) -> Answer {
    post(router, &format!("{FABRIC}/{action}"), body).await
}

/// Asks after an operation until it has ended.
pub(crate) async fn ended(router: &Router, operation: &str) -> Answer {
    loop {
        let answer = get(router, operation).await;
        if answer.status != StatusCode::ACCEPTED {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

pub(crate) fn versioned(path: &str) -> String {
    match path.starts_with("/subscriptions") && !path.contains('?') {
        true => format!("{path}?api-version=2025-07-15"),
        false => path.to_owned(),
    }
}

/// Takes random ids out: GUIDs that are not made of zeros, and versions of secrets.
fn scrub(text: &str) -> String {
    let mut clean = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() || c == '-' {
            word.push(c);
            continue;
        }
        let is_guid = word.len() == 36 && !word.starts_with("0000");
        let is_version = word.len() == 32 && !word.contains('-');
        match (is_guid, is_version) {
            (true, _) => clean.push_str("<guid>"),
            (_, true) => clean.push_str("<version>"),
            _ => clean.push_str(&word),
        }
        word.clear();
        clean.push(c);
    }
    clean.trim_end().to_owned()
}
