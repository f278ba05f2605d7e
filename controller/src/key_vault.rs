//! A client of Azure Key Vault's secrets and keys: what Keyturn needs of them, and no more.
//!
//! Source: Azure Key Vault REST API, secrets, version 7.4, and "Authentication, requests and
//! responses" for the challenge. Why it is not Azure's own crate: `docs/adr/0015`.
//!
//! A token goes to one host only: the one that is configured, after the vault's challenge has named
//! the directory that the identity belongs to, and a resource that covers the host. Values are in
//! memory that is overwritten, and in no error or log.

mod call;
mod challenge;
mod error;
mod keys;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, Url};

use self::call::Call;
pub use self::challenge::{Challenge, Objection};
pub use self::error::{KeyVaultError, Refusal};
pub use self::keys::{WrapAlgorithm, WrappedKey};
pub use self::wire::{Properties, Secret, Tags};
use crate::identity::Identity;
use crate::remote::{self, Pace, Way};

/// Known to every cloud, and new enough for all that is used here.
const API_VERSION: &str = "7.4";

/// Versions on a page: the most that Key Vault gives.
const PAGE: &str = "25";

/// Pages that are read before a list is taken for endless: 100,000 versions.
const PAGES_MAX: usize = 4_000;

/// A vault, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVaultSettings {
    /// Its URI, `https://NAME.vault.azure.net` for example.
    pub uri: String,
    /// The resource that tokens are asked for, where the vault is not under its domain: a private
    /// cloud, or a vault that only speaks Key Vault's API. Default: what the vault says itself,
    /// which must be above the vault's own name.
    pub resource: Option<String>,
    /// How it is reached.
    pub way: Way,
}

/// A client of one vault.
pub struct KeyVault {
    http: Client,
    base: Url,
    host: String,
    /// The resource that is trusted by configuration.
    trusted: Option<String>,
    identity: Identity,
    pace: Pace,
    /// The resource that the vault named and that was checked.
    resource: Mutex<Option<Arc<str>>>,
}

impl KeyVault {
    /// Makes a client. Asks nobody yet.
    ///
    /// # Errors
    /// Returns [`KeyVaultError::Uri`] or [`KeyVaultError::Way`].
    pub fn open(
        settings: &KeyVaultSettings,
        identity: Identity,
        pace: Pace,
    ) -> Result<Self, KeyVaultError> {
        let wrong = || KeyVaultError::Uri { given: settings.uri.clone() };
        let base = Url::parse(&settings.uri).map_err(|_source| wrong())?;
        let is_root = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
        let nobody = base.username().is_empty() && base.password().is_none();
        if base.scheme() != "https" || !is_root || !nobody {
            return Err(wrong());
        }
        let host = base.host_str().ok_or_else(wrong)?.to_owned();
        let http = remote::client(&settings.way, &host, &pace)?;
        let trusted = settings.resource.clone();
        let resource = Mutex::new(None);
        Ok(Self { http, base, host, trusted, identity, pace, resource })
    }

    /// Returns the vault's URI, without a slash at its end.
    #[must_use]
    pub fn uri(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Stores a value as a new version of a secret. Each call makes one: it is not repeated after
    /// an answer that was lost, only after one that says that nothing was done.
    ///
    /// # Errors
    /// Returns [`KeyVaultError`]; [`KeyVaultError::is_outcome_unknown`] tells whether there may be
    /// a new version all the same.
    pub async fn set(
        &self,
        name: &str,
        value: &str,
        content_type: &str,
        tags: &Tags,
    ) -> Result<Properties, KeyVaultError> {
        let body = wire::New { value, content_type, tags };
        let call = Call::new(Method::PUT, self.url(&["secrets", name])?, format!("set `{name}`"));
        let answer = self.send(call.with(&body)?).await?;
        answer.read::<wire::Bundle>()?.properties(&answer)
    }

    /// Opens a version; without one the newest, even if that is disabled.
    ///
    /// # Errors
    /// Returns [`KeyVaultError::NotFound`], [`KeyVaultError::Disabled`] or another.
    pub async fn get(&self, name: &str, version: Option<&str>) -> Result<Secret, KeyVaultError> {
        let doing = match version {
            Some(version) => format!("open version {version} of `{name}`"),
            None => format!("open the newest version of `{name}`"),
        };
        let url = self.url(&["secrets", name, version.unwrap_or_default()])?;
        let answer = self.send(Call::new(Method::GET, url, doing)).await?;
        let mut bundle = answer.read::<wire::Bundle>()?;
        let value = bundle.value.take().ok_or_else(|| answer.wrong("no value"))?;
        Ok(Secret { value, properties: bundle.properties(&answer)? })
    }

    /// Changes what is known of a version. What is `None` stays as it is; tags are replaced whole.
    ///
    /// # Errors
    /// Returns [`KeyVaultError::NotFound`] or another.
    pub async fn update(
        &self,
        name: &str,
        version: &str,
        enabled: Option<bool>,
        tags: Option<&Tags>,
    ) -> Result<Properties, KeyVaultError> {
        let doing = format!("change version {version} of `{name}`");
        let url = self.url(&["secrets", name, version])?;
        let body = wire::Change { attributes: wire::Enabled { enabled }, tags };
        let answer = self.send(Call::new(Method::PATCH, url, doing).with(&body)?).await?;
        answer.read::<wire::Bundle>()?.properties(&answer)
    }

    /// Lists the versions of a secret, in no order; none for a name that the vault does not know.
    ///
    /// # Errors
    /// Returns [`KeyVaultError`].
    pub async fn versions(&self, name: &str) -> Result<Vec<Properties>, KeyVaultError> {
        let mut url = self.url(&["secrets", name, "versions"])?;
        url.query_pairs_mut().append_pair("maxresults", PAGE);
        let doing = format!("list the versions of `{name}`");
        let (mut all, mut next) = (Vec::new(), Some(url));
        for _page in 0..PAGES_MAX {
            let Some(url) = next else { return Ok(all) };
            let answer = match self.send(Call::new(Method::GET, url, doing.clone())).await {
                Err(KeyVaultError::NotFound { .. }) => return Ok(all),
                answer => answer?,
            };
            let page = answer.read::<wire::Page>()?;
            for bundle in page.value.unwrap_or_default() {
                all.push(bundle.properties(&answer)?);
            }
            next = page.next_link.map(|link| self.here(&link)).transpose()?;
        }
        Err(KeyVaultError::Answer { doing, vault: self.uri(), got: "a list without an end" })
    }

    /// Deletes a secret with all its versions. Whether it can be recovered is the vault's setting.
    /// One that is not there is deleted already.
    ///
    /// # Errors
    /// Returns [`KeyVaultError`].
    pub async fn delete(&self, name: &str) -> Result<(), KeyVaultError> {
        let url = self.url(&["secrets", name])?;
        match self.send(Call::new(Method::DELETE, url, format!("delete `{name}`"))).await {
            Ok(_) | Err(KeyVaultError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns what is known of the newest version of a secret that has been deleted and can be
    /// recovered; `None` if there is no such secret.
    ///
    /// # Errors
    /// Returns [`KeyVaultError`].
    pub async fn deleted(&self, name: &str) -> Result<Option<Properties>, KeyVaultError> {
        let url = self.url(&["deletedsecrets", name])?;
        let call = Call::new(Method::GET, url, format!("look for the deleted `{name}`"));
        match self.send(call).await {
            Ok(answer) => answer.read::<wire::Bundle>()?.properties(&answer).map(Some),
            Err(KeyVaultError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings a deleted secret back with all its versions. It may take some seconds until it can be
    /// used.
    ///
    /// # Errors
    /// Returns [`KeyVaultError`].
    pub async fn recover(&self, name: &str) -> Result<(), KeyVaultError> {
        let url = self.url(&["deletedsecrets", name, "recover"])?;
        self.send(Call::new(Method::POST, url, format!("recover `{name}`"))).await.map(drop)
    }

    fn url(&self, path: &[&str]) -> Result<Url, KeyVaultError> {
        let mut url = self.base.clone();
        let wrong = |()| KeyVaultError::Uri { given: self.uri() };
        // Pushing escapes what is no part of a name, so that nothing leaves its place.
        url.path_segments_mut().map_err(wrong)?.clear().extend(path);
        url.query_pairs_mut().append_pair("api-version", API_VERSION);
        Ok(url)
    }

    /// Brings a link back to this vault: the token must go nowhere else.
    fn here(&self, link: &str) -> Result<Url, KeyVaultError> {
        let wrong = || KeyVaultError::Answer {
            doing: "read a list to its end".to_owned(),
            vault: self.uri(),
            got: "a link to another place",
        };
        let link = Url::parse(link).map_err(|_source| wrong())?;
        let same_port = link.port_or_known_default() == self.base.port_or_known_default();
        if link.host_str() != Some(&self.host) || !same_port || link.scheme() != "https" {
            return Err(wrong());
        }
        Ok(link)
    }
}

impl fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVault").field("uri", &self.uri()).finish_non_exhaustive()
    }
}
