//! A world in memory: devices that are maps, an agent that speaks the protocol's frames, and a
//! service over in-memory store and vault. What is tested is the controller; real dialogues are
//! tested in the `tests` crate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use controller::agents::Agent;
use controller::auditor::{Auditor, MemoryPaper};
use controller::execute::Settings;
use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::{Operation, OperationState, Timestamp};
use controller::plan::Policy;
use controller::rollback::RollbackGuard;
use controller::service::{Archives as CustomerArchives, NoArchives, Parts, Service};
use controller::store::{MemoryStore, Store};
use controller::template::{PlatformLimits, SecretsTemplate};
use controller::vault::{MemoryVault, Vault};
use protocol::frame::{FromAgent, ToAgent, VERSION};
use protocol::id::{DeviceId, Epoch, FabricId, OperationId, PasswordSet, ProfileName};
use protocol::job::{Job, Work};
use protocol::report::{Finish, Match, Observation, Reason, Report, Stop};
use protocol::seal::{Binding, Bundle, Opener};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(crate) const FABRIC: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/Microsoft.ManagedNetworkFabric/networkFabrics/lab";

/// What is wrong with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody answers.
    Unreachable,
    /// The connection is cut when the change arrives; nothing is changed.
    DropBefore,
    /// The connection is cut after the change.
    DropAfter,
    /// The device says yes and changes nothing.
    LieYes,
    /// The change is never saved.
    DiskFull,
    /// It is told to reboot and does not.
    StaysUp,
    /// It never comes back from a reboot.
    StaysAway,
    /// Its platform cannot reboot.
    NoReboot,
}

/// A device: what it accepts now and after a reboot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    pub running: BTreeMap<String, String>,
    pub startup: BTreeMap<String, String>,
    pub fault: Option<Fault>,
    pub refused_logins: u32,
    pub changes: u32,
    pub reboots: u32,
    /// What it has when it was wiped.
    pub factory: BTreeMap<String, String>,
    /// When it will be back.
    pub boots_until: Option<Instant>,
}

impl Device {
    fn is_away(&self) -> bool {
        let boots = self.boots_until.is_some_and(|until| Instant::now() < until);
        boots || self.fault == Some(Fault::Unreachable)
    }
}

/// How long a device boots.
const BOOT: Duration = Duration::from_secs(200);

#[derive(Clone, Default)]
pub(crate) struct Devices(pub Arc<Mutex<BTreeMap<String, Device>>>, pub Arc<AtomicI64>);

impl Devices {
    pub(crate) fn with<T>(&self, name: &str, f: impl FnOnce(&mut Device) -> T) -> T {
        f(self.0.lock().unwrap().get_mut(name).unwrap())
    }

    pub(crate) fn break_it(&self, name: &str, fault: Fault) {
        self.with(name, |device| device.fault = Some(fault));
    }

    pub(crate) fn heal(&self, name: &str) {
        self.with(name, |device| device.fault = None);
    }
}

pub(crate) struct World {
    pub devices: Devices,
    pub store: MemoryStore,
    pub vault: MemoryVault,
    pub auditor: Auditor,
    pub paper: MemoryPaper,
    pub inventory: String,
    pub passwords: String,
    pub service: Arc<Service>,
}

/// Two switches with the profiles of the documents and a terminal server.
pub(crate) async fn world(names: &[&str]) -> World {
    let mut inventory = format!("[fabric]\nid = \"{FABRIC}\"\nlocation = \"local\"\n");
    let devices = Devices::default();
    let profiles = ["admin", "AzureOperatorRO", "AzureOperatorRW", "TelcoRO", "TelcoRW"];
    let mut passwords = "[profiles]\n".to_owned();
    for profile in profiles {
        passwords.push_str(&format!("{profile} = \"Factory-{profile}.1\"\n"));
    }
    passwords.push_str("TerminalServer = \"Factory-ts.1\"\n");
    for (at, name) in names.iter().enumerate() {
        let terminal_server = name.starts_with("ts");
        let (role, platform) =
            if terminal_server { ("TS", "opengear") } else { ("CE", "arista-eos") };
        inventory.push_str(&format!(
            "[[devices]]\nname = \"{name}\"\nrole = \"{role}\"\nplatform = \"{platform}\"\n\
             serial-number = \"Make;Model;1;S{at}\"\n\
             ssh = {{ address = \"127.0.0.1\", port = {}, host-key = \"ssh-ed25519 \
             AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ\" }}\n",
            1000 + at
        ));
        let accounts: BTreeMap<String, String> = if terminal_server {
            BTreeMap::from([("root".to_owned(), "Factory-ts.1".to_owned())])
        } else {
            let account = |p: &&str| ((*p).to_owned(), format!("Factory-{p}.1"));
            profiles.iter().map(account).collect()
        };
        let (running, startup, factory) = (accounts.clone(), accounts.clone(), accounts);
        let device = Device { running, startup, factory, ..Device::default() };
        devices.0.lock().unwrap().insert((*name).to_owned(), device);
    }
    let store = MemoryStore::new();
    let vault = MemoryVault::new(Arc::new(|| 1_800_000_000));
    let (auditor, paper) = Auditor::in_memory().unwrap();
    let service = start(&store, &vault, &auditor, &devices).await;
    World { devices, store, vault, auditor, paper, inventory, passwords, service }
}

/// Starts a service (again) over the same store, vault and devices.
pub(crate) async fn start(
    store: &MemoryStore,
    vault: &MemoryVault,
    auditor: &Auditor,
    devices: &Devices,
) -> Arc<Service> {
    let archives = Archives {
        store: Arc::new(store.reopen()),
        vault: Arc::new(vault.clone()),
        rollback: RollbackGuard::none(),
        customers: Arc::new(NoArchives),
    };
    start_over(archives, Settings::default(), auditor, devices).await
}

/// What a service keeps.
pub(crate) struct Archives {
    pub store: Arc<dyn Store>,
    pub vault: Arc<dyn Vault>,
    pub rollback: RollbackGuard,
    pub customers: Arc<dyn CustomerArchives>,
}

/// Starts a service over what there is.
pub(crate) async fn start_over(
    archives: Archives,
    settings: Settings,
    auditor: &Auditor,
    devices: &Devices,
) -> Arc<Service> {
    let (to, to_agent) = mpsc::channel(64);
    let (from_agent, from) = mpsc::channel(64);
    tokio::spawn(fake_agent(devices.clone(), Some(auditor.clone()), to_agent, from_agent));
    let agent = Agent::attach(to, from, Epoch(1)).await.unwrap();
    let limits = |platform: &str| PlatformLimits {
        platform: platform.to_owned(),
        length_min: 8,
        length_max: 64,
        allowed: PlatformLimits::all_but("?"),
        first_letter_only: false,
        hash_kinds: Vec::new(),
    };
    Service::start(Parts {
        store: archives.store,
        vault: archives.vault,
        rollback: archives.rollback,
        archives: archives.customers,
        auditor: auditor.clone(),
        agent,
        template: Arc::new(SecretsTemplate::builtin().unwrap()),
        platforms: vec![limits("arista-eos"), limits("opengear")],
        retention: controller::plan::retention::Retention::default(),
        policy: Policy { password_sets_max: 3, canary: true, wave_growth: 4, wave_max: 100 },
        settings,
        clock: devices.clock(),
    })
    .await
    .unwrap()
}

impl Devices {
    /// The service's clock: it stands, but for the days that a test lets pass.
    fn clock(&self) -> controller::execute::Clock {
        let days = Arc::clone(&self.1);
        let at = |days: i64| Timestamp(1_800_000_000_000 + days * 86_400_000);
        Arc::new(move || at(days.load(Ordering::Relaxed)))
    }
}

impl World {
    pub(crate) fn pass_days(&self, days: i64) {
        self.devices.1.fetch_add(days, Ordering::Relaxed);
    }

    pub(crate) fn fabric(&self) -> FabricId {
        FABRIC.parse().unwrap()
    }

    pub(crate) fn device_id(&self, name: &str) -> DeviceId {
        self.fabric().device(&name.parse().unwrap())
    }

    pub(crate) async fn apply(&self) -> controller::service::Applied {
        let inventory =
            Inventory::parse("fabric.toml", ".".as_ref(), &self.inventory, None).unwrap();
        let passwords =
            CurrentPasswords::parse("passwords.toml", &self.passwords, &inventory, None).unwrap();
        self.service.apply(inventory, passwords).await.unwrap()
    }

    /// Gives a device another host key in the inventory.
    pub(crate) fn replace_host_key(&mut self, name: &str) {
        let at = self.inventory.find(&format!("name = \"{name}\"")).unwrap();
        let (before, device) = self.inventory.split_at(at);
        let other = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        self.inventory = format!("{before}{}", device.replacen(key, other, 1));
    }

    pub(crate) async fn adopt(&self) {
        let applied = self.apply().await;
        let operation = self.wait(applied.operation.unwrap()).await;
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
    }

    pub(crate) async fn wait(&self, id: OperationId) -> Operation {
        let mut changes = self.service.changes(&self.fabric()).unwrap();
        loop {
            let (_fabric, operation) = self.service.operation(id).unwrap();
            if operation.state != OperationState::Running {
                return operation;
            }
            changes.changed().await.unwrap();
        }
    }

    /// Asserts that every password that a device accepts, running or startup, is in the vault.
    pub(crate) fn assert_nothing_lost(&self) {
        for (name, device) in self.devices.0.lock().unwrap().iter() {
            for (user, value) in device.running.iter().chain(&device.startup) {
                let value = protocol::password::Password::new(value.clone()).unwrap();
                assert!(self.vault.holds(&value), "{user} on {name} is lost");
            }
        }
    }

    /// Asserts that what the service reveals opens every device, running and startup.
    pub(crate) async fn assert_revealed_opens(&self) {
        let names: Vec<String> = self.devices.0.lock().unwrap().keys().cloned().collect();
        for name in names {
            let users: Vec<String> =
                self.devices.with(&name, |device| device.running.keys().cloned().collect());
            for user in users {
                let revealed = self.service.reveal(&self.device_id(&name), &user).await.unwrap();
                let shown = revealed.value.expose().to_owned();
                self.devices.with(&name, |device| {
                    assert_eq!(device.running[&user], shown, "{user} on {name}");
                    assert_eq!(device.startup[&user], shown, "{user} on {name}, startup");
                });
            }
        }
    }
}

pub(crate) async fn fake_agent(
    devices: Devices,
    auditor: Option<Auditor>,
    mut to_agent: mpsc::Receiver<ToAgent>,
    from_agent: mpsc::Sender<FromAgent>,
) {
    let opener = Arc::new(Opener::from_seed(&[3; 32]).unwrap());
    let agent = "fake".to_owned();
    let hello = FromAgent::Hello { version: VERSION, agent, key: opener.key().clone() };
    from_agent.send(hello).await.unwrap();
    let mut prepared = BTreeMap::new();
    while let Some(frame) = to_agent.recv().await {
        match frame {
            ToAgent::Welcome { .. } => {}
            ToAgent::Prepare(job) => {
                let id = job.id;
                prepared.insert(id, job);
                let _ = from_agent.send(FromAgent::Prepared { job: id, refused: None }).await;
            }
            ToAgent::Forget { job } => {
                prepared.remove(&job);
            }
            ToAgent::Commit { job } => {
                let job = prepared.remove(&job).unwrap();
                if let Some(auditor) = &auditor {
                    assert_exposure_is_recorded(auditor, &job).await;
                }
                let (devices, from_agent) = (devices.clone(), from_agent.clone());
                let binding = Binding {
                    device: &job.device,
                    operation: job.operation,
                    step: job.step,
                    epoch: job.epoch,
                };
                let bundle = opener.open(&job.sealed, &binding).unwrap();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    for report in carry_out(&devices, &job, &bundle) {
                        let _ = from_agent.send(FromAgent::Report { job: job.id, report }).await;
                    }
                });
            }
        }
    }
}

/// Asserts that the audit says that this device is about to get this password set, now that the
/// agent is told to go on.
async fn assert_exposure_is_recorded(auditor: &Auditor, job: &Job) {
    let what = match job.work {
        Work::Apply => "expose",
        Work::Reboot { .. } => "Keyturn/devices/reboot/action",
        Work::Settle => return,
    };
    let page = auditor.page(0).await.unwrap();
    let operation = job.operation.to_string();
    let name = format!("\"{}\"", job.device.name());
    let says =
        |line: &&String| line.contains(what) && line.contains(&operation) && line.contains(&name);
    assert!(page.lines.iter().any(|line| says(&line)), "{name} is not in the audit");
}

fn carry_out(devices: &Devices, job: &Job, bundle: &Bundle) -> Vec<Report> {
    devices.with(job.device.name().as_str(), |device| match job.work {
        Work::Apply => apply(device, job, bundle),
        Work::Settle => settle(device, job, bundle),
        Work::Reboot { graceful, ztp } => reboot(device, job, bundle, graceful, ztp),
    })
}

fn stop(reason: Reason) -> Stop {
    Stop { reason, detail: String::new() }
}

fn opens(device: &Device, job: &Job, bundle: &Bundle, who: &ProfileName, set: PasswordSet) -> bool {
    let account = job.accounts.iter().find(|account| account.profile == *who).unwrap();
    let value = bundle.password(who, set).unwrap().expose();
    device.running.get(&account.user).is_some_and(|held| held == value)
}

fn observe(device: &Device, job: &Job, bundle: &Bundle) -> Report {
    let found = |config: &BTreeMap<String, String>, account: &protocol::job::Account| {
        let Some(held) = config.get(&account.user) else { return Match::Absent };
        let sets = account.candidates.iter().chain(&account.target);
        let fits = |set: &&PasswordSet| {
            bundle.password(&account.profile, **set).is_some_and(|value| value.expose() == held)
        };
        sets.clone().find(fits).map_or(Match::Foreign, |set| Match::Set(*set))
    };
    let observation = |account: &protocol::job::Account| Observation {
        profile: account.profile.clone(),
        running: found(&device.running, account),
        startup: found(&device.startup, account),
    };
    Report::ReadBack { observations: job.accounts.iter().map(observation).collect() }
}

fn reboot(
    device: &mut Device,
    job: &Job,
    bundle: &Bundle,
    graceful: bool,
    ztp: bool,
) -> Vec<Report> {
    let not_sent = |reason| vec![Report::Finished(Finish::NothingSent(stop(reason)))];
    let session = job.accounts.last().unwrap();
    if device.is_away() {
        return not_sent(Reason::CouldNotConnect);
    }
    if device.fault == Some(Fault::NoReboot) {
        return not_sent(Reason::NotSupported);
    }
    if !opens(device, job, bundle, &session.profile, session.candidates[0]) {
        device.refused_logins += 1;
        return not_sent(Reason::AuthenticationRefused);
    }
    if device.fault == Some(Fault::StaysUp) {
        let unsure = Finish::Unsure(stop(Reason::TimedOut));
        return vec![Report::Changing, Report::Finished(unsure)];
    }
    if graceful {
        device.startup = device.running.clone();
    }
    if ztp {
        device.startup = device.factory.clone();
    }
    device.running = device.startup.clone();
    device.reboots += 1;
    device.boots_until = Some(Instant::now() + BOOT);
    if device.fault == Some(Fault::StaysAway) {
        device.fault = Some(Fault::Unreachable);
    }
    vec![Report::Changing, Report::Finished(Finish::Done)]
}

fn apply(device: &mut Device, job: &Job, bundle: &Bundle) -> Vec<Report> {
    if device.is_away() {
        return vec![Report::Finished(Finish::NothingSent(stop(Reason::CouldNotConnect)))];
    }
    let session = job.accounts.last().unwrap();
    if !opens(device, job, bundle, &session.profile, session.candidates[0]) {
        device.refused_logins += 1;
        return vec![Report::Finished(Finish::NothingSent(stop(Reason::AuthenticationRefused)))];
    }
    let mut reports = vec![Report::Changing];
    if device.fault == Some(Fault::DropBefore) {
        reports.push(Report::Finished(Finish::Unsure(stop(Reason::ConnectionLost))));
        return reports;
    }
    if device.fault != Some(Fault::LieYes) {
        device.changes += 1;
        for account in job.accounts.iter().filter(|account| account.target.is_some()) {
            let value = bundle.password(&account.profile, account.target.unwrap()).unwrap();
            device.running.insert(account.user.clone(), value.expose().to_owned());
        }
    }
    if device.fault == Some(Fault::DropAfter) {
        reports.push(Report::Finished(Finish::Unsure(stop(Reason::ConnectionLost))));
        return reports;
    }
    reports.push(Report::Applied);
    let Some(set) = session.target else { return reports };
    if !opens(device, job, bundle, &session.profile, set) {
        device.refused_logins += 1;
        reports.push(Report::Finished(Finish::Unsure(stop(Reason::NotApplied))));
        return reports;
    }
    reports.push(Report::LoggedIn { profile: session.profile.clone(), set });
    if device.fault == Some(Fault::DiskFull) {
        reports.push(Report::Finished(Finish::Unsure(stop(Reason::SaveFailed))));
        return reports;
    }
    device.startup = device.running.clone();
    reports.push(Report::Saved);
    reports.push(observe(device, job, bundle));
    reports.push(Report::Finished(Finish::Done));
    reports
}

fn settle(device: &mut Device, job: &Job, bundle: &Bundle) -> Vec<Report> {
    if device.is_away() {
        return vec![Report::Finished(Finish::NothingSent(stop(Reason::CouldNotConnect)))];
    }
    let mut reports = Vec::new();
    for probe in &job.probes {
        let (profile, set) = (probe.profile.clone(), probe.set);
        if !opens(device, job, bundle, &probe.profile, probe.set) {
            device.refused_logins += 1;
            reports.push(Report::LoginRefused { profile, set });
            continue;
        }
        reports.push(Report::LoggedIn { profile, set });
        reports.push(observe(device, job, bundle));
        if job.rules.save && device.fault == Some(Fault::DiskFull) {
            reports.push(Report::Finished(Finish::NothingSent(stop(Reason::SaveFailed))));
            return reports;
        }
        if job.rules.save {
            device.startup = device.running.clone();
            reports.push(Report::Saved);
            reports.push(observe(device, job, bundle));
        }
        reports.push(Report::Finished(Finish::Done));
        return reports;
    }
    reports.push(Report::Finished(Finish::NothingSent(stop(Reason::AuthenticationRefused))));
    reports
}
