//! What a rotation costs: `cargo bench -p keyturn-tests --bench rotation`, after
//! `cargo build --release -p fixtures`.
//!
//! Simulated devices run in a process of their own (`keyturn-lab`), and so does each measurement,
//! on another processor than the devices: the CPU time and the memory are the controller's and the
//! agent's alone. The base of the ratio is a bare russh client that holds the same dialogue with
//! the same switches and knows nothing of journals, vaults or evidence. Each figure is the median
//! of the runs. These machines are shared: read the ratios, not the seconds.
//!
//! ```text
//! KEYTURN_BENCH_DEVICES=24,200,1000   fabrics to measure (default 24,200,1000)
//! KEYTURN_BENCH_SLOW=1000             devices that need 1.5 s to commit and 1 s to save; 0: none
//! KEYTURN_BENCH_RUNS=3                runs of which the median is printed
//! ```

mod bare;
mod case;
mod lab;
mod product;

use case::{Case, Cost, Who};

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    if let Some(case) = Case::of_this_process() {
        println!("{}", case.measure());
        return;
    }
    let number = |name: &str, usual: usize| {
        std::env::var(name).ok().map_or(usual, |text| text.parse().expect("a number"))
    };
    let runs = number("KEYTURN_BENCH_RUNS", 3).max(1);
    let wanted = std::env::var("KEYTURN_BENCH_DEVICES").unwrap_or("24,200,1000".to_owned());
    println!("devices  who           CPU ms/device  switches s  wall s   done  peak RSS MiB");
    for devices in wanted.split(',').map(|text| text.trim().parse().expect("a number")) {
        let bare = median(runs, &Case { who: Who::Bare, devices, slow: false });
        let ours = median(runs, &Case { who: Who::Keyturn, devices, slow: false });
        let ratio = ours.cpu_ms / bare.cpu_ms;
        println!("{devices:>7}  ratio         {ratio:>13.2}");
    }
    let slow = number("KEYTURN_BENCH_SLOW", 1000);
    if slow > 0 {
        median(runs, &Case { who: Who::Bare, devices: slow, slow: true });
        median(runs, &Case { who: Who::Keyturn, devices: slow, slow: true });
    }
}

/// Measures a case some times, and prints and returns the run in the middle by its CPU time.
fn median(runs: usize, case: &Case) -> Cost {
    let mut costs: Vec<Cost> = (0..runs).map(|_| case.run()).collect();
    costs.sort_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms));
    let cost = costs.swap_remove(runs / 2);
    let who = match (case.who, case.slow) {
        (Who::Bare, false) => "bare",
        (Who::Bare, true) => "bare 2.5s",
        (Who::Keyturn, false) => "keyturn",
        (Who::Keyturn, true) => "keyturn 2.5s",
    };
    println!(
        "{:>7}  {who:<12}  {:>13.2}  {:>10.1}  {:>6.1}  {:>5}  {:>12.0}",
        case.devices, cost.cpu_ms, cost.switches_s, cost.wall_s, cost.done, cost.resident_max_mib
    );
    cost
}
