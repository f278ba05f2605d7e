//! Names and versions in a path, and where a list goes on.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use protocol::id::SecretVersion;

use crate::edge::answer::ApiError;
use crate::naming::SecretName;

/// The most items of a page, and how many it has if nothing is said: Key Vault's own limit.
const PAGE_MAX: usize = 25;

/// A name that is also a verb.
const RESTORE: &str = "restore";

/// The name of a secret in a path.
#[derive(Debug)]
pub(super) struct Named(pub(super) SecretName);

/// The name of a secret and one of its versions in a path.
#[derive(Debug)]
pub(super) struct Versioned(pub(super) SecretName, pub(super) SecretVersion);

impl<S: Sync + Send> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        // The one path in which the name is no part that varies.
        if let Some(name) = parts.uri.path().strip_prefix("/secrets/").filter(|n| *n == RESTORE) {
            return Ok(Self(named(name)?));
        }
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Ok(Path(text)) = path else { return Err(invalid(parts.uri.path())) };
        Ok(Self(named(&text)?))
    }
}

impl<S: Sync + Send> FromRequestParts<S> for Versioned {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Ok(Path((name, version))) = path else { return Err(invalid(parts.uri.path())) };
        let is_digit = |c: char| c.is_ascii_hexdigit();
        if version.len() != 32 || !version.chars().all(is_digit) {
            return Err(bad(format!(
                "The request URI contains an invalid version: {}",
                shown(&version)
            )));
        }
        Ok(Self(named(&name)?, SecretVersion(version.to_ascii_lowercase().into())))
    }
}

fn named(text: &str) -> Result<SecretName, ApiError> {
    SecretName::try_from(text.to_owned()).map_err(|_source| invalid(text))
}

fn invalid(text: &str) -> ApiError {
    bad(format!("The request URI contains an invalid name: {}", shown(text)))
        .hint("a name has 1 to 127 characters of `[0-9a-zA-Z-]`")
}

/// Says that a request cannot be understood.
pub(super) fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "BadParameter", message)
}

/// What somebody sent, as far as it can be shown.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(130).collect()
}

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) after: Option<String>,
    pub(super) count: usize,
    version: String,
}

impl Part {
    /// Reads it off a query. Whatever version of the API is asked for is taken.
    pub(super) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let mut part = Self { after: None, count: PAGE_MAX, version: String::new() };
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        for (key, value) in pairs.map(|pairs| pairs.0).unwrap_or_default() {
            if key.eq_ignore_ascii_case("maxresults") {
                let count = value.parse().ok().filter(|count| (1..=PAGE_MAX).contains(count));
                part.count = count.ok_or_else(|| {
                    bad(format!("maxresults: expected 1 to {PAGE_MAX}, got {}", shown(&value)))
                })?;
            } else if key.eq_ignore_ascii_case("$skiptoken") {
                part.after = Some(value);
            } else if key.eq_ignore_ascii_case("api-version") {
                part.version = value;
            }
        }
        Ok(part)
    }

    /// Makes the URL of the next part of the list at `url`.
    pub(super) fn next(&self, url: &str, after: &str) -> String {
        let mut pairs = reqwest::Url::parse(url).ok();
        if let Some(url) = &mut pairs {
            let mut query = url.query_pairs_mut();
            query.append_pair("api-version", &self.version);
            query.append_pair("$skiptoken", after);
            query.append_pair("maxresults", &self.count.to_string());
        }
        pairs.map_or_else(|| url.to_owned(), |url| url.to_string())
    }
}
