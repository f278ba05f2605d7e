//! A serial line with somebody listening: two pseudo-terminals, one for Keyturn and one for a
//! login program, and between them a copyist who keeps all that is said.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

use crate::linux::Linux;
use crate::process::{Running, need};
use crate::wait;

/// A getty is gone for less than this between two logins.
const RESPAWN_MAX: Duration = Duration::from_secs(30);

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Keyturn, on its end of the line.
    Typed,
    /// The login program or the shell behind it.
    Shown,
}

/// All that was said on a line, in order.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<Mutex<Vec<(Side, Vec<u8>)>>>);

/// A line. Dropping it ends the copying.
#[derive(Debug)]
pub struct Line {
    /// Keyturn's end, for an inventory.
    pub path: PathBuf,
    /// The login program's end.
    pub tty: PathBuf,
    /// What was said.
    pub transcript: Transcript,
    typing: File,
    kept: Option<OwnedFd>,
    over: Arc<AtomicBool>,
}

impl Line {
    /// Makes a line.
    ///
    /// # Panics
    /// When the system gives no pseudo-terminals.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        let (keyturn, path) = terminal();
        let (login, tty) = terminal();
        // Kept open so that Keyturn's end outlives its logins; raw, so that it echoes nothing
        // before Keyturn has opened it.
        let kept = open(&path);
        let mut settings = rustix::termios::tcgetattr(&kept).expect("it is a terminal");
        settings.make_raw();
        rustix::termios::tcsetattr(&kept, OptionalActions::Now, &settings).expect("as before");
        let (transcript, over) = (Transcript::default(), Arc::new(AtomicBool::new(false)));
        let typing = clone(&login);
        copy(Side::Typed, clone(&keyturn), clone(&login), &transcript, &over);
        copy(Side::Shown, login, keyturn, &transcript, &over);
        Self { path, tty, transcript, typing, kept: Some(kept), over }
    }

    /// Types on the line as somebody beside Keyturn: an operator, or a run of Keyturn that crashed.
    ///
    /// # Panics
    /// When the line is closed.
    pub fn type_in(&mut self, text: &str) {
        self.typing.write_all(text.as_bytes()).expect("the login program's end is open");
    }

    /// Keeps util-linux's `agetty` on the line, and `login` behind it, in `linux`.
    ///
    /// # Panics
    /// When no login prompt appears.
    #[track_caller]
    #[must_use]
    pub fn getty(&self, linux: &Linux, dir: &Path) -> Running {
        need(&[("agetty", "util-linux"), ("login", "login"), ("setsid", "util-linux")]);
        let tty = self.tty.strip_prefix("/dev").expect("terminals are in /dev").display();
        // As init does: one session each, and a new one when it ends.
        let script =
            format!("while :; do setsid --wait agetty -L 9600 {tty} vt100; sleep 0.2; done");
        let process = Running::start("getty", linux.inside("sh").args(["-c", &script]), dir);
        self.transcript.wait_for("login: ", wait::STEP_MAX);
        process
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.kept = None;
        if std::thread::panicking() {
            eprintln!("--- what the line showed ---\n{}", self.transcript.text(Side::Shown));
        }
    }
}

impl Transcript {
    /// Returns what one side has said.
    #[must_use]
    pub fn text(&self, side: Side) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = said
            .iter()
            .filter(|(of, _)| *of == side)
            .flat_map(|(_, bytes)| bytes.clone())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the line shows a text as the last thing.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for(&self, text: &str, time_max: Duration) {
        wait::until(format_args!("the line to end in `{text}`"), time_max, || {
            self.text(Side::Shown).ends_with(text).then_some(())
        });
    }

    /// Returns what the line showed in its last line whenever Keyturn typed `line` and a CR.
    #[must_use]
    pub fn prompts_before(&self, line: &str) -> Vec<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut shown, mut prompt, mut typed) = (Vec::new(), String::new(), Vec::new());
        let mut prompts = Vec::new();
        for (side, bytes) in said.iter() {
            if *side == Side::Shown {
                shown.extend_from_slice(bytes);
                continue;
            }
            for byte in bytes {
                if typed.is_empty() {
                    prompt = last_line(&shown);
                }
                match byte {
                    b'\r' | b'\n' => {
                        if typed == line.as_bytes() {
                            prompts.push(prompt.clone());
                        }
                        typed.clear();
                    }
                    byte => typed.push(*byte),
                }
            }
        }
        prompts
    }
}

fn last_line(shown: &[u8]) -> String {
    let text = String::from_utf8_lossy(shown);
    text.rsplit(['\r', '\n']).next().unwrap_or_default().to_owned()
}

/// Opens a pseudo-terminal: our end of it, and the path of the other one.
fn terminal() -> (File, PathBuf) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags).expect("this test needs pseudo-terminals (/dev/ptmx)");
    rustix::pty::grantpt(&ours).expect("it is a new one");
    rustix::pty::unlockpt(&ours).expect("it is a new one");
    let name = rustix::pty::ptsname(&ours, Vec::new()).expect("it has a name");
    (File::from(ours), PathBuf::from(OsStr::from_bytes(name.as_bytes())))
}

fn open(path: &Path) -> OwnedFd {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).expect("a terminal of our own")
}

fn clone(file: &File) -> File {
    file.try_clone().expect("an open file can be doubled")
}

/// Copies one side's bytes to the other one's end until the line is over.
fn copy(side: Side, mut from: File, mut to: File, transcript: &Transcript, over: &Arc<AtomicBool>) {
    let (transcript, over) = (transcript.clone(), Arc::clone(over));
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // While nobody has the other end open, reading fails: a getty that is being started anew.
        let mut read = |buffer: &mut [u8]| {
            wait::within(RESPAWN_MAX, || match from.read(buffer) {
                Ok(length) => Some(length),
                Err(_closed) if over.load(Ordering::Relaxed) => Some(0),
                Err(_closed) => None,
            })
        };
        while let Some(length @ 1..) = read(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default();
            let mut said = transcript.0.lock().unwrap_or_else(PoisonError::into_inner);
            said.push((side, bytes.to_vec()));
            drop(said);
            // What is sent into a line that nobody reads is lost, as on a real one.
            let _lost = to.write_all(bytes);
        }
    });
}
