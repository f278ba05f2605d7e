//! What happens to commands, replies, the device and the controller's life.

use protocol::credential::{Event, Phase};
use protocol::id::PasswordSet;

use crate::device::{Command, FOREIGN, Fate, What};
use crate::flaw::Flaw;
use crate::world::{Action, Budget, Plan, Protocol, World};

impl Protocol {
    pub(crate) fn wire_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let mut before = None;
        for command in world.commands() {
            // Two equal commands lead to equal states.
            if before.replace(command) == Some(command) {
                continue;
            }
            let fates = self.fates(world, command);
            actions.extend(fates.map(|fate| Action::Deliver(command, fate)));
            actions.extend((!command.current).then_some(Action::Expire(command)));
        }
        if let Some((_reply, current)) = world.reply {
            actions.push(Action::Receive);
            actions.extend((!current || world.left.drops > 0).then_some(Action::LoseReply));
        }
    }

    fn fates(&self, world: &World, command: Command) -> impl Iterator<Item = Fate> + use<> {
        let fates: &[Fate] = match command.what {
            What::Set => &[
                Fate::Done,
                Fate::Lost,
                Fate::NotSent,
                Fate::Refused,
                Fate::LieYes,
                Fate::LieNo,
                Fate::EarlyYes,
                Fate::EarlyNo,
                Fate::Garbled,
                Fate::Repeated,
            ],
            What::AnsweredSet => &[Fate::Done, Fate::Garbled],
            What::Login => &[Fate::Done, Fate::Lost, Fate::NotSent, Fate::LieNo],
            What::Save => &[Fate::Done, Fate::Lost, Fate::LieNo, Fate::DiskFull],
            What::Read => &[Fate::Done, Fate::Lost],
        };
        let (left, has_timer) = (world.left, world.device.has_timer);
        let no_ledger = self.flaw == Some(Flaw::NoLedger);
        fates.iter().copied().filter(move |fate| match fate {
            // Without a commit timer nothing can bring a mangled password back; such platforms
            // take hashes in a form that the agent can compare before it logs out.
            Fate::Garbled => left.failures > 0 && has_timer,
            Fate::Repeated => no_ledger && left.drops > 0,
            _ => {
                cost(*fate, command.current).is_none_or(|spend| spend(&mut left.clone()).is_some())
            }
        })
    }

    pub(crate) fn fault_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let left = &world.left;
        if left.crashes > 0 {
            actions.extend([Action::Crash, Action::FailOver]);
        }
        if left.reboots > 0 {
            actions.extend([true, false].map(|seen| Action::Reboot { seen }));
        }
        if left.changes > 0 {
            actions.extend([true, false].map(|saved| Action::ForeignChange { saved }));
        }
        if world.device.checkpoint != 0 {
            actions.push(Action::TimerFires);
        }
    }

    pub(crate) fn apply(&self, world: &mut World, action: Action) -> Option<()> {
        match action {
            Action::Perform => self.perform(world),
            Action::Probe => self.probe(world),
            Action::Deliver(command, fate) => self.deliver(world, command, fate),
            Action::Expire(command) => {
                world.withdraw(command);
                Some(())
            }
            Action::Receive => self.receive(world),
            Action::LoseReply => {
                let (_reply, current) = world.reply.take()?;
                if current { less(&mut world.left.drops) } else { Some(()) }
            }
            Action::TimeOut => {
                if world.reply.is_some() || world.commands().any(|command| command.current) {
                    less(&mut world.left.drops)?;
                }
                self.time_out(world)
            }
            Action::QuietOver => self.take(world, Event::QuietOver),
            Action::Retry { window_over } => self.retry(world, window_over),
            Action::Patrol { login } => {
                less(&mut world.left.patrols)?;
                self.patrol(world, login)
            }
            Action::Take(event) => self.operator(world, event),
            Action::Crash => {
                less(&mut world.left.crashes)?;
                self.restart(world)
            }
            Action::FailOver => {
                less(&mut world.left.crashes)?;
                Self::zombie(world)?;
                self.restart(world)
            }
            Action::Reboot { seen } => {
                less(&mut world.left.reboots)?;
                world.device.reboot();
                if seen { self.take(world, Event::Rebooted) } else { Some(()) }
            }
            Action::TimerFires => {
                world.device.timer_fires();
                Some(())
            }
            Action::ForeignChange { saved } => {
                less(&mut world.left.changes)?;
                world.device.running = FOREIGN;
                if saved {
                    world.device.startup = FOREIGN;
                }
                Some(())
            }
            Action::Replace => self.replace(world),
        }
    }

    fn deliver(&self, world: &mut World, command: Command, fate: Fate) -> Option<()> {
        if let Some(spend) = cost(fate, command.current) {
            spend(&mut world.left)?;
        }
        world.withdraw(command);
        let reply = world.device.take(command, fate, self.flaw);
        match fate {
            Fate::EarlyYes | Fate::EarlyNo => {
                world.send(Command { what: What::AnsweredSet, ..command });
            }
            Fate::Repeated => {
                world.send(Command { what: What::AnsweredSet, current: false, ..command });
            }
            _ => {}
        }
        if command.current || self.flaw == Some(Flaw::StaleReplies) {
            world.reply = reply.map(|reply| (reply, command.current)).or(world.reply);
        }
        Some(())
    }

    fn operator(&self, world: &mut World, event: Event) -> Option<()> {
        let new = PasswordSet(u32::from(world.made) + 1);
        match event {
            Event::Begin { set, .. } | Event::Reconcile { set } if set == new => {
                less(&mut world.left.operations)?;
                world.made += 1;
            }
            Event::Adopt { .. } => {
                less(&mut world.left.adoptions)?;
                world.made += 1;
            }
            Event::Hold => less(&mut world.left.holds)?,
            _ => {}
        }
        self.take(world, event)
    }

    /// The replacement comes with its own password, and is to have a new one.
    fn replace(&self, world: &mut World) -> Option<()> {
        less(&mut world.left.replacements)?;
        let (bootstrap, set) = (world.made + 1, world.made + 2);
        world.made = set;
        world.device.running = bootstrap;
        world.device.startup = bootstrap;
        world.device.checkpoint = 0;
        world.device.failures = 0;
        let (bootstrap, set) = (PasswordSet(bootstrap.into()), PasswordSet(set.into()));
        self.take(world, Event::Replaced { bootstrap, set })
    }
}

type Spend = fn(&mut Budget) -> Option<()>;

/// What a fate costs of the faults' budget. A command of a job that is over may be lost for
/// nothing: its deadline does that.
fn cost(fate: Fate, current: bool) -> Option<Spend> {
    match fate {
        Fate::Done => None,
        Fate::Lost | Fate::NotSent if !current => Some(|_budget| None),
        Fate::Lost | Fate::NotSent | Fate::Repeated => Some(|budget| less(&mut budget.drops)),
        Fate::Refused | Fate::LieYes | Fate::LieNo | Fate::EarlyYes | Fate::EarlyNo => {
            Some(|budget| less(&mut budget.lies))
        }
        Fate::Garbled | Fate::DiskFull => Some(|budget| less(&mut budget.failures)),
    }
}

fn less(budget: &mut u8) -> Option<()> {
    *budget = budget.checked_sub(1)?;
    Some(())
}

impl World {
    /// Nothing is planned, nothing is open, nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.plan == Plan::Rest && self.memory.phase() == Phase::Settled && self.is_wire_idle()
    }
}
