//! What a rotation costs: `cargo bench -p keyturn-tests --bench rotation`.
//!
//! Simulated devices run in a process of their own (`keyturn-lab`), so that the CPU time measured
//! here is the controller's and the agent's alone. The base of the ratio is a bare russh client
//! that holds the same dialogue with the same devices and knows nothing of journals, vaults or
//! evidence. These machines are shared: read the ratios, not the seconds.
//!
//! ```text
//! KEYTURN_BENCH_DEVICES=24,200,1000   fabrics to measure (default 24,200,1000)
//! KEYTURN_BENCH_SLOW=1000             devices that need 1.5 s to commit and 1 s to save; 0: none
//! ```

mod bare;
mod lab;
mod product;

use lab::Lab;

/// What one run has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// CPU time of this process, user and system, in milliseconds for each device.
    pub(crate) cpu_ms: f64,
    /// Seconds on the wall.
    pub(crate) wall_s: f64,
    /// Devices that were changed and proven.
    pub(crate) done: usize,
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let wanted = std::env::var("KEYTURN_BENCH_DEVICES").unwrap_or("24,200,1000".to_owned());
    let slow = std::env::var("KEYTURN_BENCH_SLOW").unwrap_or("1000".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("devices  who        CPU ms/device  wall s  done   peak RSS MiB");
    for devices in wanted.split(',').filter_map(|text| text.trim().parse::<usize>().ok()) {
        let bare = runtime.block_on(async { bare::run(&Lab::up(devices, "0ms", "0ms")).await });
        line(devices, "bare", &bare);
        let ours = runtime.block_on(async { product::run(&Lab::up(devices, "0ms", "0ms")).await });
        line(devices, "keyturn", &ours);
        println!("{devices:>7}  ratio      {:>13.2}", ours.cpu_ms / bare.cpu_ms);
    }
    let slow: usize = slow.trim().parse().unwrap_or(0);
    if slow > 1 {
        let cost = runtime.block_on(async { product::run(&Lab::up(slow, "1500ms", "1s")).await });
        line(slow, "2.5 s each", &cost);
    }
}

fn line(devices: usize, who: &str, cost: &Cost) {
    println!(
        "{devices:>7}  {who:<10} {:>13.2} {:>7.1} {:>5} {:>14.0}",
        cost.cpu_ms,
        cost.wall_s,
        cost.done,
        resident_max_mib()
    );
}

/// The most memory that this process has ever had resident, in MiB.
fn resident_max_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// CPU time of this process so far, in milliseconds: user and system, threads that have ended too.
pub(crate) fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("");
    // Fields 14 and 15 of the line, in clock ticks of 10 ms; 12 and 13 behind the command's name.
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks * 10.0
}
