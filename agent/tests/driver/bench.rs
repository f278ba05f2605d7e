//! An agent with one small switch, and the controller's half of the conversation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::driver::Kit;
use agent::hash::{Hashes, Verdict};
use agent::ledger::{Ledger, SystemClock};
use agent::link::Link;
use agent::transport::{Transport, Transports};
use agent::worker::{Agent, Settings};
use protocol::frame::{FromAgent, ToAgent};
use protocol::id::{DeviceId, Epoch, FabricId, OperationId, PasswordSet, ProfileName};
use protocol::job::{Access, Account, Job, JobId, Path, Probe, Rules, Verification, Work};
use protocol::report::{Finish, Report};
use protocol::seal::{Binding, Bundle, Opener, Sealer};

use super::switch::{Fault, Switch, USERS, Users, World, password};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";

/// An agent with one switch, whose accounts are on set 1.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) link: Link,
    sealer: Sealer,
    step: u32,
}

/// What a job is to be.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) work: Work,
    /// What the controller believes the accounts hold.
    pub(super) held: u32,
    pub(super) probes: &'a [(&'a str, u32)],
    pub(super) verification: Verification,
    pub(super) time_max: Duration,
    pub(super) paths: usize,
}

pub(super) const APPLY: Order<'static> = Order {
    work: Work::Apply,
    held: 1,
    probes: &[],
    verification: Verification::ReadbackLogin,
    time_max: Duration::from_secs(90),
    paths: 2,
};

impl Bench {
    pub(super) async fn new(fault: Fault) -> Self {
        let hashes = Arc::new(Hashes::new().unwrap());
        let mut users = Users::new();
        for user in USERS {
            let profile = ProfileName::new(user).unwrap();
            let hash = hashes.sha512_crypt(&profile, PasswordSet(1), &password(user, 1)).await;
            users.insert(user.to_owned(), hash.unwrap().to_string());
        }
        let switch = Switch {
            running: users.clone(),
            startup: users,
            armed: None,
            fault,
            said: Vec::new(),
            logins: Vec::new(),
        };
        let world = World { switch: Arc::new(Mutex::new(switch)), hashes: Arc::clone(&hashes) };
        let transport: Arc<dyn Transport> = Arc::new(world.clone());
        let transports = Transports {
            ssh: Arc::clone(&transport),
            serial: Arc::clone(&transport),
            console: transport,
        };
        let ledger = Ledger::in_memory(Arc::new(SystemClock));
        let kit = Kit { platforms: agent::site::load(None).unwrap(), ledger, hashes, transports };
        let opener = Opener::from_seed(&[5; 32]).unwrap();
        let agent = Agent::new("test", kit, opener, Settings::default());
        let mut link = agent.attach();
        let Some(FromAgent::Hello { key, .. }) = link.from_agent.recv().await else {
            panic!("no hello");
        };
        Self { world, link, sealer: Sealer::new(&key).unwrap(), step: 0 }
    }

    pub(super) fn job(&mut self, order: Order<'_>) -> Job {
        self.step += 1;
        let device = DeviceId::new(SUBSCRIPTION, "lab", "ce-01").unwrap();
        let target = (order.work == Work::Apply).then_some(PasswordSet(2));
        let mut bundle = Bundle::default();
        let accounts = USERS.map(|user| {
            let profile = ProfileName::new(user).unwrap();
            for set in [1, 2] {
                bundle.accounts.push((profile.clone(), PasswordSet(set), password(user, set)));
            }
            Account {
                profile,
                user: user.to_owned(),
                privileged: !user.contains("RO"),
                candidates: vec![PasswordSet(order.held)],
                target,
                overwrite: false,
            }
        });
        let operation = OperationId(uuid::Uuid::from_u128(1));
        let binding = Binding { device: &device, operation, step: self.step, epoch: Epoch(1) };
        let sealed = self.sealer.seal(&bundle, &binding).unwrap();
        let ssh = Path::Ssh { address: "h".to_owned(), port: 22, host_key: String::new() };
        let line = Path::Serial { path: "line".to_owned(), baud: 9600 };
        let probes = order.probes.iter().map(|(user, set)| Probe {
            profile: ProfileName::new(user).unwrap(),
            set: PasswordSet(*set),
        });
        Job {
            id: JobId(uuid::Uuid::from_u128(u128::from(self.step) << 64)),
            operation,
            step: self.step,
            fabric: FabricId::new(SUBSCRIPTION, "lab", "east").unwrap(),
            device,
            epoch: Epoch(1),
            access: Access {
                platform: "arista-eos".to_owned(),
                paths: [ssh, line].into_iter().take(order.paths).collect(),
                lockout: None,
            },
            accounts: accounts.into(),
            probes: probes.collect(),
            work: order.work,
            rules: Rules {
                time_max_ms: u64::try_from(order.time_max.as_millis()).unwrap(),
                commit_timer_ms: 300_000,
                verification: order.verification,
                save: true,
                quiet: true,
            },
            sealed,
        }
    }

    async fn next(&mut self) -> FromAgent {
        self.link.from_agent.recv().await.unwrap()
    }

    /// Prepares and commits a job and returns its reports and its end.
    pub(super) async fn run(&mut self, job: Job) -> (Vec<Report>, Finish) {
        let id = job.id;
        self.link.to_agent.send(ToAgent::Prepare(Box::new(job))).await.unwrap();
        let FromAgent::Prepared { refused, .. } = self.next().await else { panic!("no answer") };
        if let Some(stop) = refused {
            return (Vec::new(), Finish::NothingSent(stop));
        }
        self.commit(id).await
    }

    pub(super) async fn commit(&mut self, id: JobId) -> (Vec<Report>, Finish) {
        self.link.to_agent.send(ToAgent::Commit { job: id }).await.unwrap();
        let mut reports = Vec::new();
        loop {
            match self.next().await {
                FromAgent::Report { report: Report::Finished(finish), .. } => {
                    return (reports, finish);
                }
                FromAgent::Report { report, .. } => reports.push(report),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Says which set each copy of an account's password is, 0 for none of ours.
    pub(super) async fn truth(&self, user: &str) -> (u32, u32) {
        let (running, startup) = {
            let switch = self.world.switch.lock().unwrap();
            (switch.running.get(user).cloned(), switch.startup.get(user).cloned())
        };
        let mut found = (0, 0);
        for set in [1, 2] {
            for (copy, hash) in [(&mut found.0, &running), (&mut found.1, &startup)] {
                let hash = hash.as_deref().unwrap_or_default();
                let verdict = self.world.hashes.verify(hash, &password(user, set)).await;
                if verdict.unwrap() == Verdict::Same {
                    *copy = set;
                }
            }
        }
        found
    }

    pub(super) fn said(&self) -> Vec<String> {
        self.world.switch.lock().unwrap().said.clone()
    }

    pub(super) fn logins(&self) -> Vec<String> {
        self.world.switch.lock().unwrap().logins.clone()
    }
}
