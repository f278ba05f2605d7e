//! The Key Vault API over the embedded vault: a world whose passwords are where clients of a vault
//! can ask for them.

mod devices;
mod restoring;
mod rights;
mod secrets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use controller::access::{Admission, Role, Tokens, Wanted};
use controller::edge::key_vault::{self, Settings};
use controller::model::Timestamp;
use controller::plan::Request as Ask;
use controller::rollback::RollbackGuard;
use controller::service::{Desk, NoArchives};
use controller::vault::EmbeddedVault;
use controller::vault::embedded::Place;
use protocol::id::FabricId;
use serde_json::{Value, json};

use crate::ask::{Answer, TOKEN, request_by, send};
use crate::world::{Archives, World, start_over, world};

pub(crate) const URI: &str = "https://kv.vault.example.net";

pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) router: Router,
    pub(crate) desk: Arc<Desk>,
    tokens: Arc<Tokens>,
    _dir: tempfile::TempDir,
}

/// The vault's file needs a clock that runs by itself: nothing here waits for long.
fn hasty() -> controller::execute::Settings {
    let moment = Duration::from_millis(10);
    let usual = controller::execute::Settings::default();
    controller::execute::Settings { quiet_time: moment, retry_backoff: moment, ..usual }
}

pub(crate) fn settings() -> Settings {
    Settings {
        authorization: "https://login.example/tenant".to_owned(),
        resource: "https://vault.example.net".to_owned(),
        retention: Duration::from_secs(7 * 24 * 3_600),
        reads_max: 1_000,
        writes_max: 1_000,
    }
}

pub(crate) async fn site(devices: &[&str]) -> Site {
    site_with(devices, &settings()).await
}

pub(crate) async fn site_with(devices: &[&str], settings: &Settings) -> Site {
    let mut world = world(devices).await;
    let dir = tempfile::tempdir().unwrap();
    let now = AtomicU64::new(1_800_000_000);
    let clock = Arc::new(move || now.fetch_add(1, Ordering::SeqCst));
    let place = Place { uri: URI.to_owned(), ..Place::default() };
    let vault = Arc::new(EmbeddedVault::open(dir.path(), place, clock).await.unwrap());
    let kept = Arc::clone(&vault);
    let store = Arc::new(world.store.reopen());
    let archives = Archives {
        store,
        vault: kept,
        rollback: RollbackGuard::none(),
        customers: Arc::new(NoArchives),
    };
    world.service = start_over(archives, hasty(), &world.auditor, &world.devices).await;
    let desk = Arc::new(Desk::new(Arc::clone(&world.service), vault));
    let tokens = Arc::new(Tokens::in_memory(TOKEN));
    let admission = Admission::local(Arc::clone(&tokens));
    let router = key_vault::routes(&desk, &admission, settings);
    Site { world, router, desk, tokens, _dir: dir }
}

impl Site {
    pub(crate) fn token(&self, role: Role, fabric: Option<&str>, prefix: Option<&str>) -> String {
        let fabric = fabric.map(|name| {
            FabricId::new("00000000-0000-0000-0000-000000000001", "lab", name).unwrap()
        });
        let lifetime = Duration::from_secs(3600);
        let secret_prefix = prefix.map(str::to_owned);
        let wanted = Wanted { name: "test".to_owned(), role, fabric, secret_prefix, lifetime };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = Timestamp(i64::try_from(now.as_millis()).unwrap());
        self.tokens.create(wanted, now).unwrap().token.to_string()
    }

    pub(crate) async fn ask_by(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Answer {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}api-version=2026-04-01");
        let request = request_by(token, method, &path);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(&self.router, request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        self.ask_by(TOKEN, method, path, &body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn set(&self, name: &str, value: &str) -> Answer {
        self.ask(Method::PUT, &format!("/secrets/{name}"), json!({"value": value})).await
    }

    pub(crate) async fn rotate(&self) -> controller::model::Operation {
        let fabric = self.world.fabric();
        let id = self.world.service.submit(&fabric, Ask::Rotate, None).await.unwrap();
        self.world.wait(id).await
    }
}

/// The path of what has an id in the vault.
pub(crate) fn path(id: &Value) -> String {
    let id = id.as_str().unwrap();
    id.strip_prefix(URI).unwrap_or_else(|| panic!("{id}")).to_owned()
}

pub(crate) fn inner(answer: &Answer) -> &str {
    answer.body["error"]["innererror"]["code"].as_str().unwrap_or("")
}
