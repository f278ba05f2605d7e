//! Deleted secrets: delete, list, recover, purge.

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::answer::refused;
use super::name::Named;
use super::wire::Id;
use super::{DELETE, LIST, PURGE, RECOVER, Shelf};
use crate::access::Scope;
use crate::edge::answer::{ApiError, raw};
use crate::edge::auth::Caller;

/// Deletes a secret with all its versions, unless a device needs one.
pub(super) async fn delete(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, ApiError> {
    let desk = shelf.open(&caller, DELETE, &name).await?;
    let deleted = desk.delete(&name, shelf.retention.as_secs()).await.map_err(refused)?;
    tracing::info!(secret = name.as_str(), "a secret was deleted");
    Ok(shelf.rim().deleted(&deleted, Id::Version).answer())
}

/// Shows a deleted secret.
pub(super) async fn show(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, ApiError> {
    let desk = shelf.look(&caller, &name).await?;
    let deleted = desk.deleted(&name).await.map_err(refused)?;
    Ok(shelf.rim().deleted(&deleted, Id::Version).answer())
}

/// Lists the deleted secrets that the caller may see.
pub(super) async fn list(
    State(shelf): State<Shelf>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let desk = shelf.door.list(&caller, LIST.0, Scope::Visible)?;
    let part = shelf.paging.part(&uri)?;
    let page = desk.list_deleted(part.after.as_deref(), part.count).await;
    let page = shelf.visible(&caller, page.map_err(refused)?, |item| &item.newest.name).await?;
    let rim = shelf.rim();
    rim.page("/deletedsecrets", &part, &page, |item| rim.deleted(item, Id::Secret))
}

/// Takes a deletion back.
pub(super) async fn recover(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, ApiError> {
    let desk = shelf.open(&caller, RECOVER, &name).await?;
    let described = desk.recover(&name).await.map_err(refused)?;
    tracing::info!(secret = name.as_str(), "a secret was recovered");
    Ok(shelf.rim().bundle(&described, Id::Version, None).answer())
}

/// Overwrites a deleted secret for ever.
pub(super) async fn purge(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, ApiError> {
    let desk = shelf.open(&caller, PURGE, &name).await?;
    desk.purge(&name).await.map_err(refused)?;
    tracing::info!(secret = name.as_str(), "a secret was purged");
    Ok(raw(StatusCode::NO_CONTENT, Body::empty()))
}
