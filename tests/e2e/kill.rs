//! `kill -9` of the real daemon at random moments of a rotation, and sometimes again while it
//! recovers: afterwards the operation is settled by itself and no password is lost.
//!
//! `KEYTURN_KILL_CYCLES` is the number of cycles (20 if it is not set), `KEYTURN_KILL_SEED` repeats
//! the moments of an earlier run, whose seed was printed:
//!
//! ```text
//! KEYTURN_KILL_CYCLES=500 cargo test --package keyturn-tests --test e2e kill -- --nocapture
//! ```

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use harness::accounts::USERS;
use harness::simulated::{Accepts, Simulated};
use harness::site::{IMPATIENT, Server, Site};
use harness::wait;

/// The cycles of an ordinary run.
const CYCLES: u32 = 20;

/// Devices of the fabric: both members of the CE pair, a ToR pair, an NPB, a management switch, and
/// the terminal server.
const DEVICES: usize = 7;

/// A login that a kill cuts off stays counted for the devices' lockout window, and no more of them
/// are made than the budget allows: so many kills within minutes would spend the logins of the
/// quarter of an hour that is usual.
const WINDOW: &str = "2s";

/// The inventory's lines about the terminal server's serial line, and what a rotation over it takes
/// longer than one over SSH. The last quarter of the cycles has it.
const SERIAL: [&str; 2] = ["serial = ", "paths = "];
const SERIAL_TIME: Duration = Duration::from_secs(7);

/// How long recovering may take: the quiet time, some retries, and a slow machine.
const SETTLED_MAX: Duration = Duration::from_secs(120);

/// A recovering daemon is killed once more in every so many cycles.
const TWICE_EVERY: u32 = 3;

/// What was found in all cycles.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    rotations_hit: u32,
    resyncs: u32,
    passwords: usize,
}

/// A fabric, and a daemon that is killed and started again.
struct Stage {
    server: Option<Server>,
    lab: Simulated,
    site: Site,
    random: StdRng,
    rotation: Duration,
    tally: Tally,
    /// Every password that was ever revealed.
    values: BTreeSet<String>,
}

#[test]
fn no_password_is_lost_by_kills_at_random_moments_of_rotations() {
    let seed = number("KEYTURN_KILL_SEED").unwrap_or_else(|| rand::rng().random());
    let cycles = number("KEYTURN_KILL_CYCLES").and_then(|n| u32::try_from(n).ok());
    println!("kill: KEYTURN_KILL_SEED={seed}");
    let cycles = cycles.unwrap_or(CYCLES);
    let mut stage = Stage::set(seed);
    for cycle in 1..=cycles {
        if cycle == cycles - cycles / 4 {
            stage.use_the_serial_line();
        }
        stage.rotate_and_kill(cycle);
        stage.wait_until_settled(cycle);
        stage.expect_no_loss(cycle);
        stage.converge(cycle);
    }
    // Whatever was killed in the middle, the audit is whole, and the file by itself says so too.
    let whole = stage.site.keyturn(&["audit", "verify", "-o", "json"]).expect(0).json();
    assert!(whole["records"].as_u64() > Some(u64::from(cycles)), "{whole}");
    println!("kill: {:?}, 0 lost; a rotation takes {:?}", stage.tally, stage.rotation);
    stage.site.expect_unsaid(stage.values.iter().map(String::as_str));
    assert!(stage.tally.rotations_hit > 0, "no kill has hit a rotation: {:?}", stage.tally);
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

impl Stage {
    /// Adopts a fabric and rotates it once undisturbed, to learn how long that takes.
    fn set(seed: u64) -> Self {
        let site = Site::new(IMPATIENT);
        let options =
            ["--commit-delay", "150ms", "--save-delay", "100ms", "--lockout-window", WINDOW];
        let lab = Simulated::up(&site, DEVICES, &options);
        // Five accounts per switch tell as much as twenty-one, in a quarter of the time.
        let inventory = lab.inventory().replace("\"MethodDv1.5\" = \"true\"", "");
        std::fs::write(lab.path("serial.toml"), &inventory).expect("the lab's directory is ours");
        let of_the_line = |line: &&str| !SERIAL.iter().any(|begins| line.starts_with(begins));
        let lines: Vec<&str> = inventory.lines().filter(of_the_line).collect();
        assert!(lines.len() < inventory.lines().count(), "the line is called otherwise");
        std::fs::write(lab.path("ssh.toml"), lines.join("\n")).expect("as before");
        let server = site.serve();
        let file = lab.path("ssh.toml").display().to_string();
        let _applied = site.keyturn(&["fabric", "apply", "-f", &file]).expect(0);
        let began = Instant::now();
        let _rotated = site.keyturn(&["fabric", "rotate-password", "lab"]).expect(0);
        let (server, rotation) = (Some(server), began.elapsed());
        let random = StdRng::seed_from_u64(seed);
        let (tally, values) = (Tally::default(), BTreeSet::new());
        Self { server, lab, site, random, rotation, tally, values }
    }

    /// Has the terminal server driven over its serial line from now on, which takes longer.
    fn use_the_serial_line(&mut self) {
        let file = self.lab.path("serial.toml").display().to_string();
        let _applied = self.site.keyturn(&["fabric", "apply", "-f", &file]).expect(0);
        self.rotation += SERIAL_TIME;
    }

    /// Kills the daemon within the time that a rotation takes, and starts it again.
    fn rotate_and_kill(&mut self, cycle: u32) {
        let rotation = self.rotation;
        let name = format!("rotate-{cycle}");
        let request = self.site.begin(&name, &["fabric", "rotate-password", "lab", "--no-wait"]);
        self.kill_within(rotation);
        request.kill();
        if cycle.is_multiple_of(TWICE_EVERY) {
            // The quiet time of the first recovery, and what comes after it.
            self.kill_within(rotation + Duration::from_secs(1));
        }
        let hit = self.newest_operation().is_some_and(|(_name, status)| status == "Updating");
        self.tally.rotations_hit += u32::from(hit);
    }

    fn kill_within(&mut self, time: Duration) {
        wait::pass(time.mul_f64(self.random.random_range(0.0..1.0)));
        self.server.take().expect("a daemon is running").kill();
        self.tally.kills += 1;
        self.server = Some(self.site.serve());
    }

    /// Returns the newest operation's name and status.
    fn newest_operation(&self) -> Option<(String, String)> {
        let listed = self.site.keyturn(&["operation", "list", "-o", "json"]).expect(0).json();
        let newest = listed.as_array()?.first()?.clone();
        let text = |key: &str| newest[key].as_str().unwrap_or_default().to_owned();
        Some((text("name"), text("status")))
    }

    fn wait_until_settled(&self, cycle: u32) {
        wait::until(format_args!("cycle {cycle} to be settled by itself"), SETTLED_MAX, || {
            self.newest_operation().filter(|(_name, status)| status != "Updating")
        });
    }

    /// Expects of every password that some device accepts, now or after a reboot, that it is known.
    fn expect_no_loss(&mut self, cycle: u32) {
        for (device, user) in self.secrets() {
            let revealed = self.site.reveal(&device, user);
            let mut found = Accepts::NEITHER;
            for value in std::iter::once(&revealed.value).chain(&revealed.candidates) {
                let accepts = self.lab.check(&device, user, value);
                found.running |= accepts.running;
                found.startup |= accepts.startup;
                if found == Accepts::BOTH {
                    break;
                }
            }
            assert_eq!(found, Accepts::BOTH, "cycle {cycle}: {user} of {device} is lost");
            if revealed.status == "InSync" {
                let accepts = self.lab.check(&device, user, &revealed.value);
                assert_eq!(accepts, Accepts::BOTH, "cycle {cycle}: {user} of {device} is no proof");
            }
            self.tally.passwords += 1;
            self.values.extend(revealed.candidates);
        }
    }

    fn secrets(&self) -> Vec<(String, &'static str)> {
        let users =
            |device: &str| if device.starts_with("ts-") { &["root"][..] } else { &USERS[..] };
        let devices = self.lab.devices().into_iter();
        devices
            .flat_map(|device| users(&device).iter().map(move |user| (device.clone(), *user)))
            .collect()
    }

    /// Resyncs where the interrupted rotation has left devices behind: nothing is wrong any more.
    fn converge(&mut self, cycle: u32) {
        let shown = self.site.keyturn(&["fabric", "show", "lab", "-o", "json"]).expect(0).json();
        let failed = shown["failedDeviceIds"].as_array().map_or(0, Vec::len);
        if failed == 0 {
            return;
        }
        println!("kill: cycle {cycle} left {failed} devices for a resync");
        self.tally.resyncs += 1;
        wait::until(format_args!("cycle {cycle} to be resynced"), SETTLED_MAX, || {
            // Refused while a window of logins is open.
            let said = self.site.keyturn(&["fabric", "resync-password", "lab"]);
            (said.code == Some(0)).then_some(())
        });
    }
}
