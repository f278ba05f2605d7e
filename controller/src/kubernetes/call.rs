//! One request to an API server: as whoever Keyturn is, again where that may help, and its answer.

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::client::Kubernetes;
use super::connect::{Connection, Unanswered};
use super::error::{KubernetesError, Refusal};
use super::wire::Status;
use crate::remote;

/// The largest answer, in bytes: a page of metadata with all that Kubernetes notes beside it, or a
/// Secret, which has 1 MiB at most before it is written in base64.
const BYTES_MAX: usize = 4 << 20;

/// Attempts after which a server that cannot be reached is not asked again.
const LOST_TRIES: u32 = 2;

/// A request. It may be made twice.
pub(super) struct Call {
    pub(super) request: Request<Bytes>,
    pub(super) doing: String,
    /// The right that it takes.
    pub(super) verb: &'static str,
    /// The Secret that it is about, if it is about one.
    pub(super) object: String,
}

/// Counts what is written: a buffer that has to grow would leave copies of a value behind.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a body into memory that is as large as it must be.
pub(super) fn written(body: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, body)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *text, body)?;
    Ok(text)
}

/// What came back.
struct Response {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Zeroizing<Vec<u8>>,
}

/// What an API server answered to a request that it did.
pub(super) struct Answer {
    doing: String,
    server: String,
    body: Zeroizing<Vec<u8>>,
}

/// Refusals that are answers to some requests.
pub(super) enum Told {
    Done(Answer),
    /// There is no such Secret.
    Absent,
    /// There is one of that name.
    Exists,
    /// It was changed since it was looked at.
    Conflict,
    /// The list has changed too much to be gone on with.
    Expired,
}

impl Answer {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, KubernetesError> {
        serde_json::from_slice(&self.body).map_err(|_source| self.wrong("something else"))
    }

    pub(super) fn wrong(&self, got: &'static str) -> KubernetesError {
        let (doing, server) = (self.doing.clone(), self.server.clone());
        KubernetesError::Answer { doing, server, got }
    }
}

impl Kubernetes {
    /// Sends a request until there is an answer that stays. An identity that is not taken is looked
    /// up again once: tokens rotate.
    pub(super) fn send(&self, call: Call) -> BoxFuture<'_, Result<Told, KubernetesError>> {
        // Behind a pointer: else every request that there is has all this in it once more.
        self.send_until_answered(call).boxed()
    }

    async fn send_until_answered(&self, call: Call) -> Result<Told, KubernetesError> {
        let (mut tried, mut is_second_identity) = (0, false);
        loop {
            let connection = self.connected().await?;
            tried += 1;
            let response = match self.once(&connection, &call).await {
                Ok(response) => response,
                Err(error) => match self.pause_lost(&error, tried) {
                    Some(pause) => {
                        // The authorities that vouch for the server may have changed.
                        self.forget(&connection).await;
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    None => return Err(error),
                },
            };
            if response.status == StatusCode::UNAUTHORIZED && !is_second_identity {
                is_second_identity = true;
                self.forget(&connection).await;
                continue;
            }
            match self.pause(&response, tried) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return self.told(call, response),
            }
        }
    }

    /// Makes one attempt.
    async fn once(
        &self,
        connection: &Connection,
        call: &Call,
    ) -> Result<Response, KubernetesError> {
        let asking = async {
            let response = connection.send(call.request.clone()).await;
            let response = response.map_err(|reason| match reason {
                Unanswered::NoIdentity(reason) => self.unknown(reason),
                Unanswered::Lost(source) => self.lost(call, source),
            })?;
            let (status, retry_after) =
                (response.status(), remote::retry_after(response.headers()));
            let body = remote::body(response, BYTES_MAX).await;
            let body = body.map_err(|source| self.lost(call, source.without_url()))?;
            let body = body.ok_or_else(|| KubernetesError::Answer {
                doing: call.doing.clone(),
                server: self.server().to_owned(),
                got: "a longer answer",
            })?;
            Ok(Response { status, retry_after, body })
        };
        let answered = tokio::time::timeout(self.pace.request_max, asking).await;
        answered.map_err(|_elapsed| self.late(call))?
    }

    fn late(&self, call: &Call) -> KubernetesError {
        KubernetesError::TimedOut {
            doing: call.doing.clone(),
            server: self.server().to_owned(),
            seconds: self.pace.request_max.as_secs(),
        }
    }

    fn lost(&self, call: &Call, source: reqwest::Error) -> KubernetesError {
        if source.is_timeout() && !source.is_connect() {
            return self.late(call);
        }
        KubernetesError::Reach {
            doing: call.doing.clone(),
            server: self.server().to_owned(),
            is_unasked: source.is_connect(),
            source: Box::new(source),
        }
    }

    fn pause_lost(&self, error: &KubernetesError, tried: u32) -> Option<Duration> {
        let is_lost = matches!(error, KubernetesError::Reach { .. });
        (is_lost && tried < LOST_TRIES).then(|| self.pace.pause(tried, None)).flatten()
    }

    fn pause(&self, response: &Response, tried: u32) -> Option<Duration> {
        let is_down = response.status.is_server_error();
        let is_told_to_wait = response.status == StatusCode::TOO_MANY_REQUESTS;
        if !is_down && !is_told_to_wait {
            return None;
        }
        let status = response.status();
        if is_full(&status) {
            return None;
        }
        let in_body = status.details.and_then(|details| details.retry_after_seconds);
        let asked = response.retry_after.or(in_body.map(Duration::from_secs));
        self.pace.pause(tried, asked)
    }

    fn told(&self, call: Call, response: Response) -> Result<Told, KubernetesError> {
        if response.status.is_success() {
            let (doing, server) = (call.doing, self.server().to_owned());
            return Ok(Told::Done(Answer { doing, server, body: response.body }));
        }
        let status = response.status();
        match (response.status.as_u16(), status.reason.as_str(), call.verb) {
            (404, "NotFound", "get" | "patch") => Ok(Told::Absent),
            (409, "AlreadyExists", "create") => Ok(Told::Exists),
            (409, "Conflict", _) => Ok(Told::Conflict),
            (410, _, "list") => Ok(Told::Expired),
            _ => Err(self.refused(call, response.status.as_u16(), &status)),
        }
    }

    /// Tells refusals apart by what can be done about them.
    fn refused(&self, call: Call, code: u16, status: &Status) -> KubernetesError {
        let (doing, server) = (call.doing, self.server().to_owned());
        let (namespace, message) = (self.namespace().to_owned(), remote::shown(&status.message));
        let gone = |state: &'static str| KubernetesError::NoNamespace {
            doing: doing.clone(),
            server: server.clone(),
            namespace: namespace.clone(),
            state,
        };
        match (code, status.reason.as_str()) {
            _ if is_full(status) => KubernetesError::Full { doing, server, message },
            (403, _) if status.has_cause("NamespaceTerminating") => gone("is being deleted"),
            (403, "Forbidden") => {
                KubernetesError::Forbidden { doing, server, verb: call.verb, namespace, message }
            }
            (404, "NotFound") => gone("is not there"),
            (422, _) if message.contains("immutable") => {
                KubernetesError::Immutable { doing, server, object: call.object }
            }
            (200..=499, _) if !status.is_status() && code != 401 => {
                KubernetesError::Answer { doing, server, got: "something else" }
            }
            (status, reason) => KubernetesError::Refused(Box::new(Refusal {
                doing,
                server,
                status,
                reason: remote::shown(reason),
                message,
            })),
        }
    }
}

impl Response {
    /// Returns what the server says of a refusal; nothing if it is no API server that says it.
    fn status(&self) -> Status {
        let status = serde_json::from_slice::<Status>(&self.body).unwrap_or_default();
        if status.is_status() { status } else { Status::default() }
    }
}

/// Tells whether there is no room: etcd's quota, which makes it read-only, or the namespace's.
fn is_full(status: &Status) -> bool {
    let said = |text: &str| status.message.contains(text);
    said("database space exceeded") || (status.reason == "Forbidden" && said("exceeded quota"))
}
