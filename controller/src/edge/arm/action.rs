//! What can be done to fabrics and devices.

mod device;
mod fabric;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{DeviceId, FabricId};
use serde::Serialize;

use super::operation::{Origin, accepted};
use super::path::{DeviceAction, DeviceKind, FabricAction};
use crate::edge::answer::{ApiError, json};
use crate::edge::{body, request_id};
use crate::plan;
use crate::service::Service;

/// The longest version that is taken, in characters.
const VERSION_CHARACTERS_MAX: usize = 64;

/// Does something to a fabric.
pub(super) async fn on_fabric(
    service: &Service,
    id: FabricId,
    action: FabricAction,
    request: Request,
) -> Result<Response, ApiError> {
    let wanted = match action {
        FabricAction::Rotate => plan::Request::Rotate,
        FabricAction::Resync => plan::Request::Resync,
        FabricAction::Lock => return fabric::lock(service, id, request).await,
        FabricAction::Commit => return fabric::commit(service, id, request).await,
        FabricAction::Upgrade => return fabric::upgrade(service, id, request).await,
    };
    submit(service, id, wanted, request).await
}

/// Does something to a device.
pub(super) async fn on_device(
    service: &Service,
    id: DeviceId,
    kind: DeviceKind,
    action: DeviceAction,
    request: Request,
) -> Result<Response, ApiError> {
    match action {
        DeviceAction::Resync => {
            let fabric = service.find_device(&id)?;
            submit(service, fabric, plan::Request::ResyncDevice(id.name().clone()), request).await
        }
        DeviceAction::UpdateAdministrativeState => {
            device::update_administrative_state(service, id, kind, request).await
        }
        DeviceAction::Upgrade => device::upgrade(service, id, kind, request).await,
        DeviceAction::Reboot => device::reboot(service, id, request).await,
    }
}

async fn submit(
    service: &Service,
    fabric: FabricId,
    wanted: plan::Request,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let request_id = request_id::of_caller(request.headers());
    body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let id = service.submit(&fabric, wanted, request_id).await?;
    accepted(service, id, &origin)
}

/// A change that is done when it is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    resource_id: String,
    status: &'static str,
}

fn done(id: &impl std::fmt::Display) -> Response {
    json(StatusCode::OK, &Done { resource_id: id.to_string(), status: "Succeeded" })
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
}

/// Reads the version that something is upgraded to.
fn version(what: &str, given: Option<String>) -> Result<String, ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_one = |text: &String| {
        (1..=VERSION_CHARACTERS_MAX).contains(&text.len()) && text.chars().all(allowed)
    };
    given.filter(is_one).ok_or_else(|| {
        let message = format!("The property 'version' must say what the {what} is upgraded to.");
        invalid(message).target("version").hint(format!(
            "give 1 to {VERSION_CHARACTERS_MAX} letters, digits, dots, hyphens or underscores"
        ))
    })
}

/// Says that a value is none of those that a property may have.
pub(super) fn unsupported(property: &str, given: &str, known: &[&str]) -> ApiError {
    let given: String = given.chars().filter(|c| !c.is_control()).take(40).collect();
    let message = format!("The value '{given}' of the property '{property}' is not supported.");
    invalid(message).target(property).hint(format!("use one of {}", known.join(", ")))
}
