//! Logs in on a serial line whose state nobody knows, and leaves it as a login prompt.
//!
//! ```text
//!  drain ─▶ Ctrl-U CR ─▶ classify ─┬─ login prompt ───────▶ name ─▶ echo? ─▶ password ─▶ result
//!            ▲              ├─ password prompt (stale): CR alone, wait for the login prompt
//!            │              ├─ a session's prompt (a stranger's, or ours that crashed): leave it
//!            └──────────────┴─ "press return", a pager, boot messages, silence
//! ```
//!
//! A password is typed only at a password prompt that answers a user name which we sent ourselves
//! and saw echoed: with left-over state the roles would shift by one, and the password would be
//! typed at `login:`, echoed in clear and logged as a user name.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::conversation::{ConversationError, Wire};
use super::{Gate, Login, OpenError};
use crate::dialogue::{Cue, Look, Reader, Seen, When, is_syslog, scrub};
use crate::platform::{ModeId, OperationKind, Pattern, Platform};

/// What was sent into the line before us is read for so long, and dropped.
const DRAIN: Duration = Duration::from_millis(300);
/// The line must be quiet so long before its last line says what state it is in.
const QUIET: Duration = Duration::from_millis(500);
/// The longest wait for a sign of life after a CR.
const WAKE_MAX: Duration = Duration::from_secs(3);
/// A refused empty password is answered within the device's fail delay (3 s measured).
const STALE_MAX: Duration = Duration::from_secs(8);
/// The longest wait for the password prompt after the name.
const NAME_MAX: Duration = Duration::from_secs(8);
/// The longest wait for the result: the fail delay with a margin.
const RESULT_MAX: Duration = Duration::from_secs(10);
/// Ctrl-U: what somebody (we, before a crash) left half typed must not be carried out by our CR.
const KILL_LINE: &str = "\x15";
/// Ctrl-C: ends a command that waits for more.
const INTERRUPT: &str = "\x03";
/// How many states may be walked through before the login prompt.
const ROUNDS_MAX: usize = 10;
/// How often a line may say nothing at all to a CR before it is given up.
const SILENCES_MAX: usize = 3;
/// How many times a login prompt may have to be asked for anew, because the echo was not ours.
const NAMES_MAX: usize = 3;

/// What the line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Name,
    Password,
    Mode(ModeId),
    Wake,
    Pager,
    InUse,
}

/// A line with the patterns of its platform.
struct Console<'a> {
    wire: &'a mut Wire,
    reader: Reader,
    platform: &'a Platform,
    cues: Arc<[Cue]>,
    shows: Vec<Shows>,
}

/// Walks the line to its login prompt and logs in. The caller then asks for the prompt with a CR.
pub(super) async fn log_in(wire: &mut Wire, login: &Login<'_>) -> Result<(), OpenError> {
    let mut console = Console::new(wire, login.platform);
    console.reach_login_prompt().await?;
    // Counted before the name is typed: whoever stops between name and password leaves a password
    // prompt, and the CR that wakes the line next is an empty password for that name.
    login.attempts.count(Gate::Device(login.user)).await?;
    for _ in 0..NAMES_MAX {
        if console.give_name(login.user).await? {
            return console.give_password(login).await;
        }
        console.reach_login_prompt().await?;
    }
    Err(OpenError::Busy("the line does not echo the name that we type".to_owned()))
}

/// Leaves whatever session the line shows until its login prompt is seen: closing the port does
/// not log out on a console.
///
/// # Errors
/// Returns what the line showed instead.
pub async fn leave(wire: &mut Wire, platform: &Platform) -> Result<(), OpenError> {
    Console::new(wire, platform).reach_login_prompt().await
}

impl<'a> Console<'a> {
    fn new(wire: &'a mut Wire, platform: &'a Platform) -> Self {
        let login = &platform.login;
        let (mut cues, mut shows) = (Vec::new(), Vec::new());
        let mut add = |cue: Cue, stands_for: Shows| {
            cues.push(cue);
            shows.push(stands_for);
        };
        for pattern in in_use() {
            let at_once = Cue { when: When::AtOnce, ..Cue::settled(&pattern) };
            add(at_once, Shows::InUse);
        }
        add(Cue::settled(&login.name), Shows::Name);
        add(Cue::settled(&login.password), Shows::Password);
        add(Cue::settled(&login.wake), Shows::Wake);
        add(Cue::settled(&login.pager), Shows::Pager);
        for (id, mode) in platform.modes_with_ids() {
            let mut cue = Cue::settled(&mode.prompt);
            cue.exclude = Arc::clone(&mode.exclude);
            add(cue, Shows::Mode(id));
        }
        Self { wire, reader: Reader::new(QUIET), platform, cues: cues.into(), shows }
    }

    async fn send(&mut self, text: &str) -> Result<(), OpenError> {
        let mut bytes = Zeroizing::new(text.as_bytes().to_vec());
        bytes.push(b'\r');
        self.wire.write(&bytes).await.map_err(|error| cut(&error))
    }

    /// Waits for something that is known.
    async fn look(&mut self, time_max: Duration) -> Result<Option<(Shows, Seen)>, OpenError> {
        let cues = Arc::clone(&self.cues);
        match self.wire.look(&mut self.reader, cues, time_max).await {
            Look::Found(seen) => {
                let shows = self.shows.get(seen.cue).copied();
                Ok(shows.map(|shows| (shows, seen)))
            }
            Look::Until(_) => Ok(None),
            Look::Closed => Err(OpenError::Cut("the line was closed".to_owned())),
            Look::TooLong => {
                self.reader.discard();
                Ok(None)
            }
        }
    }

    /// Reads and drops what comes for a while.
    async fn drain(&mut self, time: Duration) -> Result<(), OpenError> {
        let look = self.wire.look(&mut self.reader, Arc::new([]), time).await;
        self.reader.discard();
        match look {
            Look::Closed => Err(OpenError::Cut("the line was closed".to_owned())),
            _ => Ok(()),
        }
    }

    async fn reach_login_prompt(&mut self) -> Result<(), OpenError> {
        self.drain(DRAIN).await?;
        let mut time_max = WAKE_MAX;
        let mut silences = 0;
        self.send(KILL_LINE).await?;
        for _ in 0..ROUNDS_MAX {
            let found = self.look(time_max).await?.map(|(shows, _seen)| shows);
            time_max = WAKE_MAX;
            match found {
                Some(Shows::Name) => return Ok(()),
                // An empty password costs one failure for whoever's name was typed, and is the
                // only way on; never a name or a secret here.
                Some(Shows::Password) => {
                    self.send("").await?;
                    time_max = STALE_MAX;
                }
                Some(Shows::Mode(mode)) => {
                    let line = self.way_out(mode);
                    self.send(&line).await?;
                    time_max = STALE_MAX;
                }
                Some(Shows::Pager) => {
                    self.wire.write(b"q").await.map_err(|error| cut(&error))?;
                }
                Some(Shows::InUse) => {
                    return Err(OpenError::Busy("somebody else uses the line".to_owned()));
                }
                Some(Shows::Wake) | None => {
                    silences += usize::from(self.reader.rest().is_empty());
                    if silences >= SILENCES_MAX {
                        return Err(OpenError::Unreachable("the line is silent".to_owned()));
                    }
                    // A quote or a here-document that somebody left open goes on for ever otherwise.
                    let is_lost = found.is_none() && !self.reader.rest().is_empty();
                    self.reader.discard();
                    self.send(if is_lost { INTERRUPT } else { "" }).await?;
                }
            }
        }
        let rest = scrub(&self.reader.rest(), &[]);
        Err(OpenError::Unreachable(format!("no login prompt on the line, its last was `{rest}`")))
    }

    /// Returns the line that leaves a session found in a mode; never one that commits.
    fn way_out(&self, mode: ModeId) -> String {
        let leave = self.platform.mode(mode).and_then(|mode| mode.leave.clone());
        let logout = || {
            let operation = self.platform.operation(OperationKind::Logout)?;
            operation.steps.first()?.send.fill(&Nothing).ok().map(|line| line.to_string())
        };
        leave.or_else(logout).unwrap_or_else(|| "exit".to_owned())
    }

    /// Types the name. Says whether the device echoed it and then asked for the password.
    async fn give_name(&mut self, user: &str) -> Result<bool, OpenError> {
        self.reader.discard();
        self.send(user).await?;
        let Some((shows, seen)) = self.look(NAME_MAX).await? else { return Ok(false) };
        let said = seen.before.iter().map(|line| line.trim()).filter(|line| !is_syslog(line));
        let mut said = said.filter(|line| !line.is_empty());
        let echoed = said.next().is_some_and(|line| self.is_echo(line, user));
        let rest: Vec<&str> = said.collect();
        self.check_text(&rest.join("\n"), user, false)?;
        match shows {
            Shows::Password => Ok(echoed),
            Shows::Mode(_) => {
                Err(OpenError::NoMethod("the device asked for no password".to_owned()))
            }
            _ => Ok(false),
        }
    }

    /// Tells whether a line is the echo of the name, perhaps behind a prompt that was drawn again.
    fn is_echo(&self, line: &str, user: &str) -> bool {
        let before = line.strip_suffix(user);
        before.is_some_and(|b| b.is_empty() || self.platform.login.name.is_match(b.as_bytes()))
    }

    async fn give_password(&mut self, login: &Login<'_>) -> Result<(), OpenError> {
        let gate = Gate::Device(login.user);
        self.reader.discard();
        let sent = self.send(login.password.expose()).await;
        sent.map_err(|error| OpenError::Lost(error.to_string()))?;
        let found = self.look(RESULT_MAX).await.map_err(|error| OpenError::Lost(error.to_string()));
        let Some((shows, seen)) = found? else {
            self.check_unseen(&self.reader.rest(), login)?;
            return Err(OpenError::Lost("no answer in time".to_owned()));
        };
        let text = format!("{}\n{}", seen.before.join("\n"), seen.line);
        self.check_unseen(&text, login)?;
        self.check_text(&text, login.user, true)?;
        match shows {
            Shows::Mode(_) => {
                login.attempts.succeeded(gate).await;
                Ok(())
            }
            Shows::Name | Shows::Password => {
                Err(OpenError::Refused { user: login.user.to_owned() })
            }
            Shows::Wake | Shows::Pager | Shows::InUse => {
                Err(OpenError::Lost("the device shows something else".to_owned()))
            }
        }
    }

    fn check_unseen(&self, text: &str, login: &Login<'_>) -> Result<(), OpenError> {
        if text.contains(login.password.expose()) {
            return Err(OpenError::Exposed);
        }
        Ok(())
    }

    fn check_text(&self, text: &str, user: &str, sent: bool) -> Result<(), OpenError> {
        let user = || user.to_owned();
        let login = &self.platform.login;
        if login.locked.is_match(text.as_bytes()) {
            return Err(OpenError::Locked { user: user(), sent });
        }
        if login.expired.is_match(text.as_bytes()) {
            return Err(OpenError::Expired { user: user() });
        }
        if sent && login.rejected.is_match(text.as_bytes()) {
            return Err(OpenError::Refused { user: user() });
        }
        Ok(())
    }
}

/// How terminal servers say that a line is taken (conserver, ser2net).
fn in_use() -> Vec<Pattern> {
    let patterns = [
        r"(?i)^[^\n]{0,80}?(?:port (?:is )?already|device already) in use",
        r"^\[no, [^\n]{0,80}? is attached\]",
    ];
    patterns.iter().filter_map(|pattern| Pattern::new(pattern).ok()).collect()
}

fn cut(error: &ConversationError) -> OpenError {
    OpenError::Cut(error.to_string())
}

struct Nothing;

impl crate::platform::Filling for Nothing {
    fn value(&self, _slot: crate::platform::Slot) -> Option<Zeroizing<String>> {
        None
    }
}

#[cfg(test)]
mod tests;
