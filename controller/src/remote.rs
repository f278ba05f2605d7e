//! Services of others over HTTP: whom a client trusts, how much of an answer is read, how long to
//! wait before asking again, and the tokens that they give.

mod body;
mod file;
mod token;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use rustls::{ClientConfig, RootCertStore};

pub(crate) use self::body::{body, json};
pub(crate) use self::file::{FILE_BYTES_MAX, credential};
pub use self::token::Token;
pub(crate) use self::token::{Keeper, Margins};
use crate::trust;

/// The longest that a service may make us wait by `Retry-After`: longer is no throttling any more
/// but a service that is down, which is told.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The most that is shown of what a service says, in characters.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// How long things may take, and how often they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For a connection to be made. Default 5s.
    pub connect_max: Duration,
    /// For one request, answer included. Default 20s: Key Vault answers within one.
    pub request_max: Duration,
    /// Before the second attempt; doubled for each further one. Default 1s, which is what Key
    /// Vault's throttling guidance begins with.
    pub first_pause: Duration,
    /// Attempts of a request that may be repeated. Default 5, within 15 seconds.
    pub tries_max: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            connect_max: Duration::from_secs(5),
            request_max: Duration::from_secs(20),
            first_pause: Duration::from_secs(1),
            tries_max: 5,
        }
    }
}

impl Pace {
    /// Returns how long to wait after `tried` attempts: what the service asked for, else twice as
    /// long as the last time; `None` if it has been tried often enough.
    pub(crate) fn pause(&self, tried: u32, asked: Option<Duration>) -> Option<Duration> {
        if tried >= self.tries_max || asked.is_some_and(|asked| asked > RETRY_AFTER_MAX) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(tried.saturating_sub(1));
        Some(asked.unwrap_or_else(|| self.first_pause.saturating_mul(doubled)))
    }
}

/// How a service is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The authorities that may vouch for it (PEM). Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// Where its host is found, in place of what its name resolves to: a private endpoint, where
    /// names are not resolved to it.
    pub address: Option<IpAddr>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// There are no authorities to trust.
    #[error("use the certificate authorities {whose}: {what}")]
    Authorities {
        /// In which file, or the system's.
        whose: String,
        /// Why not.
        what: String,
    },
    /// The client could not be made.
    #[error("make an HTTPS client")]
    Client {
        /// Why not.
        source: reqwest::Error,
    },
}

/// Makes a client that goes straight to where it is told: no proxy, no redirects, a limit to every
/// request. `host` is what [`Way::address`] stands for.
///
/// # Errors
/// Returns [`WayError`].
pub(crate) fn client(way: &Way, host: &str, pace: &Pace) -> Result<Client, WayError> {
    let tls = tls(way.ca_file.as_deref())?;
    let builder = direct(pace).tls_backend_preconfigured(tls).https_only(true);
    let builder = match way.address {
        // The port is the URL's.
        Some(address) => builder.resolve(host, SocketAddr::new(address, 0)),
        None => builder,
    };
    builder.build().map_err(|source| WayError::Client { source })
}

/// As [`client`], with what it needs for TLS, and without another address than the URL's.
///
/// # Errors
/// Returns [`WayError::Client`].
#[cfg(feature = "kubernetes")]
pub(crate) fn client_by(tls: ClientConfig, pace: &Pace) -> Result<Client, WayError> {
    let builder = direct(pace).tls_backend_preconfigured(tls).https_only(true);
    builder.build().map_err(|source| WayError::Client { source })
}

/// Makes a client for plain HTTP: for a service on this very host, which has no certificate.
///
/// # Errors
/// Returns [`WayError`].
pub(crate) fn plain_client(pace: &Pace) -> Result<Client, WayError> {
    // It trusts nobody, and needs no authorities on a host that has none.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WayError::Authorities {
            whose: "of nobody".to_owned(),
            what: error.to_string(),
        })?;
    let tls = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let builder = direct(pace).tls_backend_preconfigured(tls);
    builder.build().map_err(|source| WayError::Client { source })
}

fn direct(pace: &Pace) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(pace.connect_max)
        .timeout(pace.request_max)
        .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")))
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, WayError> {
    let whose = ca_file.map_or("of the system".to_owned(), |ca| format!("in `{}`", ca.display()));
    trust::tls(ca_file).map_err(|what| WayError::Authorities { whose, what })
}

/// Sends a request, again and again while `pause` says that this may help: after how many attempts,
/// and what the last one was answered, or `None` where it was not.
///
/// # Errors
/// Returns what the last attempt failed with.
pub(crate) async fn until_answered<E, F>(
    mut once: impl FnMut() -> F,
    pause: impl Fn(u32, Option<&Response>) -> Option<Duration>,
) -> Result<Response, E>
where
    F: Future<Output = Result<Response, E>>,
{
    let mut tried = 0;
    loop {
        let answer = once().await;
        tried += 1;
        match pause(tried, answer.as_ref().ok()) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return answer,
        }
    }
}

/// Tells whether a service that answers so may do what it is asked a little later.
pub(crate) fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Returns how long a service asks us to wait. A date, which no service here sends, is not read.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Makes what a service said fit for logs and errors: one line, not too long.
pub(crate) fn shown(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.chars().filter(|c| !c.is_control()).take(SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end_and_a_service_may_ask_for_others() {
        let pace = Pace::default();
        let seconds = Duration::from_secs;
        let pauses: Vec<_> = (1..=5).map(|tried| pace.pause(tried, None)).collect();
        assert_eq!(
            pauses,
            [Some(seconds(1)), Some(seconds(2)), Some(seconds(4)), Some(seconds(8)), None]
        );
        assert_eq!(pace.pause(1, Some(seconds(30))), Some(seconds(30)));
        assert_eq!(pace.pause(1, Some(seconds(31))), None);
        assert_eq!(pace.pause(5, Some(seconds(1))), None);
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let read =
            |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(read(" 7"), Some(Duration::from_secs(7)));
        for other in ["", "-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_a_service_says_is_one_short_line() {
        assert_eq!(shown("AADSTS7000215: \u{1b}[31mno\r\nTrace ID: 1"), "AADSTS7000215: [31mno");
        assert_eq!(shown(&"x".repeat(1_000)).len(), 300);
    }
}
