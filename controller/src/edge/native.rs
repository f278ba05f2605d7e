//! Keyturn's own routes, for what the ARM surface has no words for: declaring fabrics, plans, the
//! summary of a rotation, progress per device, tokens, the audit, and revealing a password. The command line uses
//! them; they live under `/keyturn/v1`.

mod apply;
mod audit;
mod fabric;
mod operation;
mod reveal;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use super::KnownNames;
use super::answer::ApiError;
use super::auth::Door;
use crate::access::Tokens;

/// Where passwords are revealed.
pub(super) const REVEAL_PATH: &str = "/keyturn/v1/secrets:reveal";

/// What the handlers share.
#[derive(Clone, Debug)]
struct Native {
    door: Door,
    tokens: Arc<Tokens>,
    names: Arc<KnownNames>,
}

/// Returns the routes.
pub(super) fn routes(door: Door, tokens: Arc<Tokens>, names: KnownNames) -> Router {
    Router::new()
        .route("/keyturn/v1/fabrics", get(fabric::list))
        .route("/keyturn/v1/fabrics:apply", post(apply::apply))
        .route("/keyturn/v1/fabrics/{*path}", get(fabric::look).post(fabric::act))
        .route("/keyturn/v1/operations", get(operation::list))
        .route("/keyturn/v1/operations/{id}", get(operation::show))
        .route(REVEAL_PATH, post(reveal::reveal))
        .route("/keyturn/v1/audit", get(audit::read))
        .route("/keyturn/v1/tokens", get(token::list).post(token::create))
        .route("/keyturn/v1/tokens/{id}", delete(token::revoke))
        .method_not_allowed_fallback(other_method)
        .with_state(Native { door, tokens, names: Arc::new(names) })
}

async fn other_method(method: Method, uri: Uri) -> Response {
    let message = format!("'{}' does not support http method '{method}'.", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).into_response()
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidQuery", rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidPath", rejection.body_text())
    }
}
