//! Decides at every step of a run whether something goes wrong just there.
//!
//! Whatever the product does to the world outside of itself passes here: journal appends, vault
//! calls, frames, ledger records, logins, lines to devices. The director counts these steps, writes
//! them down, and strikes at the one that it was told. A crash is a promise: from that instant on
//! no step is carried out any more, until the whole runtime has been dropped.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller::vault::VaultFault;
use tokio::sync::Notify;
use tokio::time::Instant;

/// After a step behind which a crash is due, the next step does not happen any more; should there
/// be none, the crash comes when nothing is left to do for this long.
const IDLE: Duration = Duration::from_millis(1);

/// Where a step happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An append to the fabric's journal.
    Journal,
    /// A call of the vault.
    Vault,
    /// A frame from the controller to the agent.
    ToAgent,
    /// A frame from the agent to the controller.
    FromAgent,
    /// Records of the agent's ledger.
    Ledger,
    /// A connection to a device, with its login.
    Login,
    /// A line to a device, or a command without a terminal.
    Line,
}

impl Place {
    const COUNT: usize = 7;
}

/// What goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manner {
    /// It is not done, and says so where it can: refused, lost, cut.
    Fails,
    /// It is done, and the answer is lost or an error.
    AnswerLost,
    /// Everything crashes just before it.
    CrashBefore,
    /// Everything crashes after it, before the next step.
    CrashAfter,
    /// It happens twice.
    Twice,
    /// (vault) The call suffers this fault.
    Vault(VaultFault),
    /// (vault) This call and all that follow suffer this fault, until everything is healed.
    VaultStays(VaultFault),
}

impl Manner {
    /// The manners in which every step can go wrong.
    const COMMON: [Self; 5] =
        [Self::Fails, Self::AnswerLost, Self::CrashBefore, Self::CrashAfter, Self::Twice];

    /// Returns the manners in which a step at such a place can go wrong: a frame has no answer of
    /// its own, and a vault has faults of its own.
    pub fn at(place: Place) -> impl Iterator<Item = Self> {
        let is_frame = matches!(place, Place::ToAgent | Place::FromAgent);
        let common =
            Self::COMMON.into_iter().filter(move |it| *it != Self::AnswerLost || !is_frame);
        let faults = VaultFault::ALL.into_iter().filter(move |_fault| place == Place::Vault);
        common.chain(faults.flat_map(|fault| [Self::Vault(fault), Self::VaultStays(fault)]))
    }

    /// Returns what the vault suffers by it.
    #[must_use]
    pub fn vault_fault(self) -> Option<VaultFault> {
        match self {
            Self::Vault(fault) | Self::VaultStays(fault) => Some(fault),
            _ => None,
        }
    }
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it happened.
    pub place: Place,
    /// How many steps at that place came before it.
    pub ordinal: usize,
    /// What it was, for people. Never contains a secret.
    pub what: String,
}

/// One thing that goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Where.
    pub place: Place,
    /// At which step of that place, from 0.
    pub ordinal: usize,
    /// How.
    pub manner: Manner,
}

/// What is to be done about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Do,
    Fail,
    LoseAnswer,
    DoTwice,
    /// The vault's call, and those after it if so, suffer this fault.
    Suffer(VaultFault, bool),
    /// Everything has crashed: never go on.
    Never,
}

#[derive(Debug, Default)]
struct State {
    armed: bool,
    counts: [usize; Place::COUNT],
    trace: Vec<Step>,
    hit: bool,
    /// The step behind which the crash is due is being done.
    last_step: bool,
    crash_is_due: bool,
    crashed: bool,
}

/// Directs one life of the controller and the agent, from a start to a crash.
#[derive(Debug)]
pub(super) struct Director {
    strike: Option<Strike>,
    state: Mutex<State>,
    changed: Notify,
}

impl Director {
    pub(super) fn new(strike: Option<Strike>) -> Self {
        Self { strike, state: Mutex::default(), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count steps.
    pub(super) fn arm(&self) {
        self.state().armed = true;
    }

    /// Ends the counting; nothing is struck from here on.
    pub(super) fn disarm(&self) {
        self.state().armed = false;
    }

    /// Returns the steps so far and whether the strike came.
    pub(super) fn finish(&self) -> (Vec<Step>, bool) {
        let mut state = self.state();
        (std::mem::take(&mut state.trace), state.hit)
    }

    /// Announces a step that happens at once. With [`Act::Never`] it must not happen.
    pub(super) fn enter_now(&self, place: Place, what: &str) -> Act {
        let mut state = self.state();
        if state.crashed || state.crash_is_due {
            self.crash(&mut state);
            return Act::Never;
        }
        if !state.armed {
            return Act::Do;
        }
        let count = &mut state.counts[place as usize];
        let ordinal = *count;
        *count += 1;
        state.trace.push(Step { place, ordinal, what: what.to_owned() });
        let is_here = |strike: &Strike| strike.place == place && strike.ordinal == ordinal;
        let Some(strike) = self.strike.filter(is_here) else { return Act::Do };
        state.hit = true;
        match strike.manner {
            Manner::Fails => Act::Fail,
            Manner::AnswerLost => Act::LoseAnswer,
            Manner::Twice => Act::DoTwice,
            Manner::Vault(fault) => Act::Suffer(fault, false),
            Manner::VaultStays(fault) => Act::Suffer(fault, true),
            Manner::CrashAfter => {
                state.last_step = true;
                Act::Do
            }
            Manner::CrashBefore => {
                self.crash(&mut state);
                Act::Never
            }
        }
    }

    /// Announces a step. Does not return after a crash.
    pub(super) async fn enter(&self, place: Place, what: &str) -> Act {
        match self.enter_now(place, what) {
            Act::Never => std::future::pending().await,
            act => act,
        }
    }

    /// Tells that a step at this place has been done.
    pub(super) fn leave(&self, place: Place) {
        let mut state = self.state();
        if state.last_step && self.strike.is_some_and(|strike| strike.place == place) {
            state.last_step = false;
            state.crash_is_due = true;
            self.changed.notify_one();
        }
    }

    /// Tells whether nothing may happen any more.
    pub(super) fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    fn crash(&self, state: &mut State) {
        state.crashed = true;
        self.changed.notify_one();
    }

    /// Returns once everything has crashed.
    pub(super) async fn crashed(&self) {
        loop {
            self.changed.notified().await;
            if self.has_crashed() {
                return;
            }
            tokio::time::sleep_until(Instant::now() + IDLE).await;
            self.crash(&mut self.state());
        }
    }
}
