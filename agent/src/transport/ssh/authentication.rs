//! Logs in over SSH without wasting an attempt.
//!
//! Keyboard-interactive comes first unless the device is known to take a password: EOS offers
//! nothing else by default, and asking for a method that is not offered costs no attempt. `none` is
//! never sent. Only a prompt for the present password is answered, and only once in a connection:
//! a server whose password has expired asks for a new one, and a client that answers every prompt
//! would set it.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use regex::bytes::Regex;
use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Response, Prompt};
use tokio::time::{Instant, timeout_at};

use super::{Handler, Seen, lock};
use crate::dialogue::scrub;
use crate::learned::Method;
use crate::transport::{Gate, Login, OpenError};
use protocol::password::Password;

/// The longest that one step of the authentication may take: a lockout policy adds seconds to each
/// failure.
const STEP_MAX: Duration = Duration::from_secs(20);
/// The most questions that a server may ask before it is given up.
const QUESTIONS_MAX: usize = 8;

/// A prompt for the present password.
#[expect(clippy::unwrap_used, reason = "a constant pattern, which a test compiles")]
static PASSWORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i-u)\A(?s:.*\n)?[^\n]*(?:password|passcode)[^\n]*: ?\z").unwrap()
});
/// A prompt for another password than the present one.
#[expect(clippy::unwrap_used, reason = "a constant pattern, which a test compiles")]
static CHANGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i-u)\b(?:new|retype|re-enter|current|confirm|old)\b[^\n]*\z").unwrap()
});

/// Who logs in, with which passwords, the likeliest first.
pub(in crate::transport) struct Credentials<'a> {
    pub(in crate::transport) user: &'a str,
    pub(in crate::transport) passwords: &'a [&'a Password],
    pub(in crate::transport) gate: Gate<'a>,
}

/// What a prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Password,
    Change,
    Other,
}

/// Logs in, trying one password after the other in the same connection as far as the budget goes.
/// Returns the method that worked.
pub(super) async fn log_in(
    handle: &mut Handle<Handler>,
    seen: &Mutex<Seen>,
    login: &Login<'_>,
    credentials: &Credentials<'_>,
) -> Result<Method, OpenError> {
    let mut method = login.learned.method.unwrap_or(Method::KeyboardInteractive);
    let mut refused = Err(refusal(credentials));
    for password in credentials.passwords {
        let attempt = Attempt { login, credentials, password };
        let mut result = attempt.make(handle, method).await;
        if let Err(Failed::NotOffered(other)) = result {
            method = other;
            result = attempt.make(handle, method).await;
        }
        match result {
            Ok(()) => {
                login.attempts.succeeded(credentials.gate).await;
                return expired_or(method, seen, login, credentials.user);
            }
            Err(Failed::Open(error @ OpenError::Refused { .. })) => refused = Err(error),
            Err(Failed::Open(error)) => return Err(error),
            Err(Failed::NotOffered(_)) => {
                let why = "the device offers no password login".to_owned();
                return Err(OpenError::NoMethod(why));
            }
        }
    }
    refused
}

fn refusal(credentials: &Credentials<'_>) -> OpenError {
    OpenError::Refused { user: credentials.user.to_owned() }
}

/// An expired password shows itself in a banner that comes with the success.
fn expired_or(
    method: Method,
    seen: &Mutex<Seen>,
    login: &Login<'_>,
    user: &str,
) -> Result<Method, OpenError> {
    let banner = std::mem::take(&mut lock(seen).banner);
    if login.platform.login.expired.is_match(banner.as_bytes()) {
        return Err(OpenError::Expired { user: user.to_owned() });
    }
    Ok(method)
}

enum Failed {
    Open(OpenError),
    NotOffered(Method),
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

struct Attempt<'a, 'l> {
    login: &'a Login<'l>,
    credentials: &'a Credentials<'l>,
    password: &'a Password,
}

impl Attempt<'_, '_> {
    async fn make(&self, handle: &mut Handle<Handler>, method: Method) -> Result<(), Failed> {
        match method {
            Method::KeyboardInteractive => self.answer_questions(handle).await,
            Method::Password => self.send_password(handle).await,
        }
    }

    fn until(&self) -> Instant {
        self.login.deadline.min(Instant::now() + STEP_MAX)
    }

    async fn send_password(&self, handle: &mut Handle<Handler>) -> Result<(), Failed> {
        self.login.attempts.count(self.credentials.gate).await?;
        let sent = handle.authenticate_password(self.credentials.user, self.password.expose());
        match timeout_at(self.until(), sent).await {
            Ok(Ok(AuthResult::Success)) => Ok(()),
            Ok(Ok(AuthResult::Failure { remaining_methods, partial_success })) => {
                if partial_success {
                    return Err(second_factor());
                }
                let asks = MethodKind::KeyboardInteractive;
                // A server that does not take this method has not looked at the password.
                if !remaining_methods.contains(&MethodKind::Password)
                    && remaining_methods.contains(&asks)
                {
                    return Err(Failed::NotOffered(Method::KeyboardInteractive));
                }
                Err(refusal(self.credentials).into())
            }
            Ok(Err(error)) => Err(OpenError::Lost(scrub(&error.to_string(), &[])).into()),
            Err(_elapsed) => Err(OpenError::Lost("no answer in time".to_owned()).into()),
        }
    }

    async fn answer_questions(&self, handle: &mut Handle<Handler>) -> Result<(), Failed> {
        let start =
            handle.authenticate_keyboard_interactive_start(self.credentials.user, None::<String>);
        let mut response = self.awaited(start, false).await?;
        let mut answered = false;
        for _ in 0..QUESTIONS_MAX {
            let prompts = match response {
                Response::Success => return Ok(()),
                Response::Failure { remaining_methods, partial_success } => {
                    return Err(if partial_success {
                        second_factor()
                    } else if !answered && remaining_methods.contains(&MethodKind::Password) {
                        Failed::NotOffered(Method::Password)
                    } else if answered {
                        refusal(self.credentials).into()
                    } else {
                        let why = "the device asked for no password".to_owned();
                        OpenError::NoMethod(why).into()
                    });
                }
                Response::InfoRequest { prompts, instructions, .. } => {
                    self.check_instructions(&instructions, answered)?;
                    prompts
                }
            };
            let answers = self.answers(&prompts, answered)?;
            if !prompts.is_empty() {
                self.login.attempts.count(self.credentials.gate).await?;
                answered = true;
            }
            let sent = handle.authenticate_keyboard_interactive_respond(answers);
            response = self.awaited(sent, answered).await?;
        }
        Err(OpenError::NoMethod("the device asks questions without end".to_owned()).into())
    }

    async fn awaited(
        &self,
        step: impl Future<Output = Result<Response, russh::Error>>,
        sent: bool,
    ) -> Result<Response, OpenError> {
        let why = match timeout_at(self.until(), step).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => scrub(&error.to_string(), &[]),
            Err(_elapsed) => "no answer in time".to_owned(),
        };
        Err(if sent { OpenError::Lost(why) } else { OpenError::Cut(why) })
    }

    fn check_instructions(&self, text: &str, sent: bool) -> Result<(), OpenError> {
        let user = || self.credentials.user.to_owned();
        if self.login.platform.login.locked.is_match(text.as_bytes()) {
            return Err(OpenError::Locked { user: user(), sent });
        }
        if self.login.platform.login.expired.is_match(text.as_bytes()) {
            return Err(OpenError::Expired { user: user() });
        }
        Ok(())
    }

    /// Answers one prompt for the present password; no prompts get an empty list.
    fn answers(&self, prompts: &[Prompt], answered: bool) -> Result<Vec<String>, OpenError> {
        let user = || self.credentials.user.to_owned();
        for prompt in prompts {
            self.check_instructions(&prompt.prompt, answered)?;
            match asks(&prompt.prompt) {
                Asks::Change => return Err(OpenError::Expired { user: user() }),
                // PAM asks again in the same connection: the first answer was wrong.
                Asks::Password if answered => return Err(OpenError::Refused { user: user() }),
                Asks::Password => {}
                Asks::Other => {
                    let prompt = scrub(&prompt.prompt, &[]);
                    return Err(OpenError::NoMethod(format!("the device asks `{prompt}`")));
                }
            }
        }
        match prompts {
            [] => Ok(Vec::new()),
            [_] => Ok(vec![self.password.expose().to_owned()]),
            _ => Err(OpenError::NoMethod("the device asks several things at once".to_owned())),
        }
    }
}

fn second_factor() -> Failed {
    OpenError::NoMethod("the device wants a second factor".to_owned()).into()
}

fn asks(prompt: &str) -> Asks {
    let prompt = prompt.as_bytes();
    if !PASSWORD.is_match(prompt) {
        Asks::Other
    } else if CHANGE.is_match(prompt) {
        Asks::Change
    } else {
        Asks::Password
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_prompt_for_the_present_password_is_one() {
        let check = |prompt: &str, expect: Asks| assert_eq!(asks(prompt), expect, "{prompt:?}");
        check("Password: ", Asks::Password);
        check("password:", Asks::Password);
        check("(admin@localhost) Password: ", Asks::Password);
        check("admin@10.0.0.1's password: ", Asks::Password);
        check("Banner\nof two lines\nPassword: ", Asks::Password);
        check("New password: ", Asks::Change);
        check("Retype new password: ", Asks::Change);
        check("Current password: ", Asks::Change);
        check("You must change it.\nChanging password for opro.\nCurrent password: ", Asks::Change);
        check("Verification code: ", Asks::Other);
        check("Password", Asks::Other);
        check("", Asks::Other);
    }
}
