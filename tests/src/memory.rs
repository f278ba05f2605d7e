//! The whole product in memory: the real controller and the real agent (driver, dialogue, platform
//! files, ledger) against one simulated device, under paused time. No socket, no file, no process.
//!
//! ```text
//!  Service ─▶ WatchedStore, WatchedVault        Agent ─▶ WatchedDisk (ledger), Wires ─▶ SimDevice
//!     └────────── link ── every frame ── relay ──┘
//! ```
//!
//! Each step to the world outside passes a director, which may make it fail, happen twice, or crash
//! everything there. A crash drops the tokio runtime with the controller and the agent in it; store,
//! vault, ledger and device stay as they are, and [`World::live`] starts a new life over them. Time
//! goes on from life to life.

mod archive;
mod director;
mod link;
mod live;
mod papers;
mod wires;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::hash::Hashes;
use agent::platform::Platforms;
use controller::inventory::{CurrentPasswords, Inventory};
use controller::store::MemoryStore;
use controller::template::{PlatformLimits, SecretsTemplate};
use controller::vault::MemoryVault;
use fixtures::device::{Account, Device, EosRelease, LockoutPolicy, Switches};
use fixtures::fault::FaultKind;
use fixtures::sim::SimDevice;
use protocol::id::{DeviceId, FabricId};
use protocol::password::Password;
use tokio::time::Instant;

pub use self::director::{Manner, Place, Step, Strike};
pub use self::live::{Live, Lived};
pub use self::papers::{Papers, Secrets};

use self::archive::{Disk, Kept};

const FABRIC: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/\
                      providers/Microsoft.ManagedNetworkFabric/networkFabrics/lab";

/// Any well-formed key: the wires compare none.
const HOST_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

/// Three profiles are enough for all that differs: two that may change the others, one that may
/// only look.
const TEMPLATE: &str = r#"
[policy]
length = 24
require = ["upper", "lower", "digit"]
letter-first = true
exclude = ""

[[profiles]]
name = "admin"
roles = ["CE", "Management"]
privilege = "admin"

[[profiles]]
name = "AzureOperatorRO"
roles = ["CE", "Management"]
privilege = "read-only"

[[profiles]]
name = "AzureOperatorRW"
roles = ["CE", "Management"]
privilege = "read-write"

[[profiles]]
name = "TerminalServer"
user = "root"
roles = ["TS"]
privilege = "admin"
"#;

/// Wall-clock time at which a world begins, in milliseconds since 1970.
const BEGIN_MS: u64 = 1_800_000_000_000;

/// How long a device needs for a change and for a save, as a real one does.
const CHANGE: Duration = Duration::from_millis(1500);
const SAVE: Duration = Duration::from_secs(1);

/// What the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hardware {
    /// An EOS-like switch over SSH.
    Switch,
    /// An EOS-like switch of a newer release that lands in the unprivileged mode, over a serial
    /// line.
    ConsoleSwitch,
    /// An OpenGear-like terminal server over its serial console.
    TerminalServer,
    /// A Linux host over SSH.
    Host,
}

impl Hardware {
    /// All kinds.
    pub const ALL: [Self; 4] =
        [Self::Switch, Self::ConsoleSwitch, Self::TerminalServer, Self::Host];

    /// Returns the device's name in the inventory.
    #[must_use]
    pub fn device(self) -> &'static str {
        match self {
            Self::Switch => "ce-01",
            Self::ConsoleSwitch => "ce-02",
            Self::TerminalServer => "ts-01",
            Self::Host => "mgmt-01",
        }
    }

    fn declaration(self) -> String {
        let (role, platform) = match self {
            Self::Switch | Self::ConsoleSwitch => ("CE", "arista-eos"),
            Self::TerminalServer => ("TS", "opengear"),
            Self::Host => ("Management", "linux"),
        };
        let way = match self {
            Self::TerminalServer | Self::ConsoleSwitch => {
                "serial = { path = \"/dev/ttyS0\", baud = 9600 }".to_owned()
            }
            Self::Switch | Self::Host => {
                format!("ssh = {{ address = \"192.0.2.1\", port = 22, host-key = \"{HOST_KEY}\" }}")
            }
        };
        let name = self.device();
        format!(
            "[fabric]\nid = \"{FABRIC}\"\nlocation = \"local\"\n\n[[devices]]\nname = \"{name}\"\n\
             role = \"{role}\"\nplatform = \"{platform}\"\nserial-number = \"Make;Model;1;S1\"\n\
             {way}\n"
        )
    }

    /// Returns profile, user and factory password of each account.
    fn accounts(self) -> Vec<(&'static str, &'static str, String)> {
        let profiles: &[(&str, &str)] = match self {
            Self::TerminalServer => &[("TerminalServer", "root")],
            Self::Switch | Self::ConsoleSwitch | Self::Host => &[
                ("admin", "admin"),
                ("AzureOperatorRO", "AzureOperatorRO"),
                ("AzureOperatorRW", "AzureOperatorRW"),
            ],
        };
        let factory = |profile: &str| format!("Kt-Factory.{profile}.1");
        profiles.iter().map(|(profile, user)| (*profile, *user, factory(profile))).collect()
    }

    fn make(self, secrets: &Secrets) -> Arc<SimDevice> {
        let account = |(_profile, user, password): (&str, &str, String)| {
            let hash = fixtures::crypt::sha512(&password, *b"factory salt");
            secrets.learn(&hash);
            let writes = !user.ends_with("RO");
            Account {
                user: user.to_owned(),
                hash: hash.into(),
                privilege: if writes { 15 } else { 1 },
                role: if writes { "network-admin" } else { "network-operator" }.to_owned(),
            }
        };
        let accounts: Vec<Account> = self.accounts().into_iter().map(account).collect();
        let timed = |switches: Switches| {
            Arc::new(Switches { commit_delay: CHANGE, save_delay: SAVE, ..switches })
        };
        let name = self.device();
        SimDevice::new(match self {
            Self::Switch => Device::eos(name, "S1", &accounts, timed(Switches::eos())),
            Self::ConsoleSwitch => {
                let switches = Switches {
                    release: EosRelease::V4_32,
                    exec_authorization: false,
                    ..Switches::eos()
                };
                Device::eos(name, "S1", &accounts, timed(switches))
            }
            Self::TerminalServer => Device::opengear(name, &accounts, timed(Switches::opengear())),
            Self::Host => {
                let lockout = Some(LockoutPolicy::EOS);
                let switches = Switches { lockout, ..Switches::linux() };
                Device::linux(name, &accounts, timed(switches))
            }
        })
    }
}

/// What many worlds share, one after the other: nothing that a world could change.
#[derive(Debug)]
pub struct Tools {
    platforms: Platforms,
    limits: Vec<PlatformLimits>,
    template: Arc<SecretsTemplate>,
    hashes: Arc<Hashes>,
    /// What is written where no secret may be.
    pub papers: Papers,
}

impl Tools {
    /// Reads the platform files and the template.
    ///
    /// # Panics
    /// Panics where one of them is broken.
    #[must_use]
    pub fn new() -> Self {
        let platforms = Platforms::built_in().unwrap();
        let limits = platforms
            .iter()
            .map(|platform| PlatformLimits {
                platform: platform.name.clone(),
                length_min: platform.limits.password_length_min,
                length_max: platform.limits.password_length_max,
                allowed: PlatformLimits::all_but(&platform.limits.password_forbidden),
                first_letter_only: false,
                hash_kinds: platform.limits.hash_kinds.clone(),
            })
            .collect();
        Self {
            platforms,
            limits,
            template: Arc::new(SecretsTemplate::parse("template.toml", TEMPLATE).unwrap()),
            hashes: Arc::new(Hashes::new().unwrap()),
            papers: Papers::default(),
        }
    }
}

impl Default for Tools {
    fn default() -> Self {
        Self::new()
    }
}

/// What survives a crash: the device, the store, the vault, the ledger; and the time.
#[derive(Debug)]
pub struct World<'t> {
    tools: &'t Tools,
    hardware: Hardware,
    device: Arc<SimDevice>,
    store: MemoryStore,
    vault: MemoryVault,
    kept: Arc<Kept>,
    disk: Arc<Disk>,
    begun: Instant,
    /// When the last life ended.
    now: Mutex<Instant>,
}

impl<'t> World<'t> {
    /// Makes a device as it comes from the factory, and nothing that knows of it.
    #[must_use]
    pub fn new(tools: &'t Tools, hardware: Hardware) -> Self {
        let begun = Instant::now();
        let secrets = Secrets::default();
        let adopted: Vec<String> =
            hardware.accounts().into_iter().map(|(_profile, _user, password)| password).collect();
        let device = hardware.make(&secrets);
        let kept = Kept { adopted, secrets, ..Kept::default() };
        Self {
            tools,
            hardware,
            device,
            store: MemoryStore::new(),
            vault: MemoryVault::new(Arc::new(|| BEGIN_MS / 1000)),
            kept: Arc::new(kept),
            disk: Arc::default(),
            begun,
            now: Mutex::new(begun),
        }
    }

    /// Breaks the device, until [`World::heal`].
    pub fn break_device(&self, fault: FaultKind) {
        self.device.fault(fault);
    }

    /// Ends all faults of the device and of the vault.
    pub fn heal(&self) {
        self.device.heal();
        self.heal_vault();
    }

    /// Ends all faults of the vault.
    pub fn heal_vault(&self) {
        self.vault.faults().clear();
    }

    /// Returns the accounts that accept another password than that of the factory, running or
    /// startup.
    #[must_use]
    pub fn changed(&self) -> Vec<String> {
        let accounts = self.hardware.accounts().into_iter();
        let changed = accounts.filter(|(_profile, user, factory)| {
            let check = self.device.check(user, factory);
            !check.is_some_and(|check| check.running && check.startup)
        });
        changed.map(|(_profile, user, _factory)| user.to_owned()).collect()
    }

    /// Returns what the agent's disk holds, the journal and everything that was said in this world,
    /// and every secret that may not be in it.
    #[must_use]
    pub fn leaks(&self) -> Vec<String> {
        self.kept.secrets.find_in(&self.tools.papers.take())
    }

    /// Returns the accounts with a password, running or startup, that the vault does not have.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        let values = self.kept.values();
        let mut lost = Vec::new();
        for (_profile, user, _factory) in self.hardware.accounts() {
            let opens = |copy: fn(&fixtures::device::Check) -> bool| {
                values.iter().any(|value| {
                    let check = self.device.check(user, value);
                    check.as_ref().is_some_and(copy)
                        && Password::new(value.clone()).is_ok_and(|value| self.vault.holds(&value))
                })
            };
            for (copy, is_known) in [
                ("running", opens(|check| check.running)),
                ("startup", opens(|check| check.startup)),
            ] {
                if !is_known {
                    lost.push(format!("the {copy} password of {user} is not in the vault"));
                }
            }
        }
        lost
    }

    /// Returns who was locked out by logins that were really refused.
    #[must_use]
    pub fn locked_out(&self) -> Vec<String> {
        let attempts = self.device.attempts().into_iter();
        let locked = attempts.filter(|(_subject, attempts)| attempts.lockouts > 0);
        locked
            .map(|(subject, attempts)| format!("{subject} was locked out: {attempts:?}"))
            .collect()
    }

    /// Returns how many values the vault holds.
    #[must_use]
    pub fn values(&self) -> usize {
        self.vault.len()
    }

    fn fabric(&self) -> FabricId {
        FABRIC.parse().unwrap()
    }

    fn device_id(&self) -> DeviceId {
        self.fabric().device(&self.hardware.device().parse().unwrap())
    }

    fn inventory(&self) -> (Inventory, CurrentPasswords) {
        let text = self.hardware.declaration();
        let inventory = Inventory::parse("fabric.toml", ".".as_ref(), &text, None).unwrap();
        let mut passwords = "[profiles]\n".to_owned();
        for (profile, _user, password) in self.hardware.accounts() {
            passwords.push_str(&format!("{profile} = \"{password}\"\n"));
        }
        let passwords =
            CurrentPasswords::parse("passwords.toml", &passwords, &inventory, None).unwrap();
        (inventory, passwords)
    }

    fn now(&self) -> Instant {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_now(&self, now: Instant) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
