//! Progress while an operation runs: bars per device on a terminal, plain lines elsewhere.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;

use super::terminal::Terminal;

/// Devices with a line of their own; more of them are told together.
const LINES_MAX: usize = 19;

/// The steps that a device's bar has.
const STEPS: u64 = 8;

/// Without bars, every device is told up to this many, and every tenth part above.
const TOLD_MAX: usize = 24;

/// How far an operation is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationProgress {
    pub(super) id: String,
    name: String,
    status: String,
    #[serde(default)]
    devices: Vec<DeviceProgress>,
}

#[derive(Debug, Deserialize)]
struct DeviceProgress {
    name: String,
    state: String,
    phase: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl OperationProgress {
    pub(super) fn read(answer: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(answer)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.status != "Updating"
    }

    fn count(&self, state: &str) -> usize {
        self.devices.iter().filter(|device| device.state == state).count()
    }

    fn ended(&self) -> usize {
        self.devices.iter().filter(|device| device.has_ended()).count()
    }

    fn aggregate(&self) -> String {
        let failed = self.count("Failed");
        let mut text = format!("{} of {} devices done", self.ended(), self.devices.len());
        if failed > 0 {
            text.push_str(&format!(", {failed} failed"));
        }
        let skipped = self.count("Skipped");
        if skipped > 0 {
            text.push_str(&format!(", {skipped} left out"));
        }
        text
    }

    /// Returns the devices that get a line: all of a small fabric, else those under work.
    fn lines(&self) -> Vec<&DeviceProgress> {
        if self.devices.len() <= LINES_MAX {
            return self.devices.iter().collect();
        }
        let running = self.devices.iter().filter(|device| device.state == "Running");
        running.take(LINES_MAX).collect()
    }
}

impl DeviceProgress {
    fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "Succeeded" | "Failed" | "Skipped")
    }

    /// How far the device is, of [`STEPS`], and in words.
    fn position(&self) -> (u64, &str) {
        match (self.state.as_str(), self.phase.as_deref()) {
            ("Succeeded", _) => (STEPS, "done"),
            ("Failed", _) => (STEPS, self.code.as_deref().unwrap_or("failed")),
            ("Skipped", _) => (STEPS, self.code.as_deref().unwrap_or("left out")),
            (_, Some("exposed")) => (1, "preparing"),
            (_, Some("waiting")) => (2, "changing"),
            (_, Some("quiet")) => (3, "waiting for quiet"),
            (_, Some("probing")) => (4, "asking what it holds"),
            (_, Some("verifying")) => (5, "logging in anew"),
            (_, Some("saving")) => (6, "saving"),
            (_, Some("settled")) => (7, "leaving the device"),
            (_, Some("back-off")) => (1, "trying again"),
            (_, Some("drift")) => (7, "changed by somebody else"),
            (_, _) => (0, "queued"),
        }
    }

    fn line(&self) -> String {
        let (_position, word) = self.position();
        match &self.message {
            Some(message) => format!("{}: {word}: {}", self.name, scrubbed(message)),
            None => format!("{}: {word}", self.name),
        }
    }
}

fn scrubbed(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Shows how far an operation is. Dropping it clears what is shown.
pub struct Progress<'t> {
    to: Shown<'t>,
    title: String,
    begun: bool,
    away: bool,
    told: BTreeSet<String>,
    tenths: usize,
}

enum Shown<'t> {
    Bars { all: MultiProgress, overall: ProgressBar, lines: Vec<ProgressBar> },
    Lines(&'t mut dyn Write),
    Nothing,
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("title", &self.title).finish_non_exhaustive()
    }
}

impl<'t> Progress<'t> {
    /// Shows progress on standard error in the way that it can take.
    #[must_use]
    pub fn new(terminal: &'t mut Terminal, title: &str) -> Self {
        let to = if terminal.has_bars() {
            let all = MultiProgress::new();
            let overall = all.add(ProgressBar::new(0).with_style(overall_style()));
            overall.enable_steady_tick(Duration::from_millis(120));
            Shown::Bars { all, overall, lines: Vec::new() }
        } else {
            Shown::Lines(terminal.err())
        };
        Self::to(to, title)
    }

    /// Shows nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::to(Shown::Nothing, "")
    }

    fn to(to: Shown<'t>, title: &str) -> Self {
        let told = BTreeSet::new();
        Self { to, title: title.to_owned(), begun: false, away: false, told, tenths: 0 }
    }

    /// Shows how far it is now.
    pub fn show(&mut self, now: &OperationProgress) {
        self.away = false;
        match &mut self.to {
            Shown::Bars { .. } => self.show_bars(now),
            Shown::Lines(_) => self.show_lines(now),
            Shown::Nothing => {}
        }
    }

    /// Says that the daemon does not answer.
    pub(super) fn away(&mut self) {
        if !std::mem::replace(&mut self.away, true) {
            self.say("the daemon does not answer; the operation survives that, asking again …");
        }
    }

    /// Takes the bars away.
    pub(super) fn finish(&mut self) {
        if let Shown::Bars { all, overall, lines } = &mut self.to {
            for bar in lines.drain(..) {
                bar.finish_and_clear();
            }
            overall.finish_and_clear();
            // The terminal may be gone.
            let _closed = all.clear();
        }
    }

    fn say(&mut self, line: &str) {
        match &mut self.to {
            // Nobody reads it: the work goes on.
            Shown::Bars { all, .. } => {
                let _closed = all.println(line);
            }
            Shown::Lines(to) => {
                let _closed = writeln!(to, "{line}");
            }
            Shown::Nothing => {}
        }
    }

    fn show_bars(&mut self, now: &OperationProgress) {
        let failed = now.devices.iter().filter(|device| device.state == "Failed");
        let new: Vec<String> = failed
            .filter(|device| self.told.insert(device.name.clone()))
            .map(DeviceProgress::line)
            .collect();
        for line in new {
            self.say(&line);
        }
        let Shown::Bars { all, overall, lines } = &mut self.to else { return };
        overall.set_length(now.devices.len() as u64);
        overall.set_position(now.ended() as u64);
        overall.set_message(format!("{}: {}", self.title, now.aggregate()));
        let wanted = now.lines();
        while lines.len() < wanted.len() {
            let style = device_style();
            lines.push(all.insert_before(overall, ProgressBar::new(STEPS).with_style(style)));
        }
        for bar in lines.split_off(wanted.len()) {
            bar.finish_and_clear();
            all.remove(&bar);
        }
        for (bar, device) in lines.iter().zip(wanted) {
            let (position, word) = device.position();
            bar.set_prefix(device.name.clone());
            bar.set_message(word.to_owned());
            bar.set_position(position);
        }
    }

    fn show_lines(&mut self, now: &OperationProgress) {
        let total = now.devices.len();
        if !std::mem::replace(&mut self.begun, true) {
            let devices = if total == 1 { "device" } else { "devices" };
            self.say(&format!("{}: {total} {devices} (operation {})", self.title, now.name));
        }
        let ended = now.devices.iter().filter(|device| device.has_ended());
        let worth_it = ended.filter(|device| device.state == "Failed" || total <= TOLD_MAX);
        let new: Vec<String> = worth_it
            .filter(|device| self.told.insert(device.name.clone()))
            .map(DeviceProgress::line)
            .collect();
        for line in new {
            self.say(&line);
        }
        let tenths = (now.ended() * 10).checked_div(total).unwrap_or(0);
        if total > TOLD_MAX && tenths > self.tenths {
            self.tenths = tenths;
            self.say(&now.aggregate());
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

fn overall_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner} [{bar:30}] {msg} ({elapsed})");
    style.unwrap_or_else(|_template| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn device_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("  {prefix:20!} [{bar:8}] {msg}");
    style.unwrap_or_else(|_template| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(devices: &[(&str, &str, Option<&str>)]) -> OperationProgress {
        let device = |(name, state, code): &(&str, &str, Option<&str>)| {
            let message = code.map(|_code| "No\u{1b} answer.");
            json!({"name": name, "state": state, "code": code, "message": message})
        };
        let devices: Vec<Value> = devices.iter().map(device).collect();
        let value = json!({"id": "/x", "name": "1", "status": "Updating", "devices": devices});
        OperationProgress::read(value).unwrap()
    }

    fn lines(steps: &[OperationProgress]) -> String {
        let mut text = Vec::new();
        let mut progress = Progress::to(Shown::Lines(&mut text), "rotate");
        for step in steps {
            progress.show(step);
        }
        drop(progress);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn without_a_terminal_each_device_is_told_once() {
        let text = lines(&[
            at(&[("ce-01", "Running", None), ("ce-02", "Queued", None)]),
            at(&[("ce-01", "Succeeded", None), ("ce-02", "Running", None)]),
            at(&[("ce-01", "Succeeded", None), ("ce-02", "Failed", Some("CouldNotConnect"))]),
        ]);
        assert_eq!(
            text,
            "rotate: 2 devices (operation 1)\n\
             ce-01: done\n\
             ce-02: CouldNotConnect: No answer.\n"
        );
    }

    #[test]
    fn of_a_large_fabric_only_tenths_and_failures_are_told() {
        let names: Vec<String> = (0..100).map(|at| format!("tor-{at}")).collect();
        let step = |done: usize| {
            let state = |index: usize| match index {
                0 if done > 0 => ("Failed", Some("HostKeyMismatch")),
                index if index < done => ("Succeeded", None),
                _ => ("Queued", None),
            };
            let devices: Vec<_> = names
                .iter()
                .enumerate()
                .map(|(index, name)| (name.as_str(), state(index).0, state(index).1))
                .collect();
            at(&devices)
        };
        let text = lines(&[step(0), step(5), step(20), step(20)]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("20 of 100 devices done, 1 failed\n"), "{text}");
    }
}
