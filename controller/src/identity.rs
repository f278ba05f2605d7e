//! Who Keyturn is to Microsoft Entra ID: tokens for Azure Key Vault and what else takes them.
//!
//! Three kinds of identity ([`Principal`]): a managed identity of the host (asked at IMDS, the
//! host's own service), a service principal with a secret, and one that trusts another provider's
//! tokens (workload identity federation). Whoever needs a token asks an [`Identity`], which keeps
//! tokens per resource and asks for a new one before the old one ends. A token is in no log, no
//! error and no `Debug`.

mod answer;
mod entra;
mod error;
mod imds;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::Instant;

pub use self::answer::Token;
pub use self::error::IdentityError;
pub use self::settings::{Credential, IdentitySettings, ManagedIdentity, Principal, UserAssigned};
use crate::error::chain;
use crate::remote::Pace;

/// A clock that was handed in: seconds since 1970-01-01T00:00:00Z.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How long before its end a token is renewed, while it is still used: enough for a service that is
/// down for a few minutes, and less than the shortest life that Entra ID gives (10 minutes).
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// How long before its end a token is no longer used: the longest way to a vault, and what clocks
/// may differ by.
const UNUSED_BEFORE: Duration = Duration::from_secs(30);

/// The pause after a token could not be renewed while the old one can still be used.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// One identity, and the tokens that it has been given. Cheap to clone; clones share the tokens.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

struct Shared {
    source: Source,
    clock: WallClock,
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
}

enum Source {
    Imds(imds::Imds),
    Entra(entra::Entra),
}

/// The token for one resource.
#[derive(Default)]
struct Slot {
    /// Whoever has it asks; the others wait for what is answered.
    turn: Arc<Turn<()>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    token: Option<Arc<Token>>,
    /// How many times has been asked to the end.
    asked: u64,
    /// Why the last time gave no token.
    failure: Option<Arc<IdentityError>>,
    /// No renewal before.
    quiet_until: Option<Instant>,
}

impl Identity {
    /// Makes an identity. Asks nobody yet. What `settings` leave open is looked for by `variable`,
    /// the process's environment, under the names that Azure's own libraries use.
    ///
    /// # Errors
    /// Returns [`IdentityError`] for authorities that cannot be read and for a setting that neither
    /// the configuration nor the environment has.
    pub fn open(
        settings: &IdentitySettings,
        pace: Pace,
        clock: WallClock,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, IdentityError> {
        let source = match &settings.principal {
            Principal::Managed(managed) => {
                Source::Imds(imds::Imds::open(managed, pace, &variable)?)
            }
            Principal::Application { tenant, credential } => {
                let way = &settings.way;
                let authority = settings.authority.as_deref();
                let entra = entra::Entra::open(
                    tenant.as_deref(),
                    credential,
                    authority,
                    way,
                    pace,
                    &variable,
                )?;
                Source::Entra(entra)
            }
        };
        Ok(Self(Arc::new(Shared { source, clock, slots: Mutex::default() })))
    }

    /// Returns the directory (tenant) that gives the tokens; `None` where only the host knows it.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        match &self.0.source {
            Source::Imds(_) => None,
            Source::Entra(entra) => Some(entra.tenant()),
        }
    }

    /// Returns a token for a resource, for example `https://vault.azure.net`: the one that is known,
    /// while it can be used, else a new one. Callers at the same time share one request, and what
    /// came of it. One that ends soon is renewed without anybody waiting.
    ///
    /// # Errors
    /// Returns why there is no token.
    pub async fn token(&self, resource: &str) -> Result<Arc<Token>, Arc<IdentityError>> {
        let slot = self.slot(resource);
        let (token, asked, may_renew) = slot.look(Instant::now());
        if let Some(token) = token {
            let free = may_renew.then(|| slot.turn.clone().try_lock_owned().ok()).flatten();
            if let Some(turn) = free {
                let (identity, resource) = (self.clone(), resource.to_owned());
                tokio::spawn(async move { identity.ask(&resource, &slot, turn).await });
            }
            return Ok(token);
        }
        let turn = slot.turn.clone().lock_owned().await;
        let (token, asked_now, _) = slot.look(Instant::now());
        if let Some(token) = token {
            return Ok(token);
        }
        if let Some(failure) = slot.known().failure.clone().filter(|_failure| asked_now > asked) {
            return Err(failure);
        }
        self.ask(resource, &slot, turn).await
    }

    /// Forgets a token that a service did not take, unless there is another one by now.
    pub fn reject(&self, resource: &str, token: &Arc<Token>) {
        let slot = self.slot(resource);
        let mut known = slot.known();
        if known.token.as_ref().is_some_and(|own| Arc::ptr_eq(own, token)) {
            known.token = None;
        }
    }

    async fn ask(
        &self,
        resource: &str,
        slot: &Slot,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Arc<Token>, Arc<IdentityError>> {
        let now = (self.0.clock)();
        let answer = match &self.0.source {
            Source::Imds(imds) => imds.token(resource, now).await,
            Source::Entra(entra) => entra.token(resource, now).await,
        };
        let told = slot.learn(answer);
        drop(turn);
        told
    }

    fn slot(&self, resource: &str) -> Arc<Slot> {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(resource.to_owned()).or_default())
    }
}

impl Slot {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the token if it can be used, how often has been asked, and whether the token should
    /// be renewed now.
    fn look(&self, now: Instant) -> (Option<Arc<Token>>, u64, bool) {
        let known = self.known();
        let token = known.token.clone().filter(|token| now + UNUSED_BEFORE < token.ends);
        let is_due = token.as_ref().is_some_and(|token| token.renewed_from <= now);
        let may_renew = is_due && known.quiet_until.is_none_or(|until| until <= now);
        (token, known.asked, may_renew)
    }

    fn learn(
        &self,
        answer: Result<Token, IdentityError>,
    ) -> Result<Arc<Token>, Arc<IdentityError>> {
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

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0.source {
            Source::Imds(_) => "managed identity",
            Source::Entra(_) => "application",
        };
        f.debug_tuple("Identity").field(&kind).finish()
    }
}

#[cfg(test)]
mod tests;
