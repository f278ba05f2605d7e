//! What can be done to a device.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use protocol::id::DeviceId;
use serde::Deserialize;

use super::{done, invalid, to_its_end, unsupported, version};
use crate::edge::answer::ApiError;
use crate::edge::arm::operation::{Origin, accepted};
use crate::edge::arm::path::DeviceKind;
use crate::edge::body;
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
    service: &Arc<Service>,
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
    let device = id.clone();
    let setting = Arc::clone(service);
    let operation =
        to_its_end(async move { setting.set_administrative_state(&device, action).await }).await?;
    match operation {
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
    service: &Arc<Service>,
    id: DeviceId,
    kind: DeviceKind,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: UpgradeDevice = body::parse(&bytes)?;
    let version = version("device", wanted.version)?;
    let (task, device) = (Arc::clone(service), id.clone());
    to_its_end(async move { task.set_device_version(&device, version).await }).await?;
    Ok(done(&kind.id(&id)))
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
