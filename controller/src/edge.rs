//! The rim: the APIs through which other programs see a [`Service`].
//!
//! An edge is one function that returns a router over the service. It owns its wire types, and
//! nothing but `main` imports it: deleting an edge deletes a folder and a line here. Around all of
//! them lies what every answer needs: the caller's token, and the ids of the request.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;

use self::auth::{Door, Gate};
use self::limit::Limits;
use self::table::Table;
use crate::access::Admission;
use crate::reference::Resolver;
use crate::service::Service;

mod answer;
pub mod arm;
mod auth;
mod body;
mod drain;
mod fault;
pub mod key_vault;
mod limit;
mod metrics;
pub mod native;
mod openapi;
mod operation_path;
mod request_id;
mod table;
mod witness;

/// What inventories and passwords may name: for names, so that an error can say the nearest one.
#[derive(Clone, Debug, Default)]
pub struct KnownNames {
    /// The agent's platforms.
    pub platforms: Vec<String>,
    /// The template's user profiles.
    pub profiles: Vec<String>,
    /// What follows the references that inventories have.
    pub references: Option<Arc<Resolver>>,
}

/// Returns all routes, each open to whoever has a token with the right to it.
pub fn routes(service: &Arc<Service>, admission: &Admission, names: KnownNames) -> Router {
    let door = Door::before(service);
    Router::new()
        .merge(native::routes(door.clone(), Arc::clone(admission.tokens()), names))
        .merge(metrics::routes(door.clone()))
        .merge(arm::routes(door))
        .layer(from_fn_with_state(
            Gate::new(admission, service.auditor(), Limits::default()),
            auth::require,
        ))
        .merge(open().router().method_not_allowed_fallback(answer::other_method))
        .layer(from_fn(drain::finish))
        .layer(from_fn(request_id::stamp))
}

/// Returns the paths that are served; what varies in them has a name in braces.
#[must_use]
pub fn paths() -> Vec<String> {
    [open().paths(), native::paths(), metrics::paths(), arm::paths()].concat()
}

/// The routes that are open to whoever asks.
fn open() -> Table<()> {
    Table::new()
        .route(arm::ENDPOINTS_PATH, get(arm::endpoints))
        .route(openapi::PATH, get(openapi::show))
}
