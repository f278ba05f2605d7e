//! The Key Vault API over an embedded vault, asked by whoever may do everything.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use controller::access::{Admission, Tokens};
use controller::edge::key_vault::{self, Settings};
use controller::service::Desk;
use controller::vault::EmbeddedVault;
use controller::vault::contract::clock;
use controller::vault::embedded::Place;
use tokio::runtime::Runtime;

use super::api::{self, Ends, TOKEN};

/// Requests that mean something: the first line has method and target, the rest is the body.
pub const SEEDS: &[&str] = &[
    "GET /secrets?api-version=7.4&maxresults=2",
    "GET /secrets?api-version=7.4&maxresults=1&$skiptoken=bGFiLTA",
    "PUT /secrets/lab-1?api-version=7.4\n{\"value\":\"Never-shown.1\",\"contentType\":\"text/plain\",\
     \"tags\":{\"a\":\"b\"},\"attributes\":{\"enabled\":true,\"nbf\":1,\"exp\":4102444800}}",
    "GET /secrets/lab-0/versions?api-version=7.4&maxresults=25",
    "GET /secrets/lab-0/?api-version=2026-04-01",
    "GET /secrets/lab-0/0123456789abcdef0123456789abcdef?api-version=7.4",
    "PATCH /secrets/lab-0?api-version=7.4\n{\"attributes\":{\"enabled\":true},\"tags\":{\"a\":\"c\"}}",
    "POST /secrets/lab-0/backup?api-version=7.4",
    "POST /secrets/restore?api-version=7.4\n{\"value\":\"a2V5dHVybiBzZWNyZXQgYmFja3VwIDEKAAAAAAAAAAE\"}",
    "DELETE /secrets/lab-9?api-version=7.4",
    "GET /deletedsecrets?api-version=7.4",
    "POST /deletedsecrets/lab-9/recover?api-version=7.4",
    "DELETE /deletedsecrets/lab-9?api-version=7.4",
];

struct Api {
    runtime: Runtime,
    router: Router,
    _ends: Ends,
    _dir: tempfile::TempDir,
}

static API: LazyLock<Mutex<Api>> = LazyLock::new(|| Mutex::new(Api::start()));

/// Asks as the owner: never a fault of ours, and every error in Key Vault's form.
#[must_use]
pub fn key_vault(bytes: &[u8]) -> bool {
    let Some(request) = api::request(bytes) else { return false };
    let is_head = request.method() == "HEAD";
    let api = API.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, body) = api.ask(request);
    assert!(!status.is_server_error(), "{status}: {body}");
    if status.is_client_error() && !is_head {
        let body: serde_json::Value = serde_json::from_str(&body).expect("an error is JSON");
        assert!(body["error"]["code"].is_string(), "{status}: {body}");
    }
    status.is_success()
}

impl Api {
    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (router, ends) = runtime.block_on(serve(dir.path()));
        Self { runtime, router, _ends: ends, _dir: dir }
    }

    fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        self.runtime.block_on(api::answer(&self.router, request))
    }
}

async fn serve(dir: &std::path::Path) -> (Router, Ends) {
    let (service, ends) = api::service().await;
    let vault = EmbeddedVault::open(dir, Place::default(), clock()).await.expect("a vault");
    let desk = Arc::new(Desk::new(service, Arc::new(vault)));
    let admission = Admission::local(Arc::new(Tokens::in_memory(TOKEN)));
    let settings = Settings {
        authorization: "https://login.example/tenant".to_owned(),
        resource: "https://vault.example.net".to_owned(),
        retention: Duration::from_secs(7 * 24 * 3_600),
        reads_max: u32::MAX,
        writes_max: u32::MAX,
    };
    let router = key_vault::routes(&desk, &admission, &settings);
    for n in 0..3 {
        let put = format!("PUT /secrets/lab-{n}?api-version=7.4\n{{\"value\":\"a\"}}");
        let request = api::request(put.as_bytes()).expect("a request");
        assert!(api::answer(&router, request).await.0.is_success());
    }
    (router, ends)
}
