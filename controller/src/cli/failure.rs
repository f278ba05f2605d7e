//! How a command fails: what was tried, why it did not work, what mends it, and the exit code.

use std::error::Error;
use std::io::Write;

use crate::client::{ApiFailure, ClientError};
use crate::error::chain;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The operation failed, on some or all devices, or was refused.
    Failed,
    /// The command line cannot be carried out as it is written.
    Usage,
    /// There is no such thing.
    NotFound,
    /// Whoever read standard output has gone, as `head` does: not an error, and nothing is said.
    Unread,
}

impl Exit {
    /// Returns the process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            // As a process that SIGPIPE has ended.
            Self::Unread => 141,
        }
    }
}

/// Why a command was not carried out, or did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    /// Completes "failed to …".
    message: String,
    /// One line each: devices and what happened there.
    details: Vec<String>,
    hint: Option<String>,
}

/// Devices that are listed in an error; more are counted.
const DETAILS_MAX: usize = 20;

impl Failure {
    /// Makes a failure; `message` completes "failed to …".
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hint: None }
    }

    /// Says what mends it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says how the process ends.
    #[must_use]
    pub fn ending(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Returns how the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Makes a failure of an error; `doing` completes "failed to …".
    #[must_use]
    pub fn of(doing: &str, error: &dyn Error, hint: Option<String>) -> Self {
        let mut message = if doing.is_empty() { String::new() } else { format!("{doing}: ") };
        message.push_str(&chain(error));
        Self { hint, ..Self::new(Exit::Failed, message) }
    }

    /// Makes a failure of a client's error; `doing` completes "failed to …".
    #[must_use]
    pub fn client(doing: &str, error: &ClientError) -> Self {
        let mut failure = Self::of(doing, error, error.hint());
        if error.is_not_found() {
            failure.exit = Exit::NotFound;
        }
        failure
    }

    /// Makes a failure of an operation that has ended without success.
    #[must_use]
    pub fn operation(doing: &str, error: &ApiFailure) -> Self {
        let message = format!("{doing}: ({}) {}", error.code, error.message);
        let mut details: Vec<String> = error.details.iter().map(detail).collect();
        if details.len() > DETAILS_MAX {
            let more = details.len() - DETAILS_MAX;
            details.truncate(DETAILS_MAX);
            details.push(format!("and {more} more"));
        }
        let hint = "mend what is listed, then run `keyturn fabric resync-password`; \
                    `keyturn secret show` says what opens a device meanwhile";
        let hint = Some(error.hint.clone().unwrap_or_else(|| hint.to_owned()));
        Self { exit: Exit::Failed, message, details, hint }
    }

    /// Writes the failure for people.
    pub fn write(&self, to: &mut dyn Write) {
        if self.exit == Exit::Unread {
            return;
        }
        let mut text = format!("error: failed to {}\n", self.message);
        for detail in &self.details {
            text.push_str(&format!("  {detail}\n"));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {hint}\n"));
        }
        // Without a standard error there is nobody to be told.
        let _closed = to.write_all(text.as_bytes());
    }
}

fn detail(failure: &ApiFailure) -> String {
    let target = failure.target.as_deref().unwrap_or("?");
    let name = target.rsplit('/').next().unwrap_or(target);
    format!("{name}: {}: {}", failure.code, failure.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(failure: &Failure) -> String {
        let mut text = Vec::new();
        failure.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_failure_says_what_failed_where_and_what_mends_it() {
        let detail = |name: &str| ApiFailure {
            code: "CouldNotConnect".to_owned(),
            message: "No answer.".to_owned(),
            target: Some(format!("/subscriptions/x/networkDevices/{name}")),
            ..ApiFailure::default()
        };
        let error = ApiFailure {
            code: "PartialSuccess".to_owned(),
            message: "Only some.".to_owned(),
            details: (0..22).map(|at| detail(&format!("ce-{at:02}"))).collect(),
            ..ApiFailure::default()
        };
        let text = text(&Failure::operation("rotate", &error));
        assert!(text.starts_with(
            "error: failed to rotate: (PartialSuccess) Only some.\n  \
             ce-00: CouldNotConnect: No answer.\n"
        ));
        assert!(text.contains("\n  and 2 more\n\nhint: mend"), "{text}");
    }

    #[test]
    fn what_the_server_does_not_have_ends_with_3() {
        let failure = ApiFailure { status: 404, ..ApiFailure::default() };
        let error = ClientError::Api { failure: Box::new(failure) };
        assert_eq!(Failure::client("show", &error).exit().code(), 3);
    }
}
