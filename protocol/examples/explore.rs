//! Explores the state machine of one secret further than the tests have time for.
//!
//! ```text
//! cargo run --release -p protocol --example explore -- --states 100000000
//! ```
//!
//! Options: `--states N` stops after that many unique states (default: 100 million); `--flaw NAME`
//! explores a wrong variant (`--flaw list` names them) and prints what it breaks; `--operations`,
//! `--crashes`, `--reboots`, `--drops`, `--lies`, `--failures`, `--changes`, `--patrols`,
//! `--holds`, `--adoptions` and `--replacements`, each with a number, say how often each thing may
//! happen in one run.
#![expect(clippy::print_stdout, reason = "a command prints its result")]

#[path = "../tests/model/controller.rs"]
mod controller;
#[path = "../tests/model/device.rs"]
mod device;
#[path = "../tests/model/event.rs"]
mod event;
#[path = "../tests/model/flat.rs"]
mod flat;
#[path = "../tests/model/flaw.rs"]
mod flaw;
#[path = "../tests/model/liveness.rs"]
mod liveness;
#[path = "../tests/model/property.rs"]
mod property;
#[path = "../tests/model/search.rs"]
mod search;
#[path = "../tests/model/world.rs"]
mod world;

use std::process::ExitCode;
use std::time::Instant;

use crate::flaw::Flaw;
use crate::search::Search;
use crate::world::{Budget, Protocol};

struct Options {
    states: usize,
    budget: Budget,
    flaw: Option<Flaw>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match options(&arguments) {
        Ok(options) => options,
        Err(wrong) => {
            println!("{wrong}");
            return ExitCode::from(2);
        }
    };
    println!("{:?}, flaw: {:?}", options.budget, options.flaw);
    let start = Instant::now();
    let model = Protocol::new(options.budget, options.flaw);
    let mut search = Search::new(&model, options.states);
    let broken = search.run(|progress| println!("{progress}, {:.0?}", start.elapsed()));
    println!(
        "{} unique states, {} transitions, depth {}, {}, {:.0?}",
        search.states(),
        search.transitions,
        search.depth,
        match (broken.is_some(), search.is_complete()) {
            (true, _) => "stopped at a broken invariant",
            (_, true) => "all within bounds",
            _ => "stopped at the number asked for",
        },
        start.elapsed()
    );
    let Some(witness) = broken else {
        println!("every invariant holds");
        return ExitCode::SUCCESS;
    };
    println!("{witness}");
    ExitCode::FAILURE
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        states: 100_000_000,
        budget: Budget {
            operations: 3,
            crashes: 3,
            reboots: 2,
            drops: 3,
            lies: 2,
            failures: 1,
            changes: 1,
            patrols: 1,
            holds: 1,
            ..Budget::default()
        },
        flaw: None,
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else {
            return Err(format!("{pair:?}: expected a name and a value"));
        };
        let number =
            || value.replace('_', "").parse().map_err(|_| format!("{value}: not a number"));
        let few = || value.parse().map_err(|_| format!("{value}: not a number up to 255"));
        let budget = &mut options.budget;
        match name.as_str() {
            "--states" => options.states = number()?,
            "--flaw" => options.flaw = Some(named(value)?),
            "--operations" => budget.operations = few()?,
            "--crashes" => budget.crashes = few()?,
            "--reboots" => budget.reboots = few()?,
            "--drops" => budget.drops = few()?,
            "--lies" => budget.lies = few()?,
            "--failures" => budget.failures = few()?,
            "--changes" => budget.changes = few()?,
            "--patrols" => budget.patrols = few()?,
            "--holds" => budget.holds = few()?,
            "--adoptions" => budget.adoptions = few()?,
            "--replacements" => budget.replacements = few()?,
            _ => return Err(format!("{name}: unknown option")),
        }
    }
    let budget = &options.budget;
    let made = 1 + budget.operations + budget.adoptions + 2 * budget.replacements;
    if made > flat::SETS_MAX {
        return Err(format!("{made} versions: at most {} fit", flat::SETS_MAX));
    }
    Ok(options)
}

fn named(name: &str) -> Result<Flaw, String> {
    let known = Flaw::ALL.iter().find(|flaw| format!("{flaw:?}") == name);
    known.copied().ok_or_else(|| format!("{name}: not one of {:?}", Flaw::ALL))
}
