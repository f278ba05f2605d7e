//! Random histories of a fabric and of what its hardware really has. The check knows nothing of
//! labels or phases: it looks at the hardware.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::credential::Event as Taken;
use protocol::id::{OperationId, ResourceName};
use protocol::report::{Match, Reason};

use super::*;
use crate::model::event::SecretSpec;
use crate::model::{Event, Located, Origin};
use crate::plan::tests::{device, fabric, name};

const DAY: i64 = 24 * 3600 * 1000;
const NAMES: [&str; 3] = ["ce-01", "ce-02", "ce-05"];

/// What happens next, and to which device where it is about one.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// A rotation; each device does one of four things with it.
    Rotation([u8; 3]),
    /// A resync of one device, with an honest answer.
    Resync(usize),
    /// A device boots what it has saved; whether anybody sees it.
    Reboot(usize, bool),
    Disable(usize),
    Enable(usize),
    Replace(usize),
    Wipe(usize),
    Delete(usize),
    Declare(usize),
    DeleteFabric,
    Days(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    let at = 0..NAMES.len();
    prop_oneof![
        10 => prop::array::uniform3(prop_oneof![6 => Just(0_u8), 1 => 1..4_u8])
            .prop_map(Happens::Rotation),
        6 => at.clone().prop_map(Happens::Resync),
        2 => (at.clone(), any::<bool>()).prop_map(|(at, seen)| Happens::Reboot(at, seen)),
        1 => at.clone().prop_map(Happens::Disable),
        3 => at.clone().prop_map(Happens::Enable),
        1 => at.clone().prop_map(Happens::Replace),
        1 => at.clone().prop_map(Happens::Wipe),
        1 => at.clone().prop_map(Happens::Delete),
        4 => at.prop_map(Happens::Declare),
        1 => Just(Happens::DeleteFabric),
        8 => (1..60_u8).prop_map(Happens::Days),
    ]
}

/// A box with two configurations, and in each a version.
#[derive(Clone, Debug)]
struct Hardware {
    stands: Option<usize>,
    running: Option<SecretVersion>,
    startup: Option<SecretVersion>,
}

/// What the test itself has noted of a version.
#[derive(Debug)]
struct Noted {
    era: u32,
    set: u32,
    rotated: bool,
    last_of_use: i64,
}

struct World {
    fabric: Fabric,
    hardware: Vec<Hardware>,
    versions: BTreeMap<SecretVersion, Noted>,
    era: u32,
    now: i64,
    gone: usize,
}

impl World {
    fn new() -> Self {
        let mut fabric = fabric();
        fabric.devices.clear();
        fabric.sets.clear();
        let (hardware, versions) = (Vec::new(), BTreeMap::new());
        Self { fabric, hardware, versions, era: 0, now: 1000 * DAY, gone: 0 }
    }

    fn at(&self) -> Timestamp {
        Timestamp(self.now)
    }

    fn version(&self, set: u32) -> SecretVersion {
        SecretVersion(format!("{:016}{set:016}", self.era).into())
    }

    fn store(&mut self, origin: Origin) -> u32 {
        let set = self.fabric.next_set().0;
        let version = self.version(set);
        let (rotated, last_of_use) = (origin == Origin::Rotated, self.now);
        self.versions.insert(version.clone(), Noted { era: self.era, set, rotated, last_of_use });
        self.fabric.apply(&Event::SetStored {
            set: PasswordSet(set),
            operation: OperationId(uuid::Uuid::nil()),
            origin,
            shared: [(profile(), version)].into(),
            own: [].into(),
            older_names: [].into(),
        });
        set
    }

    fn known(&self, at: usize) -> Option<(ResourceName, &Device)> {
        let name = name(NAMES[at]);
        let device = self.fabric.devices.get(&name)?;
        Some((name, device))
    }

    fn standing(&mut self, at: usize) -> Option<&mut Hardware> {
        self.hardware.iter_mut().find(|hardware| hardware.stands == Some(at))
    }

    fn is_in_service(&self, at: usize) -> bool {
        let known = self.known(at);
        known.is_some_and(|(_n, d)| d.administrative_state == AdministrativeState::Enabled)
    }

    /// Feeds an event; one without a place changes nothing, as in the executor.
    fn feed(&mut self, at: usize, event: Taken) {
        let Some((device, known)) = self.known(at) else { return };
        let Ok(next) = known.secrets[&profile()].credential.step(event) else { return };
        let (profiles, credential) = (vec![profile()], next.next);
        let at = self.at();
        self.fabric.apply(&Event::Moved {
            device,
            profiles,
            credential: credential.into(),
            evidence: None,
            at,
        });
    }

    fn found(&self, version: Option<&SecretVersion>) -> Match {
        let known = version.and_then(|version| Some((version, self.versions.get(version)?)));
        match known {
            Some((version, noted)) if *version == self.version(noted.set) => {
                Match::Set(PasswordSet(noted.set))
            }
            _ => Match::Foreign,
        }
    }

    fn read_back(&mut self, at: usize) {
        let Some(hardware) = self.standing(at).cloned() else { return };
        let running = self.found(hardware.running.as_ref());
        let startup = self.found(hardware.startup.as_ref());
        self.feed(at, Taken::ReadBack { running, startup });
    }

    fn rotate(&mut self, outcomes: [u8; 3]) {
        if self.fabric.devices.is_empty() {
            return;
        }
        let set = self.store(Origin::Rotated);
        for (at, outcome) in outcomes.into_iter().enumerate() {
            self.feed(at, Taken::Begin { set: PasswordSet(set), retries: 0 });
            if self.is_in_service(at) {
                self.bring(at, set, outcome);
            }
        }
    }

    /// 0: all goes well; 1: applied, and the line is cut; 2: cut before; 3: left staged.
    fn bring(&mut self, at: usize, set: u32, outcome: u8) {
        if outcome == 3 {
            return self.feed(at, Taken::Close);
        }
        if self.known(at).is_some_and(|(_n, d)| d.is_in_doubt()) {
            return self.feed(at, Taken::Close);
        }
        self.feed(at, Taken::Expose);
        self.feed(at, Taken::Send);
        let version = self.version(set);
        if let Some(hardware) = self.standing(at).filter(|_hardware| outcome < 2) {
            hardware.running = Some(version);
        }
        match outcome {
            0 => {
                self.feed(at, Taken::Applied);
                self.save(at);
            }
            _ => self.feed(at, Taken::Unsure(Reason::ConnectionLost)),
        }
        self.feed(at, Taken::Close);
    }

    fn save(&mut self, at: usize) {
        self.read_back(at);
        let saves = |(_n, device): (ResourceName, &Device)| {
            device.credentials().any(|credential| matches!(credential.phase, Phase::Saving(_)))
        };
        if self.known(at).is_some_and(saves) {
            if let Some(hardware) = self.standing(at) {
                hardware.startup = hardware.running.clone();
            }
            self.read_back(at);
        }
    }

    fn resync(&mut self, at: usize) {
        if !self.is_in_service(at) {
            return;
        }
        self.feed(at, Taken::Retry { window_over: true });
        self.feed(at, Taken::QuietOver);
        self.save(at);
        self.feed(at, Taken::Close);
        let wanted = self.fabric.wanted_set();
        let certain = self.known(at).is_some_and(|(_n, d)| !d.is_in_doubt());
        if let Some(set) = wanted.filter(|_set| certain) {
            self.feed(at, Taken::Begin { set, retries: 0 });
            self.bring(at, set.0, 0);
        }
    }

    fn declare(&mut self, at: usize) {
        if self.known(at).is_some() {
            return;
        }
        let adopted = self.store(Origin::Adopted);
        let version = Some(self.version(adopted));
        let spec = device(NAMES[at], None, 1).spec;
        let secret = SecretSpec {
            profile: profile(),
            user: "admin".to_owned(),
            secret_type: "Admin user password".to_owned(),
            privileged: true,
            name: crate::naming::name(&self.fabric.id, &profile(), None),
            adopted: PasswordSet(adopted),
        };
        let when = self.at();
        self.fabric.apply(&Event::DeviceDeclared { spec, secrets: vec![secret], at: when });
        let (running, startup) = (version.clone(), version);
        self.hardware.push(Hardware { stands: Some(at), running, startup });
        self.resync(at);
    }

    fn set_state(&mut self, at: usize, state: AdministrativeState) {
        if let Some((device, _known)) = self.known(at) {
            self.fabric.apply(&Event::AdministrativeStateSet { device, state });
        }
    }

    fn go(&mut self, at: usize, replaced: bool) {
        let Some((_name, known)) = self.known(at) else { return };
        // Nobody replaces what is being looked at.
        let is_held = known.credentials().all(|credential| credential.phase == Phase::Held);
        if self.is_in_service(at) || (replaced && !is_held) {
            return;
        }
        if let Some(hardware) = self.standing(at) {
            hardware.stands = None;
        }
        let when = self.at();
        if !replaced {
            return self.fabric.apply(&Event::DeviceDeleted { device: name(NAMES[at]), at: when });
        }
        let bootstrap = self.store(Origin::Adopted);
        let set = self.fabric.wanted_set().unwrap_or(PasswordSet(bootstrap));
        let version = Some(self.version(bootstrap));
        let (running, startup) = (version.clone(), version);
        self.hardware.push(Hardware { stands: Some(at), running, startup });
        self.feed(at, Taken::Replaced { bootstrap: PasswordSet(bootstrap), set });
    }

    fn wipe(&mut self, at: usize) {
        if self.is_in_service(at) || self.known(at).is_none() {
            return;
        }
        if let Some(hardware) = self.standing(at) {
            (hardware.running, hardware.startup) = (None, None);
        }
        let device = self.fabric.devices.get_mut(&name(NAMES[at]));
        device.unwrap().wiped = true;
    }

    fn delete_fabric(&mut self) {
        for at in 0..NAMES.len() {
            self.play(Happens::Disable(at));
            self.play(Happens::Delete(at));
        }
        let spec = self.fabric.spec.clone();
        let at = self.at();
        self.fabric.apply(&Event::FabricDeleted { at });
        self.purge();
        self.fabric.apply(&Event::FabricDeclared { spec, at });
        self.era += 1;
    }

    fn play(&mut self, happens: Happens) {
        match happens {
            Happens::Rotation(outcomes) => self.rotate(outcomes),
            Happens::Resync(at) => self.resync(at),
            Happens::Reboot(at, seen) => {
                if let Some(hardware) = self.standing(at) {
                    hardware.running = hardware.startup.clone();
                }
                if seen {
                    self.feed(at, Taken::Rebooted);
                }
            }
            Happens::Disable(at) => {
                self.feed(at, Taken::Hold);
                self.set_state(at, AdministrativeState::Disabled);
            }
            Happens::Enable(at) if !self.is_in_service(at) => {
                self.set_state(at, AdministrativeState::Enabled);
                self.feed(at, Taken::Release);
            }
            Happens::Enable(_at) => {}
            Happens::Replace(at) => self.go(at, true),
            Happens::Wipe(at) => self.wipe(at),
            Happens::Delete(at) => self.go(at, false),
            Happens::Declare(at) => self.declare(at),
            Happens::DeleteFabric => self.delete_fabric(),
            Happens::Days(days) => {
                for _day in 0..days {
                    self.note_use();
                    self.now += DAY;
                }
            }
        }
    }

    /// Notes which versions the hardware has today.
    fn note_use(&mut self) {
        for hardware in &self.hardware {
            for version in hardware.running.iter().chain(&hardware.startup) {
                if let Some(noted) = self.versions.get_mut(version) {
                    noted.last_of_use = self.now;
                }
            }
        }
    }

    /// Gives up what is due, once it was looked at.
    fn purge(&mut self) {
        self.note_use();
        let retention = Retention::default();
        let (now, elsewhere) = (self.at(), &|_: &Located| None);
        let due = Case { fabric: &self.fabric, retention, now, elsewhere }.due();
        for (_name, version) in &due {
            self.check(version);
        }
        let sets: Vec<u32> = due
            .iter()
            .filter_map(|(_name, version)| self.versions.get(version))
            .filter(|noted| noted.era == self.era)
            .map(|noted| noted.set)
            .collect();
        for at in 0..NAMES.len() {
            sets.iter().for_each(|set| self.feed(at, Taken::Purge(PasswordSet(*set))));
            let left = self.known(at).map(|(_n, d)| d.secrets[&profile()].credential.clone());
            let forgets = |set: &u32| {
                left.as_ref().is_none_or(|c| !c.labels.contains_key(&PasswordSet(*set)))
            };
            assert!(sets.iter().all(forgets), "{sets:?} {left:?}");
        }
        self.gone += due.len();
        for (_name, version) in &due {
            self.versions.remove(version);
        }
        let at = self.at();
        self.fabric.apply(&Event::PurgeDecided { versions: due, at });
    }

    fn check(&self, version: &SecretVersion) {
        let has = |it: &Hardware| {
            it.running.as_ref() == Some(version) || it.startup.as_ref() == Some(version)
        };
        assert!(!self.hardware.iter().any(has), "{version} is on a device: {:?}", self.hardware);
        let noted = &self.versions[version];
        let of_era = || self.versions.values().filter(|other| other.era == noted.era);
        let newer = of_era().filter(|other| other.set > noted.set).count();
        let is_wanted = noted.rotated && !of_era().any(|it| it.rotated && it.set > noted.set);
        let lives = noted.era == self.era && !self.fabric.deleted;
        assert!(!lives || (newer >= 10 && !is_wanted), "{newer} newer than {noted:?}");
        let age = (self.now - noted.last_of_use) / DAY;
        assert!(age >= 90 || self.fabric.deleted, "{age} days: {noted:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 120,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_version_goes_that_any_hardware_has(history in prop::collection::vec(happens(), 1..120)) {
        let mut world = World::new();
        world.declare(0);
        for happens in history {
            world.play(happens);
            world.purge();
        }
    }
}

/// Such histories do give versions up: the check above is not one of nothing.
#[test]
fn a_fabric_that_is_rotated_for_a_year_keeps_ten_versions_and_those_of_ninety_days() {
    let mut world = World::new();
    world.declare(0);
    world.declare(1);
    for _month in 0..24 {
        world.play(Happens::Rotation([0; 3]));
        world.play(Happens::Days(15));
        world.purge();
    }
    // Two were adopted, 24 rotated; six were of use within the last 90 days.
    assert_eq!((world.gone, world.versions.len()), (26 - 10, 10));
}
