//! Keyturn's own routes, for what the ARM surface has no words for: declaring fabrics, plans, the
//! summary of a rotation, progress per device, tokens, the audit, backups of the vault, and revealing a password.
//! The command line uses them; they live under `/keyturn/v1`.

mod apply;
mod archive;
mod audit;
mod backup;
mod fabric;
mod older;
mod operation;
mod reference;
mod retention;
mod reveal;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};

use super::KnownNames;
use super::answer::{self, ApiError};
use super::auth::Door;
use super::table::Table;
use crate::access::Tokens;

/// Under which the fabrics are.
const FABRICS_PATH: &str = "/keyturn/v1/fabrics";

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
    table().router().method_not_allowed_fallback(answer::other_method).with_state(Native {
        door,
        tokens,
        names: Arc::new(names),
    })
}

/// Returns the paths.
pub(super) fn paths() -> Vec<String> {
    table().paths()
}

fn table() -> Table<Native> {
    Table::new()
        .route(FABRICS_PATH, get(fabric::list))
        .route("/keyturn/v1/fabrics:apply", post(apply::apply))
        .route("/keyturn/v1/fabrics:rotateOlderNames", post(older::rotate))
        .route("/keyturn/v1/archives:retry", post(archive::retry))
        .route("/keyturn/v1/archives:verify", post(archive::verify))
        .route("/keyturn/v1/fabrics:purge", post(retention::purge))
        .route("/keyturn/v1/fabrics:releaseDevice", post(retention::release))
        .route("/keyturn/v1/deletedFabrics", get(retention::deleted))
        .route_below(FABRICS_PATH, fabric::paths(), get(fabric::look))
        .route("/keyturn/v1/operations", get(operation::list))
        .route("/keyturn/v1/operations/{operationId}", get(operation::show))
        .route(REVEAL_PATH, post(reveal::reveal))
        .route(backup::BACKUP_PATH, post(backup::back_up))
        .route("/keyturn/v1/audit", get(audit::read))
        .route("/keyturn/v1/references", get(reference::list))
        .route("/keyturn/v1/tokens", get(token::list).post(token::create))
        .route("/keyturn/v1/tokens/{tokenId}", delete(token::revoke))
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
