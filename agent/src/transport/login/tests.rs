//! The login on a line against a scripted getty, under paused time.

use std::sync::Mutex;

use async_trait::async_trait;
use protocol::id::DeviceId;
use protocol::job::Path;
use protocol::password::Password;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;
use crate::learned::Learned;
use crate::platform::Platforms;
use crate::transport::{Attempts, Cost};

const SECRET: &str = "Right-Pass.1";

/// What state the line is in when we come, and how the device behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Login,
    Password,
    Shell,
    Config,
    PressReturn,
    Pager,
    Silent,
}

#[derive(Debug, Clone, Copy)]
struct Getty {
    start: Start,
    /// Echoes the password too.
    careless: bool,
    /// Echoes nothing.
    mute: bool,
    /// Prints a syslog line into the echo of the name.
    syslog: bool,
    /// Says this instead of checking the password.
    says: Option<&'static str>,
    /// Prints bytes that are no text between prompts.
    noise: bool,
}

const PLAIN: Getty = Getty {
    start: Start::Login,
    careless: false,
    mute: false,
    syslog: false,
    says: None,
    noise: false,
};

/// Everything that was typed, by the state in which it was.
#[derive(Debug, Default)]
struct Heard {
    names: Vec<String>,
    passwords: Vec<String>,
    lines: Vec<String>,
}

struct Device {
    line: DuplexStream,
    getty: Getty,
    heard: Heard,
}

impl Device {
    async fn put(&mut self, text: &str) {
        if self.getty.noise {
            let _closed = self.line.write_all(b"\xf0\x00\x9f").await;
        }
        let _closed = self.line.write_all(text.as_bytes()).await;
    }

    /// Reads one line; echoes it byte by byte unless told not to.
    async fn line(&mut self, echo: bool) -> Option<String> {
        let mut line = String::new();
        loop {
            let byte = self.line.read_u8().await.ok()?;
            match byte {
                b'\r' => return Some(line),
                // Ctrl-U and Ctrl-C take back what was typed.
                0x15 | 0x03 => {
                    line.clear();
                    continue;
                }
                _ => {}
            }
            line.push(char::from(byte));
            if echo && !self.getty.mute {
                self.put(&char::from(byte).to_string()).await;
            }
            if byte == b'q' && line == "q" {
                return Some(line);
            }
        }
    }

    async fn run(mut self) -> Heard {
        let _gone = self.states().await;
        self.heard
    }

    async fn states(&mut self) -> Option<()> {
        match self.getty.start {
            Start::Login => {}
            Start::Password => {
                let stale = self.line(false).await?;
                self.heard.passwords.push(stale);
                sleep(Duration::from_secs(3)).await;
                self.put("\r\nLogin incorrect\r\nsw1 login: ").await;
            }
            Start::Shell | Start::Config => self.shell(self.getty.start).await?,
            Start::PressReturn => {
                self.line(false).await?;
                self.put("\r\nPress RETURN to get started.\r\n").await;
            }
            Start::Pager => {
                self.line(false).await?;
                self.put("\r\nsome text\r\n --More-- ").await;
                self.line(false).await?;
                self.put("\r\nsw1#").await;
                self.shell(Start::Shell).await?;
            }
            Start::Silent => loop {
                self.line(false).await?;
            },
        }
        self.logins().await
    }

    async fn shell(&mut self, mode: Start) -> Option<()> {
        let mut prompt = if mode == Start::Config { "sw1(config-s-kt-1)#" } else { "sw1#" };
        loop {
            let line = self.line(true).await?;
            match line.as_str() {
                "end" => prompt = "sw1#",
                "exit" if prompt == "sw1#" => {
                    self.heard.lines.push(line);
                    self.put("\r\nsw1 login: ").await;
                    return Some(());
                }
                _ => {}
            }
            if !line.is_empty() {
                self.heard.lines.push(line);
            }
            self.put(&format!("\r\n{prompt}")).await;
        }
    }

    async fn logins(&mut self) -> Option<()> {
        loop {
            let name = self.line(true).await?;
            if name.is_empty() {
                self.put("\r\nsw1 login: ").await;
                continue;
            }
            self.heard.names.push(name.clone());
            if self.getty.syslog {
                let message = "\r\nMay 15 08:34:13 sw1 X: %SYS-5-CONFIG_I: Configured\r\n";
                self.put(message).await;
            }
            self.put("\r\r\nPassword: ").await;
            let password = self.line(self.getty.careless).await?;
            self.heard.passwords.push(password.clone());
            if let Some(says) = self.getty.says {
                self.put(says).await;
                continue;
            }
            if password == SECRET {
                self.put("\r\nLast login: Fri Nov 20 05:06:16 2026 on con0\r\nsw1#").await;
                self.shell(Start::Shell).await?;
            } else {
                sleep(Duration::from_secs(3)).await;
                self.put("\r\n\r\nLogin incorrect\r\nsw1 login: ").await;
            }
        }
    }
}

#[derive(Default)]
struct Counts(Mutex<(u32, u32)>);

#[async_trait]
impl Attempts for Counts {
    async fn count(&self, _gate: Gate<'_>) -> Result<(), OpenError> {
        self.0.lock().unwrap().0 += 1;
        Ok(())
    }

    async fn succeeded(&self, _gate: Gate<'_>) {
        self.0.lock().unwrap().1 += 1;
    }
}

/// Logs in and, after a success, leaves the line again. Returns the result, what the device heard,
/// and the attempts counted and succeeded.
async fn log_in_to(getty: Getty, secret: &str) -> (Result<(), OpenError>, Heard, (u32, u32)) {
    let (ours, theirs) = duplex(4096);
    let device = Device { line: theirs, getty, heard: Heard::default() };
    let device = tokio::spawn(device.run());
    let platforms = Platforms::built_in().unwrap();
    let platform = platforms.find("arista-eos").unwrap();
    let id = DeviceId::new("00000000-0000-0000-0000-000000000001", "lab", "ce-01").unwrap();
    let path = Path::Serial { path: "line".to_owned(), baud: 9600 };
    let password = Password::new(secret.to_owned()).unwrap();
    let attempts = Counts::default();
    let login = Login {
        device: &id,
        path: &path,
        platform: &platform,
        user: "admin",
        password: &password,
        door: &[],
        learned: &Learned::default(),
        attempts: &attempts,
        deadline: Instant::now() + Duration::from_secs(90),
    };
    let mut wire = Wire::new(Box::new(ours), true);
    let result = log_in(&mut wire, &login).await;
    if result.is_ok() {
        leave(&mut wire, &platform).await.unwrap();
    }
    drop(wire);
    let counted = *attempts.0.lock().unwrap();
    (result, device.await.unwrap(), counted)
}

#[tokio::test(start_paused = true)]
async fn whatever_state_the_line_is_in_the_login_succeeds() {
    for start in [
        Start::Login,
        Start::Password,
        Start::Shell,
        Start::Config,
        Start::PressReturn,
        Start::Pager,
    ] {
        for (syslog, noise) in [(false, false), (true, false), (false, true)] {
            let getty = Getty { start, syslog, noise, ..PLAIN };
            let (result, heard, counted) = log_in_to(getty, SECRET).await;
            assert_eq!(result, Ok(()), "{getty:?}");
            assert_eq!(counted, (1, 1), "{getty:?}");
            assert_eq!(heard.names, ["admin"], "{getty:?}");
            assert_eq!(heard.passwords.last().map(String::as_str), Some(SECRET), "{getty:?}");
            assert_eq!(heard.lines.last().map(String::as_str), Some("exit"), "{getty:?}");
            assert!(!heard.lines.iter().any(|line| line.contains("commit")), "{getty:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn neither_name_nor_password_is_typed_at_a_stale_password_prompt() {
    let (_, heard, _) = log_in_to(Getty { start: Start::Password, ..PLAIN }, SECRET).await;
    assert_eq!(heard.passwords, ["", SECRET]);
    assert!(!heard.names.iter().any(|name| name.contains(SECRET)));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_costs_one_attempt_and_is_not_tried_again() {
    let (result, heard, counted) = log_in_to(PLAIN, "Wrong-Pass.1").await;
    assert_eq!(result, Err(OpenError::Refused { user: "admin".to_owned() }));
    assert_eq!(result.unwrap_err().cost(), Cost::Attempt);
    assert_eq!(heard.passwords, ["Wrong-Pass.1"]);
    assert_eq!(counted, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_password_that_the_line_shows_is_told() {
    let (result, _, _) = log_in_to(Getty { careless: true, ..PLAIN }, SECRET).await;
    assert_eq!(result, Err(OpenError::Exposed));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_does_not_echo_the_name_gets_no_password() {
    let (result, heard, counted) = log_in_to(Getty { mute: true, ..PLAIN }, SECRET).await;
    assert!(matches!(result, Err(OpenError::Busy(_))), "{result:?}");
    assert!(!heard.passwords.iter().any(|typed| typed == SECRET));
    // The name was typed: a CR on the password prompt behind it would be a wrong password.
    assert_eq!(counted, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn answers_other_than_a_prompt_are_told_apart() {
    let check = async |says: &'static str| {
        let (result, _, counted) = log_in_to(Getty { says: Some(says), ..PLAIN }, SECRET).await;
        assert_eq!(counted, (1, 0), "{says}");
        result.unwrap_err()
    };
    let locked = "\r\nThe account is locked due to 3 failed logins.\r\nsw1 login: ";
    let user = || "admin".to_owned();
    assert_eq!(check(locked).await, OpenError::Locked { user: user(), sent: true });
    let expired = "\r\nYou are required to change your password immediately.\r\nPassword: ";
    assert_eq!(check(expired).await, OpenError::Expired { user: user() });
    assert_eq!(check("\r\nPassword: ").await, OpenError::Refused { user: user() });
    assert!(matches!(check("\r\n").await, OpenError::Lost(_)));
}

#[tokio::test(start_paused = true)]
async fn a_dead_line_is_given_up_within_its_time_and_costs_nothing() {
    let begun = Instant::now();
    let (result, _, counted) = log_in_to(Getty { start: Start::Silent, ..PLAIN }, SECRET).await;
    assert_eq!(result.unwrap_err().cost(), Cost::Nothing);
    assert_eq!(counted, (0, 0));
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_somebody_else_uses_is_busy() {
    for says in ["Port already in use\r\n", "[no, opcon@localhost is attached]\r\n"] {
        let (ours, mut theirs) = duplex(256);
        theirs.write_all(b"\r\n").await.unwrap();
        let other = tokio::spawn(async move {
            let mut byte = [0];
            theirs.read_exact(&mut byte).await.unwrap();
            theirs.write_all(says.as_bytes()).await.unwrap();
            theirs
        });
        let platforms = Platforms::built_in().unwrap();
        let mut wire = Wire::new(Box::new(ours), true);
        let left = leave(&mut wire, &platforms.find("arista-eos").unwrap()).await;
        assert!(matches!(left, Err(OpenError::Busy(_))), "{says}: {left:?}");
        drop(other.await.unwrap());
    }
}
