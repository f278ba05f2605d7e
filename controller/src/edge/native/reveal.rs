//! Revealing a password: the one answer of all edges that carries one.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::Response;
use protocol::id::DeviceId;
use protocol::status::SynchronizationStatus;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Native, retention};
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, raw};
use crate::edge::auth::Caller;
use crate::edge::body;
use crate::error::chain;
use crate::model::Evidence;
use crate::service::{ArchiveReference, Candidate, Missing, Revealed};

/// Room for one candidate in the answer, in bytes: value, version and evidence.
const CANDIDATE_BYTES: usize = 2048;

/// Room for one that is missing: the reason may name a file.
const MISSING_BYTES: usize = 8192;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    device_id: String,
    user: String,
    /// The fabric that the device was deleted from or replaced in, which may be deleted itself.
    #[serde(default)]
    deleted_from: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevealedBody<'a> {
    device: String,
    user: &'a str,
    value: &'a str,
    secret_archive_reference: Reference<'a>,
    synchronization_status: SynchronizationStatus,
    /// When the value last proved to open the device.
    last_proven: Option<String>,
    /// How it proved that.
    evidence: Option<&'static str>,
    candidates: Vec<CandidateBody<'a>>,
    /// Versions that may open it, too, and that the vault does not give.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<MissingBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    key_vault_uri: &'a str,
    key_vault_id: &'a str,
    secret_name: &'a str,
    secret_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CandidateBody<'a> {
    value: &'a str,
    secret_version: String,
    password_set: u32,
    evidence: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MissingBody<'a> {
    secret_version: String,
    password_set: u32,
    evidence: &'a str,
    reason: String,
}

/// Reveals what opens a device as one user now.
pub(super) async fn reveal(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: Wanted = body::parse(&bytes)?;
    let device: DeviceId = wanted.device_id.parse().map_err(|error| {
        let message = format!("Failed to {error}.");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).target("deviceId")
    })?;
    let gone = wanted.deleted_from.as_deref().map(|id| retention::fabric(id, "deletedFrom"));
    let gone = gone.transpose()?;
    let fabric = gone.clone().map_or_else(|| native.door.fabric_of(&device), Ok)?;
    let action = "Keyturn/secrets/reveal/action";
    // What was asked for, as the caller wrote it: also where there is no such user.
    let on = format!("{device}/users/{}", wanted.user);
    let scope = Scope::Fabric(&fabric);
    let service = native.door.open(&caller, action, Right::Reveal, scope, &on).await?;
    let revealed = match gone {
        Some(fabric) => service.reveal_gone(&fabric, device.name(), &wanted.user).await?,
        None => service.reveal(&device, &wanted.user).await?,
    };
    tracing::info!(device = %device.name(), profile = %revealed.profile, "a password was revealed");
    answer(&revealed)
}

fn answer(revealed: &Revealed) -> Result<Response, ApiError> {
    // Large enough that it never grows, which would leave copies behind; overwritten when sent.
    let room = CANDIDATE_BYTES * (revealed.candidates.len() + 2);
    let room = room + MISSING_BYTES * revealed.missing.len();
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *text, &RevealedBody::from(revealed)).map_err(|_error| {
        let message = "The password could not be written as JSON.";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    })?;
    let mut response = raw(StatusCode::OK, Body::from(Bytes::from_owner(text)));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl<'a> From<&'a Revealed> for RevealedBody<'a> {
    fn from(revealed: &'a Revealed) -> Self {
        Self {
            device: revealed.device.to_string(),
            user: &revealed.user,
            value: revealed.value.expose(),
            secret_archive_reference: Reference::from(&revealed.reference),
            synchronization_status: revealed.status,
            last_proven: revealed.last_proven.map(|proof| proof.at.to_string()),
            evidence: revealed.last_proven.map(|proof| match proof.evidence {
                Evidence::Login => "login",
                Evidence::ReadBack => "read-back",
            }),
            candidates: revealed.candidates.iter().map(CandidateBody::from).collect(),
            missing: revealed.missing.iter().map(MissingBody::from).collect(),
        }
    }
}

impl<'a> From<&'a ArchiveReference> for Reference<'a> {
    fn from(reference: &'a ArchiveReference) -> Self {
        Self {
            key_vault_uri: &reference.key_vault_uri,
            key_vault_id: &reference.key_vault_id,
            secret_name: reference.secret_name.as_str(),
            secret_version: reference.secret_version.to_string(),
        }
    }
}

impl<'a> From<&'a Candidate> for CandidateBody<'a> {
    fn from(candidate: &'a Candidate) -> Self {
        Self {
            value: candidate.value.expose(),
            secret_version: candidate.version.to_string(),
            password_set: candidate.set.0,
            evidence: &candidate.evidence,
        }
    }
}

impl<'a> From<&'a Missing> for MissingBody<'a> {
    fn from(missing: &'a Missing) -> Self {
        Self {
            secret_version: missing.version.to_string(),
            password_set: missing.set.0,
            evidence: &missing.evidence,
            reason: format!("Failed to {}.", chain(&missing.reason)),
        }
    }
}
