//! Tokens that services give: kept while they are good, renewed before they end.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use reqwest::header::HeaderValue;
use tokio::sync::Mutex as Turn;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::chain;

/// The pause after a token could not be renewed while the old one can still be used.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// How long before its end a token is renewed, and how long before it is no longer used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Margins {
    pub(crate) renewed: Duration,
    pub(crate) unused: Duration,
}

/// A token, ready to be sent, and how long it is good. Times are the process's own: a wall clock
/// that is set does not make a token younger or older.
pub struct Token {
    /// Marked as sensitive.
    header: HeaderValue,
    /// It is renewed from here on.
    renewed_from: Instant,
    /// It is no longer used from here on.
    unused_from: Instant,
}

impl Token {
    /// Makes a token that is good for `life` from now on; `None` if its text cannot be one. A token
    /// that lives shorter than usual is used for half of its life before it is renewed.
    pub(crate) fn new(scheme: &str, text: &str, life: Duration, margins: Margins) -> Option<Self> {
        let header = header(scheme, text)?;
        Some(Self::again(header, life, margins))
    }

    /// Gives a token that is known another life, from now on.
    pub(crate) fn again(header: HeaderValue, life: Duration, margins: Margins) -> Self {
        let now = Instant::now();
        let renewed_from = now + life.saturating_sub(margins.renewed.min(life / 2));
        Self { header, renewed_from, unused_from: now + life.saturating_sub(margins.unused) }
    }

    /// Returns the value of the header that carries it.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn header(scheme: &str, token: &str) -> Option<HeaderValue> {
    if token.is_empty() || token.contains(char::is_whitespace) {
        return None;
    }
    let line = Zeroizing::new(format!("{scheme}{token}").into_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(line)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Keeps one token. Callers at the same time share one request for it, and what came of it.
pub(crate) struct Keeper<E> {
    /// Whoever has it asks; the others wait for what is answered.
    turn: Arc<Turn<()>>,
    known: Mutex<Known<E>>,
}

struct Known<E> {
    token: Option<Arc<Token>>,
    /// How many times has been asked to the end.
    asked: u64,
    /// Why the last time gave no token.
    failure: Option<Arc<E>>,
    /// No renewal before.
    quiet_until: Option<Instant>,
}

impl<E> Default for Keeper<E> {
    fn default() -> Self {
        let known = Known { token: None, asked: 0, failure: None, quiet_until: None };
        Self { turn: Arc::default(), known: Mutex::new(known) }
    }
}

impl<E: Error + Send + Sync + 'static> Keeper<E> {
    /// Returns the token that is known, while it can be used, else the one that `ask` gets. One that
    /// ends soon is renewed without anybody waiting.
    pub(crate) async fn token<F>(
        self: &Arc<Self>,
        ask: impl FnOnce() -> F,
    ) -> Result<Arc<Token>, Arc<E>>
    where
        F: Future<Output = Result<Token, E>> + Send + 'static,
    {
        let (token, asked, may_renew) = self.look(Instant::now());
        if let Some(token) = token {
            let free = may_renew.then(|| self.turn.clone().try_lock_owned().ok()).flatten();
            if let Some(turn) = free {
                let (keeper, asking) = (Arc::clone(self), ask());
                tokio::spawn(async move {
                    let _told = keeper.learn(asking.await);
                    drop(turn);
                });
            }
            return Ok(token);
        }
        let turn = self.turn.clone().lock_owned().await;
        let (token, asked_now, _) = self.look(Instant::now());
        if let Some(token) = token {
            return Ok(token);
        }
        if let Some(failure) = self.known().failure.clone().filter(|_failure| asked_now > asked) {
            return Err(failure);
        }
        let told = self.learn(ask().await);
        drop(turn);
        told
    }

    /// Forgets a token that a service did not take, unless there is another one by now.
    pub(crate) fn reject(&self, token: &Arc<Token>) {
        let mut known = self.known();
        if known.token.as_ref().is_some_and(|own| Arc::ptr_eq(own, token)) {
            known.token = None;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known<E>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the token if it can be used, how often has been asked, and whether the token should
    /// be renewed now.
    fn look(&self, now: Instant) -> (Option<Arc<Token>>, u64, bool) {
        let known = self.known();
        let token = known.token.clone().filter(|token| now < token.unused_from);
        let is_due = token.as_ref().is_some_and(|token| token.renewed_from <= now);
        let may_renew = is_due && known.quiet_until.is_none_or(|until| until <= now);
        (token, known.asked, may_renew)
    }

    fn learn(&self, answer: Result<Token, E>) -> Result<Arc<Token>, Arc<E>> {
        let mut known = self.known();
        known.asked += 1;
        match answer {
            Ok(token) => {
                let token = Arc::new(token);
                (known.token, known.failure) = (Some(Arc::clone(&token)), None);
                known.quiet_until = None;
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "could not get a token");
                let error = Arc::new(error);
                known.failure = Some(Arc::clone(&error));
                known.quiet_until = Some(Instant::now() + RENEWAL_PAUSE);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
