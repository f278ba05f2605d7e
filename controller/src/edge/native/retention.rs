//! What the vault keeps and why, what may go, and what deleted fabrics have left.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{FabricId, ResourceName};
use serde::{Deserialize, Serialize};

use super::Native;
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::edge::body;
use crate::model::{Located, Timestamp};
use crate::plan::retention::{Stay, Verdict};
use crate::service::{DeletedFabric, Review};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReviewBody {
    /// The newest versions of each secret that are kept, whatever their age.
    versions_min: usize,
    /// How long a version is kept after it was last of use.
    retention_seconds: u64,
    /// What was given up, and is still to be purged.
    purging: Vec<Place>,
    value: Vec<VerdictBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    secret_name: String,
    secret_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerdictBody {
    #[serde(flatten)]
    place: Place,
    profile: String,
    password_set: u32,
    /// The devices that it was made for; none: the fabric's devices share it.
    owners: Vec<String>,
    /// Whether it may go.
    goes: bool,
    stays: Vec<StayBody>,
}

/// A reason, and the devices that it is about.
#[derive(Serialize)]
struct StayBody {
    code: &'static str,
    message: String,
    devices: Vec<String>,
}

impl From<Review> for ReviewBody {
    fn from(review: Review) -> Self {
        Self {
            versions_min: review.retention.versions_min,
            retention_seconds: review.retention.time.as_secs(),
            purging: review.purging.iter().map(Place::of).collect(),
            value: review.verdicts.iter().map(VerdictBody::of).collect(),
        }
    }
}

impl Place {
    fn of((name, version): &Located) -> Self {
        let (secret_name, secret_version) = (name.as_str().to_owned(), version.to_string());
        Self { secret_name, secret_version }
    }
}

impl VerdictBody {
    fn of(verdict: &Verdict) -> Self {
        let last = verdict.values.last();
        let owners = verdict.values.iter().filter_map(|value| value.owner.as_ref());
        let owners: BTreeSet<String> = owners.map(ToString::to_string).collect();
        Self {
            place: Place::of(&verdict.located),
            profile: last.map(|value| value.profile.to_string()).unwrap_or_default(),
            password_set: last.map_or(0, |value| value.set.0),
            owners: owners.into_iter().collect(),
            goes: verdict.stays.is_empty(),
            stays: stays(&verdict.stays),
        }
    }
}

/// Devices for which one reason holds share it.
fn stays(all: &[Stay]) -> Vec<StayBody> {
    let mut told: BTreeMap<(&'static str, String), BTreeSet<String>> = BTreeMap::new();
    for stay in all {
        let device = stay.device().map(|device| device.name().to_string());
        told.entry((stay.code(), stay.to_string())).or_default().extend(device);
    }
    let body = |((code, message), devices): ((&'static str, String), BTreeSet<String>)| StayBody {
        code,
        message,
        devices: devices.into_iter().collect(),
    };
    told.into_iter().map(body).collect()
}

#[derive(Serialize)]
struct DeletedFabrics {
    value: Vec<DeletedBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedBody {
    id: String,
    name: String,
    deleted_at: String,
    /// How many versions are kept.
    versions: usize,
    /// The devices whose hardware may have passwords of it.
    devices: Vec<String>,
    /// Their accounts.
    accounts: BTreeMap<String, BTreeSet<String>>,
}

impl From<DeletedFabric> for DeletedBody {
    fn from(fabric: DeletedFabric) -> Self {
        let account = |(name, users): (ResourceName, BTreeSet<String>)| (name.to_string(), users);
        Self {
            id: fabric.id.to_string(),
            name: fabric.id.name().to_string(),
            deleted_at: fabric.at.to_string(),
            versions: fabric.versions,
            devices: fabric.devices.keys().map(ToString::to_string).collect(),
            accounts: fabric.devices.into_iter().map(account).collect(),
        }
    }
}

/// Lists deleted fabrics of which values are kept.
pub(super) async fn deleted(
    State(native): State<Native>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let service = native.door.show(&caller, "Keyturn/deletedFabrics/read", Scope::Visible)?;
    let deleted = service.deleted_fabrics().into_iter();
    let value = deleted.filter(|fabric| caller.sees(&fabric.id)).map(DeletedBody::from).collect();
    Ok(json(StatusCode::OK, &DeletedFabrics { value }))
}

/// What to purge.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Purge {
    fabric_id: String,
    /// What deleted fabrics of that name have left; else what may go.
    #[serde(default)]
    deleted: bool,
    /// Also what devices may have.
    #[serde(default)]
    force: bool,
}

#[derive(Serialize)]
struct Purged {
    value: Vec<Place>,
}

/// Purges what may go now, or what deleted fabrics have left.
pub(super) async fn purge(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: Purge = body::parse(&bytes)?;
    let id = fabric(&wanted.fabric_id, "fabricId")?;
    let action = match (wanted.deleted, wanted.force) {
        (true, true) => "Keyturn/deletedFabrics/purge/force/action",
        (true, false) => "Keyturn/deletedFabrics/purge/action",
        (false, _) => "Keyturn/fabrics/purge/action",
    };
    let (scope, on) = (Scope::Fabric(&id), id.to_string());
    let service = native.door.open(&caller, action, Right::Administer, scope, &on).await?;
    let purged = match wanted.deleted {
        true => service.purge_deleted(&id, wanted.force).await?,
        false => service.purge_due(&id).await?,
    };
    Ok(json(StatusCode::OK, &Purged { value: purged.iter().map(Place::of).collect() }))
}

/// Whose hardware has nothing any more.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Release {
    fabric_id: String,
    device: String,
    /// When it went, where several went under the name.
    gone_at: Option<String>,
}

/// Takes an administrator's word that hardware which is gone has nothing any more.
pub(super) async fn release(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: Release = body::parse(&bytes)?;
    let id = fabric(&wanted.fabric_id, "fabricId")?;
    let device = ResourceName::new(&wanted.device).map_err(|error| invalid(&error, "device"))?;
    let gone_at = wanted.gone_at.as_deref().map(time).transpose()?;
    let (action, scope) = ("Keyturn/goneDevices/release/action", Scope::Fabric(&id));
    let at = gone_at.map(|at| format!("?goneAt={at}")).unwrap_or_default();
    let on = format!("{id}/goneDevices/{device}{at}");
    let service = native.door.open(&caller, action, Right::Administer, scope, &on).await?;
    service.release_gone(&id, &device, gone_at).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({"released": device.to_string()})))
}

/// Reads a time as it is shown.
fn time(text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|_error| {
        let message = format!("Expected a time as in `{}`.", Timestamp::default());
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).target("goneAt")
    })
}

/// Reads a fabric's id in a body.
pub(super) fn fabric(text: &str, field: &'static str) -> Result<FabricId, ApiError> {
    text.parse().map_err(|error: protocol::id::IdError| invalid(&error, field))
}

fn invalid(error: &protocol::id::IdError, field: &'static str) -> ApiError {
    let message = format!("Failed to {error}.");
    ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).target(field)
}
