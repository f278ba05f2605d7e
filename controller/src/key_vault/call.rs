//! One request to a vault: with a token, again where that may help, and its answer.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::challenge::{Challenge, Objection};
use super::error::{KeyVaultError, Refusal};
use super::{KeyVault, wire};
use crate::identity::Token;
use crate::remote;

/// The largest answer, in bytes: a page of 25 versions with all their tags, each character escaped.
const BYTES_MAX: usize = 512 << 10;

/// Attempts after which a vault that cannot be reached is not asked again.
const LOST_TRIES: u32 = 2;

/// A request.
pub(super) struct Call {
    method: Method,
    url: Url,
    doing: String,
    body: Option<Bytes>,
    /// Whether it is about a key, which wants other rights than a secret.
    is_of_key: bool,
}

/// What a vault answered to a request that it did.
pub(super) struct Answer {
    doing: String,
    vault: String,
    body: Zeroizing<Vec<u8>>,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, doing: String) -> Self {
        Self { method, url, doing, body: None, is_of_key: false }
    }

    pub(super) fn of_key(method: Method, url: Url, doing: String) -> Self {
        Self { is_of_key: true, ..Self::new(method, url, doing) }
    }

    /// Gives it a body, in memory that is overwritten.
    pub(super) fn with(self, body: &impl Serialize) -> Result<Self, KeyVaultError> {
        let failed = |source| KeyVaultError::Body { doing: self.doing.clone(), source };
        let body = remote::json(body).map_err(failed)?;
        Ok(Self { body: Some(body), ..self })
    }

    /// Tells whether doing it twice is the same as once. A value that is set twice has two versions.
    fn is_repeatable(&self) -> bool {
        self.method != Method::PUT
    }
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, KeyVaultError> {
        serde_json::from_slice(&self.body).map_err(|_source| self.wrong("something else"))
    }

    pub(super) fn wrong(&self, got: &'static str) -> KeyVaultError {
        KeyVaultError::Answer { doing: self.doing.clone(), vault: self.vault.clone(), got }
    }
}

impl KeyVault {
    /// Sends a request until there is an answer that stays. A token that is not taken is replaced
    /// once.
    pub(super) fn send(&self, call: Call) -> BoxFuture<'_, Result<Answer, KeyVaultError>> {
        // Behind a pointer: else every request that there is has all this in it once more.
        self.send_until_answered(call).boxed()
    }

    async fn send_until_answered(&self, call: Call) -> Result<Answer, KeyVaultError> {
        let mut is_second_token = false;
        loop {
            let resource = self.resource(&call.doing).await?;
            let token = self.identity.token(&resource).await.map_err(|source| {
                KeyVaultError::Identity { doing: call.doing.clone(), vault: self.uri(), source }
            })?;
            let once = || self.once(&call, &token);
            let pause = |tried, answer: Option<&Response>| self.pause(&call, tried, answer);
            let response = remote::until_answered(once, pause).await?;
            if response.status() != StatusCode::UNAUTHORIZED || is_second_token {
                return self.answer(call, response).await;
            }
            is_second_token = true;
            self.identity.reject(&resource, &token);
            self.learn(response.headers())?;
        }
    }

    async fn once(&self, call: &Call, token: &Token) -> Result<Response, KeyVaultError> {
        let request = self.http.request(call.method.clone(), call.url.clone());
        let mut request = request.header(AUTHORIZATION, token.header());
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.send().await.map_err(|source| self.lost(&call.doing, source))
    }

    fn lost(&self, doing: &str, source: reqwest::Error) -> KeyVaultError {
        let (doing, vault) = (doing.to_owned(), self.uri());
        KeyVaultError::Reach { doing, vault, source: source.without_url() }
    }

    /// How long to wait before a request is made again. 429 says that nothing was done.
    fn pause(&self, call: &Call, tried: u32, answer: Option<&Response>) -> Option<Duration> {
        let Some(answer) = answer else {
            let may_repeat = call.is_repeatable() && tried < LOST_TRIES;
            return may_repeat.then(|| self.pace.pause(tried, None)).flatten();
        };
        let status = answer.status();
        let is_down = status == StatusCode::REQUEST_TIMEOUT || status.is_server_error();
        let may_help = status == StatusCode::TOO_MANY_REQUESTS || (is_down && call.is_repeatable());
        may_help.then(|| self.pace.pause(tried, remote::retry_after(answer.headers()))).flatten()
    }

    /// Returns the resource that the vault wants tokens for. It is asked without any, once.
    async fn resource(&self, doing: &str) -> Result<Arc<str>, KeyVaultError> {
        let known = || self.resource.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(resource) = known() {
            return Ok(resource);
        }
        let url = self.url(&["secrets"])?;
        let call = Call::new(Method::GET, url, doing.to_owned());
        let once = || async {
            let request = self.http.get(call.url.clone());
            request.send().await.map_err(|source| self.lost(doing, source))
        };
        // Whoever does not answer at all is told at once: nothing was asked for yet.
        let pause = |tried, answer: Option<&Response>| self.pause(&call, tried, Some(answer?));
        let response = remote::until_answered(once, pause).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                self.learn(response.headers())?;
                known().ok_or_else(|| self.no_challenge())
            }
            status if status.is_success() => Err(self.no_challenge()),
            _ => Err(self.refusal(call, response).await),
        }
    }

    /// Takes a vault's challenge, after looking at it. An answer without one changes nothing.
    fn learn(&self, headers: &HeaderMap) -> Result<(), KeyVaultError> {
        let headers = headers.get_all(WWW_AUTHENTICATE).iter();
        let Some(challenge) =
            headers.filter_map(|header| header.to_str().ok()).find_map(Challenge::parse)
        else {
            return Ok(());
        };
        let tenant = self.identity.tenant();
        let objection = challenge.check(&self.host, tenant, self.trusted.as_deref()).err();
        let vault = self.uri();
        match objection {
            None => {
                let resource = Arc::from(challenge.resource);
                *self.resource.lock().unwrap_or_else(PoisonError::into_inner) = Some(resource);
                Ok(())
            }
            Some(Objection::Tenant) => Err(KeyVaultError::Tenant {
                vault,
                ours: tenant.unwrap_or_default().to_owned(),
                theirs: remote::shown(&challenge.tenant),
            }),
            Some(Objection::Resource) => {
                let resource = remote::shown(&challenge.resource);
                Err(KeyVaultError::Resource { vault, resource })
            }
        }
    }

    fn no_challenge(&self) -> KeyVaultError {
        KeyVaultError::Challenge { vault: self.uri() }
    }

    async fn answer(&self, call: Call, response: Response) -> Result<Answer, KeyVaultError> {
        if !response.status().is_success() {
            return Err(self.refusal(call, response).await);
        }
        let read = remote::body(response, BYTES_MAX).await;
        let body = read.map_err(|source| self.lost(&call.doing, source))?;
        let mut answer =
            Answer { doing: call.doing, vault: self.uri(), body: Zeroizing::default() };
        answer.body = body.ok_or_else(|| answer.wrong("a longer answer"))?;
        Ok(answer)
    }

    async fn refusal(&self, call: Call, response: Response) -> KeyVaultError {
        let status = response.status().as_u16();
        let body = remote::body(response, BYTES_MAX).await.ok().flatten().unwrap_or_default();
        // A proxy's page in the place of an answer is no reason to hide the status.
        let reason = serde_json::from_slice::<wire::Failure>(&body).unwrap_or_default().error;
        KeyVaultError::refused(Refusal {
            doing: call.doing,
            vault: self.uri(),
            is_of_key: call.is_of_key,
            status,
            code: remote::shown(&reason.code),
            inner: remote::shown(&reason.innererror.unwrap_or_default().code),
            message: remote::shown(&reason.message),
        })
    }
}
