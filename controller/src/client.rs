//! A client of the daemon's API: HTTPS with the private certificate authority and the
//! administrator's token, nothing else.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use rustls::ClientConfig;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::trust;

mod error;

pub use self::error::{ApiFailure, ClientError};

/// The version of the API that is spoken.
const API_VERSION: &str = "2025-07-15";

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long a request may take, answer included.
const REQUEST_MAX: Duration = Duration::from_secs(120);

/// How long a file may take to come.
const FETCH_MAX: Duration = Duration::from_secs(3_600);

/// The largest token file, in bytes: room for any token that a daemon takes.
const TOKEN_BYTES_MAX: usize = 17 << 10;

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// Where the daemon is, and what is needed to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it serves, for example `https://127.0.0.1:7443`.
    pub server: String,
    /// The certificate authority that is trusted, and no other.
    pub ca: PathBuf,
    /// The file of the administrator's token.
    pub token_file: PathBuf,
}

/// A client of one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: String,
}

/// The answer to an action.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The id of the operation that was started, where one was.
    pub operation: Option<String>,
    /// The body; null where there is none.
    pub body: Value,
}

impl Client {
    /// Makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// Returns [`ClientError`] for a certificate authority or a token that cannot be read, and for
    /// a server that is not an `https` URL.
    pub fn new(place: &Place) -> Result<Self, ClientError> {
        let server = place.server.trim().trim_end_matches('/').to_owned();
        let is_url = reqwest::Url::parse(&server)
            .is_ok_and(|url| url.scheme() == "https" && url.has_host() && url.path() == "/");
        if !is_url {
            return Err(ClientError::Server { given: server });
        }
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer(&place.token_file)?);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(&place.ca)?)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX)
            .default_headers(headers)
            .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| ClientError::Http { server: server.clone(), source })?;
        Ok(Self { http, server })
    }

    /// Returns where the daemon serves.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Gets a resource by its id, or one of Keyturn's own by its path.
    ///
    /// # Errors
    /// Returns [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        let request = self.http.request(Method::GET, self.url(path));
        Ok(self.send(request).await?.1)
    }

    /// Gets all pages of a list.
    ///
    /// # Errors
    /// Returns [`ClientError`].
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, ClientError> {
        let mut all = Vec::new();
        let mut next = Some(self.url(path));
        while let Some(url) = next.take() {
            let (_headers, mut page) = self.send(self.http.request(Method::GET, url)).await?;
            if let Some(Value::Array(items)) = page.get_mut("value").map(Value::take) {
                all.extend(items);
            }
            next = page.get("nextLink").and_then(Value::as_str).and_then(|link| self.here(link));
        }
        Ok(all)
    }

    /// Asks for an action. `body` is sent as JSON, if there is one.
    ///
    /// # Errors
    /// Returns [`ClientError`].
    pub async fn post(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, ClientError> {
        let id = uuid::Uuid::new_v4().to_string();
        let mut request = self.http.request(Method::POST, self.url(path));
        request = request.header(CLIENT_REQUEST_ID, id);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(json(body)?);
        }
        let (headers, body) = self.send(request).await?;
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let path = location.and_then(|location| location.split('?').next());
        let operation = path.and_then(|path| path.rsplit('/').next()).map(str::to_owned);
        Ok(Answer { operation, body })
    }

    /// Asks for an action whose answer is a file, and writes that into `to`.
    ///
    /// # Errors
    /// Returns [`ClientError`]; what was written by then is not whole.
    pub async fn fetch(
        &self,
        path: &str,
        body: &impl Serialize,
        to: &mut impl Write,
    ) -> Result<(), ClientError> {
        let failed = |source| ClientError::Http { server: self.server.clone(), source };
        let request = self.http.request(Method::POST, self.url(path)).timeout(FETCH_MAX);
        let request = request.header(CONTENT_TYPE, "application/json").body(json(body)?);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response.bytes().await.map_err(failed)?;
            return Err(ClientError::Api { failure: Box::new(ApiFailure::read(status, &bytes)) });
        }
        while let Some(part) = response.chunk().await.map_err(failed)? {
            to.write_all(&part).map_err(|source| ClientError::Write { source })?;
        }
        Ok(())
    }

    /// Removes something.
    ///
    /// # Errors
    /// Returns [`ClientError`].
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.http.request(Method::DELETE, self.url(path))).await.map(drop)
    }

    /// Completes a path: ARM's need a version in the query.
    fn url(&self, path: &str) -> String {
        let joint = if path.contains('?') { '&' } else { '?' };
        if path.starts_with("/keyturn/") {
            format!("{}{path}", self.server)
        } else {
            format!("{}{path}{joint}api-version={API_VERSION}", self.server)
        }
    }

    /// Brings a link back to the server that is asked: the token must go nowhere else.
    fn here(&self, link: &str) -> Option<String> {
        let link = reqwest::Url::parse(link).ok()?;
        let query = link.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{}{query}", self.server, link.path()))
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(HeaderMap, Value), ClientError> {
        let failed = |source| ClientError::Http { server: self.server.clone(), source };
        let response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.map_err(failed)?;
        if status.is_success() {
            return match serde_json::from_slice(&bytes) {
                Ok(body) => Ok((headers, body)),
                Err(_source) if bytes.is_empty() => Ok((headers, Value::Null)),
                Err(source) => Err(ClientError::Answer { server: self.server.clone(), source }),
            };
        }
        Err(ClientError::Api { failure: Box::new(ApiFailure::read(status, &bytes)) })
    }
}

/// Writes a body in memory that is overwritten once it is sent: it may hold passwords.
fn json(body: &impl Serialize) -> Result<Bytes, ClientError> {
    let mut text = Zeroizing::new(Vec::with_capacity(64 << 10));
    serde_json::to_writer(&mut *text, body).map_err(|source| ClientError::Body { source })?;
    Ok(Bytes::from_owner(text))
}

fn bearer(file: &Path) -> Result<HeaderValue, ClientError> {
    let failed = |source| ClientError::Token { file: file.to_owned(), source };
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES_MAX));
    let opened = fs::File::open(file).map_err(failed)?;
    opened.take(TOKEN_BYTES_MAX as u64).read_to_string(&mut text).map_err(failed)?;
    let line = Zeroizing::new(format!("Bearer {}", text.trim()));
    let value = HeaderValue::from_str(&line);
    let mut value = value.map_err(|_source| failed(std::io::ErrorKind::InvalidData.into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(ca: &Path) -> Result<ClientConfig, ClientError> {
    trust::tls(Some(ca)).map_err(|what| ClientError::Authority { file: ca.to_owned(), what })
}

impl ApiFailure {
    fn read(status: StatusCode, bytes: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let mut failure = Self::of(body.get("error").unwrap_or(&Value::Null));
        failure.status = status.as_u16();
        if failure.message.is_empty() {
            failure.message = format!("The server answered {status} without saying why.");
        }
        failure
    }
}
