//! The state machine of one secret: one user profile's password on one device.
//!
//! ```text
//!             Begin          Expose        Send          Applied           login/hash = x
//!  Settled ──────────▶ Staged ─────▶ Exposed ─────▶ Waiting ─────▶ Probing ─────▶ Saving(x) ──▶ Settled
//!     ▲                                ▲               │ Unsure     ▲ │ Probe        │ startup ≠ x
//!     │                                │               ▼            │ ▼              ▼
//!     │                    x ≠ pending │             Quiet ─────────┘ Verifying(x)  Quiet
//!     └── Close ── BackOff ◀── budget ─┴── Probing    ▲  QuietOver      │ lost
//!                  Drift   ◀── no candidate           └─────────────────┘
//! ```
//!
//! [`Credential::step`] is pure and total: `step(state, event) -> (state, writes, effect)`. The
//! caller makes the writes durable (it stores the whole next state in one append) **before** it
//! acts on the effect. A transition without writes may stay in memory: the state that is found
//! after a crash is then the last durable one, and [`Event::Restarted`] leads from there to
//! [`Phase::Quiet`] wherever anything could have been sent.
//!
//! Safety rests on the labels alone: a version gets [`Label::Exposed`] durably before the agent may
//! open it, and leaves the candidates only when another version was proven in the running **and**
//! the startup configuration. No refusal, parse error, time-out or cut line changes a label. The
//! rules and their numbers are those of the rotation protocol in `ARCHITECTURE.md`; the whole table
//! is `credential/credential.table`, and `tests/model.rs` explores the machine against a device.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, PasswordSet};
use crate::report::{Match, Reason};
use crate::status::SynchronizationStatus;

mod step;
#[cfg(test)]
mod tests;

/// Where a secret is in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing is open: `current` was proven in the running and the startup configuration.
    Settled,
    /// The new version is durable in the vault and never left it.
    Staged,
    /// The new version may be on the device from now on.
    Exposed,
    /// The agent was told to apply it.
    Waiting,
    /// The outcome is unknown: wait until no older session or command can act on the device.
    Quiet,
    /// Find out which candidate the device holds.
    Probing,
    /// A login with this candidate is in flight.
    Verifying(PasswordSet),
    /// This candidate works; bring it into the startup configuration and read that back.
    Saving(PasswordSet),
    /// Out of budget, out of reach or out of retries: try again later.
    BackOff,
    /// The device has somebody else's password, or refuses every candidate.
    Drift,
    /// The device is out of service: no input or output.
    Held,
}

/// What is known of one version of the secret on this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Label {
    /// Never left the vault.
    Staged,
    /// May be in the running or the startup configuration.
    Exposed,
    /// Was last read in the startup configuration, and no save of another was ordered since.
    Saved,
    /// Disproved: another version was proven in both configurations since, or it was exposed but
    /// never sent.
    Retired,
    /// Belonged to a device that has been replaced.
    OtherDevice,
}

/// The durable record of one secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Credential {
    /// Where the secret is in the protocol.
    pub phase: Phase,
    /// The version that worked last: what the archive reference names.
    pub current: Option<PasswordSet>,
    /// The version that the fabric wants.
    pub desired: PasswordSet,
    /// The version that the open operation brings.
    pub pending: Option<PasswordSet>,
    /// All versions that are retained for this secret.
    pub labels: BTreeMap<PasswordSet, Label>,
    /// The candidates that were tried since the last success, in this round.
    pub tried: BTreeSet<PasswordSet>,
    /// Logins in this window that may have been refused.
    pub attempts: u8,
    /// How many times the open operation may still set the same version again.
    pub retries: u8,
    /// The fence of the controller that wrote last.
    pub epoch: Epoch,
    /// Whether an operator has approved to overwrite a foreign password.
    pub reconcile: bool,
    /// Why the secret is not settled on what is wanted. [`Reason::NotQuiet`] says that a change may
    /// still land although the device has answered, [`Reason::ConnectionLost`] that a login of this
    /// round got no answer, so that a round without success is no proof of drift.
    pub reason: Option<Reason>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// An admitted operation wants `set`, which is durable in the vault. Also the way out of
    /// [`Phase::BackOff`] and [`Phase::Drift`], which are settled first.
    Begin {
        /// The wanted version; never older than the one wanted before.
        set: PasswordSet,
        /// How many times it may be set again.
        retries: u8,
    },
    /// An operator says that the device has `set`, whose value is durable in the vault.
    Adopt {
        /// The version to be added to the candidates.
        set: PasswordSet,
    },
    /// The operation was called off before anything was exposed.
    Cancel,
    /// The agent has the sealed version durable: the next step may open it.
    Expose,
    /// The commit frame goes out.
    Send,
    /// The device said that it took the change, on the stream of this job. Until quiet, only what
    /// speaks for the pending version is evidence; anything else leads to [`Phase::Quiet`].
    Applied,
    /// The agent ended the job before the line that changes the device.
    NotSent(Reason),
    /// Refusal, parse error, cut, time-out, failed save, lost agent.
    Unsure(Reason),
    /// A controller started or took over, with a higher epoch.
    Restarted(Epoch),
    /// No older session or command of ours can act on the device any more. A rollback timer that
    /// still runs is no harm, but may cost a false alarm.
    QuietOver,
    /// The stored hashes were compared with all candidates, or a save was read back.
    ReadBack {
        /// In the running configuration.
        running: Match,
        /// In the startup configuration.
        startup: Match,
    },
    /// There is no way to read hashes: log in with a candidate.
    Probe {
        /// Wrong guesses allowed in a window.
        budget: u8,
        /// The candidate to take if it is one that was not tried; else the likeliest.
        preferred: Option<PasswordSet>,
    },
    /// The login succeeded.
    LoginOk,
    /// The login was refused.
    LoginRefused,
    /// The login ended without an answer. It stays counted, but is no refusal.
    LoginLost,
    /// The login was not made.
    LoginNotSent,
    /// Try again: a window is over, a device is back, an operator asks. A drifted device is asked
    /// again too, from time to time.
    Retry {
        /// Whether the lockout window has passed since the last login could have reached the
        /// device.
        window_over: bool,
    },
    /// The device was seen to reboot or to roll its configuration back.
    Rebooted,
    /// The operation ends here, whatever was reached. Only a secret that was settled before and
    /// from which nothing was sent is settled after it.
    Close,
    /// The device goes out of service; an open operation ends. Only once no command of ours can
    /// act on the device any more.
    Hold,
    /// The device is back in service.
    Release,
    /// An operator approves that a foreign password is overwritten with `set`.
    Reconcile {
        /// The wanted version.
        set: PasswordSet,
    },
    /// Another device, approved by an operator, stands in this one's place.
    Replaced {
        /// The version that it came with.
        bootstrap: PasswordSet,
        /// The version that it shall have.
        set: PasswordSet,
    },
    /// Retention is over for a version.
    Purge(PasswordSet),
}

/// Something that must be durable before the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Write {
    /// The operation is open, and wants this version.
    Opened(PasswordSet),
    /// The version may be on the device from now on. Audited.
    Exposed(PasswordSet),
    /// A login with this version is about to be made.
    Attempt(PasswordSet),
    /// That login was not made.
    Refund(PasswordSet),
    /// That login was refused.
    Refused(PasswordSet),
    /// The version works.
    Verified(PasswordSet),
    /// The version was read in the startup configuration, and is the only candidate now.
    Saved(PasswordSet),
    /// The operation is closed.
    Closed,
    /// The phase alone changed, and must survive a restart.
    Parked,
    /// A newer epoch.
    Fenced,
    /// The version's value may be destroyed.
    Purged(PasswordSet),
}

/// What is to be done once the writes are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Nothing.
    Rest,
    /// Send the sealed version to the agent, to be kept.
    Prepare(PasswordSet),
    /// Go on with [`Event::Send`].
    Proceed,
    /// Have the agent apply this version.
    Apply(PasswordSet),
    /// Wait for the quiet time.
    AwaitQuiet,
    /// Read the hashes, or go on with [`Event::Probe`].
    Observe,
    /// Log in with this version.
    Login(PasswordSet),
    /// Save, and read the startup configuration back.
    Save(PasswordSet),
    /// Try again later.
    RetryLater,
    /// Tell an operator.
    Alarm,
}

/// The outcome of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the writes of a transition must be made durable"]
pub struct Transition {
    /// The next state.
    pub next: Credential,
    /// What must be durable before the effect; empty: the transition may stay in memory.
    pub writes: Vec<Write>,
    /// What is to be done then.
    pub effect: Effect,
}

/// The event means nothing in this state; nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("take {event:?} in phase {phase:?}")]
pub struct Meaningless {
    /// The phase.
    pub phase: Phase,
    /// The event.
    pub event: Event,
}

impl Credential {
    /// Makes the record of a secret whose password an operator has told us, unproven as yet.
    #[must_use]
    pub fn adopted(set: PasswordSet, epoch: Epoch) -> Self {
        Self {
            phase: Phase::BackOff,
            current: None,
            desired: set,
            pending: None,
            labels: BTreeMap::from([(set, Label::Exposed)]),
            tried: BTreeSet::new(),
            attempts: 0,
            retries: 0,
            epoch,
            reconcile: false,
            reason: None,
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// Returns [`Meaningless`] where the event has no place in this phase (a late or repeated
    /// message, an older epoch); the state is what it was.
    pub fn step(&self, event: Event) -> Result<Transition, Meaningless> {
        step::step(self, event)
    }

    /// Returns the public status.
    #[must_use]
    pub fn status(&self) -> SynchronizationStatus {
        match self.phase {
            Phase::Settled if self.current == Some(self.desired) => SynchronizationStatus::InSync,
            Phase::Settled | Phase::BackOff | Phase::Drift | Phase::Held => {
                SynchronizationStatus::OutOfSync
            }
            _ => SynchronizationStatus::Synchronizing,
        }
    }

    /// Returns every version that the device may have, the likeliest first: the pending one if it
    /// was exposed, the one that worked last, other undisproved ones, retired ones; newest first
    /// within each kind.
    #[must_use]
    pub fn candidates(&self) -> Vec<PasswordSet> {
        let rank = |set: PasswordSet, label: Label| match label {
            Label::Staged | Label::OtherDevice => None,
            Label::Exposed if self.pending == Some(set) => Some(0),
            _ if self.current == Some(set) => Some(1),
            Label::Exposed | Label::Saved => Some(2),
            Label::Retired => Some(3),
        };
        let mut ranked: Vec<(u8, std::cmp::Reverse<PasswordSet>)> = self
            .labels
            .iter()
            .filter_map(|(set, label)| Some((rank(*set, *label)?, std::cmp::Reverse(*set))))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_rank, set)| set.0).collect()
    }

    /// Returns the versions that may be in use on the device: the candidates without the retired
    /// ones. A settled secret has exactly one, its current version.
    pub fn in_use(&self) -> impl Iterator<Item = PasswordSet> + '_ {
        self.labels
            .iter()
            .filter(|(_set, label)| matches!(label, Label::Exposed | Label::Saved))
            .map(|(set, _label)| *set)
    }

    /// Tells whether what the device holds is in doubt: more than one version could open it, or it
    /// has to be looked at again.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        !matches!(self.phase, Phase::Settled | Phase::Staged) || self.in_use().nth(1).is_some()
    }
}
