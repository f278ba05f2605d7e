//! A simulated fabric in a process of its own: `keyturn-lab`, steered and observed from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{Running, Said, program, run};
use crate::site::Site;

/// A running fabric. Dropping it kills it.
#[derive(Debug)]
pub struct Simulated {
    dir: PathBuf,
    process: Running,
}

/// What a device accepts, without a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    /// Now.
    pub running: bool,
    /// After a reboot.
    pub startup: bool,
}

impl Accepts {
    /// Now and after a reboot.
    pub const BOTH: Self = Self { running: true, startup: true };
    /// Neither now nor after a reboot.
    pub const NEITHER: Self = Self { running: false, startup: false };
}

impl Simulated {
    /// Starts a fabric; its files are in `lab` in the directory of `site`.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    #[must_use]
    pub fn up(site: &Site, devices: usize, more: &[&str]) -> Self {
        let dir = site.path("lab");
        let mut command = Command::new(program("keyturn-lab"));
        command.arg("up").arg("--dir").arg(&dir);
        command.args(["--devices", &devices.to_string()]).args(more);
        let mut process = Running::start("lab", &mut command, site.dir());
        let ready = process.line("ready");
        ready.unwrap_or_else(|said| panic!("no lab: {said:#?}"));
        Self { dir, process }
    }

    /// Returns the path of one of the fabric's files.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns the inventory.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn inventory(&self) -> String {
        std::fs::read_to_string(self.path("fabric.toml")).expect("the lab has written it")
    }

    /// Returns the passwords that the devices were born with, by profile.
    ///
    /// # Panics
    /// When they are not there.
    #[must_use]
    pub fn born_with(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.path("passwords.toml")).expect("it is written");
        let mut table: toml::Table = toml::from_str(&text).expect("the lab writes TOML");
        let profiles = table.remove("profiles").and_then(|value| value.try_into().ok());
        profiles.expect("the lab knows its profiles")
    }

    /// Returns the names of the devices.
    ///
    /// # Panics
    /// When the inventory is none.
    #[must_use]
    pub fn devices(&self) -> Vec<String> {
        let table: toml::Table = toml::from_str(&self.inventory()).expect("the lab writes TOML");
        let devices = table.get("devices").and_then(toml::Value::as_array);
        let devices = devices.expect("a fabric has devices").iter();
        devices.filter_map(|device| device.get("name")?.as_str().map(str::to_owned)).collect()
    }

    /// Says what a device would accept as a user's password.
    ///
    /// # Panics
    /// When the lab does not answer.
    #[track_caller]
    #[must_use]
    pub fn check(&self, device: &str, user: &str, password: &str) -> Accepts {
        let said = self.run("check", &[device, user], &format!("{password}\n")).expect(0);
        let has = |what: &str| said.out.contains(&format!("{what}=yes"));
        Accepts { running: has("running"), startup: has("startup") }
    }

    /// Makes something go wrong with a device.
    ///
    /// # Panics
    /// When the lab does not know it.
    #[track_caller]
    pub fn fault(&self, device: &str, kind: &str) {
        let _quiet = self.run("fault", &[device, kind], "").expect(0);
    }

    /// Ends all faults of a device.
    ///
    /// # Panics
    /// When the lab does not know it.
    #[track_caller]
    pub fn heal(&self, device: &str) {
        let _quiet = self.run("heal", &[device], "").expect(0);
    }

    /// Takes the fabric down as an operator does.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn stop(self) {
        assert!(self.process.stop().success(), "the lab ends in order");
    }

    fn run(&self, verb: &str, args: &[&str], input: &str) -> Said {
        let mut command = Command::new(program("keyturn-lab"));
        run(command.arg(verb).arg("--dir").arg(&self.dir).args(args), input)
    }
}
