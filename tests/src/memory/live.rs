//! One life of the controller and the agent, from a start to a crash or a stop.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::driver::Kit;
use agent::ledger::{Clock, Ledger};
use agent::transport::Transports;
use agent::worker;
use controller::auditor::Auditor;
use controller::execute::Settings;
use controller::model::{Fabric, Operation, OperationState, Secret, Timestamp};
use controller::plan::{Policy, Request};
use controller::rollback::RollbackGuard;
use controller::service::{Parts, Revealed, Service, ServiceError};
use fixtures::device::Check;
use protocol::id::{Epoch, OperationId, ProfileName};
use protocol::password::Password;
use protocol::seal::Opener;
use protocol::status::SynchronizationStatus;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::archive::{WatchedDisk, WatchedStore, WatchedVault};
use super::director::{Director, Step, Strike};
use super::wires::Wires;
use super::{BEGIN_MS, World, link};

/// How long an operation may take, retries and quiet times included.
const OPERATION_MAX: Duration = Duration::from_secs(2 * 3600);

/// What came of one life.
#[derive(Debug)]
pub struct Lived<T> {
    /// What the script returned; `None` if everything crashed before its end.
    pub value: Option<T>,
    /// The steps while the director was armed.
    pub trace: Vec<Step>,
    /// Whether the strike came.
    pub was_struck: bool,
}

/// The controller and the agent at work.
#[derive(Debug)]
pub struct Live<'w> {
    world: &'w World<'w>,
    service: Arc<Service>,
    director: Arc<Director>,
    disk_is_broken: Arc<Mutex<bool>>,
}

impl World<'_> {
    /// Starts the controller and the agent over what there is, runs a script, and drops everything
    /// that is not durable. `from_start` counts steps from the very start on; otherwise the script
    /// says when ([`Live::arm`]).
    ///
    /// # Panics
    /// Panics where the service does not start.
    pub fn live<T>(
        &self,
        strike: Option<Strike>,
        from_start: bool,
        script: impl AsyncFnOnce(&Live<'_>) -> T,
    ) -> Lived<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .thread_name("matrix")
            .build()
            .unwrap();
        let director = Arc::new(Director::new(strike));
        let value = runtime.block_on(async {
            let ahead = self.now().saturating_duration_since(Instant::now());
            tokio::time::advance(ahead).await;
            if from_start {
                director.arm();
            }
            let value = tokio::select! {
                biased;
                () = director.crashed() => None,
                value = async {
                    let live = self.start(&director).await;
                    script(&live).await
                } => Some(value),
            };
            self.set_now(Instant::now());
            value
        });
        drop(runtime);
        let (trace, was_struck) = director.finish();
        Lived { value, trace, was_struck }
    }

    async fn start(&self, director: &Arc<Director>) -> Live<'_> {
        let tools = self.tools;
        let disk_is_broken = Arc::new(Mutex::new(false));
        let disk = WatchedDisk {
            disk: Arc::clone(&self.disk),
            director: Arc::clone(director),
            papers: tools.papers.clone(),
            is_broken: Arc::clone(&disk_is_broken),
        };
        let clock = Arc::new(Wall { begun: self.begun });
        let wires = Arc::new(Wires {
            device: Arc::clone(&self.device),
            director: Arc::clone(director),
            secrets: self.kept.secrets.clone(),
        });
        let kit = Kit {
            platforms: tools.platforms.clone(),
            ledger: Ledger::over(&self.disk.records(), Arc::new(disk), Arc::clone(&clock) as _),
            hashes: Arc::clone(&tools.hashes),
            transports: Transports {
                ssh: Arc::clone(&wires) as _,
                serial: Arc::clone(&wires) as _,
                console: wires,
            },
        };
        let opener = Opener::from_seed(&[7; 32]).unwrap();
        let agent = worker::Agent::new("matrix", kit, opener, worker::Settings::default());
        let (controller, end) = link::watched(director, &tools.papers);
        tokio::spawn(agent.serve(end));
        let attached =
            controller::agents::Agent::attach(controller.to_agent, controller.from_agent, Epoch(0));
        let parts = self.parts(director, attached.await.unwrap(), clock);
        let service = Service::start(parts).await.unwrap();
        Live { world: self, service, director: Arc::clone(director), disk_is_broken }
    }

    fn parts(
        &self,
        director: &Arc<Director>,
        agent: controller::agents::Agent,
        clock: Arc<Wall>,
    ) -> Parts {
        Parts {
            store: Arc::new(WatchedStore {
                inner: self.store.reopen(),
                director: Arc::clone(director),
                papers: self.tools.papers.clone(),
            }),
            vault: Arc::new(WatchedVault {
                inner: self.vault.clone(),
                director: Arc::clone(director),
                kept: Arc::clone(&self.kept),
            }),
            rollback: RollbackGuard::none(),
            archives: Arc::new(controller::service::NoArchives),
            auditor: Auditor::in_memory().unwrap().0,
            agent,
            template: Arc::clone(&self.tools.template),
            platforms: self.tools.limits.clone(),
            retention: controller::plan::retention::Retention::default(),
            policy: Policy { password_sets_max: 3, canary: true, wave_growth: 4, wave_max: 100 },
            settings: Settings::default(),
            clock: Arc::new(move || Timestamp(i64::try_from(clock.now_ms()).unwrap())),
        }
    }
}

/// The wall clock: it runs with the paused one.
struct Wall {
    begun: Instant,
}

impl Clock for Wall {
    fn now_ms(&self) -> u64 {
        BEGIN_MS + u64::try_from(self.begun.elapsed().as_millis()).unwrap()
    }
}

impl Live<'_> {
    /// Counts steps, and lets the strike come, from here on.
    pub fn arm(&self) {
        self.director.arm();
    }

    /// Ends that.
    pub fn disarm(&self) {
        self.director.disarm();
    }

    /// Tells whether the agent has to be started anew, because its disk has failed.
    #[must_use]
    pub fn disk_is_broken(&self) -> bool {
        *self.disk_is_broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the device as it is and verifies it.
    ///
    /// # Panics
    /// Panics where it is not in sync then.
    pub async fn adopt(&self) {
        let (inventory, passwords) = self.world.inventory();
        let applied = self.service.apply(inventory, passwords).await.unwrap();
        assert!(self.wait(applied.operation.unwrap()).await, "the adoption stands still");
        assert!(self.is_in_sync(), "{}", self.describe());
    }

    /// Asks for something. The answer is noted: an error may not hold a secret either.
    ///
    /// # Errors
    /// Returns what the service says.
    pub async fn submit(&self, request: Request) -> Result<OperationId, ServiceError> {
        let submitted = self.service.submit(&self.world.fabric(), request, None).await;
        if let Err(error) = &submitted {
            self.world.tools.papers.note(&format!("{error} {error:?} {:?}", error.hint()));
        }
        submitted
    }

    /// Waits for the end of an operation, and says whether it came in time.
    pub async fn wait(&self, id: OperationId) -> bool {
        let mut changes = self.service.changes(&self.world.fabric()).unwrap();
        let until = Instant::now() + OPERATION_MAX;
        let ended = async {
            loop {
                let (_fabric, operation) = self.service.operation(id).unwrap();
                if operation.state != OperationState::Running {
                    return;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        timeout_at(until, ended).await.is_ok()
    }

    /// Waits until no operation is running, and says whether that came in time.
    pub async fn wait_for_rest(&self) -> bool {
        let running = self.fabric(|fabric| fabric.running_operation().map(|running| running.id));
        match running {
            Some(id) => self.wait(id).await,
            None => true,
        }
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        sleep_until(Instant::now() + time).await;
    }

    /// Looks at the fabric's state.
    ///
    /// # Panics
    /// Panics where there is none.
    pub fn fabric<T>(&self, look: impl FnOnce(&Fabric) -> T) -> T {
        self.service.read(&self.world.fabric(), look).unwrap()
    }

    /// Tells whether every secret is in sync and all devices are on one password set.
    #[must_use]
    pub fn is_in_sync(&self) -> bool {
        self.fabric(|fabric| {
            let status = |device: &controller::model::Device| device.synchronization_status();
            let in_sync = |device| status(device) == SynchronizationStatus::InSync;
            fabric.devices.values().all(in_sync) && fabric.active_sets().len() == 1
        })
    }

    /// Returns the operations so far, the newest first.
    fn operations(&self) -> Vec<Operation> {
        self.service.operations().into_iter().map(|(_fabric, operation)| operation).collect()
    }

    /// Says how the operations ended and what state the secrets are in, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for operation in self.operations() {
            let Operation { kind, state, outcomes, .. } = operation;
            text.push_str(&format!("\n    {kind:?} {state:?}: {:?}", outcomes.values()));
        }
        self.fabric(|fabric| {
            for (profile, secret) in fabric.devices.values().flat_map(|device| &device.secrets) {
                text.push_str(&format!("\n    {profile}: {:?}", secret.credential));
            }
        });
        text
    }

    async fn reveal_all(&self) -> Vec<Revealed> {
        let users: Vec<String> = self.fabric(|fabric| {
            let secrets = fabric.devices.values().flat_map(|device| device.secrets.values());
            secrets.map(|secret| secret.user.to_string()).collect()
        });
        let mut all = Vec::new();
        for user in users {
            let revealed = self.service.reveal(&self.world.device_id(), &user).await.unwrap();
            self.world.tools.papers.note(&format!("{revealed:?}"));
            all.push(revealed);
        }
        all
    }

    fn truth(&self, user: &str, value: &Password) -> Option<Check> {
        self.world.device.check(user, value.expose())
    }

    /// Returns the secrets that are said to be in sync although the value that is revealed for them
    /// does not open the device, now and after a reboot.
    ///
    /// # Panics
    /// Panics where a secret cannot be revealed.
    pub async fn lies(&self) -> Vec<String> {
        let mut lies = Vec::new();
        for Revealed { user, value, status, .. } in self.reveal_all().await {
            let truth = self.truth(&user, &value);
            let opens = truth.is_some_and(|truth| truth.running && truth.startup);
            if status == SynchronizationStatus::InSync && !opens {
                lies.push(format!("{user} is said to be in sync, and its value: {truth:?}"));
            }
        }
        lies
    }

    /// Returns the secrets of which no revealed candidate opens the device, now or after a reboot.
    ///
    /// # Panics
    /// Panics where a secret cannot be revealed.
    pub async fn hidden(&self) -> Vec<String> {
        let mut hidden = Vec::new();
        for Revealed { user, candidates, .. } in self.reveal_all().await {
            let truths = || candidates.iter().filter_map(|it| self.truth(&user, &it.value));
            let (now, later) = (truths().any(|it| it.running), truths().any(|it| it.startup));
            if !now || !later {
                let state = self.describe();
                hidden.push(format!("no candidate of {user} opens: {now} {later} {state}"));
            }
        }
        hidden
    }

    /// Returns the secrets that are said to be synchronizing although nobody is at work on them.
    #[must_use]
    pub fn forgotten(&self) -> Vec<String> {
        self.fabric(|fabric| {
            if fabric.running_operation().is_some() {
                return Vec::new();
            }
            let secrets = fabric.devices.values().flat_map(|device| &device.secrets);
            let forgotten = secrets.filter(|(_profile, secret)| {
                secret.credential.status() == SynchronizationStatus::Synchronizing
            });
            let tell = |(profile, secret): (&ProfileName, &Secret)| {
                format!("nobody is at work on {profile}: {:?}", secret.credential)
            };
            forgotten.map(tell).collect()
        })
    }

    /// Returns what breaks the order that never loses a password: what the journal refers to and the
    /// vault does not have, and what was changed on the device before a set was in the journal.
    #[must_use]
    pub fn disordered(&self) -> Vec<String> {
        let (values, sets) = self.fabric(|fabric| (fabric.values(), fabric.sets.len()));
        let is_missing = |value: &&controller::model::Value| {
            let (name, version) = &value.located;
            !self.world.vault.has(name, version)
        };
        let missing = values.iter().filter(is_missing);
        let mut wrongs: Vec<String> = missing
            .map(|value| format!("set {} of {} is not in the vault", value.set, value.profile))
            .collect();
        // Where there are more sets, a rotation has stored one.
        let changed = if sets == 1 { self.world.changed() } else { Vec::new() };
        if !changed.is_empty() {
            wrongs.push(format!("{changed:?} were changed, and the journal has no set for that"));
        }
        wrongs
    }

    /// Notes what the service knows, as it could be shown or logged.
    pub fn note_state(&self) {
        let state = self.fabric(|fabric| {
            format!("{fabric:?} {}", serde_json::to_string(fabric).unwrap_or_default())
        });
        self.world.tools.papers.note(&state);
        self.world.tools.papers.note(&format!("{:?}", self.operations()));
    }
}
