//! Backups of secrets: sealed, so that this vault alone can restore them.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::timeout;

use super::answer::refused;
use super::name::{Named, bad};
use super::wire::{Id, Sealed, parse};
use super::{BACK_UP, RESTORE, Shelf};
use crate::access::Right;
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::edge::body;

/// The largest backup that is taken: 500 versions of 25,600 bytes each, in base64.
const BACKUP_BYTES_MAX: usize = 24 << 20;

/// Backups that are restored at a time: each takes some four times its size in memory.
pub(super) const RESTORED_AT_ONCE: usize = 2;

/// How long somebody waits for their turn: as long as a body may take.
const TURN_MAX: Duration = Duration::from_secs(30);

/// Seals a secret with all its versions.
pub(super) async fn back_up(
    State(shelf): State<Shelf>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, ApiError> {
    let desk = shelf.open(&caller, BACK_UP, &name).await?;
    let sealed = desk.back_up(&name).await.map_err(refused)?;
    tracing::info!(secret = name.as_str(), "a secret was backed up");
    Ok(json(StatusCode::OK, &Sealed { value: URL_SAFE_NO_PAD.encode(sealed) }))
}

/// Brings a secret back.
pub(super) async fn restore(
    State(shelf): State<Shelf>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    // Whose backup it is, the backup says: nobody sends a large one who may not set anything.
    let desk = shelf.door.begin(&caller, RESTORE.0, Right::SetSecret)?;
    // Kept to the end. The semaphore is never closed.
    let Ok(Ok(_turn)) = timeout(TURN_MAX, shelf.restoring.acquire()).await else {
        return Ok(busy());
    };
    let bytes = body::read(body, BACKUP_BYTES_MAX).await?;
    let Sealed { value } = parse(&bytes)?;
    drop(bytes);
    let sealed = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
    drop(value);
    let sealed = sealed.map_err(|_source| bad("The parameter value is no backup of a secret."))?;
    let name = desk.name_of_backup(&sealed).await.map_err(refused)?;
    let desk = shelf.open(&caller, RESTORE, &name).await?;
    let described = desk.restore(&sealed).await.map_err(refused)?;
    tracing::info!(secret = name.as_str(), "a secret was restored");
    Ok(shelf.rim().bundle(&described, Id::Version, None).answer())
}

/// To be repeated: nothing was looked at.
fn busy() -> Response {
    let message = "Other backups of secrets are being restored.";
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
    let mut response = error.hint("restore one after the other").into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    response
}
