//! The reader: looks for one of several cues in what the device says.
//!
//! A cue at once is the beginning of a line and counts as soon as it is there, whatever follows: it
//! is a property of the stream, not of how the stream was cut. A settled cue is a whole last line
//! and counts only after nothing came for the settling time, since a line such as `slot#2 busy`,
//! cut after its `#`, would pass for a prompt.

use std::sync::Arc;
use std::time::Duration;

use super::echo::before_syslog;
use super::screen::Screen;
use crate::platform::Pattern;

/// Something to look for.
#[derive(Debug, Clone)]
pub struct Cue {
    /// What the line begins with, word for word; may be empty.
    pub literal: Arc<str>,
    /// What follows it.
    pub pattern: Option<Pattern>,
    /// Texts that disqualify a match.
    pub exclude: Arc<[String]>,
    /// When the pattern counts.
    pub when: When,
}

/// When a cue counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At the beginning of a line, as soon as it is there.
    AtOnce,
    /// As the last line, after nothing came for the settling time.
    Settled,
}

impl Cue {
    /// Makes a cue that counts after the settling time.
    #[must_use]
    pub fn settled(pattern: &Pattern) -> Self {
        let (literal, pattern) = (Arc::from(""), Some(pattern.clone()));
        Self { literal, pattern, exclude: Arc::new([]), when: When::Settled }
    }

    /// Returns how many bytes of the line the cue takes, if it fits the line's beginning.
    pub(super) fn fits(&self, line: &[u8]) -> Option<usize> {
        let behind = line.strip_prefix(self.literal.as_bytes())?;
        let end = match &self.pattern {
            None => 0,
            Some(pattern) => {
                let found = pattern.find(behind)?;
                if self.when == When::AtOnce && found.start() > 0 {
                    return None;
                }
                found.end()
            }
        };
        let length = self.literal.len() + end;
        let matched = line.get(..length)?;
        let excluded = self.exclude.iter().any(|text| {
            !text.is_empty() && matched.windows(text.len()).any(|part| part == text.as_bytes())
        });
        (!excluded).then_some(length)
    }
}

/// A cue that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its place in the list of cues.
    pub cue: usize,
    /// The lines before it.
    pub before: Vec<String>,
    /// The line's beginning up to the end of the match.
    pub line: String,
    /// Bytes came that are no text.
    pub noisy: bool,
}

/// What a look at the stream gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A cue was found and taken out of the stream, with all before it.
    Found(Seen),
    /// Nothing yet; look again when bytes come, or at this time.
    Until(Duration),
    /// Nothing, and no more bytes will come.
    Closed,
    /// The reply is longer than it may be.
    TooLong,
}

/// Returns the line that stands last on the screen, and where it begins. Syslog messages that were
/// printed behind it, on its own line or on the next ones, do not count.
fn last_line(text: &[u8]) -> Option<(usize, &[u8])> {
    let mut end = text.len();
    loop {
        let before = text.get(..end)?;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let line = before.get(start..)?;
        let plain = String::from_utf8_lossy(line);
        match before_syslog(&plain) {
            Some("") => {}
            Some(prompt) => return Some((start, line.get(..prompt.len())?)),
            // The end of the line of a message, with nothing after it yet.
            None if line.is_empty() && is_message_before(text, start) => {}
            None => return Some((start, line)),
        }
        end = start.checked_sub(1)?;
    }
}

/// Tells whether the line that ends right before `start` is a syslog message.
fn is_message_before(text: &[u8], start: usize) -> bool {
    let Some(before) = start.checked_sub(1).and_then(|end| text.get(..end)) else { return false };
    let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    before_syslog(&String::from_utf8_lossy(line)).is_some()
}

/// Where a cue was found.
#[derive(Clone, Copy)]
struct Place {
    cue: usize,
    start: usize,
    length: usize,
}

/// Bytes and time in, cues out.
#[derive(Debug)]
pub struct Reader {
    screen: Screen,
    cues: Arc<[Cue]>,
    /// Where the first line begins that was not yet looked at in full.
    unread: usize,
    settle: Duration,
    last_byte: Duration,
    closed: bool,
}

impl Reader {
    /// Makes a reader with a settling time.
    #[must_use]
    pub fn new(settle: Duration) -> Self {
        Self {
            screen: Screen::new(),
            cues: Arc::new([]),
            unread: 0,
            settle,
            last_byte: Duration::ZERO,
            closed: false,
        }
    }

    /// Sets what to look for from now on, in all that was not consumed.
    pub fn expect(&mut self, cues: Arc<[Cue]>) {
        self.cues = cues;
        self.unread = 0;
    }

    /// Takes bytes that came at a time, on the caller's monotonic scale.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        self.screen.push(bytes);
        self.last_byte = self.last_byte.max(now);
    }

    /// Notes that no more bytes will come.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Tells whether the stream has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns when the last byte came.
    #[must_use]
    pub fn last_byte(&self) -> Duration {
        self.last_byte
    }

    /// Returns the text that was not consumed, for an error.
    #[must_use]
    pub fn rest(&self) -> String {
        String::from_utf8_lossy(self.screen.text()).into_owned()
    }

    /// Forgets what came so far.
    pub fn discard(&mut self) {
        let length = self.screen.text().len();
        self.screen.consume(length);
        self.unread = 0;
    }

    /// Looks for the first cue; of several at one place, the first in the list.
    pub fn look(&mut self, now: Duration) -> Look {
        if let Some(place) = self.at_once() {
            return Look::Found(self.take(place));
        }
        if self.screen.is_over() {
            return Look::TooLong;
        }
        let quiet_at = self.last_byte + self.settle;
        if let Some(place) = self.settled() {
            if now >= quiet_at || self.closed {
                return Look::Found(self.take(place));
            }
            return Look::Until(quiet_at);
        }
        if self.closed { Look::Closed } else { Look::Until(Duration::MAX) }
    }

    fn at_once(&mut self) -> Option<Place> {
        let text = self.screen.text();
        let mut start = self.unread;
        for line in text.get(start..)?.split(|byte| *byte == b'\n') {
            for (cue, candidate) in self.cues.iter().enumerate() {
                if candidate.when == When::AtOnce
                    && let Some(length) = candidate.fits(line)
                {
                    return Some(Place { cue, start, length });
                }
            }
            self.unread = start;
            start += line.len() + 1;
        }
        None
    }

    fn settled(&self) -> Option<Place> {
        let text = self.screen.text();
        let (start, line) = last_line(text)?;
        self.cues.iter().enumerate().find_map(|(cue, candidate)| {
            let length = (candidate.when == When::Settled).then(|| candidate.fits(line))??;
            Some(Place { cue, start, length })
        })
    }

    fn take(&mut self, place: Place) -> Seen {
        let Place { cue, start, length } = place;
        let text = self.screen.text();
        let plain =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let before = plain(text.get(..start.saturating_sub(1)));
        let line = plain(text.get(start..start + length));
        let noisy = self.screen.is_noisy();
        self.screen.consume(start + length);
        self.unread = 0;
        let before = match start {
            0 => Vec::new(),
            _ => before.split('\n').map(str::to_owned).collect(),
        };
        Seen { cue, before, line, noisy }
    }
}
