//! Who may ask: whoever has the administrator's token.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::answer::ApiError;

/// What is known of the administrator's token: its SHA-256. The token has 256 random bits, so that
/// its hash gives nothing away.
#[derive(Clone, Debug)]
pub struct AdminToken([u8; 32]);

impl AdminToken {
    /// Keeps the hash of a token. The caller overwrites the text.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Compares in a time that does not depend on how much is right.
    fn admits(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        verify_slices_are_equal(&self.0, &presented).is_ok()
    }
}

/// Lets a request pass only with the right bearer token.
pub(super) async fn require(
    State(token): State<AdminToken>,
    request: Request,
    next: Next,
) -> Response {
    match bearer(request.headers()) {
        Some(presented) if token.admits(presented) => next.run(request).await,
        Some(_) => refuse(
            "The access token is invalid.",
            "Bearer realm=\"keyturn\", error=\"invalid_token\", \
             error_description=\"The access token is invalid\"",
        ),
        None => refuse(
            "Authentication failed. The 'Authorization' header is missing or is no bearer token.",
            "Bearer realm=\"keyturn\"",
        ),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refuse(message: &str, challenge: &'static str) -> Response {
    let error = ApiError::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message)
        .hint("send the text of the daemon's `admin.token` as the bearer token");
    let mut response = error.into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
