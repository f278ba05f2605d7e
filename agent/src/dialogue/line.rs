//! One line to be said, what its reply must look like, and the reply.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::DialogueError;
use super::echo::Stripped;
use super::scrub::scrub;
use crate::platform::{ModeId, Pattern, Platform};

/// What is expected after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The prompt of this mode.
    Mode(ModeId),
    /// The prompt of any mode.
    AnyMode,
    /// The shell's prompt for more of a here-document.
    Continuation,
}

/// One line to be said.
#[derive(Clone)]
pub struct Line {
    text: Zeroizing<String>,
    after: After,
    time_max: Duration,
    expect: Option<Pattern>,
    failures: Arc<[Pattern]>,
    answers: Vec<(Pattern, Zeroizing<String>)>,
    secrets: Vec<Zeroizing<String>>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("after", &self.after).finish_non_exhaustive()
    }
}

impl Line {
    /// Makes a line that is to be answered within a time.
    #[must_use]
    pub fn new(text: Zeroizing<String>, after: After, time_max: Duration) -> Self {
        Self {
            text,
            after,
            time_max,
            expect: None,
            failures: Arc::new([]),
            answers: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Makes the line that is not said at all: it waits for the first prompt.
    pub(super) fn greeting(time_max: Duration) -> Self {
        Self::new(Zeroizing::default(), After::AnyMode, time_max)
    }

    /// Says what the reply must have and what are refusals beside the platform's.
    #[must_use]
    pub fn checked(mut self, expect: Option<Pattern>, failures: Arc<[Pattern]>) -> Self {
        self.expect = expect;
        self.failures = failures;
        self
    }

    /// Adds a question on the way and its answer.
    #[must_use]
    pub fn answered(mut self, prompt: Pattern, answer: Zeroizing<String>) -> Self {
        self.secrets.push(answer.clone());
        self.answers.push((prompt, answer));
        self
    }

    /// Adds a value that must not be shown in an error.
    #[must_use]
    pub fn hiding(mut self, secret: Zeroizing<String>) -> Self {
        self.secrets.push(secret);
        self
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn after(&self) -> After {
        self.after
    }

    pub(super) fn time_max(&self) -> Duration {
        self.time_max
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    pub(super) fn answers(&self) -> &[(Pattern, Zeroizing<String>)] {
        &self.answers
    }

    pub(super) fn answer(&self, index: usize) -> Option<Zeroizing<Vec<u8>>> {
        let (_, answer) = self.answers.get(index)?;
        let mut bytes = Zeroizing::new(answer.as_bytes().to_vec());
        bytes.push(b'\r');
        Some(bytes)
    }

    pub(super) fn secrets(&self) -> Vec<Zeroizing<String>> {
        self.secrets.clone()
    }

    /// Checks a reply: refusals first, then the mode, then what must be there.
    pub(super) fn check(
        &self,
        reply: &Stripped,
        at: Option<&(ModeId, String)>,
        platform: &Platform,
    ) -> Result<(), DialogueError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let failures = || platform.failures.iter().chain(self.failures.iter());
        let refusal = reply.lines.iter().find(|line| {
            let line = line.trim_end();
            failures().any(|pattern| pattern.is_match(line.as_bytes()))
        });
        if let Some(said) = refusal {
            return Err(DialogueError::Refused { said: scrub(said, &self.secrets) });
        }
        self.check_mode(at, platform)?;
        let Some(expect) = &self.expect else { return Ok(()) };
        if expect.is_match(reply.lines.join("\n").as_bytes()) {
            return Ok(());
        }
        Err(DialogueError::NotConfirmed {
            expected: expect.as_str().to_owned(),
            said: scrub(&reply.lines.join(" "), &self.secrets),
        })
    }

    fn check_mode(
        &self,
        at: Option<&(ModeId, String)>,
        platform: &Platform,
    ) -> Result<(), DialogueError> {
        match (self.after, at) {
            (After::Mode(wanted), Some((mode, prompt))) if wanted != *mode => {
                Err(DialogueError::WrongMode {
                    expected: platform.mode(wanted).map_or_else(String::new, |m| m.name.clone()),
                    prompt: scrub(prompt, &self.secrets),
                })
            }
            (After::Continuation, Some((_, prompt))) => Err(DialogueError::WrongMode {
                expected: "continuation".to_owned(),
                prompt: scrub(prompt, &self.secrets),
            }),
            _ => Ok(()),
        }
    }
}

/// The reply to one line.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// What the device said, without the echo and without syslog.
    pub lines: Vec<String>,
    /// The mode of the prompt that ended it.
    pub mode: Option<ModeId>,
    /// Something was mixed into it (syslog, bytes that are no text): better read again.
    pub noisy: bool,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(|line| scrub(line, &[])).collect();
        f.debug_struct("Reply")
            .field("lines", &lines)
            .field("mode", &self.mode)
            .field("noisy", &self.noisy)
            .finish()
    }
}

impl Reply {
    /// Returns the reply as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}
