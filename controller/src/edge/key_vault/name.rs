//! Names and versions in a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use protocol::id::SecretVersion;

use crate::edge::answer::ApiError;
use crate::naming::SecretName;

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
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(130).collect()
}
