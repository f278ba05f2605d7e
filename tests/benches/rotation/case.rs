//! One measurement, in a process of its own.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::lab::Lab;
use crate::{bare, product};

/// Tells a child process of this benchmark what to measure.
const VARIABLE: &str = "KEYTURN_BENCH_CASE";

/// Who drives the devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The bare client.
    Bare,
    /// The controller and its built-in agent.
    Keyturn,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) who: Who,
    pub(crate) devices: usize,
    /// Devices need 1.5 s to commit and 1 s to save.
    pub(crate) slow: bool,
}

/// What one run has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// CPU time of the process, user and system, in milliseconds for each device.
    pub(crate) cpu_ms: f64,
    /// Seconds until all switches were done: without the wave of the terminal server, which is
    /// driven over a line of 9600 baud.
    pub(crate) switches_s: f64,
    /// Seconds until the end.
    pub(crate) wall_s: f64,
    /// Devices that were changed and proven.
    pub(crate) done: usize,
    /// The most memory that the process ever had resident, in MiB.
    pub(crate) resident_max_mib: f64,
}

impl Case {
    /// Returns what this process is to measure, if it is a child of the benchmark.
    pub(crate) fn of_this_process() -> Option<Self> {
        let text = std::env::var(VARIABLE).ok()?;
        let fields: Vec<&str> = text.split(' ').collect();
        let [who, devices, slow] = fields[..] else { panic!("{VARIABLE}: `{text}`") };
        let who = if who == "bare" { Who::Bare } else { Who::Keyturn };
        Some(Self { who, devices: devices.parse().expect("a number"), slow: slow == "slow" })
    }

    /// Measures in a process of its own.
    pub(crate) fn run(&self) -> Cost {
        let who = if self.who == Who::Bare { "bare" } else { "keyturn" };
        let slow = if self.slow { "slow" } else { "quick" };
        let child = Command::new(std::env::current_exe().expect("the path of this program"))
            .env(VARIABLE, format!("{who} {} {slow}", self.devices))
            .stdout(Stdio::piped())
            .output()
            .expect("this program starts again");
        let text = String::from_utf8_lossy(&child.stdout);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [cpu_ms, switches_s, wall_s, done, resident_max_mib] = fields[..] else {
            panic!("{}: {text}", child.status)
        };
        let number = |field: &str| field.parse::<f64>().expect("a number");
        Cost {
            cpu_ms: number(cpu_ms),
            switches_s: number(switches_s),
            wall_s: number(wall_s),
            done: done.parse().expect("a whole number"),
            resident_max_mib: number(resident_max_mib),
        }
    }

    /// Measures in this process.
    pub(crate) fn measure(&self) -> Cost {
        let all = sched_getaffinity(None).expect("the processors of this process");
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        // The child takes over the affinity of the moment; with one processor all share it.
        pin(usable.last());
        let (commit, save) = if self.slow { ("1500ms", "1s") } else { ("0ms", "0ms") };
        let lab = Lab::up(self.devices, commit, save);
        pin(usable.first());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            match self.who {
                Who::Bare => bare::run(&lab).await,
                Who::Keyturn => product::run(&lab).await,
            }
        })
    }
}

fn pin(processor: Option<&usize>) {
    let mut set = CpuSet::new();
    set.set(*processor.expect("a processor"));
    sched_setaffinity(None, &set).expect("this process may choose among its processors");
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu_ms, switches_s, wall_s, done, resident_max_mib } = self;
        write!(f, "{cpu_ms} {switches_s} {wall_s} {done} {resident_max_mib}")
    }
}

/// Begins a measurement.
pub(crate) fn begin() -> Measure {
    Measure { cpu_ms: cpu_ms(), start: Instant::now(), switches_s: f64::NAN }
}

/// A measurement under way.
pub(crate) struct Measure {
    cpu_ms: f64,
    start: Instant,
    switches_s: f64,
}

impl Measure {
    /// Notes that all switches are done.
    pub(crate) fn switches_done(&mut self) {
        self.switches_s = self.start.elapsed().as_secs_f64();
    }

    /// Ends it, with the number of devices that were changed.
    pub(crate) fn end(&self, done: usize) -> Cost {
        Cost {
            cpu_ms: (cpu_ms() - self.cpu_ms) / done.max(1) as f64,
            switches_s: self.switches_s,
            wall_s: self.start.elapsed().as_secs_f64(),
            done,
            resident_max_mib: resident_max_mib(),
        }
    }
}

/// CPU time of this process so far, in milliseconds: all threads, user and system.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn resident_max_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
