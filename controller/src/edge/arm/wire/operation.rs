//! `OperationStatusResult`: a long-running operation.
//!
//! How it went on each device is told in both published encodings: in `error.details`, which is
//! all that the published clients show, and in `operations`.

use std::collections::BTreeMap;

use protocol::id::ResourceName;
use protocol::status::DeviceRole;
use serde::Serialize;

use crate::edge::arm::path::DeviceKind;
use crate::edge::operation_path;
use crate::model::{Fabric, Operation, OperationKind, OperationState, Outcome};

/// An operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::edge::arm) struct OperationStatus {
    id: String,
    name: String,
    resource_id: String,
    status: &'static str,
    percent_complete: f64,
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operations: Vec<DeviceOperation>,
    /// The results of these operations have no fields of their own.
    properties: (),
}

#[derive(Debug, Serialize)]
struct ErrorDetail {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Vec<Self>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceOperation {
    resource_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

impl OperationStatus {
    /// Returns the operation's own path.
    pub(in crate::edge::arm) fn path(&self) -> &str {
        &self.id
    }

    /// Tells whether the operation still runs.
    pub(in crate::edge::arm) fn is_running(&self) -> bool {
        self.end_time.is_none()
    }
}

/// Converts an operation on a fabric or on one of its devices.
pub(in crate::edge::arm) fn operation(fabric: &Fabric, operation: &Operation) -> OperationStatus {
    let is_running = operation.state == OperationState::Running;
    let ended = if is_running { None } else { operation.ended.or(Some(operation.started)) };
    let resource_id = match &operation.device {
        Some(device) => id(fabric, device),
        None => fabric.id.to_string(),
    };
    OperationStatus {
        id: operation_path::of(fabric, operation),
        name: operation.id.to_string(),
        resource_id,
        status: match operation.state {
            OperationState::Running => "Updating",
            OperationState::Succeeded => "Succeeded",
            OperationState::Failed => "Failed",
        },
        percent_complete: operation.percent_complete().floor(),
        start_time: operation.started.to_string(),
        end_time: ended.map(|at| at.to_string()),
        error: (operation.state == OperationState::Failed).then(|| error(fabric, operation)),
        operations: if is_running { Vec::new() } else { by_device(fabric, operation) },
        properties: (),
    }
}

fn error(fabric: &Fabric, operation: &Operation) -> ErrorDetail {
    let names = Names::of(fabric, operation);
    let mut failures = operation.failures();
    // An operation on one device has that device's code, not one for several.
    if operation.device.is_some()
        && let Some((device, code, message)) = failures.next()
    {
        return ErrorDetail::new(code, message, Some(names.target(device)));
    }
    let details = failures
        .map(|(device, code, message)| ErrorDetail::new(code, message, Some(names.target(device))));
    let details = Some(details.collect());
    let (code, message) = verdict(operation);
    ErrorDetail { details, ..ErrorDetail::new(code, &message, None) }
}

/// Code and message for the operation as a whole.
fn verdict(operation: &Operation) -> (&'static str, String) {
    let (code, noun) = match operation.kind {
        OperationKind::Rotate => ("RotationFailed", "Rotation"),
        OperationKind::Resync => ("ResyncFailed", "Resync"),
        OperationKind::Verify => ("VerificationFailed", "Verification"),
        OperationKind::Reboot => ("RebootFailed", "Reboot"),
    };
    let mend = "Please address any issues and perform resync operations for the affected devices.";
    if operation.succeeded() > 0 {
        let message = format!("{noun} succeeded for only some devices. {mend}");
        ("PartialSuccess", message)
    } else {
        (code, format!("{noun} failed for all devices. {mend}"))
    }
}

fn by_device(fabric: &Fabric, operation: &Operation) -> Vec<DeviceOperation> {
    let names = Names::of(fabric, operation);
    let mut results: BTreeMap<&ResourceName, Option<ErrorDetail>> = BTreeMap::new();
    for (device, outcome) in &operation.outcomes {
        if *outcome == Outcome::Succeeded {
            results.insert(device, None);
        }
    }
    for (device, code, message) in operation.failures() {
        results.insert(device, Some(ErrorDetail::new(code, message, None)));
    }
    let mut entries: Vec<DeviceOperation> = results
        .into_iter()
        .map(|(device, error)| DeviceOperation {
            resource_id: names.resource(device),
            status: if error.is_none() { "Succeeded" } else { "Failed" },
            error,
        })
        .collect();
    // The published examples begin with the fabric's own entry, the terminal server's.
    entries.sort_by_key(|entry| !names.is_fabric(&entry.resource_id));
    entries
}

impl ErrorDetail {
    fn new(code: &str, message: &str, target: Option<String>) -> Self {
        Self { code: code.to_owned(), message: message.to_owned(), target, details: None }
    }
}

/// A device that was deleted since is called what it was in the fabric.
fn id(fabric: &Fabric, name: &ResourceName) -> String {
    let kind = fabric.devices.get(name).map_or(DeviceKind::Network, DeviceKind::of);
    kind.id(&fabric.device_id(name))
}

/// How devices are called in the results of a fabric's operations: the one terminal server of a
/// fabric has names of its own.
struct Names<'a> {
    fabric: &'a Fabric,
    terminal_server: Option<&'a ResourceName>,
}

impl<'a> Names<'a> {
    fn of(fabric: &'a Fabric, operation: &Operation) -> Self {
        let mut servers =
            fabric.members().filter(|(_name, device)| device.spec.role == DeviceRole::TS);
        let terminal_server = match (servers.next(), servers.next()) {
            (Some((name, _device)), None) if operation.device.is_none() => Some(name),
            // Several could not be told apart by a name that says nothing.
            _ => None,
        };
        Self { fabric, terminal_server }
    }

    fn target(&self, device: &ResourceName) -> String {
        if self.terminal_server == Some(device) {
            "TerminalServer".to_owned()
        } else {
            id(self.fabric, device)
        }
    }

    fn resource(&self, device: &ResourceName) -> String {
        if self.terminal_server == Some(device) {
            self.fabric.id.to_string()
        } else {
            id(self.fabric, device)
        }
    }

    fn is_fabric(&self, resource_id: &str) -> bool {
        resource_id == self.fabric.id.to_string()
    }
}
