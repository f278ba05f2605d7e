//! Copies of secrets in the customer's own vault: how far they are, again at once, and compared.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::FabricId;
use serde::{Deserialize, Serialize};

use super::Native;
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::edge::body;
use crate::inventory::{ArchiveIdentity, SecretArchive};
use crate::service::{ArchiveStatus, Compared, Found};

/// Which fabric.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    fabric_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusBody {
    /// The vault that secrets are copied to; null: to none.
    secret_archive: Option<ArchiveBody>,
    copied: usize,
    pending: usize,
    /// Versions that were left out for good: newer ones of their secrets are there.
    left_out: usize,
    /// Since when the oldest version waits to be copied.
    pending_since: Option<String>,
    last_copied: Option<String>,
    last_error: Option<ErrorBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArchiveBody {
    vault_uri: String,
    key_vault_id: Option<String>,
    use_key_vault: bool,
    identity_type: Option<&'static str>,
    user_assigned_identity_resource_id: Option<String>,
    set_by: &'static str,
}

#[derive(Serialize)]
struct ErrorBody {
    message: String,
    hint: Option<String>,
    at: String,
}

#[derive(Serialize)]
struct ComparedBody {
    value: Vec<CopyBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CopyBody {
    secret_name: String,
    secret_version: String,
    /// What the customer's vault calls the version.
    copy_version: String,
    found: &'static str,
}

impl From<ArchiveStatus> for StatusBody {
    fn from(status: ArchiveStatus) -> Self {
        let ArchiveStatus {
            archive,
            copied,
            pending,
            left_out,
            pending_since,
            last_copied,
            last_error,
            ..
        } = status;
        let error = |(message, hint, at): (String, Option<String>, crate::model::Timestamp)| {
            ErrorBody { message, hint, at: at.to_string() }
        };
        Self {
            secret_archive: archive.map(ArchiveBody::from),
            copied,
            pending,
            left_out,
            pending_since: pending_since.map(|at| at.to_string()),
            last_copied: last_copied.map(|at| at.to_string()),
            last_error: last_error.map(error),
        }
    }
}

impl From<SecretArchive> for ArchiveBody {
    fn from(archive: SecretArchive) -> Self {
        let set_by = if archive.over_api.is_some() { "Api" } else { "Inventory" };
        let SecretArchive { vault_uri, key_vault_id, use_key_vault, associated_identity, .. } =
            archive;
        let (identity_type, user_assigned_identity_resource_id) = match associated_identity {
            None => (None, None),
            Some(ArchiveIdentity::SystemAssigned) => (Some("SystemAssignedIdentity"), None),
            Some(ArchiveIdentity::UserAssigned(id)) => (Some("UserAssignedIdentity"), Some(id)),
        };
        Self {
            vault_uri,
            key_vault_id,
            use_key_vault,
            identity_type,
            user_assigned_identity_resource_id,
            set_by,
        }
    }
}

impl From<Compared> for CopyBody {
    fn from(compared: Compared) -> Self {
        Self {
            secret_name: compared.name.as_str().to_owned(),
            secret_version: compared.version.to_string(),
            copy_version: compared.copy.to_string(),
            found: match compared.found {
                Found::Same => "Same",
                Found::Different => "Different",
                Found::Missing => "Missing",
                Found::Unreadable => "Unreadable",
            },
        }
    }
}

/// Tries at once to copy what is left.
pub(super) async fn retry(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let id = wanted(request).await?;
    let (action, scope, on) = ("Keyturn/archives/retry/action", Scope::Fabric(&id), id.to_string());
    let service = native.door.open(&caller, action, Right::Operate, scope, &on).await?;
    service.retry_archive(&id)?;
    Ok(json(StatusCode::OK, &StatusBody::from(service.archive_status(&id)?)))
}

/// Compares every copy with what the own vault has.
pub(super) async fn verify(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let id = wanted(request).await?;
    let (action, scope, on) =
        ("Keyturn/archives/verify/action", Scope::Fabric(&id), id.to_string());
    let service = native.door.open(&caller, action, Right::Operate, scope, &on).await?;
    let value = service.verify_archive(&id).await?.into_iter().map(CopyBody::from).collect();
    Ok(json(StatusCode::OK, &ComparedBody { value }))
}

async fn wanted(request: Request) -> Result<FabricId, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: Wanted = body::parse(&bytes)?;
    wanted.fabric_id.parse().map_err(|error| {
        let message = format!("Failed to {error}.");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).target("fabricId")
    })
}
