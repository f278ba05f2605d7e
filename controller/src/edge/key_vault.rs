//! The data plane of Azure Key Vault's secrets over the vault: what `azure-keyvault-secrets` and its
//! like speak, on a listener of its own.
//!
//! Paths, bodies, errors and the challenge follow the REST API
//! (learn.microsoft.com/rest/api/keyvault/secrets), in whatever version a client asks for; what has
//! no place in them (who may get what, which device needs a version) is decided by
//! the door of all edges and by [`Desk`].

mod answer;
mod backup;
mod deleted;
mod name;
mod paging;
mod secret;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use self::paging::Paging;
use super::answer::ApiError;
use super::auth::{self, Caller, Door, Gate};
use super::limit::Limits;
use super::table::Table;
use super::{drain, request_id};
use crate::access::{Admission, Right, Scope};
use crate::naming::SecretName;
use crate::service::Desk;
use crate::vault::secrets::Page;

/// How the API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the challenge says about where tokens come from; its path names the tenant.
    pub authorization: String,
    /// What the challenge says about what tokens are for.
    pub resource: String,
    /// How long deleted secrets can be recovered: 7 to 90 days.
    pub retention: Duration,
    /// Requests that look, of one principal in ten seconds.
    pub reads_max: u32,
    /// Requests that change something, of one principal in ten seconds.
    pub writes_max: u32,
}

/// What the handlers share.
#[derive(Clone, Debug)]
struct Shelf {
    door: Door<Desk>,
    uri: Arc<str>,
    retention: Duration,
    paging: Arc<Paging>,
    /// Turns to restore a backup.
    restoring: Arc<Semaphore>,
}

/// Returns the routes, each open to whoever has a token with the right to it.
pub fn routes(desk: &Arc<Desk>, admission: &Admission, settings: &Settings) -> Router {
    let limits = Limits::in_ten_seconds(settings.reads_max, settings.writes_max);
    let gate = Gate::new(admission, desk.auditor(), limits);
    let (door, uri) = (Door::before(desk), desk.uri().into());
    let (paging, restoring) =
        (Arc::new(Paging::new()), Arc::new(Semaphore::new(backup::RESTORED_AT_ONCE)));
    let shelf = Shelf { door, uri, retention: settings.retention, paging, restoring };
    let challenge = answer::Challenge::of(settings);
    table()
        .router()
        .fallback(answer::no_route)
        .method_not_allowed_fallback(super::answer::other_method)
        .with_state(shelf)
        .layer(from_fn_with_state(gate, auth::require))
        .layer(from_fn(drain::finish))
        .layer(from_fn_with_state(challenge, answer::translate))
        .layer(from_fn(request_id::stamp))
}

/// Returns the paths that are served; what varies in them has a name in braces.
#[must_use]
pub fn paths() -> Vec<String> {
    table().paths()
}

fn table() -> Table<Shelf> {
    let one = || get(secret::get_newest).put(secret::set).patch(secret::change_newest);
    Table::new()
        .route("/secrets", get(secret::list))
        .route("/secrets/", get(secret::list))
        // `restore` is what to do, and in another method a secret's name.
        .route("/secrets/restore", one().delete(deleted::delete).post(backup::restore))
        .route("/secrets/{name}", one().delete(deleted::delete))
        .route("/secrets/{name}/", one().delete(deleted::delete))
        .route("/secrets/{name}/versions", get(secret::list_versions))
        .route("/secrets/{name}/backup", post(backup::back_up))
        .route("/secrets/{name}/{version}", get(secret::get_one).patch(secret::change_one))
        .route("/deletedsecrets", get(deleted::list))
        .route("/deletedsecrets/", get(deleted::list))
        .route("/deletedsecrets/{name}", get(deleted::show).delete(deleted::purge))
        .route("/deletedsecrets/{name}/recover", post(deleted::recover))
}

impl Shelf {
    /// Returns the desk to a caller who may do this to a secret, once it is in the audit that it is
    /// about to be done.
    async fn open(
        &self,
        caller: &Caller,
        act: Act,
        name: &SecretName,
    ) -> Result<&Arc<Desk>, ApiError> {
        let (action, right) = act;
        let fabric = self.door.owner(caller, right, name).await.map_err(answer::refused)?;
        let scope = Scope::Secret { name: name.as_str(), fabric: fabric.as_ref() };
        let on = format!("/secrets/{}", name.as_str());
        self.door.open(caller, action, right, scope, &on).await
    }

    /// Returns the desk to a caller who may see that a secret is there.
    async fn look(&self, caller: &Caller, name: &SecretName) -> Result<&Arc<Desk>, ApiError> {
        let owner = self.door.owner(caller, Right::ListSecrets, name).await;
        let fabric = owner.map_err(answer::refused)?;
        let scope = Scope::Secret { name: name.as_str(), fabric: fabric.as_ref() };
        self.door.list(caller, LIST.0, scope)
    }

    /// Leaves of a page what a caller may see.
    async fn visible<T>(
        &self,
        caller: &Caller,
        page: Page<T>,
        name: impl Fn(&T) -> &SecretName,
    ) -> Result<Page<T>, ApiError> {
        let mut items = Vec::with_capacity(page.items.len());
        for item in page.items {
            let owner = self.door.owner(caller, Right::ListSecrets, name(&item)).await;
            let fabric = owner.map_err(answer::refused)?;
            let scope = Scope::Secret { name: name(&item).as_str(), fabric: fabric.as_ref() };
            if caller.may(Right::ListSecrets, scope) {
                items.push(item);
            }
        }
        Ok(Page { items, next: page.next })
    }
}

/// What is done, as Azure calls it (its `dataActions`), and the right to it.
type Act = (&'static str, Right);

const LIST: Act = ("Microsoft.KeyVault/vaults/secrets/readMetadata/action", Right::ListSecrets);
const GET: Act = ("Microsoft.KeyVault/vaults/secrets/getSecret/action", Right::GetSecret);
const SET: Act = ("Microsoft.KeyVault/vaults/secrets/setSecret/action", Right::SetSecret);
const CHANGE: Act = ("Microsoft.KeyVault/vaults/secrets/update/action", Right::SetSecret);
const DELETE: Act = ("Microsoft.KeyVault/vaults/secrets/delete", Right::DeleteSecret);
const RECOVER: Act = ("Microsoft.KeyVault/vaults/secrets/recover/action", Right::DeleteSecret);
const PURGE: Act = ("Microsoft.KeyVault/vaults/secrets/purge/action", Right::PurgeSecret);
// Its value goes out, sealed or not.
const BACK_UP: Act = ("Microsoft.KeyVault/vaults/secrets/backup/action", Right::GetSecret);
const RESTORE: Act = ("Microsoft.KeyVault/vaults/secrets/restore/action", Right::SetSecret);
