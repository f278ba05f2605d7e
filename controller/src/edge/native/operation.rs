//! Operations, and how far each device is.

use std::collections::BTreeMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::credential::{Credential, Phase};
use protocol::id::{OperationId, PasswordSet, ResourceName};
use serde::Serialize;

use super::Native;
use crate::access::Scope;
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::edge::operation_path;
use crate::model::{Device, Fabric, Operation, OperationState, Outcome};

/// What both routes do, as refusals and the log call it.
const ACTION: &str = "Keyturn/operations/read";

#[derive(Serialize)]
struct Operations {
    value: Vec<OperationBody>,
}

/// One operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationBody {
    /// The path under which the ARM surface has it.
    id: String,
    name: String,
    kind: &'static str,
    fabric_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    password_set: u32,
    status: &'static str,
    percent_complete: f64,
    start_time: String,
    end_time: Option<String>,
    succeeded: usize,
    failed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<Vec<DeviceProgress>>,
}

/// How far one device is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceProgress {
    name: String,
    /// The wave that it is in, from 1; `None` for a device that is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    wave: Option<usize>,
    /// `Queued`, `Running`, `Succeeded`, `Failed` or `Skipped`.
    state: &'static str,
    /// Where its secrets are in the protocol, while it is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Lists all operations that are kept, the newest first.
pub(super) async fn list(
    State(native): State<Native>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let service = native.door.show(&caller, ACTION, Scope::Visible)?;
    let mut value = Vec::new();
    for (fabric, operation) in service.operations() {
        if caller.sees(&fabric) {
            let body = |fabric: &Fabric| OperationBody::of(fabric, &operation, None);
            value.push(service.read(&fabric, body)?);
        }
    }
    Ok(json(StatusCode::OK, &Operations { value }))
}

/// Says how far an operation is, device by device.
pub(super) async fn show(
    State(native): State<Native>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id?;
    let id: OperationId = id.parse().map_err(|error| {
        ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", format!("Failed to {error}."))
            .hint("`keyturn operation list` shows the operations")
    })?;
    let fabric = native.door.fabric_of_operation(id)?;
    let service = native.door.show(&caller, ACTION, Scope::Fabric(&fabric))?;
    let body = service.read_operation(id, |fabric, operation| {
        OperationBody::of(fabric, operation, Some(progress(fabric, operation)))
    })?;
    Ok(json(StatusCode::OK, &body))
}

impl OperationBody {
    fn of(fabric: &Fabric, operation: &Operation, devices: Option<Vec<DeviceProgress>>) -> Self {
        let device_id = operation.device.as_ref().map(|device| fabric.device_id(device));
        Self {
            id: operation_path::of(fabric, operation),
            name: operation.id.to_string(),
            kind: operation.kind.as_str(),
            fabric_id: fabric.id.to_string(),
            device_id: device_id.map(|id| id.to_string()),
            password_set: operation.set.0,
            status: match operation.state {
                OperationState::Running => "Updating",
                OperationState::Succeeded => "Succeeded",
                OperationState::Failed => "Failed",
            },
            percent_complete: operation.percent_complete().floor(),
            start_time: operation.started.to_string(),
            end_time: operation.ended.map(|at| at.to_string()),
            succeeded: operation.succeeded(),
            failed: operation.failures().count(),
            devices,
        }
    }
}

fn progress(fabric: &Fabric, operation: &Operation) -> Vec<DeviceProgress> {
    let waves = operation.waves.iter().enumerate();
    let planned: BTreeMap<&ResourceName, usize> =
        waves.flat_map(|(at, wave)| wave.iter().map(move |name| (name, at + 1))).collect();
    let mut devices: Vec<DeviceProgress> = planned
        .iter()
        .map(|(name, wave)| {
            let outcome = operation.outcomes.get(*name);
            DeviceProgress::of(name, *wave, outcome, fabric.devices.get(*name), operation.set)
        })
        .collect();
    devices.extend(operation.skipped.iter().map(|skipped| DeviceProgress {
        name: skipped.device.to_string(),
        wave: None,
        state: "Skipped",
        phase: None,
        code: Some(skipped.code.clone()),
        message: Some(skipped.message.clone()),
    }));
    devices
}

impl DeviceProgress {
    fn of(
        name: &ResourceName,
        wave: usize,
        outcome: Option<&Outcome>,
        device: Option<&Device>,
        set: PasswordSet,
    ) -> Self {
        let phase = device.and_then(|device| phase(device, set)).filter(|_| outcome.is_none());
        let (state, failure) = match outcome {
            Some(Outcome::Succeeded) => ("Succeeded", None),
            Some(Outcome::Failed(failure)) => ("Failed", Some(failure)),
            None if phase.is_some() => ("Running", None),
            None => ("Queued", None),
        };
        Self {
            name: name.to_string(),
            wave: Some(wave),
            state,
            phase,
            code: failure.map(|failure| failure.code.clone()),
            message: failure.map(|failure| failure.message.clone()),
        }
    }
}

/// Returns the phase of the secret that is farthest in the protocol; `None` while nothing has begun
/// on the device.
fn phase(device: &Device, set: PasswordSet) -> Option<&'static str> {
    let ranked = device.credentials().filter_map(|credential| rank(credential, set)).max();
    ranked.map(|(_rank, word)| word)
}

fn rank(credential: &Credential, set: PasswordSet) -> Option<(u8, &'static str)> {
    match credential.phase {
        // All is proven; the agent is leaving the device.
        Phase::Settled if credential.current == Some(set) => Some((0, "settled")),
        Phase::Settled | Phase::Staged | Phase::Held => None,
        // So are secrets that have been declared and not looked at yet.
        Phase::BackOff => credential.reason.map(|_reason| (1, "back-off")),
        Phase::Drift => Some((2, "drift")),
        Phase::Exposed => Some((3, "exposed")),
        Phase::Waiting => Some((4, "waiting")),
        Phase::Quiet => Some((5, "quiet")),
        Phase::Probing => Some((6, "probing")),
        Phase::Verifying(_) => Some((7, "verifying")),
        Phase::Saving(_) => Some((8, "saving")),
    }
}
