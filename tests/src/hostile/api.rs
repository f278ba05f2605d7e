//! The APIs over a service in memory, with one fabric, whose devices nobody answers for.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, Uri};
use controller::access::{Admission, Tokens};
use controller::agents::Agent;
use controller::auditor::Auditor;
use controller::edge::{self, KnownNames};
use controller::execute::Settings;
use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::Timestamp;
use controller::plan::Policy;
use controller::rollback::RollbackGuard;
use controller::service::{Parts, Service};
use controller::store::MemoryStore;
use controller::template::{PlatformLimits, SecretsTemplate};
use controller::vault::MemoryVault;
use protocol::frame::{FromAgent, ToAgent, VERSION};
use protocol::id::Epoch;
use protocol::seal::Opener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::INVENTORY;

/// The owner's token.
pub(super) const TOKEN: &str = "the-token-of-an-owner-who-sends-rubbish";

/// Requests that mean something: the first line has method and target, the rest is the body.
pub const SEEDS: &[&str] = &[
    "GET /openapi.json",
    "GET /subscriptions?api-version=2025-07-15",
    "GET /subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
     Microsoft.ManagedNetworkFabric/networkDevices?api-version=2025-07-15&$skipToken=2f",
    "PATCH /subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
     Microsoft.ManagedNetworkFabric/networkDevices/ce-01?api-version=2025-07-15\n\
     {\"tags\":{\"a\":\"b\"},\"properties\":{\"annotation\":\"c\",\"serialNumber\":\"d\"}}",
    "POST /subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
     Microsoft.ManagedNetworkFabric/networkFabrics/lab/lockFabric?api-version=2025-07-15\n\
     {\"lockType\":\"Administrative\",\"action\":\"Lock\"}",
    "POST /keyturn/v1/fabrics:apply\n{\"inventory\":\"[fabric]\",\"passwords\":\"[profiles]\"}",
    "POST /keyturn/v1/tokens\n{\"role\":\"reader\",\"lifetimeSeconds\":60}",
    "GET /keyturn/v1/fabrics/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/\
     lab/providers/Microsoft.ManagedNetworkFabric/networkFabrics/lab/plan?request=resync",
];

/// The ends of the link that the agent would have.
pub(super) type Ends = (mpsc::Receiver<ToAgent>, mpsc::Sender<FromAgent>);

struct Api {
    runtime: Runtime,
    router: Router,
    _agent: Ends,
}

static API: LazyLock<Mutex<Api>> = LazyLock::new(|| Mutex::new(Api::start()));

/// Asks as the owner: never a fault of ours, and every error in the API's form.
#[must_use]
pub fn api(bytes: &[u8]) -> bool {
    let Some(request) = request(bytes) else { return false };
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

/// Makes a request of the owner's; `None` for what a server takes for none.
pub(super) fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let head = std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (method, target) = head.split_once(' ')?;
    let target = target.parse::<Uri>().ok()?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "keyturn.test:1")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::from(parts.next().unwrap_or_default().to_vec()));
    // A router answers no CONNECT, and its paths begin with a slash.
    let is_answered = |request: &Request<Body>| {
        request.method() != "CONNECT" && request.uri().path().starts_with('/')
    };
    request.ok().filter(is_answered)
}

/// Returns what is answered to a request.
pub(super) async fn answer(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let answer = router.clone().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

impl Api {
    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
        let (router, agent) = runtime.block_on(serve());
        Self { runtime, router, _agent: agent }
    }

    fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        self.runtime.block_on(async {
            // So that the limit to one principal's requests does not answer for the rest.
            tokio::time::advance(Duration::from_secs(1)).await;
            answer(&self.router, request).await
        })
    }
}

async fn serve() -> (Router, Ends) {
    let (service, ends) = service().await;
    let template = SecretsTemplate::builtin().expect("the template");
    let profiles = template.profiles.iter().map(|p| p.name.to_string()).collect();
    let platforms = vec!["arista-eos".to_owned(), "opengear".to_owned()];
    let admission = Admission::local(Arc::new(Tokens::in_memory(TOKEN)));
    let names = KnownNames { platforms, profiles, references: None };
    (edge::routes(&service, &admission, names), ends)
}

/// Starts a service with one fabric.
pub(super) async fn service() -> (Arc<Service>, Ends) {
    let (to, to_agent) = mpsc::channel(64);
    let (from_agent, from) = mpsc::channel(64);
    let key = Opener::from_seed(&[3; 32]).expect("a key").key().clone();
    let hello = FromAgent::Hello { version: VERSION, agent: "silent".to_owned(), key };
    from_agent.send(hello).await.expect("a place in the channel");
    let limits = |platform: &str| PlatformLimits {
        platform: platform.to_owned(),
        length_min: 8,
        length_max: 64,
        allowed: PlatformLimits::all_but("?"),
        first_letter_only: false,
        hash_kinds: Vec::new(),
    };
    let template = Arc::new(SecretsTemplate::builtin().expect("the template"));
    let profiles: Vec<String> = template.profiles.iter().map(|p| p.name.to_string()).collect();
    let service = Service::start(Parts {
        store: Arc::new(MemoryStore::new()),
        vault: Arc::new(MemoryVault::new(Arc::new(|| 1_800_000_000))),
        rollback: RollbackGuard::none(),
        archives: Arc::new(controller::service::NoArchives),
        auditor: Auditor::in_memory().expect("a key").0,
        agent: Agent::attach(to, from, Epoch(1)).await.expect("the agent greets"),
        template,
        platforms: vec![limits("arista-eos"), limits("opengear")],
        retention: controller::plan::retention::Retention::default(),
        policy: Policy { password_sets_max: 3, canary: true, wave_growth: 4, wave_max: 1000 },
        settings: Settings::default(),
        clock: Arc::new(|| Timestamp(1_800_000_000_000)),
    });
    let service = service.await.expect("a service");
    let inventory = Inventory::parse("f", Path::new("/"), INVENTORY, None).expect("an inventory");
    let mut passwords = "[profiles]\n".to_owned();
    profiles.iter().for_each(|name| passwords += &format!("{name} = \"Factory-{name}.1\"\n"));
    let passwords = CurrentPasswords::parse("p", &passwords, &inventory, None);
    service.apply(inventory, passwords.expect("passwords")).await.expect("a fabric");
    (service, (to_agent, from_agent))
}
