//! What the errors of the service become on the wire: the one place where HTTP codes come from.
//!
//! Clients repeat a request by themselves on 500, 503 and 504. That is right for a vault or store
//! that does not work, because nothing was changed then and a submission is idempotent by the
//! caller's request id; a refusal must never look like that.

use axum::http::StatusCode;
use protocol::id::{DeviceId, FabricId, PROVIDER};

use super::answer::{ApiError, Detail};
use crate::error::{Fault, chain};
use crate::plan::Refusal;
use crate::rollback::{RollbackError, Suspicion};
use crate::service::ServiceError;

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let hint = error.hint();
        let answer = match &error {
            ServiceError::NotFound { what, id } => not_found(what, id),
            ServiceError::Refused { refusal } => refused(refusal),
            ServiceError::Rollback { source: RollbackError::Held { suspicion } } => held(suspicion),
            ServiceError::SecretOfOthers { .. } => {
                let message = format!("Failed to {error}.");
                Self::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message)
            }
            _ => failed(&error),
        };
        match hint {
            Some(hint) => answer.hint(hint),
            None => answer,
        }
    }
}

fn not_found(what: &str, id: &str) -> ApiError {
    let fabric =
        || id.parse::<FabricId>().map(|id| resource(FabricId::KIND, id.name(), id.group()));
    let device =
        || id.parse::<DeviceId>().map(|id| resource(DeviceId::KIND, id.name(), id.group()));
    let message = fabric().or_else(|_other| device());
    let message = message.unwrap_or_else(|_other| format!("The {what} '{id}' was not found."));
    ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
}

fn resource(kind: &str, name: &impl std::fmt::Display, group: &impl std::fmt::Display) -> String {
    format!("The Resource '{PROVIDER}/{kind}/{name}' under resource group '{group}' was not found.")
}

fn refused(refusal: &Refusal) -> ApiError {
    let status = match refusal.code {
        "DeviceNotFound" => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    let details = refusal.devices.iter().map(|device| Detail {
        code: refusal.code.to_owned(),
        message: refusal.message.clone(),
        target: Some(device.to_string()),
    });
    ApiError::new(status, refusal.code, sentence(&refusal.message)).details(details.collect())
}

/// A client that repeats by itself on 503 must not: somebody has to look at this.
fn held(suspicion: &Suspicion) -> ApiError {
    let message = format!("Nothing is exposed or purged: {suspicion}.");
    ApiError::new(StatusCode::CONFLICT, "RollbackSuspected", message)
}

fn failed(error: &ServiceError) -> ApiError {
    let chain = chain(error);
    let (status, code) = match error.fault() {
        Fault::Operator => (StatusCode::BAD_REQUEST, "InvalidRequestContent"),
        Fault::Vault => (StatusCode::SERVICE_UNAVAILABLE, storage(error)),
        Fault::Device | Fault::Peer => (StatusCode::CONFLICT, "Conflict"),
        Fault::Bug => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
    };
    if status.is_server_error() {
        tracing::error!(error = chain, hint = error.hint(), "a request failed");
    }
    ApiError::new(status, code, format!("Failed to {chain}."))
}

fn storage(error: &ServiceError) -> &'static str {
    match error {
        ServiceError::Vault { .. } | ServiceError::Rollback { .. } => "VaultUnavailable",
        _ => "StoreUnavailable",
    }
}

/// Makes a sentence of a fragment: API messages stand alone.
fn sentence(fragment: &str) -> String {
    let mut characters = fragment.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}
