//! Making, listing and revoking local tokens. A token's text is in one answer only: the one that
//! made it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::Response;
use protocol::id::FabricId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Native;
use crate::access::{self, LIFETIME_DEFAULT, Right, Role, Scope, TokenError, TokenView};
use crate::clock::now;
use crate::edge::answer::{ApiError, json, raw};
use crate::edge::auth::Caller;
use crate::edge::body;
use crate::service::ServiceError;

/// Where tokens are.
const PATH: &str = "/keyturn/v1/tokens";

/// Room for the answer with a new token, in bytes.
const ANSWER_BYTES: usize = 2048;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    role: Role,
    name: Option<String>,
    fabric_id: Option<String>,
    secret_prefix: Option<String>,
    lifetime_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Tokens<'a> {
    value: Vec<TokenBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenBody<'a> {
    id: &'a str,
    name: &'a str,
    role: Role,
    fabric_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_prefix: Option<&'a str>,
    created_at: String,
    expires_at: String,
    /// Whether its time is over.
    expired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// Lists the tokens.
pub(super) async fn list(
    State(native): State<Native>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.check("Keyturn/tokens/read", Right::Administer, Scope::Everything)?;
    let views = native.tokens.list();
    let value = views.iter().map(|view| TokenBody::of(view, None)).collect();
    Ok(json(StatusCode::OK, &Tokens { value }))
}

/// Makes a token.
pub(super) async fn create(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let action = "Keyturn/tokens/write";
    caller.check(action, Right::Administer, Scope::Everything)?;
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: Wanted = body::parse(&bytes)?;
    let on = format!("{PATH}?role={}", wanted.role.as_str());
    let (right, scope) = (Right::Administer, Scope::Everything);
    let service = native.door.open(&caller, action, right, scope, &on).await?;
    let fabric = wanted.fabric_id.as_deref().map(str::parse::<FabricId>).transpose();
    let fabric = fabric.map_err(|error| {
        let message = format!("Failed to {error}.");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).target("fabricId")
    })?;
    if let Some(id) = fabric.as_ref().filter(|id| !service.fabrics().contains(id)) {
        return Err(ServiceError::NotFound { what: "fabric", id: id.to_string() }.into());
    }
    let role = wanted.role;
    let wanted = access::Wanted {
        name: wanted.name.unwrap_or_else(|| role.as_str().to_owned()),
        role,
        fabric,
        secret_prefix: wanted.secret_prefix,
        lifetime: wanted.lifetime_seconds.map_or(LIFETIME_DEFAULT, Duration::from_secs),
    };
    let created = on_disk(&native, move |tokens| tokens.create(wanted, now())).await?;
    tracing::info!(id = created.view.id, role = role.as_str(), "a token was made");
    // Large enough that it never grows, which would leave copies behind; overwritten when sent.
    let mut text = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES));
    let body = TokenBody::of(&created.view, Some(&created.token));
    serde_json::to_writer(&mut *text, &body).map_err(|_error| {
        let message = "The token could not be written as JSON.";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    })?;
    let mut response = raw(StatusCode::CREATED, Body::from(Bytes::from_owner(text)));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Revokes a token.
pub(super) async fn revoke(
    State(native): State<Native>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id?;
    let (action, right) = ("Keyturn/tokens/delete", Right::Administer);
    let on = format!("{PATH}/{id}");
    native.door.open(&caller, action, right, Scope::Everything, &on).await?;
    let revoked = id.clone();
    if on_disk(&native, move |tokens| tokens.revoke(&revoked)).await? {
        tracing::info!(id, "a token was revoked");
        return Ok(raw(StatusCode::NO_CONTENT, Body::empty()));
    }
    let id: String = id.chars().filter(|c| !c.is_control()).take(40).collect();
    let message = format!("The token '{id}' was not found.");
    Err(ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
        .hint("`keyturn token list` shows the tokens"))
}

/// Changes the tokens, in a thread that may wait for a disk; to its end, whoever hangs up.
async fn on_disk<T: Send + 'static>(
    native: &Native,
    change: impl FnOnce(&access::Tokens) -> Result<T, TokenError> + Send + 'static,
) -> Result<T, ApiError> {
    let tokens = Arc::clone(&native.tokens);
    let changed = tokio::task::spawn_blocking(move || change(&tokens)).await;
    let changed = changed.map_err(|source| {
        tracing::error!(%source, "a change of the tokens did not end");
        let message = "The tokens were not changed because of a fault in Keyturn.";
        ApiError::new(StatusCode::BAD_GATEWAY, "InternalFault", message)
    })?;
    changed.map_err(|error| refused(&error))
}

fn refused(error: &TokenError) -> ApiError {
    let (status, code) = match error {
        TokenError::Invalid { .. } => (StatusCode::BAD_REQUEST, "InvalidRequestContent"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "StoreUnavailable"),
    };
    ApiError::new(status, code, format!("Failed to {error}."))
}

impl<'a> TokenBody<'a> {
    fn of(view: &'a TokenView, token: Option<&'a str>) -> Self {
        Self {
            id: &view.id,
            name: &view.name,
            role: view.role,
            fabric_id: view.fabric.as_ref().map(FabricId::to_string),
            secret_prefix: view.secret_prefix.as_deref(),
            created_at: view.created.to_string(),
            expires_at: view.expires.to_string(),
            expired: view.expires <= now(),
            token,
        }
    }
}
