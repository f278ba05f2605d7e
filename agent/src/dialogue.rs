//! The conversation with a device's command line: bytes and time in, lines out.
//!
//! Pure. The caller feeds [`Dialogue::received`], [`Dialogue::closed`] and the time, and drains
//! [`Dialogue::next`] until it says to wait. Law: *the outcome is the same however the byte stream
//! is cut*; tests hold it over all recordings.
//!
//! ```text
//!            say(lines)
//!   idle ───────────────▶ sending ──write──▶ waiting ──prompt──▶ checked ──▶ … ──▶ Done
//!     ▲                      ▲                 │  ▲                 │
//!     │                      └─ next batch ────┼──┼─────────────────┘
//!     │                                        │  └── question answered, pager quit, CR nudge
//!     └────── refused, lost, timed out ────────┘
//! ```
//!
//! Against output that looks like a prompt there are three walls. A prompt counts only once it
//! stood last for the settling time, unless it begins a line and is exactly the prompt that this
//! very device showed at its login. A prompt that comes before the echo of the line is an older
//! one. And where a device echoes, a reply that does not begin with its line's echo stops the
//! conversation ([`DialogueError::OutOfStep`]). A sentinel of our own in the stream (a comment
//! line, an `echo`) was decided against: no vendor documents that a comment is without effect in
//! every mode. Whatever gets past all this is caught by the read-back and the fresh login.

mod echo;
mod line;
mod prompts;
mod reader;
mod screen;
mod scrub;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::platform::{ModeId, Platform};

pub use echo::{Stripped, is_syslog, strip};
pub use line::{After, Line, Reply};
pub use reader::{Cue, Look, Reader, Seen, When};
pub use screen::{LINE_BYTES_MAX, REPLY_BYTES_MAX};
pub use scrub::{EXCERPT_CHARS_MAX, scrub};

use prompts::{Heard, Prompts, Watch};

/// How long the line must be quiet, after syslog was seen, before a CR asks for the prompt again.
const NUDGE_AFTER: Duration = Duration::from_secs(1);
/// How often the prompt is asked for again in one reply.
const NUDGES_MAX: u8 = 2;
/// How often a pager is quit in one reply.
const PAGERS_MAX: u8 = 3;

/// Tells why a conversation stopped. Texts of the device are scrubbed and cut.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum DialogueError {
    /// The device refused a line.
    #[error("carry out a line: the device said `{said}`")]
    Refused {
        /// What it said.
        said: String,
    },
    /// The reply lacks what it must have.
    #[error("carry out a line: expected `{expected}`, the device said `{said}`")]
    NotConfirmed {
        /// The pattern that the reply must have.
        expected: String,
        /// What it said.
        said: String,
    },
    /// The device is in another mode than it must be after the line.
    #[error("carry out a line: the prompt is `{prompt}`, which is not mode `{expected}`")]
    WrongMode {
        /// The mode that was to be reached.
        expected: String,
        /// The prompt that came.
        prompt: String,
    },
    /// The reply does not begin with the echo of its line.
    #[error("follow the conversation: the reply `{said}` does not begin with its line's echo")]
    OutOfStep {
        /// How the reply begins.
        said: String,
    },
    /// The device held a reply back behind a pager, so that it is not whole.
    #[error("read a whole reply: the device held it back behind a pager")]
    Paged,
    /// No prompt came in time.
    #[error("see a prompt in time: the last output was `{said}`")]
    TimedOut {
        /// The last output.
        said: String,
    },
    /// The stream ended.
    #[error("go on: the device closed the session, its last output was `{said}`")]
    Closed {
        /// The last output.
        said: String,
    },
    /// A reply or a line was longer than it may be.
    #[error("read a reply: it is longer than it may be")]
    TooLong,
}

/// What the caller is to do next.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes, then ask again.
    Write(Zeroizing<Vec<u8>>),
    /// Wait for bytes, or until this time.
    Wait(Duration),
    /// The conversation is over: one reply per line, or why not.
    Done(Result<Vec<Reply>, DialogueError>),
}

/// How a dialogue is held.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Several lines may be sent at once.
    pub pipeline: bool,
    /// How long an unknown prompt must stand last.
    pub settle: Duration,
    /// What the device called itself in an earlier session.
    pub host: Option<String>,
}

/// A conversation with one command line.
#[derive(Debug)]
pub struct Dialogue {
    reader: Reader,
    prompts: Prompts,
    pipeline: bool,
    mode: Option<ModeId>,
    echoes: Option<bool>,
    watch: Option<Watch>,
    exchange: Option<Exchange>,
}

/// Lines that are being said, and their replies so far.
#[derive(Debug, Default)]
struct Exchange {
    unsent: VecDeque<Line>,
    sent: VecDeque<Line>,
    replies: Vec<Reply>,
    failed: Option<DialogueError>,
    deadline: Duration,
    before: Vec<String>,
    nudges: u8,
    pagers: u8,
    syslog: bool,
    noisy: bool,
    write: Option<Zeroizing<Vec<u8>>>,
}

impl Dialogue {
    /// Makes a dialogue in an unknown mode.
    #[must_use]
    pub fn new(platform: Arc<Platform>, manner: Manner) -> Self {
        Self {
            reader: Reader::new(manner.settle),
            prompts: Prompts::new(platform, manner.host),
            pipeline: manner.pipeline,
            mode: None,
            echoes: None,
            watch: None,
            exchange: None,
        }
    }

    /// Returns the mode of the last prompt.
    #[must_use]
    pub fn mode(&self) -> Option<ModeId> {
        self.mode
    }

    /// Returns what the device calls itself, once a prompt has said so.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.prompts.host()
    }

    /// Begins to wait for the first prompt; `wake` sends a CR for it first.
    pub fn greet(&mut self, wake: bool, time_max: Duration, now: Duration) {
        let mut exchange = Exchange { deadline: now + time_max, ..Exchange::default() };
        exchange.sent.push_back(Line::greeting(time_max));
        exchange.write = wake.then(|| Zeroizing::new(b"\r".to_vec()));
        let watch = self.prompts.usual();
        self.watch_for(watch);
        self.exchange = Some(exchange);
    }

    fn watch_for(&mut self, watch: Watch) {
        self.reader.expect(Arc::clone(&watch.cues));
        self.watch = Some(watch);
    }

    /// Begins to say lines. Output that came since the last reply belongs to nobody and is dropped.
    pub fn say(&mut self, lines: Vec<Line>, now: Duration) {
        self.reader.discard();
        let mut exchange = Exchange { unsent: lines.into(), ..Exchange::default() };
        self.send_batch(&mut exchange, now);
        self.exchange = Some(exchange);
    }

    /// Takes bytes that came.
    pub fn received(&mut self, bytes: &[u8], now: Duration) {
        self.reader.receive(bytes, now);
    }

    /// Notes that no more bytes will come.
    pub fn closed(&mut self) {
        self.reader.close();
    }

    /// Says what to do next. To be asked again after every write and whenever bytes came.
    pub fn next(&mut self, now: Duration) -> Output {
        let Some(mut exchange) = self.exchange.take() else {
            return Output::Done(Ok(Vec::new()));
        };
        loop {
            if let Some(bytes) = exchange.write.take() {
                self.exchange = Some(exchange);
                return Output::Write(bytes);
            }
            if exchange.sent.is_empty() {
                if exchange.failed.is_some() || exchange.unsent.is_empty() {
                    let failed = exchange.failed.take();
                    return Output::Done(failed.map_or(Ok(exchange.replies), Err));
                }
                self.send_batch(&mut exchange, now);
                continue;
            }
            match self.reader.look(now) {
                Look::Found(seen) => self.found(&mut exchange, seen, now),
                Look::Until(at) => {
                    if let Some(until) = self.idle(&mut exchange, at, now) {
                        self.exchange = Some(exchange);
                        return Output::Wait(until);
                    }
                }
                Look::Closed => return self.stop(&mut exchange, now, true),
                Look::TooLong => return Output::Done(Err(DialogueError::TooLong)),
            }
            if exchange.deadline <= now && exchange.write.is_none() && !exchange.sent.is_empty() {
                return self.stop(&mut exchange, now, false);
            }
        }
    }

    /// Ends the exchange because nothing more came. A refusal that came before is what is told.
    fn stop(&self, exchange: &mut Exchange, _now: Duration, closed: bool) -> Output {
        if let Some(refused) = exchange.failed.take() {
            return Output::Done(Err(refused));
        }
        let secrets: Vec<_> = exchange.sent.iter().flat_map(Line::secrets).collect();
        let rest = self.reader.rest();
        let mut lines = exchange.before.iter().map(String::as_str).chain(rest.lines());
        let last = lines.rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let said = scrub(last, &secrets);
        Output::Done(Err(match closed {
            true => DialogueError::Closed { said },
            false => DialogueError::TimedOut { said },
        }))
    }

    /// Sends as many lines as may be sent at once.
    fn send_batch(&mut self, exchange: &mut Exchange, now: Duration) {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        let many = self.pipeline && self.prompts.are_exact() && self.echoes == Some(true);
        while let Some(line) = exchange.unsent.pop_front() {
            bytes.extend_from_slice(line.text().as_bytes());
            bytes.push(b'\r');
            let alone = !many || line.has_answers();
            let next_alone = exchange.unsent.front().is_some_and(Line::has_answers);
            exchange.sent.push_back(line);
            if alone || next_alone {
                break;
            }
        }
        exchange.write = Some(bytes);
        self.await_reply(exchange, now);
    }

    /// Begins to wait for the reply to the first line that has none.
    fn await_reply(&mut self, exchange: &mut Exchange, now: Duration) {
        exchange.nudges = 0;
        exchange.pagers = 0;
        exchange.syslog = false;
        exchange.noisy = false;
        exchange.before.clear();
        if let Some(line) = exchange.sent.front() {
            exchange.deadline = now + line.time_max();
            let continues = line.after() == After::Continuation;
            let watch = match line.has_answers() || continues {
                true => self.prompts.watch(line.answers(), continues),
                false => self.prompts.usual(),
            };
            self.watch_for(watch);
        }
    }

    fn found(&mut self, exchange: &mut Exchange, seen: Seen, now: Duration) {
        exchange.noisy |= seen.noisy;
        exchange.syslog |= seen.before.iter().any(|line| is_syslog(line));
        exchange.before.extend(seen.before);
        let heard = self.watch.as_ref().and_then(|watch| watch.heard.get(seen.cue)).copied();
        match heard {
            Some(Heard::Pager) | None => {
                exchange.pagers += 1;
                if exchange.pagers > PAGERS_MAX {
                    exchange.failed = Some(DialogueError::Paged);
                    exchange.sent.clear();
                }
                exchange.write = Some(Zeroizing::new(b"q".to_vec()));
            }
            Some(Heard::LoggedOut) => {
                let said = scrub(&seen.line, &[]);
                exchange.failed.get_or_insert(DialogueError::Closed { said });
                exchange.sent.clear();
            }
            Some(Heard::Question(index)) => {
                let answer = exchange.sent.front().and_then(|line| line.answer(index));
                exchange.write = answer;
            }
            Some(Heard::Continuation) => self.replied(exchange, None, now),
            Some(Heard::Mode(mode)) => {
                if self.is_stale(exchange) {
                    exchange.before.clear();
                    return;
                }
                self.prompts.learn(mode, &seen.line);
                self.mode = Some(mode);
                self.replied(exchange, Some((mode, seen.line)), now);
            }
        }
    }

    /// Tells whether a prompt is an older one: it came before anything of the line's echo.
    fn is_stale(&self, exchange: &Exchange) -> bool {
        let said_something =
            exchange.before.iter().any(|line| !line.trim().is_empty() && !is_syslog(line));
        let sent_something = exchange.sent.front().is_some_and(|line| !line.text().is_empty());
        self.echoes != Some(false) && sent_something && !said_something
    }

    /// Checks the reply to the first line that had none.
    fn replied(&mut self, exchange: &mut Exchange, at: Option<(ModeId, String)>, now: Duration) {
        let Some(line) = exchange.sent.pop_front() else { return };
        let stripped = strip(std::mem::take(&mut exchange.before), line.text());
        if !line.text().is_empty() && self.echoes.is_none() {
            self.echoes = Some(stripped.echoed);
        }
        let out_of_step = self.echoes == Some(true) && !line.text().is_empty() && !stripped.echoed;
        let checked = line.check(&stripped, at.as_ref(), self.prompts.platform());
        let checked = match checked {
            Ok(()) if exchange.pagers > 0 => Err(DialogueError::Paged),
            Ok(()) if out_of_step && !exchange.noisy && !stripped.syslog => {
                let said = stripped.lines.first().map_or("", String::as_str);
                Err(DialogueError::OutOfStep { said: scrub(said, &line.secrets()) })
            }
            checked => checked,
        };
        if let Err(error) = checked {
            exchange.failed.get_or_insert(error);
        }
        exchange.replies.push(Reply {
            lines: stripped.lines,
            mode: at.map(|(mode, _prompt)| mode),
            noisy: exchange.noisy || stripped.syslog || (out_of_step && exchange.failed.is_none()),
        });
        self.await_reply(exchange, now);
    }

    /// Nothing was found: asks for the prompt again where syslog may have overwritten it. Returns
    /// until when to wait, or nothing if there is something to write.
    fn idle(&self, exchange: &mut Exchange, at: Duration, now: Duration) -> Option<Duration> {
        let until = at.min(exchange.deadline);
        let rest = self.reader.rest();
        let interrupted = exchange.syslog || rest.lines().any(is_syslog);
        if !interrupted || exchange.nudges >= NUDGES_MAX {
            return Some(until.max(now)).filter(|until| *until > now || exchange.deadline > now);
        }
        let nudge_at = self.reader.last_byte() + NUDGE_AFTER * u32::from(exchange.nudges + 1);
        if nudge_at <= now {
            exchange.nudges += 1;
            exchange.write = Some(Zeroizing::new(b"\r".to_vec()));
            return None;
        }
        Some(until.min(nudge_at))
    }
}
