//! What can be done to a device.

use axum::extract::Request;
use axum::response::Response;
use protocol::id::DeviceId;
use serde::Deserialize;

use super::{done, invalid, unsupported, version};
use crate::edge::answer::ApiError;
use crate::edge::arm::operation::{Origin, accepted};
use crate::edge::arm::path::DeviceKind;
use crate::edge::{body, request_id};
use crate::model::Reboot;
use crate::plan;
use crate::service::{Service, StateAction};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateAdministrativeState {
    state: String,
    #[serde(default)]
    resource_ids: Option<Vec<String>>,
}

/// Takes a device out of service, into replacement, or back.
pub(super) async fn update_administrative_state(
    service: &Service,
    id: DeviceId,
    kind: DeviceKind,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: UpdateAdministrativeState = body::parse(&bytes)?;
    let action = state_action(&wanted.state)?;
    let this = kind.id(&id);
    let is_this = |other: &String| other.eq_ignore_ascii_case(&this);
    if !wanted.resource_ids.unwrap_or_default().iter().all(is_this) {
        let message = "The property 'resourceIds' names other devices than the one in the path.";
        return Err(invalid(message).target("resourceIds"));
    }
    match service.set_administrative_state(&id, action).await? {
        Some(operation) => accepted(service, operation, &origin),
        None => Ok(done(&kind.id(&id))),
    }
}

#[derive(Deserialize)]
struct UpgradeDevice {
    #[serde(default)]
    version: Option<String>,
}

/// Notes the version of a device that others have upgraded.
pub(super) async fn upgrade(
    service: &Service,
    id: DeviceId,
    kind: DeviceKind,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: UpgradeDevice = body::parse(&bytes)?;
    let version = version("device", wanted.version)?;
    service.set_device_version(&id, version).await?;
    Ok(done(&kind.id(&id)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RebootDevice {
    reboot_type: String,
}

/// Reboots a device.
pub(super) async fn reboot(
    service: &Service,
    id: DeviceId,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let request_id = request_id::of_caller(request.headers());
    let fabric = service.find_device(&id)?;
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: RebootDevice = body::parse(&bytes)?;
    let wanted = plan::Request::Reboot(id.name().clone(), reboot_type(&wanted.reboot_type)?);
    let operation = service.submit(&fabric, wanted, request_id).await?;
    accepted(service, operation, &origin)
}

fn reboot_type(given: &str) -> Result<Reboot, ApiError> {
    const KNOWN: [(&str, bool, bool); 4] = [
        ("GracefulRebootWithoutZTP", true, false),
        ("UngracefulRebootWithoutZTP", false, false),
        ("GracefulRebootWithZTP", true, true),
        ("UngracefulRebootWithZTP", false, true),
    ];
    let found = KNOWN.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(given));
    let names = KNOWN.map(|(name, ..)| name);
    found
        .map(|(_name, graceful, ztp)| Reboot::new(graceful, ztp))
        .ok_or_else(|| unsupported("rebootType", given, &names))
}

fn state_action(given: &str) -> Result<StateAction, ApiError> {
    const KNOWN: [(&str, StateAction); 3] = [
        ("Enable", StateAction::Enable),
        ("Disable", StateAction::Disable),
        ("RMA", StateAction::Rma),
    ];
    let found = KNOWN.into_iter().find(|(name, _action)| name.eq_ignore_ascii_case(given));
    let names = KNOWN.map(|(name, _action)| name);
    found.map(|(_name, action)| action).ok_or_else(|| unsupported("state", given, &names))
}
