//! The whole controller and the built-in agent, on the embedded store and vault.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::Kit;
use agent::hash::Hashes;
use agent::ledger::{Ledger, SystemClock};
use agent::platform::Platforms;
use agent::transport::Transports;
use controller::auditor;
use controller::execute::Settings;
use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::{OperationState, Timestamp};
use controller::plan::{Policy, Request};
use controller::rollback::RollbackGuard;
use controller::service::{Parts, Service};
use controller::store::{SqliteStore, Store};
use controller::template::{PlatformLimits, SecretsTemplate};
use controller::vault::embedded::Place;
use controller::vault::{EmbeddedVault, Vault};
use protocol::id::{Epoch, FabricId, OperationId};
use protocol::job::Verification;
use protocol::seal::Opener;

use crate::case::{self, Cost};
use crate::lab::Lab;

/// Adopts the lab's devices, rotates them, and measures the rotation.
pub(crate) async fn run(lab: &Lab) -> Cost {
    let data = tempfile::tempdir().expect("a data directory");
    let service = service(data.path()).await;
    let inventory = Inventory::load(&lab.path().join("fabric.toml"), None);
    let mut inventory = inventory.expect("the inventory");
    // The policy permits all at once.
    inventory.devices.iter_mut().for_each(|device| device.redundancy_group = None);
    let passwords = CurrentPasswords::load(&lab.path().join("passwords.toml"), &inventory, None)
        .expect("the passwords");
    let fabric = inventory.fabric.id.clone();
    let switches = inventory.devices.len() - 1;
    let applied = service.apply(inventory, passwords).await.expect("the devices are adopted");
    wait(&service, &fabric, applied.operation.expect("a verification"), usize::MAX).await;
    let mut measure = case::begin();
    let id = service.submit(&fabric, Request::Rotate, None).await.expect("a rotation");
    wait(&service, &fabric, id, switches).await;
    measure.switches_done();
    measure.end(wait(&service, &fabric, id, usize::MAX).await)
}

/// Waits until an operation has ended or so many devices have succeeded; returns how many have.
async fn wait(service: &Service, fabric: &FabricId, id: OperationId, enough: usize) -> usize {
    let mut changes = service.changes(fabric).expect("the fabric");
    loop {
        changes.mark_unchanged();
        let look = |fabric: &controller::model::Fabric| {
            let operation = fabric.operation(id).expect("the operation");
            let ended = operation.state != OperationState::Running;
            for (device, code, message) in operation.failures().take(if ended { 3 } else { 0 }) {
                eprintln!("{device}: {code}: {message}");
            }
            (ended, operation.succeeded())
        };
        let (ended, succeeded) = service.read(fabric, look).expect("the fabric");
        if ended || succeeded >= enough {
            return succeeded;
        }
        // Looking has a cost of its own: only after a change, and twenty times in a second at most.
        changes.changed().await.expect("the fabric stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn service(data: &Path) -> Arc<Service> {
    let store = SqliteStore::open(&data.join("store.db")).await.expect("a store");
    let store: Arc<dyn Store> = Arc::new(store);
    let seconds: controller::vault::Clock = Arc::new(|| now_ms().unsigned_abs() / 1000);
    let vault = EmbeddedVault::open(data, Place::default(), seconds).await.expect("a vault");
    let vault: Arc<dyn Vault> = Arc::new(vault);
    let rollback = RollbackGuard::open(data, Arc::clone(&vault), Arc::clone(&store)).await;
    let platforms = Platforms::built_in().expect("the platforms");
    let limits = platforms.iter().map(|platform| limits(platform)).collect();
    let clock = Arc::new(SystemClock);
    let kit = Kit {
        platforms,
        ledger: Ledger::open(&data.join("ledger.jsonl"), clock).expect("a ledger"),
        hashes: Arc::new(Hashes::new().expect("a hash key")),
        transports: Transports::real(),
    };
    let opener = Opener::from_seed(&[9; 32]).expect("a key");
    let hands = agent::worker::Agent::new("bench", kit, opener, Default::default());
    let link = hands.attach();
    let agent = controller::agents::Agent::attach(link.to_agent, link.from_agent, Epoch(1));
    Service::start(Parts {
        store,
        vault,
        rollback: rollback.expect("a mark"),
        archives: Arc::new(controller::service::NoArchives),
        auditor: auditor::open(data).await.expect("an audit"),
        agent: agent.await.expect("the agent greets"),
        template: Arc::new(SecretsTemplate::builtin().expect("the template")),
        platforms: limits,
        retention: controller::plan::retention::Retention::default(),
        policy: Policy {
            password_sets_max: 3,
            canary: false,
            wave_growth: 100,
            wave_max: usize::MAX,
        },
        settings: Settings {
            quiet_time: Duration::from_secs(5),
            device_time_max: Duration::from_secs(90),
            commit_timer: Duration::from_secs(300),
            verification: Verification::ReadbackLogin,
            retries_max: 2,
            retry_backoff: Duration::from_secs(1),
            halt_failures_min: 1000,
            halt_failures_percent: 100,
        },
        clock: Arc::new(|| Timestamp(now_ms())),
    })
    .await
    .expect("a service")
}

fn limits(platform: &agent::platform::Platform) -> PlatformLimits {
    PlatformLimits {
        platform: platform.name.clone(),
        length_min: platform.limits.password_length_min,
        length_max: platform.limits.password_length_max,
        allowed: PlatformLimits::all_but(&platform.limits.password_forbidden),
        first_letter_only: false,
        hash_kinds: platform.limits.hash_kinds.clone(),
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
