//! What can be done to fabrics and devices.
//!
//! Whatever changes something runs in a task of its own: a caller that hangs up does not leave half
//! of it done.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{DeviceId, FabricId, OperationId};
use serde::{Deserialize, Serialize};

use super::operation::{Origin, accepted};
use super::path::{DeviceAction, FabricAction};
use crate::edge::answer::{ApiError, json};
use crate::edge::{body, request_id};
use crate::plan;
use crate::service::{Service, ServiceError, StateAction};

/// Does something to a fabric.
pub(super) async fn on_fabric(
    service: &Arc<Service>,
    id: FabricId,
    action: FabricAction,
    request: Request,
) -> Result<Response, ApiError> {
    let wanted = match action {
        FabricAction::Rotate => plan::Request::Rotate,
        FabricAction::Resync => plan::Request::Resync,
        FabricAction::Lock => return lock(service, id, request).await,
    };
    submit(service, id, wanted, request).await
}

/// Does something to a device.
pub(super) async fn on_device(
    service: &Arc<Service>,
    id: DeviceId,
    action: DeviceAction,
    request: Request,
) -> Result<Response, ApiError> {
    match action {
        DeviceAction::Resync => {
            let fabric = service.find_device(&id)?;
            submit(service, fabric, plan::Request::ResyncDevice(id.name().clone()), request).await
        }
        DeviceAction::UpdateAdministrativeState => {
            update_administrative_state(service, id, request).await
        }
    }
}

async fn submit(
    service: &Arc<Service>,
    fabric: FabricId,
    wanted: plan::Request,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let request_id = request_id::of_caller(request.headers());
    body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let submitting = Arc::clone(service);
    let id =
        to_its_end(async move { submitting.submit(&fabric, wanted, request_id).await }).await?;
    accepted(service, id, &origin)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateAdministrativeState {
    state: String,
    #[serde(default)]
    resource_ids: Option<Vec<String>>,
}

async fn update_administrative_state(
    service: &Arc<Service>,
    id: DeviceId,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: UpdateAdministrativeState = body::parse(&bytes)?;
    let action = state_action(&wanted.state)?;
    let is_this = |other: &String| other.parse::<DeviceId>().is_ok_and(|other| other == id);
    if !wanted.resource_ids.unwrap_or_default().iter().all(is_this) {
        let message = "The property 'resourceIds' names other devices than the one in the path.";
        return Err(invalid(message).target("resourceIds"));
    }
    let device = id.clone();
    let setting = Arc::clone(service);
    let operation =
        to_its_end(async move { setting.set_administrative_state(&device, action).await }).await?;
    answer_with(service, operation, id.to_string(), &origin)
}

fn state_action(given: &str) -> Result<StateAction, ApiError> {
    const KNOWN: [(&str, StateAction); 3] = [
        ("Enable", StateAction::Enable),
        ("Disable", StateAction::Disable),
        ("RMA", StateAction::Rma),
    ];
    let found = KNOWN.into_iter().find(|(name, _action)| name.eq_ignore_ascii_case(given));
    found.map(|(_name, action)| action).ok_or_else(|| {
        let given: String = given.chars().filter(|c| !c.is_control()).take(40).collect();
        let message = format!("The value '{given}' of the property 'state' is not supported.");
        invalid(message).target("state").hint("use one of Enable, Disable, RMA")
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LockFabric {
    lock_type: String,
    action: String,
}

async fn lock(
    service: &Arc<Service>,
    id: FabricId,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: LockFabric = body::parse(&bytes)?;
    if !wanted.lock_type.eq_ignore_ascii_case("Administrative") {
        let message = "The value of the property 'lockType' is not supported.";
        return Err(invalid(message).target("lockType").hint("use Administrative"));
    }
    let locked = match wanted.action.to_ascii_lowercase().as_str() {
        "lock" => true,
        "unlock" => false,
        _ => {
            let message = "The value of the property 'action' is not supported.";
            return Err(invalid(message).target("action").hint("use Lock or Unlock"));
        }
    };
    let (fabric, setting) = (id.clone(), Arc::clone(service));
    to_its_end(async move { setting.set_lock(&fabric, locked).await }).await?;
    answer_with(service, None, id.to_string(), &origin)
}

/// A change that is done when it is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    resource_id: String,
    status: &'static str,
}

fn answer_with(
    service: &Service,
    operation: Option<OperationId>,
    resource_id: String,
    origin: &Origin,
) -> Result<Response, ApiError> {
    match operation {
        Some(id) => accepted(service, id, origin),
        None => Ok(json(StatusCode::OK, &Done { resource_id, status: "Succeeded" })),
    }
}

async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done?),
        Err(source) => {
            tracing::error!(%source, "a request's task did not end");
            let message = "The request was not carried out because of a fault in Keyturn.";
            // Not 500 or 503: clients would repeat the request by themselves.
            Err(ApiError::new(StatusCode::BAD_GATEWAY, "InternalFault", message))
        }
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
}
