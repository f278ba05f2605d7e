//! References to credentials: how those that the configuration has fare, and following the one that
//! an inventory has.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Native;
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::error::{Fault, chain};
use crate::model::Timestamp;
use crate::reference::{Reference, ReferenceError};

/// The file of a local secret that has passwords of devices.
const PASSWORDS_KEY: &str = "passwords.toml";

/// The place that an inventory has one in, for the list.
const PLACE: &str = "fabric.current-passwords";

#[derive(Serialize)]
struct References {
    value: Vec<ReferenceBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferenceBody {
    /// The key of the configuration or the inventory.
    place: String,
    /// What is referred to.
    reference: String,
    /// When it was fetched last.
    fetched_at: Option<String>,
    /// Why it could not be fetched since.
    failure: Option<String>,
}

/// Lists the references that were followed since the start.
pub(super) async fn list(
    State(native): State<Native>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.check("Keyturn/references/read", Right::Read, Scope::Everything)?;
    let states = native.names.references.as_ref().map(|resolver| resolver.states());
    let value = states.unwrap_or_default().into_iter().map(|(place, state)| ReferenceBody {
        place,
        reference: state.reference,
        fetched_at: state.fetched.and_then(rendered),
        failure: state.failure,
    });
    Ok(json(StatusCode::OK, &References { value: value.collect() }))
}

/// Renders a time in seconds since 1970-01-01T00:00:00Z.
fn rendered(seconds: u64) -> Option<String> {
    let milliseconds = i64::try_from(seconds).ok()?.checked_mul(1_000)?;
    Some(Timestamp(milliseconds).to_string())
}

impl Native {
    /// Gets the passwords that an inventory refers to.
    pub(super) async fn passwords(
        &self,
        reference: &Reference,
    ) -> Result<Zeroizing<String>, ApiError> {
        let Some(resolver) = &self.names.references else {
            let why = "This daemon follows no references.";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "CredentialUnavailable", why));
        };
        let fetched = resolver.text(reference, PASSWORDS_KEY).await;
        resolver.note(PLACE, reference, fetched.as_ref().err());
        fetched.map_err(ApiError::from)
    }
}

impl From<ReferenceError> for ApiError {
    fn from(error: ReferenceError) -> Self {
        let chain = chain(&error);
        let status = match error.fault() {
            Fault::Vault | Fault::Peer | Fault::Device => StatusCode::SERVICE_UNAVAILABLE,
            Fault::Operator => StatusCode::BAD_REQUEST,
            Fault::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let answer = Self::new(status, "CredentialUnavailable", format!("Failed to {chain}."));
        match error.hint() {
            Some(hint) => answer.hint(hint),
            None => answer,
        }
    }
}
