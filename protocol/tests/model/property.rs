//! The invariants, by their names in the rotation protocol.

use protocol::credential::{Label, Phase};
use protocol::status::SynchronizationStatus;
use stateright::Property;

use crate::device::{FOREIGN, GARBLED, LOCKOUT};
use crate::flat::Set;
use crate::world::{Plan, Protocol, World};

pub(crate) const I1: &str = "I1 what the device holds is retained";
pub(crate) const I2: &str = "I2 what is said to be in sync opens the device";
pub(crate) const I4: &str = "I4 one change in flight, none while held";
pub(crate) const I7: &str = "I7 our logins never lock the account";
pub(crate) const I8: &str = "I8 nothing goes without proof";
pub(crate) const L1: &str = "L1 without faults it settles";
pub(crate) const L2: &str = "L2 somebody is at work while synchronizing";
pub(crate) const R1: &str = "R1 only operations make versions";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(I1, |_model, world: &World| holds_only_retained(world)),
        Property::always(I2, |_model, world: &World| in_sync_is_true(world)),
        Property::always(I4, |_model, world: &World| one_change(world)),
        Property::always(I7, |_model, world: &World| world.device.failures < LOCKOUT),
        Property::always(I8, |_model, world: &World| proof_before_purge(world)),
        Property::always(L1, Protocol::settles),
        Property::always(L2, |_model, world: &World| somebody_at_work(world)),
        Property::always(R1, |_model, world: &World| world.durable.desired <= world.made),
    ]
}

/// The first invariant that a state breaks.
pub(crate) fn broken(model: &Protocol, world: &World) -> Option<&'static str> {
    let broken = all().into_iter().find(|property| !(property.condition)(model, world));
    broken.map(|property| property.name)
}

/// Strictest reading of retention: a version that is not labelled as possibly on the device counts
/// as destroyed.
fn holds_only_retained(world: &World) -> bool {
    let device = &world.device;
    device.holds().all(|password| match password {
        FOREIGN => true,
        // Nobody has it: it may run only as long as it falls back by itself.
        GARBLED => {
            ![device.startup, device.checkpoint].contains(&GARBLED) && device.checkpoint != 0
        }
        set => world.durable.in_use(set),
    })
}

fn in_sync_is_true(world: &World) -> bool {
    let record = &world.memory;
    if record.phase() != Phase::Settled {
        return true;
    }
    // Settled on an older version, it still opens what runs.
    let opens = |password: Set| password == record.current || password == FOREIGN;
    let in_sync = record.status() == SynchronizationStatus::InSync;
    opens(world.device.running) && (!in_sync || world.device.holds().all(opens))
}

fn one_change(world: &World) -> bool {
    let changes = world.commands().filter(|command| command.what.is_set()).count();
    let is_held = world.memory.phase() == Phase::Held;
    changes <= usize::from(!is_held)
}

fn proof_before_purge(world: &World) -> bool {
    let in_flight = world.commands().filter(|command| command.what.is_set());
    let wanted = world.durable.label(world.durable.desired);
    !world.lost_unproven
        && in_flight.into_iter().all(|command| world.durable.in_use(command.set))
        && wanted.is_some_and(|label| label != Label::OtherDevice)
}

fn somebody_at_work(world: &World) -> bool {
    world.memory.status() != SynchronizationStatus::Synchronizing || world.plan != Plan::Rest
}
