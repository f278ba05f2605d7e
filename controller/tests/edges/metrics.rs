//! Numbers for Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, StatusCode};
use controller::access::{Admission, Role, Tokens, Wanted};
use controller::execute::Settings;
use controller::inventory::SecretArchive;
use controller::model::Timestamp;
use controller::rollback::RollbackGuard;
use controller::service::Archives as CustomerArchives;
use controller::vault::{MemoryVault, Vault, VaultError, VaultFault};
use tower::ServiceExt;

use crate::ask::{TOKEN, ended, get, on_fabric, request_by, router, router_for};
use crate::world::{Archives, FABRIC, Fault, World, start_over, world};

const CUSTOMER: &str = "https://customer.example.net";

/// The vaults of customers: one.
#[derive(Clone, Debug)]
struct Customers(MemoryVault);

impl CustomerArchives for Customers {
    fn open(&self, _archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        Ok(Arc::new(self.0.clone()))
    }
}

async fn with_customer() -> (World, MemoryVault) {
    let mut world = world(&["ce-01", "ce-02", "ts-01"]).await;
    let customer = MemoryVault::new(Arc::new(|| 1_800_000_000));
    let archives = Archives {
        store: Arc::new(world.store.reopen()),
        vault: Arc::new(world.vault.clone()),
        rollback: RollbackGuard::none(),
        customers: Arc::new(Customers(customer.clone())),
    };
    world.service = start_over(archives, Settings::default(), &world.auditor, &world.devices).await;
    let archive = format!("secret-archive = {{ vault-uri = \"{CUSTOMER}\" }}\nlocation = ");
    world.inventory = world.inventory.replace("location = ", &archive);
    world.adopt().await;
    (world, customer)
}

async fn asked(router: &Router, token: &str) -> (StatusCode, String, String) {
    let request = request_by(token, Method::GET, "/metrics").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, kind, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The numbers by name and labels, each of a family that was announced before it.
async fn scrape(router: &Router) -> BTreeMap<String, f64> {
    let (status, kind, text) = asked(router, TOKEN).await;
    assert_eq!((status.as_u16(), kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let (mut numbers, mut families) = (BTreeMap::new(), BTreeSet::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# TYPE ") {
            family = comment.split(' ').next().unwrap().to_owned();
            assert!(families.insert(family.clone()), "{family} is announced twice");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next().unwrap(), family, "{line}");
            let before = numbers.insert(name.to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "{line}");
        }
    }
    numbers
}

fn of(numbers: &BTreeMap<String, f64>, name: &str, more: &str) -> f64 {
    let key = format!("{name}{{fabric=\"{FABRIC}\"{more}}}");
    *numbers.get(&key).unwrap_or_else(|| panic!("{key} in {numbers:#?}"))
}

async fn rotate(router: &Router) {
    let accepted = on_fabric(router, "rotatePasswords", "").await;
    ended(router, accepted.operation()).await;
}

#[tokio::test(start_paused = true)]
async fn numbers_follow_devices_operations_and_password_sets() {
    let (world, _customer) = with_customer().await;
    let router = router(&world);
    let devices = |numbers: &BTreeMap<String, f64>| {
        ["InSync", "Synchronizing", "OutOfSync"]
            .map(|status| of(numbers, "keyturn_devices", &format!(",status=\"{status}\"")))
    };
    let numbers = scrape(&router).await;
    assert_eq!(devices(&numbers), [3.0, 0.0, 0.0]);
    assert_eq!(of(&numbers, "keyturn_password_sets_active", ""), 1.0);
    assert_eq!(of(&numbers, "keyturn_operations_running", ""), 0.0);
    assert_eq!(numbers[&format!("keyturn_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    world.devices.break_it("ce-02", Fault::Unreachable);
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    assert_eq!(of(&scrape(&router).await, "keyturn_operations_running", ""), 1.0);
    ended(&router, accepted.operation()).await;
    let numbers = scrape(&router).await;
    assert_eq!(devices(&numbers), [2.0, 0.0, 1.0]);
    assert_eq!(of(&numbers, "keyturn_password_sets_active", ""), 2.0);
    assert_eq!(of(&numbers, "keyturn_operations_running", ""), 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_lags_behind_shows_by_how_much_and_since_when_it_fails() {
    let (world, customer) = with_customer().await;
    let router = router(&world);
    let vault = format!(",vault=\"{CUSTOMER}\"");
    let archive = |numbers: &BTreeMap<String, f64>, name: &str| {
        of(numbers, &format!("keyturn_archive_{name}"), &vault)
    };
    customer.faults().set(VaultFault::ReadOnly);
    rotate(&router).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.devices.1.store(1, std::sync::atomic::Ordering::Relaxed);
    let numbers = scrape(&router).await;
    assert_eq!((archive(&numbers, "copies"), archive(&numbers, "copies_pending")), (0.0, 6.0));
    let (lag, failures) = (archive(&numbers, "lag_seconds"), archive(&numbers, "failures_total"));
    assert_eq!(lag, 86_400.0, "a day");
    assert!(failures > 5.0, "{failures}");
    assert!(archive(&numbers, "last_error_timestamp_seconds") > 1_700_000_000.0);
    customer.faults().clear();
    world.service.retry_archive(&world.fabric()).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let numbers = scrape(&router).await;
    assert_eq!((archive(&numbers, "copies"), archive(&numbers, "copies_pending")), (6.0, 0.0));
    assert_eq!(archive(&numbers, "copied_total"), 6.0);
    assert_eq!(archive(&numbers, "lag_seconds"), 0.0);
    assert_eq!(archive(&numbers, "failures_total"), failures, "it counts on");
}

#[tokio::test(start_paused = true)]
async fn a_fabric_without_an_archive_has_no_series_of_one() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let numbers = scrape(&router(&world)).await;
    assert!(numbers.keys().all(|name| !name.starts_with("keyturn_archive")), "{numbers:?}");
    assert!(numbers.keys().any(|name| name.starts_with("keyturn_devices")), "{numbers:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_scrapes_sees_numbers_of_their_fabrics_and_nothing_else() {
    let (world, _customer) = with_customer().await;
    rotate(&router(&world)).await;
    let tokens = Arc::new(Tokens::in_memory(TOKEN));
    let router = router_for(&world, &Admission::local(Arc::clone(&tokens)));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap());
    let token = |role, fabric: Option<&str>| {
        let (name, lifetime) = ("prometheus".to_owned(), Duration::from_secs(3600));
        let fabric = fabric.map(|fabric| fabric.parse().unwrap());
        let wanted = Wanted { name, role, fabric, secret_prefix: None, lifetime };
        tokens.create(wanted, now).unwrap().token.to_string()
    };
    let scraper = token(Role::MetricsReader, None);
    let (status, _kind, text) = asked(&router, &scraper).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains(FABRIC), "{text}");
    for password in ["admin", "TelcoRO"] {
        let revealed = world.service.reveal(&world.device_id("ce-01"), password).await.unwrap();
        assert!(!text.contains(revealed.value.expose()));
    }
    let other =
        FABRIC.replace("/lab", "/other").replace("resourceGroups/other", "resourceGroups/lab");
    for role in [Role::MetricsReader, Role::Reader] {
        let (status, _kind, text) = asked(&router, &token(role, Some(&other))).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!text.contains("fabric="), "{text}");
    }
    let (status, ..) = asked(&router, &token(Role::VaultSecretsUser, None)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let look = request_by(&scraper, Method::GET, "/keyturn/v1/fabrics").body(Body::empty());
    let looked = router.clone().oneshot(look.unwrap()).await.unwrap();
    assert_eq!(looked.status(), StatusCode::FORBIDDEN);
    // A scrape is no event: nothing is recorded of it.
    assert!(!world.paper.text().contains("metrics"));
    assert_eq!(get(&router, "/metrics").await.status, StatusCode::OK);
}
