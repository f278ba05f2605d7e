//! L1: from every state, once nothing goes wrong any more, the device ends in sync.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::credential::{Event, Phase};
use protocol::id::PasswordSet;
use protocol::status::SynchronizationStatus;

use crate::device::{FOREIGN, Fate};
use crate::world::{Plan, Protocol, World};

/// More steps than any run without faults takes.
const STEPS_MAX: usize = 200;

/// States from which a run without faults is known to settle. An entry that is overwritten by
/// another is only found out again.
pub(crate) struct Settled(Vec<AtomicU64>);

impl Settled {
    pub(crate) fn new() -> Self {
        Self((0..1 << 21).map(|_slot| AtomicU64::new(0)).collect())
    }

    fn slot(&self, fingerprint: u64) -> Option<&AtomicU64> {
        let length = u64::try_from(self.0.len()).ok()?;
        self.0.get(usize::try_from(fingerprint % length).ok()?)
    }

    fn knows(&self, fingerprint: u64) -> bool {
        self.slot(fingerprint).is_some_and(|slot| slot.load(Ordering::Relaxed) == fingerprint)
    }

    fn learn(&self, fingerprint: u64) {
        if let Some(slot) = self.slot(fingerprint) {
            slot.store(fingerprint, Ordering::Relaxed);
        }
    }
}

impl Protocol {
    /// Whether the device settles when nothing goes wrong any more, with hashes that can be read
    /// and without.
    pub(crate) fn settles(&self, world: &World) -> bool {
        [true, false].into_iter().all(|login| self.settles_by(world, login))
    }

    fn settles_by(&self, start: &World, login: bool) -> bool {
        let mut world = *start;
        let mut path = Vec::new();
        for _step in 0..STEPS_MAX {
            let fingerprint = fingerprint(&world, login);
            if self.settled.knows(fingerprint) || is_over(&world) {
                path.into_iter().for_each(|fingerprint| self.settled.learn(fingerprint));
                return true;
            }
            path.push(fingerprint);
            let was = world;
            if self.go_on(&mut world, login).is_none() || world == was {
                return false;
            }
        }
        false
    }

    /// The next step of a run without faults: what is under way arrives, then the controller acts,
    /// then time passes.
    pub(crate) fn go_on(&self, world: &mut World, login: bool) -> Option<()> {
        if let Some(command) = world.commands().next() {
            return self.apply(world, crate::world::Action::Deliver(command, Fate::Done));
        }
        if world.reply.is_some() {
            return self.receive(world);
        }
        match (world.plan, world.memory.phase()) {
            (Plan::Observe, _) if login => self.probe(world),
            (Plan::Reply, _) => self.time_out(world),
            (Plan::Quiet, _) => self.take(world, Event::QuietOver),
            (Plan::Later, _) | (_, Phase::Drift) if world.device.checkpoint != 0 => {
                world.device.timer_fires();
                Some(())
            }
            (Plan::Later, _) | (_, Phase::Drift) => self.retry(world, true),
            (_, Phase::Held) => self.take(world, Event::Release),
            (Plan::Rest, Phase::Settled) => {
                let set = PasswordSet(world.memory.desired.into());
                self.take(world, Event::Begin { set, retries: 1 })
            }
            _ => self.perform(world),
        }
    }
}

/// In sync and true, or somebody else's business.
fn is_over(world: &World) -> bool {
    let foreign = world.device.holds().any(|password| password == FOREIGN);
    let in_sync = world.memory.status() == SynchronizationStatus::InSync;
    foreign || (in_sync && world.is_at_rest() && world.reply.is_none())
}

fn fingerprint(world: &World, login: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    // What faults are left, and which happened, makes no difference without faults.
    (world.durable, world.memory, world.plan, world.device, login).hash(&mut hasher);
    world.commands().for_each(|command| command.hash(&mut hasher));
    world.reply.hash(&mut hasher);
    hasher.finish()
}
