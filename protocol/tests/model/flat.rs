//! The record of one secret in a few bytes, so that a hundred million of them fit in memory. It is
//! turned into a [`Credential`] for each step, and back.

use std::collections::BTreeMap;
use std::fmt;

use protocol::credential::{Credential, Label, Phase};
use protocol::id::{Epoch, PasswordSet};
use protocol::report::Reason;
use protocol::status::SynchronizationStatus;

/// The number of a password set; 0 is none.
pub(crate) type Set = u8;

/// The largest number of sets in one model.
pub(crate) const SETS_MAX: Set = 5;

/// A [`Credential`] of at most [`SETS_MAX`] sets. Of the reasons only those are told apart that the
/// machine itself tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flat {
    stage: u8,
    of: Set,
    pub(crate) current: Set,
    pub(crate) desired: Set,
    pub(crate) pending: Set,
    labels: [Option<Label>; SETS_MAX as usize],
    tried: u8,
    pub(crate) attempts: u8,
    retries: u8,
    epoch: u8,
    pub(crate) reconcile: bool,
    reason: Option<Because>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Because {
    NotQuiet,
    ConnectionLost,
    Other,
}

impl Flat {
    pub(crate) fn of(credential: &Credential) -> Self {
        let (stage, of) = stage(credential.phase);
        let mut labels = [None; SETS_MAX as usize];
        for (slot, set) in labels.iter_mut().zip(1..) {
            *slot = credential.labels.get(&PasswordSet(set)).copied();
        }
        Self {
            stage,
            of,
            current: number(credential.current),
            desired: number(Some(credential.desired)),
            pending: number(credential.pending),
            labels,
            tried: credential.tried.iter().fold(0, |bits, set| bits | 1 << set.0),
            attempts: credential.attempts,
            retries: credential.retries,
            epoch: u8::try_from(credential.epoch.0).unwrap_or(u8::MAX),
            reconcile: credential.reconcile,
            reason: credential.reason.map(|reason| match reason {
                Reason::NotQuiet => Because::NotQuiet,
                Reason::ConnectionLost => Because::ConnectionLost,
                _ => Because::Other,
            }),
        }
    }

    pub(crate) fn credential(&self) -> Credential {
        let labels = self.labels().map(|(set, label)| (PasswordSet(set.into()), label));
        let tried = (1..=SETS_MAX).filter(|set| self.tried & 1 << set != 0);
        Credential {
            labels: labels.collect(),
            tried: tried.map(|set| PasswordSet(set.into())).collect(),
            ..self.without_labels()
        }
    }

    fn without_labels(&self) -> Credential {
        Credential {
            phase: self.phase(),
            current: set(self.current),
            desired: PasswordSet(self.desired.into()),
            pending: set(self.pending),
            labels: BTreeMap::new(),
            tried: std::collections::BTreeSet::new(),
            attempts: self.attempts,
            retries: self.retries,
            epoch: self.epoch(),
            reconcile: self.reconcile,
            reason: self.reason.map(|because| match because {
                Because::NotQuiet => Reason::NotQuiet,
                Because::ConnectionLost => Reason::ConnectionLost,
                Because::Other => Reason::NotApplied,
            }),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        let of = PasswordSet(self.of.into());
        match self.stage {
            0 => Phase::Settled,
            1 => Phase::Staged,
            2 => Phase::Exposed,
            3 => Phase::Waiting,
            4 => Phase::Quiet,
            5 => Phase::Probing,
            6 => Phase::Verifying(of),
            7 => Phase::Saving(of),
            8 => Phase::BackOff,
            9 => Phase::Drift,
            _ => Phase::Held,
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.into())
    }

    /// The production's own verdict; it does not look at the labels.
    pub(crate) fn status(&self) -> SynchronizationStatus {
        self.without_labels().status()
    }

    pub(crate) fn label(&self, set: Set) -> Option<Label> {
        let slot = usize::from(set).checked_sub(1)?;
        self.labels.get(slot).copied().flatten()
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = (Set, Label)> {
        (1..).zip(self.labels).filter_map(|(set, label)| Some((set, label?)))
    }

    /// Whether the device may have this set.
    pub(crate) fn in_use(&self, set: Set) -> bool {
        matches!(self.label(set), Some(Label::Exposed | Label::Saved))
    }

    pub(crate) fn forget_attempts(&mut self) {
        self.attempts = 0;
    }
}

impl fmt::Debug for Flat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.credential().fmt(f)
    }
}

fn stage(phase: Phase) -> (u8, Set) {
    match phase {
        Phase::Settled => (0, 0),
        Phase::Staged => (1, 0),
        Phase::Exposed => (2, 0),
        Phase::Waiting => (3, 0),
        Phase::Quiet => (4, 0),
        Phase::Probing => (5, 0),
        Phase::Verifying(set) => (6, number(Some(set))),
        Phase::Saving(set) => (7, number(Some(set))),
        Phase::BackOff => (8, 0),
        Phase::Drift => (9, 0),
        Phase::Held => (10, 0),
    }
}

pub(crate) fn number(set: Option<PasswordSet>) -> Set {
    set.map_or(0, |set| u8::try_from(set.0).unwrap_or(u8::MAX))
}

pub(crate) fn set(number: Set) -> Option<PasswordSet> {
    (number != 0).then(|| PasswordSet(number.into()))
}
