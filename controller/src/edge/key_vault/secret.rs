//! Secrets and their versions: set, get, change, list.

use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use protocol::id::SecretVersion;

use super::answer::refused;
use super::name::{Named, Versioned};
use super::wire::{Id, Rim, Updated, Wanted, opening, parse};
use super::{CHANGE, GET, LIST, SET, Shelf};
use crate::access::Scope;
use crate::edge::answer::ApiError;
use crate::edge::auth::Caller;
use crate::edge::body;
use crate::naming::SecretName;

/// The largest body with a value: one of 25,600 bytes, each of them escaped, and 15 tags.
const BODY_BYTES_MAX: usize = 512 << 10;

impl Shelf {
    pub(super) fn rim(&self) -> Rim<'_> {
        let (uri, retention) = (&self.uri, self.retention.as_secs());
        Rim { uri, retention, paging: &self.paging }
    }
}

/// Makes a new version of a secret.
pub(super) async fn set(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
    body: Body,
) -> Result<Response, ApiError> {
    let desk = shelf.open(&caller, SET, &name).await?;
    let bytes = body::read(body, BODY_BYTES_MAX).await?;
    let wanted = parse::<Wanted>(&bytes).and_then(Wanted::taken);
    body::wipe(bytes);
    let (value, properties) = wanted?;
    let described = desk.set(&name, value, properties).await.map_err(refused)?;
    tracing::info!(secret = name.as_str(), version = %described.version, "a secret was set");
    Ok(shelf.rim().bundle(&described, Id::Version, None).answer())
}

/// Opens the newest version.
pub(super) async fn get_newest(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, ApiError> {
    reveal(&shelf, &caller, &name, None).await
}

/// Opens one version.
pub(super) async fn get_one(
    State(shelf): State<Shelf>,
    caller: Caller,
    Versioned(name, version): Versioned,
) -> Result<Response, ApiError> {
    reveal(&shelf, &caller, &name, Some(&version)).await
}

async fn reveal(
    shelf: &Shelf,
    caller: &Caller,
    name: &SecretName,
    version: Option<&SecretVersion>,
) -> Result<Response, ApiError> {
    let desk = shelf.open(caller, GET, name).await?;
    let (described, value) = desk.open(name, version).await.map_err(refused)?;
    tracing::info!(secret = name.as_str(), version = %described.version, "a secret was revealed");
    let openings = desk.openings_of(&described);
    let (opening, label) = (opening(&openings, &described), desk.label_of(&described));
    shelf.rim().bundle(&described, Id::Version, opening).labelled(label).answer_with(&value)
}

/// Changes the properties of the newest version.
pub(super) async fn change_newest(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
    body: Body,
) -> Result<Response, ApiError> {
    change(&shelf, &caller, &name, None, body).await
}

/// Changes the properties of one version.
pub(super) async fn change_one(
    State(shelf): State<Shelf>,
    caller: Caller,
    Versioned(name, version): Versioned,
    body: Body,
) -> Result<Response, ApiError> {
    change(&shelf, &caller, &name, Some(&version), body).await
}

async fn change(
    shelf: &Shelf,
    caller: &Caller,
    name: &SecretName,
    version: Option<&SecretVersion>,
    body: Body,
) -> Result<Response, ApiError> {
    let desk = shelf.open(caller, CHANGE, name).await?;
    let bytes = body::read(body, body::ORDINARY_BYTES_MAX).await?;
    let change = parse::<Updated>(&bytes)?.taken()?;
    let described = desk.change(name, version, change).await.map_err(refused)?;
    let openings = desk.openings_of(&described);
    let (opening, label) = (opening(&openings, &described), desk.label_of(&described));
    Ok(shelf.rim().bundle(&described, Id::Version, opening).labelled(label).answer())
}

/// Lists the secrets that the caller may see.
pub(super) async fn list(
    State(shelf): State<Shelf>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let desk = shelf.door.list(&caller, LIST.0, Scope::Visible)?;
    let part = shelf.paging.part(&uri)?;
    let page = desk.list(part.after.as_deref(), part.count).await.map_err(refused)?;
    let page = shelf.visible(&caller, page, |item| &item.name).await?;
    let rim = shelf.rim();
    rim.page("/secrets", &part, &page, |item| rim.bundle(item, Id::Secret, None))
}

/// Lists the versions of a secret, and says of each which devices it opens.
pub(super) async fn list_versions(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    let desk = shelf.look(&caller, &name).await?;
    let part = shelf.paging.part(&uri)?;
    let page = desk.list_versions(&name, part.after.as_deref(), part.count).await;
    let page = page.map_err(refused)?;
    let (openings, labels) = (desk.openings(&name), desk.labels(&name));
    let (rim, path) = (shelf.rim(), format!("/secrets/{}/versions", name.as_str()));
    rim.page(&path, &part, &page, |item| {
        let bundle = rim.bundle(item, Id::Version, opening(&openings, item));
        bundle.labelled(labels.get(&item.version).copied())
    })
}
