//! Rotating a fabric whose secrets have older names.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::Response;
use protocol::id::FabricId;
use serde::{Deserialize, Serialize};

use super::Native;
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::edge::witness::Started;
use crate::edge::{body, operation_path, request_id};
use crate::plan;

/// Which fabric.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    fabric_id: String,
}

/// What was started.
#[derive(Serialize)]
struct Begun {
    operation: String,
}

/// Rotates a fabric under its older names, as long as no rotation has migrated it.
pub(super) async fn rotate(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let request_id = request_id::of_caller(request.headers());
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: Wanted = body::parse(&bytes)?;
    let id: FabricId = wanted.fabric_id.parse().map_err(|error| {
        let message = format!("Failed to {error}.");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).target("fabricId")
    })?;
    let (action, right) = ("Keyturn/fabrics/rotateOlderNames/action", Right::Operate);
    let (scope, on) = (Scope::Fabric(&id), id.to_string());
    let service = native.door.open(&caller, action, right, scope, &on).await?;
    let operation = service.submit(&id, plan::Request::RotateOlder, request_id).await?;
    let (_fabric, begun) = service.operation(operation)?;
    let path = service.read(&id, |fabric| operation_path::of(fabric, &begun))?;
    let mut response = json(StatusCode::ACCEPTED, &Begun { operation: operation.to_string() });
    if let Ok(location) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, location);
    }
    response.extensions_mut().insert(Started(operation));
    Ok(response)
}
