//! An installation of Keyturn in a temporary directory: its daemon and its command line, as a user
//! has them, and a record of everything that they ever said.

use std::cell::{Cell, RefCell};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Running, Said, program, run};

/// What the daemon logs in tests: as much as can be asked for of our own code, since no secret may
/// be in it.
const LOG: &str = "info,controller=trace,agent=trace,protocol=trace,keyturn=trace";

/// A configuration for tests in which a device is looked at again right after something went wrong:
/// it is left alone for a second, not for a minute and a half, and retries come at once.
pub const IMPATIENT: &str = "[rotation]\nquiet-time = \"1s\"\nretry-backoff = \"100ms\"\n";

/// Variables of whoever runs the tests, which would lead elsewhere.
const FOREIGN: [&str; 4] = ["KEYTURN_SERVER", "KEYTURN_CA", "KEYTURN_TOKEN_FILE", "KEYTURN_LOG"];

/// An installation.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    starts: Cell<u32>,
    said: RefCell<Vec<String>>,
}

/// A daemon that serves. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    process: Running,
    /// Where it serves.
    pub url: String,
}

/// What `keyturn secret show` reveals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revealed {
    /// What opens the device now, as far as is known.
    pub value: String,
    /// Every value that may, in order.
    pub candidates: Vec<String>,
    /// `InSync`, `OutOfSync` or `Synchronizing`.
    pub status: String,
}

impl Site {
    /// Makes an installation with a configuration, which may be empty.
    ///
    /// # Panics
    /// When there is no room for one.
    #[must_use]
    pub fn new(config: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("keyturn-site-").tempdir();
        let dir = dir.expect("a temporary directory can be made");
        let site = Self { dir, starts: Cell::new(0), said: RefCell::default() };
        site.write("config.toml", config);
        site
    }

    /// Returns the path of a file of the installation.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the directory of the installation; the daemon's data are in `data` in it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, its owner's alone, and returns its path.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::io::Write;
        let path = self.path(name);
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.expect("a directory of our own");
        path
    }

    /// Starts the daemon and waits until it serves.
    ///
    /// # Panics
    /// With what it said, if it does not.
    #[track_caller]
    #[must_use]
    pub fn serve(&self) -> Server {
        self.serve_by(self.command()).unwrap_or_else(|said| panic!("no daemon: {said:#?}"))
    }

    /// Starts the daemon, by a command that may be wrapped in another one.
    ///
    /// # Errors
    /// Returns what it said when it ended instead of serving.
    #[track_caller]
    pub fn serve_by(&self, mut command: Command) -> Result<Server, Said> {
        let start = self.starts.get() + 1;
        self.starts.set(start);
        // What its sudo or shell is, if it is wrapped, keeps the arguments as they are.
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]);
        command.arg(self.path("config.toml"));
        command.arg("--data-dir").arg(self.path("data")).env("KEYTURN_LOG", LOG);
        let mut process = Running::start(&format!("serve-{start}"), &mut command, self.dir());
        let ready = process.line("ready ");
        match ready {
            Ok(url) => Ok(Server { process, url }),
            Err(said) => {
                self.note(&said);
                Err(said)
            }
        }
    }

    /// Starts a daemon that is expected to end instead of serving.
    ///
    /// # Panics
    /// When it serves.
    #[track_caller]
    #[must_use]
    pub fn serve_in_vain(&self) -> Said {
        match self.serve_by(self.command()) {
            Ok(_server) => panic!("the daemon serves"),
            Err(said) => said,
        }
    }

    /// Runs a command of `keyturn` against the installation's daemon.
    ///
    /// # Panics
    /// When it cannot be run.
    #[track_caller]
    pub fn keyturn(&self, args: &[&str]) -> Said {
        self.keyturn_with(args, "")
    }

    /// As [`Site::keyturn`], with a text on standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    #[track_caller]
    pub fn keyturn_with(&self, args: &[&str], input: &str) -> Said {
        let said = self.ask(args, input);
        self.note(&said);
        said
    }

    /// Starts a command of `keyturn` against the installation's daemon, without waiting for it;
    /// what it prints goes into `name.out` and `name.err`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn begin(&self, name: &str, args: &[&str]) -> Running {
        Running::start(name, &mut self.client(args), self.dir())
    }

    fn client(&self, args: &[&str]) -> Command {
        let mut command = self.command();
        command.args(args).arg("--data-dir").arg(self.path("data"));
        command
    }

    fn ask(&self, args: &[&str], input: &str) -> Said {
        run(&mut self.client(args), input)
    }

    fn note(&self, said: &Said) {
        self.said.borrow_mut().extend([said.out.clone(), said.err.clone()]);
    }

    /// Returns the program without arguments, and without what the caller's environment says.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(program("keyturn"));
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        command.current_dir(self.dir());
        command
    }

    /// Reveals a password. This is the one thing that is said which is not kept.
    ///
    /// # Panics
    /// When it is not revealed.
    #[track_caller]
    #[must_use]
    pub fn reveal(&self, device: &str, user: &str) -> Revealed {
        let args = ["secret", "show", "--device", device, "--user", user, "-o", "json"];
        let shown = self.ask(&args, "").expect(0).json();
        let candidates = list(&shown, "candidates");
        Revealed {
            value: text(&shown, "value"),
            candidates: candidates.map(|one| text(one, "value")).collect(),
            status: text(&shown, "synchronizationStatus"),
        }
    }

    /// Returns the synchronization statuses that a device's secrets have, each once.
    ///
    /// # Panics
    /// When the device cannot be shown.
    #[track_caller]
    #[must_use]
    pub fn statuses(&self, device: &str) -> Vec<String> {
        let shown = self.keyturn(&["device", "show", device, "-o", "json"]).expect(0).json();
        let secrets = list(&shown, "secretRotationStatus");
        let mut all: Vec<String> = secrets.map(|one| text(one, "synchronizationStatus")).collect();
        assert!(!all.is_empty(), "{device} has no secret: {shown}");
        all.sort();
        all.dedup();
        all
    }

    /// Expects that none of these values is in anything that was ever said: results, errors, logs.
    ///
    /// # Panics
    /// With where one is, and not with the value.
    #[track_caller]
    pub fn expect_unsaid<'v>(&self, values: impl IntoIterator<Item = &'v str>) {
        let mut said: Vec<(String, String)> =
            self.said.borrow().iter().map(|text| ("a command".to_owned(), text.clone())).collect();
        for entry in std::fs::read_dir(self.dir()).expect("a directory of our own").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if [".out", ".err"].iter().any(|kind| name.ends_with(kind)) {
                let text = std::fs::read(entry.path()).expect("a file of our own");
                said.push((name, String::from_utf8_lossy(&text).into_owned()));
            }
        }
        for value in values {
            assert!(value.len() >= 8, "too short to be looked for");
            for (place, text) in &said {
                let line = text.lines().find(|line| line.contains(value));
                let line = line.map(|line| line.replace(value, "█"));
                assert_eq!(line, None, "{place} said a password");
            }
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("--- everything is kept in {} ---", self.dir().display());
        }
    }
}

impl Server {
    /// Ends it as `kill -9` does.
    pub fn kill(self) {
        self.process.kill();
    }

    /// Asks it to end, and expects that it does so in order.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn stop(self) {
        assert!(self.process.stop().success(), "the daemon ends in order");
    }

    /// Returns everything that it has logged.
    #[must_use]
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    /// Returns its process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
