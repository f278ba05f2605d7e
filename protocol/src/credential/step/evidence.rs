//! What the device shows: hashes, logins, and what follows from them.

use super::{Draft, Effect, Label, PasswordSet, Phase, Reason, Transition, Write};
use crate::report::Match;

impl Draft {
    /// Rows 10, 17, 18 and 20. A foreign password is somebody else's only where nothing of ours is
    /// in flight; an agent that finds one before it changes anything tells us in `Exposed`.
    pub(super) fn read_back(mut self, running: Match, startup: Match) -> Option<Transition> {
        let was = self.next.phase;
        self.note(running, startup);
        match (was, running) {
            (
                Phase::Settled | Phase::Staged | Phase::Exposed | Phase::Probing | Phase::Saving(_),
                Match::Foreign,
            ) => Some(self.foreign(Reason::ForeignChange)),
            (
                Phase::Settled | Phase::Staged | Phase::Exposed | Phase::Probing | Phase::Saving(_),
                Match::Absent,
            ) => Some(self.foreign(Reason::UserMissing)),
            // Before the save itself the startup configuration is still another: no news.
            (Phase::Saving(set), Match::Set(found)) if found == set => {
                (startup == Match::Set(set)).then(|| self.settled(set))
            }
            (Phase::Saving(_), Match::Set(_)) => Some(self.not_applied()),
            (Phase::Probing | Phase::Settled, Match::Set(found)) => {
                Some(self.found(found, startup))
            }
            _ => None,
        }
    }

    /// Row 11 (and 20 from `Settled`), 12, 13.
    pub(super) fn probe(
        mut self,
        budget: u8,
        preferred: Option<PasswordSet>,
    ) -> Option<Transition> {
        if !self.is(&[Phase::Probing, Phase::Settled]) {
            return None;
        }
        let settled = self.next.phase == Phase::Settled;
        let candidates = match self.next.current {
            Some(current) if settled => vec![current],
            _ => self.next.candidates(),
        };
        let untried = |set: &PasswordSet| !self.next.tried.contains(set);
        let chosen = preferred
            .filter(|set| candidates.contains(set) && untried(set))
            .or_else(|| candidates.iter().copied().find(untried));
        let Some(set) = chosen else {
            return Some(self.exhausted());
        };
        if self.next.attempts >= budget {
            // That a login got no answer is remembered until the round is over.
            if self.next.reason != Some(Reason::ConnectionLost) {
                self.next.reason = Some(Reason::LoginBudgetSpent);
            }
            return Some(self.write(Write::Parked).to(Phase::BackOff, Effect::RetryLater));
        }
        self.next.attempts = self.next.attempts.saturating_add(1);
        self.next.tried.insert(set);
        Some(self.write(Write::Attempt(set)).to(Phase::Verifying(set), Effect::Login(set)))
    }

    /// Every candidate was tried. That is drift only if each was refused; one that got no answer is
    /// tried again in another round.
    fn exhausted(mut self) -> Transition {
        if self.next.reason != Some(Reason::ConnectionLost) {
            return self.drifted(Reason::AuthenticationRefused);
        }
        self.next.tried.clear();
        self.because(Reason::AuthenticationRefused)
            .write(Write::Parked)
            .to(Phase::BackOff, Effect::RetryLater)
    }

    /// Row 14.
    pub(super) fn login_ok(mut self) -> Option<Transition> {
        let Phase::Verifying(set) = self.next.phase else {
            return None;
        };
        self.next.attempts = 0;
        self.note(Match::Set(set), Match::NotRead);
        Some(self.found(set, Match::NotRead))
    }

    /// Row 15. Before quiet the refusal may only be early: the candidate is to be tried again.
    pub(super) fn login_refused(mut self) -> Option<Transition> {
        let Phase::Verifying(set) = self.next.phase else {
            return None;
        };
        if self.is_quiet() {
            let refused = self.write(Write::Refused(set));
            return Some(refused.to(Phase::Probing, Effect::Observe));
        }
        self.next.tried.remove(&set);
        Some(
            self.because(Reason::NotApplied)
                .write(Write::Refused(set))
                .to(Phase::Quiet, Effect::AwaitQuiet),
        )
    }

    /// Row 16: the attempt stays spent.
    pub(super) fn login_lost(self) -> Option<Transition> {
        matches!(self.next.phase, Phase::Verifying(_))
            .then(|| self.because(Reason::ConnectionLost).to(Phase::Quiet, Effect::AwaitQuiet))
    }

    pub(super) fn login_not_sent(mut self) -> Option<Transition> {
        let Phase::Verifying(set) = self.next.phase else {
            return None;
        };
        self.next.attempts = self.next.attempts.saturating_sub(1);
        self.next.tried.remove(&set);
        Some(self.write(Write::Refund(set)).to(Phase::Probing, Effect::Observe))
    }

    /// Rows 10 and 14: `set` is what the device runs.
    fn found(mut self, set: PasswordSet, startup: Match) -> Transition {
        let other = self.next.pending.filter(|pending| *pending != set);
        if other.is_some() && !self.is_quiet() {
            return self.not_applied();
        }
        if !self.is_quiet() {
            self.next.reason = None;
        }
        self.next.current = Some(set);
        self.next.tried.clear();
        let mut draft = self.write(Write::Verified(set));
        match other {
            Some(pending) if draft.next.retries > 0 => draft.set_again(pending),
            Some(_) => {
                draft.next.pending = None;
                draft.next.reason.get_or_insert(Reason::NotApplied);
                draft.saved_or_not(set, startup)
            }
            None => draft.saved_or_not(set, startup),
        }
    }

    /// Sets the same version again: never a new one, which would be one more to lose. One that was
    /// not exposed yet, or was disproved since, takes the way through `Staged`, where its exposure
    /// becomes durable.
    fn set_again(mut self, pending: PasswordSet) -> Transition {
        self.next.retries = self.next.retries.saturating_sub(1);
        if self.in_use(pending) {
            self.to(Phase::Exposed, Effect::Proceed)
        } else {
            self.to(Phase::Staged, Effect::Prepare(pending))
        }
    }

    /// From the moment a save is ordered, what was read in the startup configuration is history.
    fn saved_or_not(mut self, set: PasswordSet, startup: Match) -> Transition {
        if startup == Match::Set(set) {
            return self.settled(set);
        }
        self.keep_saved(set);
        self.to(Phase::Saving(set), Effect::Save(set))
    }

    /// Whatever else was saved may still be on the device, but is not known to be saved.
    fn keep_saved(&mut self, saved: PasswordSet) {
        for (set, label) in &mut self.next.labels {
            if *label == Label::Saved && *set != saved {
                *label = Label::Exposed;
            }
        }
    }

    /// Row 17: proven in both configurations, so every other version is disproved.
    fn settled(mut self, set: PasswordSet) -> Transition {
        for (other, label) in &mut self.next.labels {
            if *other == set {
                *label = Label::Saved;
            } else if matches!(label, Label::Exposed | Label::Saved) {
                *label = Label::Retired;
            }
        }
        self.next.current = Some(set);
        self.next.pending = None;
        self.next.retries = 0;
        self.next.tried.clear();
        self.next.reconcile = false;
        if set == self.next.desired {
            self.next.reason = None;
        }
        self.write(Write::Saved(set)).to(Phase::Settled, Effect::Rest)
    }

    /// What was seen on the device is retained from now on, whatever was thought of it: somebody
    /// may have brought an old configuration back. What was saved before and is not saved now may
    /// still run.
    fn note(&mut self, running: Match, startup: Match) {
        if let Match::Set(saved) = startup {
            self.keep_saved(saved);
            self.next.labels.insert(saved, Label::Saved);
        }
        if let Match::Set(found) = running
            && !self.in_use(found)
        {
            self.next.labels.insert(found, Label::Exposed);
        }
    }

    /// Row 18, and a change that may land late.
    fn not_applied(self) -> Transition {
        self.because(Reason::NotApplied).write(Write::Parked).to(Phase::Quiet, Effect::AwaitQuiet)
    }

    fn foreign(self, reason: Reason) -> Transition {
        if self.is_quiet() { self.drifted(reason) } else { self.not_applied() }
    }

    fn drifted(mut self, reason: Reason) -> Transition {
        self.next.tried.clear();
        self.because(reason).write(Write::Parked).to(Phase::Drift, Effect::Alarm)
    }
}
