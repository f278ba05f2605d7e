//! One controller, one device, what is in flight between them, and every fault that is allowed.

use std::fmt;

use protocol::credential::{Event, Phase};
use stateright::{Model, Property};

use crate::device::{Command, Device, Fate, Reply};
use crate::flat::{Flat, Set, set};
use crate::flaw::Flaw;
use crate::liveness::Settled;
use crate::property;

/// How often each thing may happen in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// Operations that bring a new version.
    pub(crate) operations: u8,
    /// Crashes and fail-overs of the controller.
    pub(crate) crashes: u8,
    /// Reboots of the device.
    pub(crate) reboots: u8,
    /// Lost commands, lost replies, late replies, jobs that were not begun.
    pub(crate) drops: u8,
    /// False or early answers, and refusals.
    pub(crate) lies: u8,
    /// Mangled changes and full disks.
    pub(crate) failures: u8,
    /// Changes by a human.
    pub(crate) changes: u8,
    /// Patrols of a settled device.
    pub(crate) patrols: u8,
    /// Times out of service.
    pub(crate) holds: u8,
    /// Operators' guesses of what a device has.
    pub(crate) adoptions: u8,
    /// Replacements of the device while it is out of service.
    pub(crate) replacements: u8,
}

/// What the controller does or waits for next. Lost in a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Plan {
    Rest,
    Prepare,
    Send,
    Apply(Set),
    Observe,
    Login(Set),
    Save(Set),
    Reply,
    Quiet,
    Later,
}

/// Commands in flight at once; more are lost.
const WIRE_MAX: usize = 3;

/// One state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// What a crash leaves.
    pub(crate) durable: Flat,
    /// What the controller goes by.
    pub(crate) memory: Flat,
    pub(crate) plan: Plan,
    pub(crate) device: Device,
    wire: [Option<Command>; WIRE_MAX],
    /// The reply that is under way to the controller, and whether its job is over.
    pub(crate) reply: Option<(Reply, bool)>,
    pub(crate) left: Budget,
    /// How many versions were made.
    pub(crate) made: Set,
    /// A version went without proof.
    pub(crate) lost_unproven: bool,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// The controller carries its plan out.
    Perform,
    /// It logs in instead of reading hashes.
    Probe,
    /// The agent and the device take a command.
    Deliver(Command, Fate),
    /// The agent's deadline ends a command whose job is over.
    Expire(Command),
    Receive,
    LoseReply,
    /// The controller stops waiting for a reply.
    TimeOut,
    QuietOver,
    Retry {
        window_over: bool,
    },
    /// A patrol looks at a settled device.
    Patrol {
        login: bool,
    },
    /// An operator's or the operation's own event.
    Take(Event),
    Crash,
    /// Another controller takes over; the old one still sends what it was about to send.
    FailOver,
    Reboot {
        seen: bool,
    },
    TimerFires,
    ForeignChange {
        saved: bool,
    },
    /// Another device in this one's place.
    Replace,
}

/// The model: the production machine, or a flawed one, within bounds.
pub(crate) struct Protocol {
    budget: Budget,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) settled: Settled,
}

impl Protocol {
    pub(crate) fn new(budget: Budget, flaw: Option<Flaw>) -> Self {
        Self { budget, flaw, settled: Settled::new() }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.budget, self.flaw).fmt(f)
    }
}

impl World {
    pub(crate) fn new(budget: Budget, has_timer: bool) -> Self {
        let mut credential = protocol::credential::Credential::adopted(
            protocol::id::PasswordSet(1),
            protocol::id::Epoch(1),
        );
        credential.phase = Phase::Settled;
        credential.current = set(1);
        credential.labels.insert(protocol::id::PasswordSet(1), protocol::credential::Label::Saved);
        let flat = Flat::of(&credential);
        Self {
            durable: flat,
            memory: flat,
            plan: Plan::Rest,
            device: Device::new(has_timer),
            wire: [None; WIRE_MAX],
            reply: None,
            left: budget,
            made: 1,
            lost_unproven: false,
        }
    }

    pub(crate) fn commands(&self) -> impl Iterator<Item = Command> + use<> {
        self.wire.into_iter().flatten()
    }

    pub(crate) fn send(&mut self, command: Command) {
        if let Some(free) = self.wire.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(command);
        }
        self.wire.sort_unstable();
    }

    pub(crate) fn withdraw(&mut self, command: Command) {
        if let Some(slot) = self.wire.iter_mut().find(|slot| **slot == Some(command)) {
            *slot = None;
        }
        self.wire.sort_unstable();
    }

    /// The controller waits no longer for what is in flight.
    pub(crate) fn end_job(&mut self, flaw: Option<Flaw>) {
        for command in self.wire.iter_mut().flatten() {
            command.current = false;
        }
        self.wire.sort_unstable();
        self.reply = self
            .reply
            .filter(|_reply| flaw == Some(Flaw::StaleReplies))
            .map(|(reply, _current)| (reply, false));
    }

    pub(crate) fn is_wire_idle(&self) -> bool {
        self.commands().next().is_none()
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        [true, false].map(|has_timer| World::new(self.budget, has_timer)).to_vec()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.controller_actions(world, actions);
        self.wire_actions(world, actions);
        self.fault_actions(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = *world;
        self.apply(&mut next, action)?;
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}
