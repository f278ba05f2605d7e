//! The fault matrix: every step of a rotation × {fails, its answer is lost, crashes before, crashes
//! after, happens twice} × every fault of a device, on every platform, in memory; and every call of
//! the vault × every fault of a vault, once and for as long as it takes until somebody mends it.
//!
//! The steps are not listed here. For each platform and fault a rotation is run once, and every
//! journal append, vault call, frame, ledger record, login and line of it is a step; the cases are
//! made from these, so that a change of the product changes the matrix. A crash drops the controller
//! and the agent; a subset crashes again while it recovers. After each case: every password that the
//! device accepts, now or after a reboot, is in the vault; what is said to be in sync opens; once
//! the faults have ended a resync converges to one password set; nobody was locked out by us; no
//! secret was written anywhere; what the journal refers to is in the vault, and no device was changed
//! before a set was in both.
//!
//! `KEYTURN_MATRIX=exhaustive` runs the whole product instead of a part of it (the same steps, all
//! manners, all faults). Any other value runs the cases whose names contain it and prints their
//! steps, for example `KEYTURN_MATRIX=Switch/drop-after/Line-3-CrashBefore`.

mod case;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fixtures::fault::FaultKind;
use harness::memory::{Hardware, Manner, Step, Strike, Tools};

use case::{Case, Told, run};

/// Panics of the product, wherever it was caught: none is expected, and none may hold a secret.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What is run of the product.
enum Extent {
    Sample,
    Exhaustive,
    Named(String),
}

impl Extent {
    fn wanted() -> Self {
        match std::env::var("KEYTURN_MATRIX") {
            Err(_unset) => Self::Sample,
            Ok(all) if all == "exhaustive" => Self::Exhaustive,
            Ok(name) => Self::Named(name),
        }
    }

    fn takes(&self, at: usize, case: &Case) -> bool {
        match self {
            Self::Exhaustive => true,
            Self::Named(name) => {
                let case = case.to_string();
                case.contains(name) || (is_pair(name) && name.starts_with(&case))
            }
            Self::Sample => at.is_multiple_of(STRIDE) || case.fault.is_none(),
        }
    }

    /// Of crashes in a recovery there are hundreds of thousands, which differ little.
    fn takes_again(&self, at: usize, case: &Case) -> bool {
        match self {
            Self::Exhaustive => at.is_multiple_of(STRIDE_AGAIN) || case.fault.is_none(),
            Self::Named(name) => case.to_string().contains(name) && is_pair(name),
            Self::Sample => at.is_multiple_of(STRIDE_AGAIN),
        }
    }
}

/// Tells whether a name is that of a case with two crashes.
fn is_pair(name: &str) -> bool {
    name.split('/').count() == 4
}

/// One in so many cases with a fault of the device is run, unless all are.
const STRIDE: usize = 5;

/// One in so many cases that crash again is run.
const STRIDE_AGAIN: usize = 199;

/// The least number of cases in a sample.
const CASES_MIN: usize = 4000;

#[test]
fn nothing_is_lost_whatever_fails_at_any_step_of_a_rotation() {
    collect_panics();
    let extent = Extent::wanted();
    let calm: Vec<Case> = Hardware::ALL.into_iter().flat_map(faults).collect();
    // The second run is the one to go by: what is computed once has been computed then.
    in_parallel(&calm);
    let told = in_parallel(&calm);
    let cases: Vec<Case> = calm
        .iter()
        .zip(&told)
        .flat_map(|(case, told)| strikes(case, told.traces.first().map_or(&[], Vec::as_slice)))
        .enumerate()
        .filter_map(|(at, case)| extent.takes(at, &case).then_some(case))
        .collect();
    println!("{} steps, {} cases that strike at them", steps(&told), cases.len());
    let struck = in_parallel(&cases);
    let again: Vec<Case> = cases
        .iter()
        .zip(&struck)
        .flat_map(|(case, told)| crashes(case, told.traces.get(1).map_or(&[], Vec::as_slice)))
        .enumerate()
        .filter_map(|(at, case)| extent.takes_again(at, &case).then_some(case))
        .collect();
    println!("{} cases to crash again in their recovery", again.len());
    let struck_again = in_parallel(&again);
    let all = calm.len() + cases.len() + again.len();
    println!(
        "{all} cases of the fault matrix, {} of them with a fault of the vault",
        vault(&cases)
    );
    for (cases, told) in [(calm, told), (cases, struck), (again, struck_again)] {
        report(&extent, &cases, &told);
        assert_sound(&cases, &told);
    }
    if matches!(extent, Extent::Sample) {
        assert!(all > CASES_MIN, "{all} cases are too few: is a kind of step watched no more?");
    }
}

/// How many cases have a fault of the vault.
fn vault(cases: &[Case]) -> usize {
    let has = |case: &&Case| case.strikes.iter().any(|it| it.manner.vault_fault().is_some());
    cases.iter().filter(has).count()
}

fn steps(told: &[Told]) -> usize {
    told.iter().flat_map(|told| &told.traces).map(Vec::len).sum()
}

fn faults(hardware: Hardware) -> impl Iterator<Item = Case> {
    let faults = std::iter::once(None).chain(FaultKind::ALL.map(Some));
    faults.map(move |fault| Case { hardware, fault, strikes: Vec::new() })
}

fn strikes(case: &Case, trace: &[Step]) -> Vec<Case> {
    let mut cases = Vec::new();
    for Step { place, ordinal, .. } in trace {
        for manner in Manner::at(*place) {
            let strike = Strike { place: *place, ordinal: *ordinal, manner };
            let strikes = case.strikes.iter().copied().chain([strike]).collect();
            cases.push(Case { strikes, ..case.clone() });
        }
    }
    cases
}

/// Returns the cases in which the life that recovers from a case's crash crashes too.
fn crashes(case: &Case, recovery: &[Step]) -> Vec<Case> {
    let is_crash = |case: &Case| {
        let last = case.strikes.last().map(|strike| strike.manner);
        matches!(last, Some(Manner::CrashBefore | Manner::CrashAfter))
    };
    if is_crash(case) {
        strikes(case, recovery).into_iter().filter(is_crash).collect()
    } else {
        Vec::new()
    }
}

/// Runs cases on all processors, each in a world of its own.
fn in_parallel(cases: &[Case]) -> Vec<Told> {
    let next = AtomicUsize::new(0);
    let told: Vec<Mutex<Told>> = cases.iter().map(|_case| Mutex::default()).collect();
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..workers {
            let work = || {
                let tools = Tools::new();
                let _hearing = tools.papers.hear();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return };
                    *told[at].lock().unwrap_or_else(PoisonError::into_inner) = run(&tools, case);
                }
            };
            let worker = std::thread::Builder::new().name("matrix".to_owned());
            worker.spawn_scoped(scope, work).unwrap();
        }
    });
    told.into_iter().map(|told| told.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

fn collect_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("matrix") {
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        }
        before(panic);
    }));
}

fn report(extent: &Extent, cases: &[Case], told: &[Told]) {
    for (case, told) in cases.iter().zip(told) {
        if matches!(extent, Extent::Named(name) if case.to_string().contains(name)) {
            println!("{case}");
            for (life, trace) in told.traces.iter().enumerate() {
                for step in trace {
                    println!("  {life} {:?}-{} {}", step.place, step.ordinal, step.what);
                }
            }
        }
    }
}

#[track_caller]
fn assert_sound(cases: &[Case], told: &[Told]) {
    let mut wrongs = Vec::new();
    for (case, told) in cases.iter().zip(told) {
        wrongs.extend(told.wrongs.iter().map(|wrong| format!("{case}: {wrong}")));
        if told.strikes < case.strikes.len() {
            wrongs.push(format!("{case}: the step was never reached"));
        }
    }
    let shown = wrongs.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrongs.is_empty(), "{} wrongs, such as:\n{shown}", wrongs.len());
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(panics.is_empty(), "{panics:#?}");
}
