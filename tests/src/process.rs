//! The real programs, `keyturn` and `keyturn-lab`, started and ended from outside.
//!
//! They lie where cargo puts them, beside the folder of the test's own executable: `cargo test
//! --workspace` builds them, as the integration tests of their packages need them too. What they
//! print is kept in files, which a failing test shows the end of.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// How much of a program's output a failing test shows, in bytes.
const TAIL_BYTES: usize = 4000;

/// Returns the path of one of the product's programs.
///
/// # Panics
/// When it is not built, with how to build it.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.parent().and_then(Path::parent).expect("cargo runs tests from deps/");
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "`{}` is not built. `cargo test --workspace` builds it; before a test of this package \
         alone, run `cargo build -p controller -p fixtures`",
        path.display()
    );
    path
}

/// What a program that has ended said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code; `None` for a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Expects an exit code.
    ///
    /// # Panics
    /// With all that was said, if it is another one.
    #[track_caller]
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Expects texts on standard error.
    ///
    /// # Panics
    /// With what is there instead.
    #[track_caller]
    #[must_use]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.err.contains(text),
                "no `{text}` in\n{}\n(stdout: {})",
                self.err,
                self.out
            );
        }
        self
    }

    /// Reads standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error} in\n{}\n(stderr: {})", self.out, self.err))
    }
}

/// Runs a program to its end, with a text on its standard input.
///
/// # Panics
/// When it cannot be run.
#[track_caller]
pub fn run(command: &mut Command, input: &str) -> Said {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // A program that fails early does not read it.
        let _unread = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().expect("a child can be waited for");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A program that keeps running. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// Starts a program; what it prints goes into `name.out` and `name.err` in `dir`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start(name: &str, command: &mut Command, dir: &Path) -> Self {
        let (out, err) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let file = |path: &Path| File::create(path).expect("a file in a directory of our own");
        command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { name: name.to_owned(), child, out, err }
    }

    /// Waits for a line of standard output that begins so, and returns the rest of it; what was
    /// said, if the program ends instead.
    ///
    /// # Errors
    /// Returns what a program said that ended instead.
    ///
    /// # Panics
    /// When the time is over.
    #[track_caller]
    pub fn line(&mut self, beginning: &str) -> Result<String, Said> {
        let what = format!("`{}` to print `{beginning}…`", self.name);
        let found = wait::within(wait::STEP_MAX, || {
            let text = read(&self.out);
            let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
            let line = whole.lines().find_map(|line| line.strip_prefix(beginning));
            if let Some(rest) = line {
                return Some(Ok(rest.to_owned()));
            }
            self.ended().map(|status| {
                Err(Said { code: status.code(), out: read(&self.out), err: read(&self.err) })
            })
        });
        found.unwrap_or_else(|| panic!("waited in vain for {what}\n{}", self.tail()))
    }

    /// Returns how the program ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Returns the process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns all that was printed until now.
    #[must_use]
    pub fn printed(&self) -> String {
        format!("{}\n{}", read(&self.out), read(&self.err))
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if kill_process(id.expect("a child has a number"), Signal::TERM).is_err() {
            // Behind sudo it is root's, and sudo passes the signal on.
            let id = self.child.id().to_string();
            let _done = run(as_root("kill").args(["-TERM", &id]), "").expect(0);
        }
        let ended = wait::within(Duration::from_secs(30), || self.ended());
        ended.unwrap_or_else(|| panic!("`{}` does not stop\n{}", self.name, self.tail()))
    }

    fn end(&mut self) {
        // Fails only for one that is root's behind sudo, which ends with its namespace.
        if self.child.kill().is_ok() {
            let _ended = self.child.wait();
        }
    }

    fn tail(&self) -> String {
        let text = self.printed();
        let from = text.len().saturating_sub(TAIL_BYTES);
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from);
        text.get(from..).unwrap_or_default().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- the end of what `{}` printed ---\n{}", self.name, self.tail());
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Makes a command that runs as root: by `sudo` where the test itself does not.
///
/// # Panics
/// When neither is possible: a test that needs real accounts cannot run then, and must not look as
/// if it had.
#[track_caller]
#[must_use]
pub fn as_root(program: impl AsRef<OsStr>) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let sudo = run(Command::new("sudo").args(["-n", "true"]), "");
    assert_eq!(
        sudo.code,
        Some(0),
        "this test makes namespaces and accounts in them: run it as root, or with a `sudo` that \
         asks for no password ({})",
        sudo.err.trim()
    );
    let mut command = Command::new("sudo");
    command.arg("-n").arg(program);
    command
}

/// Makes a command that runs in the mount, host-name and process namespaces which a process, or what
/// sudo has started as one, has made for itself and its children.
///
/// # Panics
/// As [`as_root`].
#[track_caller]
#[must_use]
pub fn inside(id: u32, program: &str) -> Command {
    // Behind sudo the process that we know is sudo itself, whose child unshared.
    let id = if rustix::process::geteuid().is_root() { id } else { child_of(id).unwrap_or(id) };
    let mut command = as_root("nsenter");
    command.args([format!("--mount=/proc/{id}/ns/mnt"), format!("--uts=/proc/{id}/ns/uts")]);
    command.arg(format!("--pid=/proc/{id}/ns/pid_for_children"));
    command.args(["--", program]);
    command
}

/// Returns the first child of a process.
fn child_of(id: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Checks that programs of the system are there.
///
/// # Panics
/// With the package of one that is not: a test without its parts must not look as if it had run.
#[track_caller]
pub fn need(programs: &[(&str, &str)]) {
    for (program, package) in programs {
        let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        let found = folders.iter().any(|folder| Path::new(folder).join(program).is_file());
        assert!(found, "this test needs `{program}`: run `apt-get install {package}`");
    }
}
