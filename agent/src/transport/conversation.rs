//! Runs a [`Dialogue`] over a stream: the only place where its bytes and its time come from.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Stream;
use crate::dialogue::{Cue, Dialogue, DialogueError, Line, Look, Manner, Output, Reader, Reply};
use crate::platform::{Pattern, Platform};

/// How many bytes are read at once.
const READ_BYTES: usize = 2 * 1024;
/// The longest that a write may take.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// What is written to a serial line at once: consoles drop bytes of long lines that come too fast.
const PACED_BYTES: usize = 64;
/// How long a login prompt must stand last: boot messages have lines that look like one.
const LOGIN_QUIET: Duration = Duration::from_millis(500);
/// The pause after each such piece.
const PACE: Duration = Duration::from_millis(20);

/// Tells why a conversation over a stream stopped.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ConversationError {
    /// The dialogue stopped.
    #[error(transparent)]
    Dialogue(#[from] DialogueError),
    /// The stream took no bytes.
    #[error("write to the device: {0}")]
    Write(String),
}

/// A stream with a time of its own, from which cues can be awaited.
pub struct Wire {
    stream: Box<dyn Stream>,
    started: Instant,
    paced: bool,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("paced", &self.paced).finish_non_exhaustive()
    }
}

impl Wire {
    /// Wraps a stream; `paced` writes slowly, for serial lines.
    #[must_use]
    pub fn new(stream: Box<dyn Stream>, paced: bool) -> Self {
        Self { stream, started: Instant::now(), paced }
    }

    /// Gives the stream back.
    #[must_use]
    pub fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// Returns what the stream said, or that it took nothing in time.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ConversationError> {
        let size = if self.paced { PACED_BYTES } else { bytes.len().max(1) };
        for (index, piece) in bytes.chunks(size).enumerate() {
            if index > 0 {
                sleep(PACE).await;
            }
            let written = async {
                self.stream.write_all(piece).await?;
                self.stream.flush().await
            };
            match timeout(WRITE_MAX, written).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(ConversationError::Write(error.to_string())),
                Err(_elapsed) => {
                    return Err(ConversationError::Write("it takes nothing any more".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Reads what comes until a time. `None` means that the time is over, no bytes that the stream
    /// has ended.
    async fn read(&mut self, until: Duration) -> Option<Vec<u8>> {
        let stream = &mut self.stream;
        let read = poll_fn(|context| poll_read(stream, context));
        // A deadline too far away for the clock is no deadline.
        match self.started.checked_add(until) {
            Some(until) => timeout_at(until, read).await.ok(),
            None => Some(read.await),
        }
    }

    /// Waits for one of several cues.
    pub async fn look(
        &mut self,
        reader: &mut Reader,
        cues: Arc<[Cue]>,
        time_max: Duration,
    ) -> Look {
        reader.expect(cues);
        let deadline = self.now() + time_max;
        loop {
            let now = self.now();
            match reader.look(now) {
                Look::Until(_) if now >= deadline => return Look::Until(deadline),
                Look::Until(until) => match self.read(until.min(deadline)).await {
                    Some(bytes) if bytes.is_empty() => reader.close(),
                    Some(bytes) => reader.receive(&bytes, self.started.elapsed()),
                    None => {}
                },
                found => return found,
            }
        }
    }
}

/// Reads what has come; nothing where the stream has ended or broken. The room for it is on the
/// stack: a thousand sessions that wait have none each.
fn poll_read(stream: &mut Box<dyn Stream>, context: &mut Context<'_>) -> Poll<Vec<u8>> {
    let mut room = [MaybeUninit::uninit(); READ_BYTES];
    let mut buffer = ReadBuf::uninit(&mut room);
    let read = Pin::new(stream).poll_read(context, &mut buffer);
    read.map(|result| result.map_or_else(|_broken| Vec::new(), |()| buffer.filled().to_vec()))
}

/// A dialogue over a stream.
#[derive(Debug)]
pub struct Conversation {
    wire: Wire,
    dialogue: Dialogue,
}

impl Conversation {
    /// Begins a conversation on a stream.
    #[must_use]
    pub fn new(wire: Wire, platform: Arc<Platform>, manner: Manner) -> Self {
        Self { wire, dialogue: Dialogue::new(platform, manner) }
    }

    /// Returns the dialogue, for its mode and what it has learned.
    #[must_use]
    pub fn dialogue(&self) -> &Dialogue {
        &self.dialogue
    }

    /// Gives the wire back.
    #[must_use]
    pub fn into_wire(self) -> Wire {
        self.wire
    }

    /// Waits for the first prompt; `wake` asks for it with a CR.
    ///
    /// # Errors
    /// Returns why none came.
    pub async fn greet(
        &mut self,
        wake: bool,
        time_max: Duration,
    ) -> Result<Reply, ConversationError> {
        self.dialogue.greet(wake, time_max, self.wire.now());
        let replies = self.run().await?;
        replies.into_iter().next().ok_or_else(|| {
            ConversationError::Dialogue(DialogueError::TimedOut { said: String::new() })
        })
    }

    /// Says lines and returns one reply for each.
    ///
    /// # Errors
    /// Returns the first refusal, or why the conversation stopped.
    pub async fn say(&mut self, lines: Vec<Line>) -> Result<Vec<Reply>, ConversationError> {
        self.dialogue.say(lines, self.wire.now());
        self.run().await
    }

    /// Reads on until the device has ended the session: the stream ends, or `login`, the login prompt
    /// of a line that outlives its sessions, stands last. Tells whether that was so by `until`.
    pub async fn ends(&mut self, login: Option<&Pattern>, until: Instant) -> bool {
        let cues: Arc<[Cue]> = login.map(Cue::settled).into_iter().collect();
        let mut reader = Reader::new(LOGIN_QUIET);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.wire.look(&mut reader, Arc::clone(&cues), left).await {
                Look::Found(_) | Look::Closed => return true,
                Look::Until(_) => return false,
                Look::TooLong => reader.discard(),
            }
        }
    }

    async fn run(&mut self) -> Result<Vec<Reply>, ConversationError> {
        loop {
            match self.dialogue.next(self.wire.now()) {
                Output::Write(bytes) => self.wire.write(&bytes).await?,
                Output::Wait(until) => match self.wire.read(until).await {
                    Some(bytes) if bytes.is_empty() => self.dialogue.closed(),
                    Some(bytes) => self.dialogue.received(&bytes, self.wire.now()),
                    None => {}
                },
                Output::Done(replies) => return Ok(replies?),
            }
        }
    }
}
