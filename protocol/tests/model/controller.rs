//! What the controller does, around the production step: writes durable first, then the effect.

use protocol::credential::{Effect, Event, Label, Phase};
use protocol::id::PasswordSet;
use protocol::report::{Match, Reason};

use crate::device::{Command, FOREIGN, Reply, What};
use crate::flat::{Flat, Set, number, set};
use crate::flaw::{self, Flaw};
use crate::world::{Action, Plan, Protocol, World};

/// Wrong guesses that we allow ourselves in a window: the device's threshold less 2.
const GUESSES_MAX: u8 = 1;
/// How many times an operation sets the same version again.
const RETRIES: u8 = 1;

impl Protocol {
    /// Feeds an event; `None` if it means nothing.
    pub(crate) fn take(&self, world: &mut World, event: Event) -> Option<()> {
        let was = world.memory.credential();
        let taken = flaw::step(self.flaw, &was, event).ok()?;
        let next = Flat::of(&taken.next);
        world.end_job(self.flaw);
        world.lost_unproven |= loses_unproven(&world.memory, &next, event);
        world.memory = next;
        let held_back = self.flaw == Some(Flaw::SendBeforeDurable) && event == Event::Expose;
        if !taken.writes.is_empty() && !held_back {
            world.durable = next;
            if self.flaw == Some(Flaw::BudgetInMemory) {
                world.durable.forget_attempts();
            }
        }
        world.plan = match taken.effect {
            Effect::Rest | Effect::Alarm => Plan::Rest,
            Effect::Prepare(_) => Plan::Prepare,
            Effect::Proceed => Plan::Send,
            Effect::Apply(set) => Plan::Apply(number(Some(set))),
            Effect::AwaitQuiet => Plan::Quiet,
            Effect::Observe => Plan::Observe,
            Effect::Login(set) => Plan::Login(number(Some(set))),
            Effect::Save(set) => Plan::Save(number(Some(set))),
            Effect::RetryLater => Plan::Later,
        };
        Some(())
    }

    /// Carries the plan out.
    pub(crate) fn perform(&self, world: &mut World) -> Option<()> {
        match world.plan {
            Plan::Prepare => return self.take(world, Event::Expose),
            Plan::Send => return self.take(world, Event::Send),
            Plan::Apply(set) => send(world, What::Set, set),
            Plan::Observe => send(world, What::Read, 0),
            Plan::Login(set) => send(world, What::Login, set),
            Plan::Save(set) => send(world, What::Save, set),
            Plan::Rest | Plan::Reply | Plan::Quiet | Plan::Later => return None,
        }
        world.plan = Plan::Reply;
        Some(())
    }

    pub(crate) fn probe(&self, world: &mut World) -> Option<()> {
        self.take(world, Event::Probe { budget: GUESSES_MAX, preferred: None })
    }

    /// Takes the reply of the job that is waited for.
    pub(crate) fn receive(&self, world: &mut World) -> Option<()> {
        let (reply, _current) = world.reply.take()?;
        let event = match reply {
            Reply::Applied => Event::Applied,
            Reply::Refused => Event::Unsure(Reason::CommandRefused),
            Reply::NotSent { foreign: false } => Event::NotSent(Reason::CouldNotConnect),
            Reply::NotSent { foreign: true } => {
                self.take(world, Event::NotSent(Reason::ForeignChange))?;
                Event::ReadBack { running: Match::Foreign, startup: Match::NotRead }
            }
            Reply::LoginOk => Event::LoginOk,
            Reply::LoginRefused => Event::LoginRefused,
            Reply::LoginNotSent => Event::LoginNotSent,
            Reply::ReadBack { running, startup } => {
                let running = matched(&world.memory, running);
                let startup = matched(&world.memory, startup);
                Event::ReadBack { running, startup }
            }
        };
        let is_saving = matches!(world.memory.phase(), Phase::Saving(_));
        let taken = self.take(world, event);
        if taken.is_none() && is_saving && matches!(reply, Reply::ReadBack { .. }) {
            return self.take(world, Event::Unsure(Reason::SaveFailed));
        }
        // A late reply that means nothing is dropped.
        Some(())
    }

    /// Nobody answers.
    pub(crate) fn time_out(&self, world: &mut World) -> Option<()> {
        match world.memory.phase() {
            Phase::Verifying(_) => self.take(world, Event::LoginLost),
            Phase::Settled => {
                world.end_job(self.flaw);
                world.plan = Plan::Rest;
                Some(())
            }
            _ => self.take(world, Event::Unsure(Reason::TimedOut)),
        }
    }

    pub(crate) fn patrol(&self, world: &mut World, login: bool) -> Option<()> {
        if login {
            return self.probe(world);
        }
        send(world, What::Read, 0);
        world.plan = Plan::Reply;
        Some(())
    }

    pub(crate) fn retry(&self, world: &mut World, window_over: bool) -> Option<()> {
        if world.memory.phase() == Phase::Exposed {
            return self.take(world, Event::Send);
        }
        if window_over {
            world.device.failures = 0;
        }
        self.take(world, Event::Retry { window_over })
    }

    /// The durable state is all that is left; everything that was sent is still under way.
    pub(crate) fn restart(&self, world: &mut World) -> Option<()> {
        world.memory = world.durable;
        let epoch = protocol::id::Epoch(world.durable.epoch().0 + 1);
        self.take(world, Event::Restarted(epoch))
    }

    /// What a controller that was paused before its next effect still does when it goes on: it
    /// cannot write any more, but it can send.
    pub(crate) fn zombie(world: &mut World) -> Option<()> {
        let (what, set) = match (world.plan, world.memory.phase()) {
            (Plan::Apply(set), _) => (What::Set, set),
            (Plan::Login(set), _) => (What::Login, set),
            (Plan::Save(set), _) => (What::Save, set),
            (_, Phase::Exposed) => (What::Set, world.memory.pending),
            _ => return None,
        };
        send(world, what, set);
        Some(())
    }

    pub(crate) fn controller_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let phase = world.memory.phase();
        match world.plan {
            Plan::Rest | Plan::Later => {}
            Plan::Reply => {
                let under_way = world.commands().any(|command| command.current)
                    || world.reply.is_some_and(|(_reply, current)| current);
                if !under_way || world.left.drops > 0 {
                    actions.push(Action::TimeOut);
                }
            }
            Plan::Quiet => actions.extend(self.is_quiet(world).then_some(Action::QuietOver)),
            Plan::Observe => actions.extend([Action::Perform, Action::Probe]),
            _ => actions.push(Action::Perform),
        }
        if world.plan == Plan::Later || phase == Phase::Drift {
            actions.push(Action::Retry { window_over: false });
            if world.commands().all(|command| command.what != What::Login) {
                actions.push(Action::Retry { window_over: true });
            }
        }
        if phase == Phase::Settled && world.plan == Plan::Rest && world.left.patrols > 0 {
            actions.extend([true, false].map(|login| Action::Patrol { login }));
        }
        self.operator_actions(world, phase, actions);
    }

    fn operator_actions(&self, world: &World, phase: Phase, actions: &mut Vec<Action>) {
        let desired = PasswordSet(world.memory.desired.into());
        let unsettled = phase != Phase::Settled || world.memory.current != world.memory.desired;
        if matches!(phase, Phase::Settled | Phase::BackOff | Phase::Drift | Phase::Held) {
            if unsettled && phase != Phase::Held {
                actions.push(Action::Take(Event::Begin { set: desired, retries: RETRIES }));
            }
            if world.left.operations > 0 {
                let set = PasswordSet(u32::from(world.made) + 1);
                actions.push(Action::Take(Event::Begin { set, retries: RETRIES }));
                if phase == Phase::Drift {
                    actions.push(Action::Take(Event::Reconcile { set }));
                }
            }
            if world.left.adoptions > 0 {
                let set = PasswordSet(u32::from(world.made) + 1);
                actions.push(Action::Take(Event::Adopt { set }));
            }
        }
        let held_safely = self.is_quiet(world) || self.flaw == Some(Flaw::HoldUnquiet);
        if world.left.holds > 0 && held_safely {
            actions.push(Action::Take(Event::Hold));
        }
        if phase == Phase::Held {
            actions.push(Action::Take(Event::Release));
            actions.extend((world.left.replacements > 0).then_some(Action::Replace));
        }
        if phase == Phase::Staged {
            actions.push(Action::Take(Event::Cancel));
        }
        if !matches!(phase, Phase::Settled | Phase::Held) {
            actions.push(Action::Take(Event::Close));
        }
        let retired = world.memory.labels().filter(|(_set, label)| *label == Label::Retired);
        actions.extend(retired.filter_map(|(number, _label)| {
            Some(Action::Take(Event::Purge(set(number)?))).filter(|_| phase == Phase::Settled)
        }));
    }

    /// No older command of ours can act on the device. A commit timer may: that it is confirmed,
    /// fires or is called off makes no difference to safety.
    pub(crate) fn is_quiet(&self, world: &World) -> bool {
        world.is_wire_idle() || self.flaw == Some(Flaw::NoDeadline)
    }
}

fn send(world: &mut World, what: What, set: Set) {
    let overwrite = world.memory.reconcile;
    world.send(Command { what, set, overwrite, current: true });
}

/// What an agent makes of a stored hash: it compares with the candidates that it was given.
fn matched(record: &Flat, password: Set) -> Match {
    let is_candidate = password < FOREIGN
        && !matches!(record.label(password), None | Some(Label::Staged | Label::OtherDevice));
    set(password).filter(|_set| is_candidate).map_or(Match::Foreign, Match::Set)
}

/// Whether a version that may be on the device stops being a candidate for another reason than a
/// read-back that settles on another one (or the device itself being replaced). An operation that
/// ends before anything was sent needs no read-back; that the device does not have the version
/// then is I1's and I8's to check.
fn loses_unproven(was: &Flat, next: &Flat, event: Event) -> bool {
    let lost = was.labels().any(|(set, _label)| was.in_use(set) && !next.in_use(set));
    let proven = match event {
        Event::ReadBack { running, startup } => {
            next.phase() == Phase::Settled
                && running == startup
                && set(next.current).map(Match::Set) == Some(running)
        }
        Event::Close => was.phase() == Phase::Exposed,
        Event::Replaced { .. } => true,
        _ => false,
    };
    lost && !proven
}
