//! What there is, what would be done, and how the last rotation went.

use std::collections::BTreeMap;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{FabricId, PROVIDER, ResourceName};
use protocol::status::{DeviceRole, SynchronizationStatus};
use serde::{Deserialize, Serialize};

use super::archive::StatusBody;
use super::retention::ReviewBody;
use super::{FABRICS_PATH, Native};
use crate::access::Scope;
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::model::{Device, Fabric, OperationKind, OperationState, Secret, Skipped};
use crate::plan::{self, Plan};

/// All fabrics, with as much of them as is needed to find a device by its name.
#[derive(Serialize)]
struct Fabrics {
    value: Vec<Known>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    id: String,
    name: String,
    devices: Vec<String>,
    /// Devices that wait for their first password set.
    bootstrap_devices: Vec<String>,
}

/// Lists the fabrics and the names of their devices.
pub(super) async fn list(
    State(native): State<Native>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let service = native.door.show(&caller, "Keyturn/fabrics/read", Scope::Visible)?;
    let known = |fabric: &Fabric| Known {
        id: fabric.id.to_string(),
        name: fabric.id.name().to_string(),
        devices: fabric.members().map(|(name, _device)| name.to_string()).collect(),
        bootstrap_devices: waiting(fabric).map(|(name, _device)| name.to_string()).collect(),
    };
    let ids = service.fabrics().into_iter().filter(|id| caller.sees(id));
    let value = ids.map(|id| service.read(&id, known)).collect::<Result<_, _>>()?;
    Ok(json(StatusCode::OK, &Fabrics { value }))
}

fn waiting(fabric: &Fabric) -> impl Iterator<Item = (&ResourceName, &Device)> {
    fabric.devices.iter().filter(|(_name, device)| device.spec.bootstrap)
}

/// What to plan.
#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    request: Option<String>,
    device: Option<String>,
}

/// The views of a fabric: what stands behind its id.
const VIEWS: [&str; 5] = ["plan", "summary", "bootstrap-devices", "retention", "archive"];

/// Returns the paths that [`look`] answers.
pub(super) fn paths() -> Vec<String> {
    let fabric = format!(
        "{FABRICS_PATH}/subscriptions/{{subscriptionId}}/resourceGroups/{{resourceGroupName}}/\
         providers/{PROVIDER}/{}/{{networkFabricName}}",
        FabricId::KIND
    );
    VIEWS.map(|view| format!("{fabric}/{view}")).to_vec()
}

/// Answers a view of a fabric.
pub(super) async fn look(
    State(native): State<Native>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (Path(path), Query(wanted)) = (path?, query?);
    let (id, view) = path.rsplit_once('/').unwrap_or((&path, ""));
    let id: FabricId = format!("/{id}").parse().map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidPath", format!("Failed to {error}."))
    })?;
    let scope = Scope::Fabric(&id);
    let service = native.door.show(&caller, "Keyturn/fabrics/read", scope)?;
    match view {
        "plan" => {
            let plan = service.plan(&id, &wanted.request()?)?;
            Ok(json(StatusCode::OK, &PlanBody::from(plan)))
        }
        "summary" => {
            let summary = service.read(&id, Summary::of)?;
            Ok(json(StatusCode::OK, &summary))
        }
        "bootstrap-devices" => {
            let value = service.read(&id, |fabric| waiting(fabric).map(Waiting::of).collect())?;
            Ok(json(StatusCode::OK, &WaitingDevices { value }))
        }
        "retention" => Ok(json(StatusCode::OK, &ReviewBody::from(service.review(&id)?))),
        "archive" => Ok(json(StatusCode::OK, &StatusBody::from(service.archive_status(&id)?))),
        _ => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!("A fabric has the views {}.", VIEWS.join(", ")),
        )),
    }
}

impl Wanted {
    fn request(&self) -> Result<plan::Request, ApiError> {
        let invalid = |message: String| {
            ApiError::new(StatusCode::BAD_REQUEST, "InvalidQuery", message)
                .hint("use request=rotate or request=resync, the latter perhaps with device=NAME")
        };
        match (self.request.as_deref().unwrap_or("rotate"), &self.device) {
            ("rotate", None) => Ok(plan::Request::Rotate),
            ("resync", None) => Ok(plan::Request::Resync),
            ("resync", Some(device)) => match ResourceName::new(device) {
                Ok(device) => Ok(plan::Request::ResyncDevice(device)),
                Err(error) => Err(invalid(format!("Failed to {error}."))),
            },
            _ => Err(invalid("There is no such request to be planned.".to_owned())),
        }
    }
}

#[derive(Serialize)]
struct WaitingDevices {
    value: Vec<Waiting>,
}

/// What the API's type of a bootstrap device has no words for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    name: String,
    network_device_role: DeviceRole,
    secret_rotation_status: Vec<SecretStatus>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretStatus {
    secret_type: String,
    synchronization_status: SynchronizationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotation_time: Option<String>,
}

impl Waiting {
    fn of((name, device): (&ResourceName, &Device)) -> Self {
        let status = |secret: &Secret| SecretStatus {
            secret_type: secret.secret_type.to_string(),
            synchronization_status: secret.credential.status(),
            last_rotation_time: secret.last_rotation.map(|at| at.to_string()),
        };
        Self {
            name: name.to_string(),
            network_device_role: device.spec.role,
            secret_rotation_status: device.secrets.values().map(status).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanBody {
    password_set: u32,
    makes_password_set: bool,
    changes_devices: bool,
    waves: Vec<Vec<String>>,
    skipped: Vec<SkippedBody>,
}

#[derive(Serialize)]
struct SkippedBody {
    device: String,
    code: String,
    message: String,
}

impl From<Plan> for PlanBody {
    fn from(plan: Plan) -> Self {
        let wave = |wave: Vec<ResourceName>| wave.iter().map(ResourceName::to_string).collect();
        Self {
            password_set: plan.set.0,
            makes_password_set: plan.makes_set,
            changes_devices: plan.changes_devices,
            waves: plan.waves().into_iter().map(wave).collect(),
            skipped: plan.skipped.into_iter().map(SkippedBody::from).collect(),
        }
    }
}

impl From<Skipped> for SkippedBody {
    fn from(skipped: Skipped) -> Self {
        let Skipped { device, code, message } = skipped;
        Self { device: device.to_string(), code, message }
    }
}

/// How the fabric stands after its last rotation, in the documents' words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    /// When the last rotation ended, or began if it is still running.
    last_rotation_time: Option<String>,
    state: &'static str,
    total_devices: usize,
    succeeded_device_ids: Vec<String>,
    failed_device_ids: Vec<String>,
    unique_password_set_count: usize,
    /// What secrets are called: by `older` names, by `current` ones, or by `both`.
    secret_names: &'static str,
    /// The older names of the inventory, by profile.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    older_names: BTreeMap<String, String>,
    /// The devices that depend on values under older names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    older_names_device_ids: Vec<String>,
}

impl Summary {
    /// A device has succeeded if all its secrets are proven on the newest set, whether the rotation
    /// or a resync brought it there.
    fn of(fabric: &Fabric) -> Self {
        let in_sync =
            |device: &Device| device.synchronization_status() == SynchronizationStatus::InSync;
        let ids = |wanted: bool| -> Vec<String> {
            let chosen = fabric.members().filter(|(_name, device)| in_sync(device) == wanted);
            chosen.map(|(name, _device)| fabric.device_id(name).to_string()).collect()
        };
        let (succeeded, failed) = (ids(true), ids(false));
        let rotations = fabric.operations.iter().rev();
        let mut rotations = rotations.filter(|o| o.kind == OperationKind::Rotate);
        let last = rotations.next().map(|operation| operation.ended.unwrap_or(operation.started));
        let is_running = |operation: &crate::model::Operation| {
            operation.state == OperationState::Running && operation.kind.is_maintenance()
        };
        let older = fabric.on_older_names();
        Self {
            secret_names: match (fabric.is_migrated(), older.is_empty()) {
                (_, true) => "current",
                (true, false) => "both",
                (false, false) => "older",
            },
            older_names: older_names(fabric),
            older_names_device_ids: older
                .iter()
                .map(|name| fabric.device_id(name).to_string())
                .collect(),
            last_rotation_time: last.map(|at| at.to_string()),
            state: match (failed.is_empty(), succeeded.is_empty()) {
                _ if fabric.running_operation().is_some_and(is_running) => "Updating",
                (true, _) => "Succeeded",
                (false, false) => "PartialSuccess",
                (false, true) => "Failed",
            },
            total_devices: fabric.members().count(),
            succeeded_device_ids: succeeded,
            failed_device_ids: failed,
            unique_password_set_count: fabric.active_set_count(),
        }
    }
}

fn older_names(fabric: &Fabric) -> BTreeMap<String, String> {
    let names = fabric.spec.older_names.iter();
    names.map(|(profile, name)| (profile.to_string(), name.as_str().to_owned())).collect()
}
