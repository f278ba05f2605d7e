//! One case of the matrix: a rotation of one device under a fault, with something that goes wrong
//! at one step, and all that must hold afterwards.

use std::fmt;
use std::time::Duration;

use controller::plan::Request;
use fixtures::fault::FaultKind;
use harness::memory::{Hardware, Live, Manner, Place, Step, Strike, Tools, World};

/// Longer than the commit timer: what was not confirmed rolls back within it.
const ROLLBACK: Duration = Duration::from_secs(400);
/// Longer than any lockout window with its margins.
const WINDOW: Duration = Duration::from_secs(34 * 60);
/// How many resyncs, each a window after the other, may be needed once all faults have ended.
const RESYNCS_MAX: usize = 4;
/// A rotation, two crashes, a restart.
const LIVES_MAX: usize = 6;

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) hardware: Hardware,
    /// What is wrong with the device from before the rotation until it is healed.
    pub(crate) fault: Option<FaultKind>,
    /// What happens in the first life, and in the one that recovers from it.
    pub(crate) strikes: Vec<Strike>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = self.fault.map_or("none", FaultKind::name);
        write!(f, "{:?}/{fault}", self.hardware)?;
        for Strike { place, ordinal, manner } in &self.strikes {
            write!(f, "/{place:?}-{ordinal}-{manner:?}")?;
        }
        Ok(())
    }
}

/// What came of a case.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The steps of each life.
    pub(crate) traces: Vec<Vec<Step>>,
    /// How many strikes came.
    pub(crate) strikes: usize,
    /// What should not be.
    pub(crate) wrongs: Vec<String>,
}

/// Why a life begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// To adopt the device and rotate it.
    Rotate,
    /// After a crash.
    Recover,
    /// Because an operator has ended all faults and starts the daemon again.
    Mend,
}

/// Runs a case from the factory to the proof that all is well.
pub(crate) fn run(tools: &Tools, case: &Case) -> Told {
    let world = World::new(tools, case.hardware);
    let mut told = Told::default();
    let mut start = Start::Rotate;
    for life in 0..LIVES_MAX {
        let strike = case.strikes.get(life).copied();
        let mut life_told = Vec::new();
        let lived = world.live(strike, start == Start::Recover, async |live: &Live<'_>| {
            let script = Script { case, world: &world, live, strike };
            script.play(start, &mut life_told).await
        });
        told.wrongs.append(&mut life_told);
        told.traces.push(lived.trace);
        told.strikes += usize::from(lived.was_struck);
        start = match lived.value {
            None => Start::Recover,
            Some(true) => return told,
            Some(false) => Start::Mend,
        };
    }
    told.wrongs.push("it does not come to an end".to_owned());
    told
}

struct Script<'a> {
    case: &'a Case,
    world: &'a World<'a>,
    live: &'a Live<'a>,
    strike: Option<Strike>,
}

impl Script<'_> {
    /// Plays one life to its end; `false` asks for a restart.
    async fn play(&self, start: Start, wrongs: &mut Vec<String>) -> bool {
        match start {
            Start::Rotate => self.rotate().await,
            Start::Recover => self.check("after the crash", wrongs).await,
            Start::Mend => self.world.heal(),
        }
        let rests = self.live.wait_for_rest().await;
        self.live.disarm();
        let vault_is_broken =
            matches!(self.strike.map(|strike| strike.manner), Some(Manner::VaultStays(_)));
        self.check_but_for_values("at rest", wrongs);
        if vault_is_broken {
            self.world.heal_vault();
        }
        self.check("at rest", wrongs).await;
        self.live.pass(ROLLBACK).await;
        self.check("later", wrongs).await;
        self.world.heal();
        if !rests {
            // A journal that cannot be written stops everything until the daemon is started again.
            if self.strike.is_none_or(|strike| strike.place != Place::Journal) {
                wrongs.push(format!("an operation stands still: {}", self.live.describe()));
            }
            return false;
        }
        if self.live.disk_is_broken() {
            return false;
        }
        self.converge(wrongs).await;
        if self.strike.is_some_and(|strike| strike.manner.vault_fault().is_some()) {
            self.rotate_again(wrongs).await;
        }
        true
    }

    /// What a vault has suffered stands in nobody's way once it is mended.
    async fn rotate_again(&self, wrongs: &mut Vec<String>) {
        if let Ok(id) = self.live.submit(Request::Rotate).await {
            self.live.wait(id).await;
        }
        if !self.live.is_in_sync() {
            wrongs.push(format!("cannot be rotated again: {}", self.live.describe()));
        }
        self.check("after another rotation", wrongs).await;
    }

    async fn rotate(&self) {
        self.live.adopt().await;
        if let Some(fault) = self.case.fault {
            self.world.break_device(fault);
        }
        self.live.arm();
        // Where it fails nothing has begun, or the next life goes on with it.
        let _answer = self.live.submit(Request::Rotate).await;
    }

    /// Resyncs until everything is in sync, as an operator would.
    async fn converge(&self, wrongs: &mut Vec<String>) {
        let values = self.world.values();
        for _ in 0..RESYNCS_MAX {
            if self.live.is_in_sync() {
                break;
            }
            if let Ok(id) = self.live.submit(Request::Resync).await {
                self.live.wait(id).await;
            }
            self.check("after a resync", wrongs).await;
            if !self.live.is_in_sync() {
                self.live.pass(WINDOW).await;
            }
        }
        if !self.live.is_in_sync() {
            wrongs.push(format!("resync does not converge: {}", self.live.describe()));
        }
        if self.world.values() != values {
            wrongs.push("a resync has made passwords".to_owned());
        }
        self.live.pass(ROLLBACK).await;
        self.check("in the end", wrongs).await;
    }

    /// Checks what can be seen without opening any value.
    fn check_but_for_values(&self, when: &str, wrongs: &mut Vec<String>) {
        self.live.note_state();
        let leaks = self.world.leaks().into_iter().map(|line| format!("a secret leaks: {line}"));
        let mut found: Vec<String> = leaks.collect();
        found.extend(self.world.lost());
        found.extend(self.live.disordered());
        found.extend(self.live.forgotten());
        found.extend(self.world.locked_out());
        wrongs.extend(found.into_iter().map(|wrong| format!("{when}: {wrong}")));
    }

    async fn check(&self, when: &str, wrongs: &mut Vec<String>) {
        self.check_but_for_values(when, wrongs);
        let mut found = self.live.lies().await;
        // A device whose logins contradict its stored hashes is believed by its logins, so that the
        // password that it will want once it has come to its senses counts as disproved: not lost,
        // but not shown either.
        if self.case.fault != Some(FaultKind::LieReadback) {
            found.extend(self.live.hidden().await);
        }
        wrongs.extend(found.into_iter().map(|wrong| format!("{when}: {wrong}")));
    }
}
