//! The keys of one issuer, kept fresh by a task of their own.
//!
//! Requests with known keys never wait. A key that is not known is looked for once more, since
//! issuers change theirs at any time; but tokens are anybody's to send, so that not every one of
//! them may make the daemon ask. Whatever goes wrong with the asking, the keys stay for a while:
//! people must be let in while their provider is down.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::OidcError;
use super::keys::{Key, Keys};
use super::source::Source;
use crate::access::Rejected;
use crate::duration;

/// How long it may take to get the keys.
pub(super) const FETCH_MAX: Duration = Duration::from_secs(10);

/// How long a request waits for that: long enough to hear how it ended.
const WAIT_MAX: Duration = FETCH_MAX.saturating_add(Duration::from_secs(1));

/// The pause before unknown keys make us ask again: what a provider does not feel.
pub(super) const ASK_PAUSE: Duration = Duration::from_secs(10);

/// The pause after a failure, if the usual one is not shorter.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// How long keys are good that could not be got anew: a provider that is down over night locks
/// nobody out, and a key that it has withdrawn does not live for ever.
pub(super) const KEEP_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct Ring {
    state: Arc<watch::Sender<State>>,
    _keeper: AbortOnDropHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct State {
    keys: Option<Keys>,
    /// When the keys were got.
    at: Option<Instant>,
    /// Whether they are being got, or are to be.
    asking: bool,
    /// When an unknown key last made us ask.
    asked: Option<Instant>,
}

impl State {
    /// Returns the keys, unless they are too old to be believed.
    fn keys(&self, now: Instant) -> Option<&Keys> {
        let at = self.at?;
        self.keys.as_ref().filter(|_keys| now.saturating_duration_since(at) < KEEP_MAX)
    }

    /// Tells whether an unknown key is worth waiting for, and sees to it that it is looked for.
    fn ask(&mut self, now: Instant) -> bool {
        let is_free = |asked| now.saturating_duration_since(asked) >= ASK_PAUSE;
        if !self.asking && self.asked.is_none_or(is_free) {
            (self.asking, self.asked) = (true, Some(now));
        }
        self.asking
    }
}

impl Ring {
    /// Begins to keep the keys of an issuer; without any, they are got at once.
    pub(super) fn start(
        issuer: String,
        source: Source,
        keys: Option<Keys>,
        refresh: Duration,
    ) -> Self {
        let at = keys.is_some().then(Instant::now);
        let state = State { asking: keys.is_none(), keys, at, asked: None };
        let state = Arc::new(watch::Sender::new(state));
        let keeper = Keeper { issuer, source, refresh, state: Arc::clone(&state) };
        Self { state, _keeper: AbortOnDropHandle::new(tokio::spawn(keeper.run())) }
    }

    /// Returns the key of a name. Waits for the issuer if that may help, at most [`WAIT_MAX`].
    pub(super) async fn find(&self, kid: &str) -> Result<Arc<Key>, Rejected> {
        let known = |state: &State| state.keys(Instant::now()).map(|keys| keys.get(kid));
        if let Some(Some(key)) = known(&self.state.borrow()) {
            return Ok(key);
        }
        let mut waits = false;
        self.state.send_if_modified(|state| {
            let was_asking = state.asking;
            waits = state.ask(Instant::now());
            state.asking != was_asking
        });
        if waits {
            let mut state = self.state.subscribe();
            // However it ends: what there is then decides.
            drop(timeout(WAIT_MAX, state.wait_for(|state| !state.asking)).await);
        }
        known(&self.state.borrow()).ok_or(Rejected::NoKeys)?.ok_or(Rejected::Key)
    }
}

/// Gets the keys every now and then, and whenever somebody asks.
struct Keeper {
    issuer: String,
    source: Source,
    refresh: Duration,
    state: Arc<watch::Sender<State>>,
}

impl Keeper {
    async fn run(self) {
        let mut state = self.state.subscribe();
        let mut pause = self.refresh;
        loop {
            drop(timeout(pause, state.wait_for(|state| state.asking)).await);
            self.state.send_modify(|state| state.asking = true);
            let got = timeout(FETCH_MAX, self.source.fetch()).await;
            let late = |_elapsed| {
                Err(OidcError::TimedOut { place: self.source.place(), within: FETCH_MAX })
            };
            let got = got.unwrap_or_else(late);
            pause = if got.is_ok() { self.refresh } else { self.refresh.min(RETRY_PAUSE) };
            self.take(got);
        }
    }

    /// Puts what came of asking in force, and tells what has changed.
    fn take(&self, got: Result<Keys, OidcError>) {
        let issuer = self.issuer.as_str();
        let now = Instant::now();
        match got {
            Ok(keys) => {
                let names = keys.names();
                let was = self.state.borrow().keys.as_ref().map(Keys::names);
                if was.as_ref() != Some(&names) {
                    tracing::info!(issuer, keys = names, "an issuer's keys are known");
                }
                self.state.send_modify(|state| {
                    (state.keys, state.at, state.asking) = (Some(keys), Some(now), false);
                });
            }
            Err(error) => {
                self.state.send_modify(|state| state.asking = false);
                self.tell(&error, now);
            }
        }
    }

    fn tell(&self, error: &OidcError, now: Instant) {
        let issuer = self.issuer.as_str();
        let (error, hint) = (error.chain(), error.hint());
        let state = self.state.borrow();
        match (state.keys(now), state.at) {
            (Some(_keys), Some(at)) => {
                let left = KEEP_MAX.saturating_sub(now.saturating_duration_since(at));
                let left = duration::render(Duration::from_secs(left.as_secs()));
                tracing::warn!(issuer, error, hint, left, "an issuer's keys stay as they were");
            }
            _ => tracing::warn!(issuer, error, hint, "nobody of this issuer is let in"),
        }
    }
}
