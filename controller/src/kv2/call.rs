//! One request to a vault: with a token, again where that may help, and its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use super::error::{Kv2Error, Refusal};
use super::{Kv2, wire};
use crate::remote::{self, Token};

/// The largest answer, in bytes: the names of 100,000 versions.
const BYTES_MAX: usize = 4 << 20;

/// Attempts after which a vault that cannot be reached is not asked again.
const LOST_TRIES: u32 = 2;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Proves to a proxy of the vault's that no browser was tricked into the request.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A request. All that are made here may be made twice: writes say what they replace.
pub(super) struct Call {
    method: Method,
    pub(super) url: Url,
    pub(super) doing: String,
    body: Option<Bytes>,
    capability: &'static str,
    /// What a policy calls the path.
    pub(super) path: String,
    /// Whether 404 may have an answer in it.
    tells_of_gone: bool,
}

/// What a vault answered to a request that it did.
pub(super) struct Answer {
    doing: String,
    vault: String,
    status: StatusCode,
    body: Zeroizing<Vec<u8>>,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, doing: &str) -> Self {
        let (doing, path) = (doing.to_owned(), String::new());
        Self { method, url, doing, body: None, capability: "", path, tells_of_gone: false }
    }

    /// Says what a policy has to allow for it.
    pub(super) fn needs(self, capability: &'static str, path: String) -> Self {
        Self { capability, path, ..self }
    }

    /// Says that a version which is gone is told with 404 and what is known of it.
    pub(super) fn or_gone(self) -> Self {
        Self { tells_of_gone: true, ..self }
    }

    /// Gives it a body, in memory that is overwritten.
    pub(super) fn with(self, body: &impl Serialize) -> Result<Self, Kv2Error> {
        let failed = |source| Kv2Error::Body { doing: self.doing.clone(), source };
        let body = remote::json(body).map_err(failed)?;
        Ok(Self { body: Some(body), ..self })
    }

    fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Kv2Error> {
        let read = serde_json::from_slice::<wire::Envelope<T>>(&self.body);
        read.map(|envelope| envelope.data).map_err(|_source| self.wrong("something else"))
    }

    /// Reads all of it, without what is usually around.
    pub(super) fn whole<T: DeserializeOwned>(&self) -> Result<T, Kv2Error> {
        serde_json::from_slice(&self.body).map_err(|_source| self.wrong("something else"))
    }

    /// Makes sure that it is the vault's, where nothing is told: a proxy's page is none.
    pub(super) fn done(&self) -> Result<(), Kv2Error> {
        match self.status {
            StatusCode::NO_CONTENT => Ok(()),
            _ => self.whole::<BTreeMap<String, IgnoredAny>>().map(drop),
        }
    }

    pub(super) fn wrong(&self, got: &'static str) -> Kv2Error {
        Kv2Error::Answer { doing: self.doing.clone(), vault: self.vault.clone(), got }
    }
}

impl Kv2 {
    /// Sends a request until there is an answer that stays. A token that is not taken any more is
    /// replaced once.
    pub(super) fn send(&self, call: Call) -> BoxFuture<'_, Result<Answer, Kv2Error>> {
        // Behind a pointer: else every request that there is has all this in it once more.
        self.send_until_answered(call).boxed()
    }

    async fn send_until_answered(&self, call: Call) -> Result<Answer, Kv2Error> {
        let mut is_second_token = false;
        loop {
            let token = self.token(&call.doing).await?;
            let response = self.attempt(&call, Some(&token.header())).await?;
            let is_denied = response.status() == StatusCode::FORBIDDEN && !is_second_token;
            // A token that has ended and a policy that is too narrow are answered alike.
            if !is_denied || self.is_taken(&token).await {
                return self.answer(&call, response).await;
            }
            is_second_token = true;
            self.session.reject(&token);
        }
    }

    async fn token(&self, doing: &str) -> Result<Arc<Token>, Kv2Error> {
        self.session.token(self).await.map_err(|source| Kv2Error::Login {
            doing: doing.to_owned(),
            vault: self.server(),
            source,
        })
    }

    /// Makes attempts, and tells an error after one that may have been heard from others.
    pub(super) async fn attempt(
        &self,
        call: &Call,
        token: Option<&HeaderValue>,
    ) -> Result<Response, Kv2Error> {
        let heard = AtomicBool::new(false);
        let pause = |tried, answer: Option<&Response>| {
            let pause = self.pause(tried, answer);
            let may_be_done = answer.is_none_or(|answer| answer.status().is_server_error());
            heard.fetch_or(pause.is_some() && may_be_done && call.changes(), Ordering::Relaxed);
            pause
        };
        let answered = remote::until_answered(|| self.once(call, token), pause).await;
        let may_be_done = heard.load(Ordering::Relaxed);
        match answered {
            Err(error) if may_be_done => Err(Kv2Error::Unsettled(Box::new(error))),
            Ok(answer) if may_be_done && is_other_failure(answer.status()) => {
                let error = self.refusal(call, answer).await;
                Err(Kv2Error::Unsettled(Box::new(error)))
            }
            answered => answered,
        }
    }

    /// Sends a request, and once more where a standby on the same host says where.
    async fn once(&self, call: &Call, token: Option<&HeaderValue>) -> Result<Response, Kv2Error> {
        let response = self.send_to(&call.url, call, token).await?;
        if !matches!(response.status().as_u16(), 307 | 308) {
            return Ok(response);
        }
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = location.unwrap_or_default();
        let here = call.url.join(to).ok().filter(|url| self.is_here(url));
        let elsewhere = || Kv2Error::Elsewhere {
            doing: call.doing.clone(),
            vault: self.server(),
            to: remote::shown(to),
        };
        self.send_to(&here.ok_or_else(elsewhere)?, call, token).await
    }

    fn is_here(&self, url: &Url) -> bool {
        url.scheme() == "https" && url.host_str() == Some(&self.host) && url.username().is_empty()
    }

    async fn send_to(
        &self,
        url: &Url,
        call: &Call,
        token: Option<&HeaderValue>,
    ) -> Result<Response, Kv2Error> {
        let request = self.http.request(call.method.clone(), url.clone());
        let mut request = request.header(REQUEST, "true");
        if let Some(token) = token {
            request = request.header(TOKEN, token.clone());
        }
        if let Some(namespace) = &self.namespace {
            request = request.header(NAMESPACE, namespace.clone());
        }
        if let Some(body) = &call.body {
            let merges = call.method == Method::PATCH;
            let kind = if merges { "application/merge-patch+json" } else { "application/json" };
            request = request.header(CONTENT_TYPE, kind).body(body.clone());
        }
        request.send().await.map_err(|source| self.lost(&call.doing, source))
    }

    fn lost(&self, doing: &str, source: reqwest::Error) -> Kv2Error {
        let (doing, vault) = (doing.to_owned(), self.server());
        Kv2Error::Reach { doing, vault, source: source.without_url() }
    }

    /// How long to wait before a request is made again.
    fn pause(&self, tried: u32, answer: Option<&Response>) -> Option<Duration> {
        let Some(answer) = answer else {
            return (tried < LOST_TRIES).then(|| self.pace.pause(tried, None)).flatten();
        };
        // 412: a standby has not heard of it yet. 472 and 473: a standby that answers nothing now.
        // 501: it is not initialized, and does not become so by itself.
        let may_help = match answer.status().as_u16() {
            501 => false,
            408 | 412 | 429 | 472 | 473 | 500.. => true,
            _ => false,
        };
        may_help.then(|| self.pace.pause(tried, remote::retry_after(answer.headers()))).flatten()
    }

    pub(super) async fn answer(&self, call: &Call, response: Response) -> Result<Answer, Kv2Error> {
        let status = response.status();
        let may_tell = call.tells_of_gone && status == StatusCode::NOT_FOUND;
        if !status.is_success() && !may_tell {
            return Err(self.refusal(call, response).await);
        }
        let read = remote::body(response, BYTES_MAX).await;
        let body = read.map_err(|source| self.lost(&call.doing, source))?;
        let (doing, vault) = (call.doing.clone(), self.server());
        let mut answer = Answer { doing, vault, status, body: Zeroizing::default() };
        answer.body = body.ok_or_else(|| answer.wrong("a longer answer"))?;
        if may_tell && wire::value::<IgnoredAny>(&answer).is_err() {
            return Err(self.refused(call, status, &answer.body));
        }
        Ok(answer)
    }

    /// Returns what a vault says with a refusal.
    pub(super) async fn said(&self, response: Response) -> String {
        let body = remote::body(response, BYTES_MAX).await.ok().flatten().unwrap_or_default();
        wire::message(&serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn refusal(&self, call: &Call, response: Response) -> Kv2Error {
        let status = response.status();
        let body = remote::body(response, BYTES_MAX).await.ok().flatten().unwrap_or_default();
        self.refused(call, status, &body)
    }

    /// Tells refusals apart by what can be done about them.
    fn refused(&self, call: &Call, status: StatusCode, body: &[u8]) -> Kv2Error {
        let (doing, vault) = (call.doing.clone(), self.server());
        // A proxy's page in the place of an answer is no reason to hide the status.
        let failure = serde_json::from_slice::<wire::Failure>(body).unwrap_or_default();
        let is_the_vaults = failure.errors.is_some();
        let message = wire::message(&failure);
        match status.as_u16() {
            403 => {
                let (capability, path) = (call.capability, call.path.clone());
                Kv2Error::Denied { doing, vault, capability, path }
            }
            400 if message.contains("check-and-set parameter did not match") => {
                Kv2Error::Conflict { doing, vault }
            }
            // What is not there is told without a word; with one, the mount or the namespace is not.
            404 if is_the_vaults && message.is_empty() => Kv2Error::NotFound { doing, vault },
            404 if is_the_vaults => self.no_engine(doing, message),
            status => Kv2Error::Refused(Box::new(Refusal { doing, vault, status, message })),
        }
    }
}

/// Tells whether an answer is none of those that say how things are.
fn is_other_failure(status: StatusCode) -> bool {
    !status.is_success() && !matches!(status.as_u16(), 400 | 403 | 404)
}
