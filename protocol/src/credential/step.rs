//! The transitions. Row numbers are those of the rotation protocol in `ARCHITECTURE.md`.

use super::{Credential, Effect, Event, Label, Meaningless, Phase, Transition, Write};
use crate::id::{Epoch, PasswordSet};
use crate::report::Reason;

mod evidence;

pub(super) fn step(state: &Credential, event: Event) -> Result<Transition, Meaningless> {
    let meaningless = Meaningless { phase: state.phase, event };
    let next = Draft { next: state.clone(), writes: Vec::new() };
    let taken = match event {
        Event::Begin { set, retries } => next.begin(set, retries),
        Event::Adopt { set } => next.adopt(set),
        Event::Cancel => next.cancel(),
        Event::Expose => next.mark_exposed(),
        Event::Send => next.send(),
        Event::Applied => next.applied(),
        Event::NotSent(reason) => next.not_sent(reason),
        Event::Unsure(reason) => next.unsure(reason),
        Event::Restarted(epoch) => (epoch > state.epoch).then(|| next.restarted(epoch)),
        Event::QuietOver => next.quiet_over(),
        Event::ReadBack { running, startup } => next.read_back(running, startup),
        Event::Probe { budget, preferred } => next.probe(budget, preferred),
        Event::LoginOk => next.login_ok(),
        Event::LoginRefused => next.login_refused(),
        Event::LoginLost => next.login_lost(),
        Event::LoginNotSent => next.login_not_sent(),
        Event::Retry { window_over } => next.retry(window_over),
        Event::Rebooted => next.rebooted(),
        Event::Close => next.close(),
        Event::Hold => next.hold(),
        Event::Release => next.release(),
        Event::Reconcile { set } => next.reconcile(set),
        Event::Replaced { bootstrap, set } => next.replaced(bootstrap, set),
        Event::Purge(set) => next.purge(set),
    };
    taken.ok_or(meaningless)
}

/// The next state while it is being made.
struct Draft {
    next: Credential,
    writes: Vec<Write>,
}

impl Draft {
    fn to(mut self, phase: Phase, effect: Effect) -> Transition {
        self.next.phase = phase;
        Transition { next: self.next, writes: self.writes, effect }
    }

    fn write(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    fn because(mut self, reason: Reason) -> Self {
        self.next.reason = Some(reason);
        self
    }

    fn is(&self, phases: &[Phase]) -> bool {
        phases.contains(&self.next.phase)
    }

    fn label(&self, set: PasswordSet) -> Option<Label> {
        self.next.labels.get(&set).copied()
    }

    /// Whether the device may have this version: exposed, and not disproved since.
    fn in_use(&self, set: PasswordSet) -> bool {
        matches!(self.label(set), Some(Label::Exposed | Label::Saved))
    }

    /// Whether `current` was read in the startup configuration and every other version, but for
    /// the pending one, was disproved: then nothing but the pending one can be on the device.
    fn was_settled(&self) -> bool {
        let others = self.next.in_use().filter(|set| self.next.pending != Some(*set));
        self.next.current.is_some_and(|current| {
            self.label(current) == Some(Label::Saved) && others.eq([current])
        })
    }

    /// Rows 1 and 24: from a settled state the version is staged; from an unsettled one the device
    /// is first asked what it has.
    fn begin(mut self, set: PasswordSet, retries: u8) -> Option<Transition> {
        let settled = self.next.phase == Phase::Settled;
        let nothing_to_do = settled && self.next.current == Some(set);
        if nothing_to_do || set < self.next.desired {
            return None;
        }
        if !settled && !self.is(&[Phase::BackOff, Phase::Drift, Phase::Held]) {
            return None;
        }
        self.want(set);
        if self.next.phase == Phase::Held {
            // Out of service: remembered as wanted, so that its return does not look in sync.
            return Some(self.write(Write::Opened(set)).to(Phase::Held, Effect::Rest));
        }
        self.next.pending = Some(set);
        // After an observation the first setting counts as one "again".
        self.next.retries = retries.saturating_add(u8::from(!settled));
        self.next.reconcile = false;
        // What was tried stays tried, and so does that one of those logins got no answer.
        let unanswered = |reason: &Reason| *reason == Reason::ConnectionLost && !settled;
        self.next.reason = self.next.reason.filter(unanswered);
        let draft = self.write(Write::Opened(set));
        Some(if settled {
            draft.to(Phase::Staged, Effect::Prepare(set))
        } else {
            draft.to(Phase::Quiet, Effect::AwaitQuiet)
        })
    }

    /// From now on `set` is what the device shall have. One of another device has never been here.
    fn want(&mut self, set: PasswordSet) {
        let label = self.next.labels.entry(set).or_insert(Label::Staged);
        if *label == Label::OtherDevice {
            *label = Label::Staged;
        }
        self.next.desired = set;
    }

    /// An operator tells a password that the device may have: one more candidate.
    fn adopt(mut self, set: PasswordSet) -> Option<Transition> {
        if !self.is(&[Phase::Settled, Phase::BackOff, Phase::Drift]) {
            return None;
        }
        let never_rotated = self.next.labels.get(&self.next.desired) != Some(&Label::Staged);
        if self.next.current.is_none() && self.next.pending.is_none() && never_rotated {
            self.next.desired = self.next.desired.max(set);
        }
        self.next.labels.insert(set, Label::Exposed);
        self.next.tried.clear();
        Some(self.write(Write::Exposed(set)).to(Phase::Quiet, Effect::AwaitQuiet))
    }

    /// Row 2: this version was not sent, so nothing is lost. What was wanted before is the newest
    /// version that is left.
    fn cancel(mut self) -> Option<Transition> {
        if self.next.phase != Phase::Staged {
            return None;
        }
        let settled = self.was_settled();
        let pending = self.next.pending.take()?;
        if self.label(pending) == Some(Label::Staged) {
            self.next.labels.remove(&pending);
        }
        let of_this_device = |entry: &(&PasswordSet, &Label)| *entry.1 != Label::OtherDevice;
        let newest = self.next.labels.iter().rfind(of_this_device);
        self.next.desired = newest.map_or(self.next.desired, |(set, _label)| *set);
        Some(self.closed(settled))
    }

    /// Row 3: from here on the version is a candidate until it is disproved.
    fn mark_exposed(mut self) -> Option<Transition> {
        if self.next.phase != Phase::Staged {
            return None;
        }
        let pending = self.next.pending?;
        let label = self.next.labels.entry(pending).or_insert(Label::Exposed);
        if !matches!(label, Label::Saved) {
            *label = Label::Exposed;
        }
        Some(self.write(Write::Exposed(pending)).to(Phase::Exposed, Effect::Proceed))
    }

    /// Row 4: the durable state stays `Exposed`, from where a restart goes to `Quiet`.
    fn send(self) -> Option<Transition> {
        let pending = self.next.pending?;
        (self.next.phase == Phase::Exposed).then(|| self.to(Phase::Waiting, Effect::Apply(pending)))
    }

    /// Row 5. The device's word is no proof that the change has landed already, so until quiet
    /// only evidence *for* the pending version counts.
    fn applied(self) -> Option<Transition> {
        (self.next.phase == Phase::Waiting)
            .then(|| self.because(Reason::NotQuiet).to(Phase::Probing, Effect::Observe))
    }

    /// Whether a change of ours may still land while the device is being asked.
    fn is_quiet(&self) -> bool {
        self.next.reason != Some(Reason::NotQuiet)
    }

    fn not_sent(self, reason: Reason) -> Option<Transition> {
        (self.next.phase == Phase::Waiting)
            .then(|| self.because(reason).to(Phase::Exposed, Effect::RetryLater))
    }

    /// Rows 6 and 18.
    fn unsure(self, reason: Reason) -> Option<Transition> {
        let open = matches!(self.next.phase, Phase::Waiting | Phase::Probing | Phase::Saving(_));
        open.then(|| self.because(reason).to(Phase::Quiet, Effect::AwaitQuiet))
    }

    /// Rows 7 and 8: wherever a command or a login may be under way, wait for quiet first.
    fn restarted(mut self, epoch: Epoch) -> Transition {
        self.next.epoch = epoch;
        let draft = self.write(Write::Fenced);
        match draft.next.phase {
            Phase::Staged => {
                let pending = draft.next.pending;
                draft.to(Phase::Staged, pending.map_or(Effect::Rest, Effect::Prepare))
            }
            phase @ (Phase::Settled | Phase::Held | Phase::Drift) => draft.to(phase, Effect::Rest),
            Phase::BackOff => draft.to(Phase::BackOff, Effect::RetryLater),
            Phase::Verifying(_) => {
                draft.because(Reason::ConnectionLost).to(Phase::Quiet, Effect::AwaitQuiet)
            }
            _ => draft.to(Phase::Quiet, Effect::AwaitQuiet),
        }
    }

    /// Row 9.
    fn quiet_over(mut self) -> Option<Transition> {
        if self.next.phase != Phase::Quiet {
            return None;
        }
        if !self.is_quiet() {
            self.next.reason = Some(Reason::NotApplied);
        }
        Some(self.to(Phase::Probing, Effect::Observe))
    }

    /// Row 19, and the patrol of a drifted device: refusals that were lies, or that a roll-back
    /// has overtaken, must not keep it there for ever.
    fn retry(mut self, window_over: bool) -> Option<Transition> {
        if !self.is(&[Phase::BackOff, Phase::Drift]) {
            return None;
        }
        if window_over {
            self.next.attempts = 0;
        }
        Some(self.write(Write::Parked).to(Phase::Quiet, Effect::AwaitQuiet))
    }

    /// Row 21: what runs now is what was saved; only an observation tells which version that is,
    /// and what was refused before may be accepted now.
    fn rebooted(mut self) -> Option<Transition> {
        match self.next.phase {
            Phase::Staged | Phase::BackOff | Phase::Drift | Phase::Held | Phase::Quiet => None,
            _ => {
                self.next.tried.clear();
                Some(self.write(Write::Parked).to(Phase::Quiet, Effect::AwaitQuiet))
            }
        }
    }

    /// The end of an operation: no state stays `Synchronizing` without somebody at work on it.
    fn close(mut self) -> Option<Transition> {
        let was = self.next.phase;
        if self.is(&[Phase::Settled, Phase::Held, Phase::Waiting])
            || matches!(was, Phase::Verifying(_))
        {
            return None;
        }
        let settled = self.was_settled() && self.is(&[Phase::Staged, Phase::Exposed]);
        let unsent = self.next.pending.take().filter(|_set| settled && was == Phase::Exposed);
        if let Some(label) = unsent.and_then(|set| self.next.labels.get_mut(&set)) {
            // Nothing was sent, or what was sent was seen not to have arrived: disproved.
            *label = Label::Retired;
        }
        Some(self.closed(settled))
    }

    /// Nothing is claimed that was not proven: an unsettled device is looked at again, a foreign
    /// password stays an operator's business.
    fn closed(mut self, settled: bool) -> Transition {
        let unsent = self.is(&[Phase::Staged, Phase::Exposed]);
        let foreign = self.next.phase == Phase::Drift || (self.next.reconcile && unsent);
        self.next.retries = 0;
        self.next.reconcile = false;
        let draft = self.write(Write::Closed);
        if foreign {
            draft.to(Phase::Drift, Effect::Alarm)
        } else if settled {
            draft.to(Phase::Settled, Effect::Rest)
        } else {
            draft.to(Phase::BackOff, Effect::RetryLater)
        }
    }

    /// Row 23. An operation that is still open ends here: what it wanted stays wanted.
    fn hold(mut self) -> Option<Transition> {
        if !self.is(&[Phase::Settled, Phase::BackOff, Phase::Drift]) {
            return None;
        }
        self.next.pending = None;
        self.next.retries = 0;
        self.next.reconcile = false;
        Some(self.write(Write::Parked).to(Phase::Held, Effect::Rest))
    }

    fn release(self) -> Option<Transition> {
        self.is(&[Phase::Held])
            .then(|| self.write(Write::Parked).to(Phase::Quiet, Effect::AwaitQuiet))
    }

    /// Row 22.
    fn reconcile(mut self, set: PasswordSet) -> Option<Transition> {
        if !self.is(&[Phase::Drift]) || set < self.next.desired {
            return None;
        }
        self.want(set);
        self.next.pending = Some(set);
        self.next.tried.clear();
        self.next.reconcile = true;
        Some(self.write(Write::Opened(set)).to(Phase::Staged, Effect::Prepare(set)))
    }

    /// Row 24: the old device's versions stay in the vault, but are no candidates here.
    fn replaced(mut self, bootstrap: PasswordSet, set: PasswordSet) -> Option<Transition> {
        if !self.is(&[Phase::Held]) || set < self.next.desired {
            return None;
        }
        for label in self.next.labels.values_mut() {
            *label = Label::OtherDevice;
        }
        self.next.labels.insert(set, Label::Staged);
        self.next.labels.insert(bootstrap, Label::Exposed);
        self.next.current = None;
        self.next.desired = set;
        self.next.pending = Some(set);
        self.next.tried.clear();
        self.next.attempts = 0;
        self.next.retries = 1;
        self.next.reconcile = false;
        self.next.reason = None;
        Some(self.write(Write::Opened(set)).to(Phase::Quiet, Effect::AwaitQuiet))
    }

    /// I8: only a version that was disproved (or never left the vault), from a settled state; and
    /// never the wanted one, which a resync must still be able to bring.
    fn purge(mut self, set: PasswordSet) -> Option<Transition> {
        if self.next.phase != Phase::Settled || self.in_use(set) || set == self.next.desired {
            return None;
        }
        self.next.labels.remove(&set)?;
        Some(self.write(Write::Purged(set)).to(Phase::Settled, Effect::Rest))
    }
}
