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

pub use self::error::IdentityError;
pub use self::settings::{Credential, IdentitySettings, ManagedIdentity, Principal, UserAssigned};
pub use crate::remote::Token;
use crate::remote::{Keeper, Margins, Pace};

/// A clock that was handed in: seconds since 1970-01-01T00:00:00Z.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A token is renewed early enough for a service that is down for a few minutes, and later than the
/// shortest life that Entra ID gives has begun (10 minutes). It is no longer used when the longest way
/// to a vault, and what clocks may differ by, are left.
const MARGINS: Margins =
    Margins { renewed: Duration::from_secs(300), unused: Duration::from_secs(30) };

/// One identity, and the tokens that it has been given. Cheap to clone; clones share the tokens.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

struct Shared {
    source: Source,
    clock: WallClock,
    keepers: Mutex<BTreeMap<String, Arc<Keeper<IdentityError>>>>,
}

enum Source {
    Imds(imds::Imds),
    Entra(entra::Entra),
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
        Ok(Self(Arc::new(Shared { source, clock, keepers: Mutex::default() })))
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
        let ask = || {
            let (identity, resource) = (self.clone(), resource.to_owned());
            async move { identity.ask(&resource).await }
        };
        self.keeper(resource).token(ask).await
    }

    /// Forgets a token that a service did not take, unless there is another one by now.
    pub fn reject(&self, resource: &str, token: &Arc<Token>) {
        self.keeper(resource).reject(token);
    }

    async fn ask(&self, resource: &str) -> Result<Token, IdentityError> {
        let now = (self.0.clock)();
        match &self.0.source {
            Source::Imds(imds) => imds.token(resource, now).await,
            Source::Entra(entra) => entra.token(resource, now).await,
        }
    }

    fn keeper(&self, resource: &str) -> Arc<Keeper<IdentityError>> {
        let mut keepers = self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(keepers.entry(resource.to_owned()).or_default())
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
