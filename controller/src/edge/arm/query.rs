//! The query: which version of the API, and where a list goes on.

use axum::http::{StatusCode, Uri};

use super::API_VERSION;
use crate::edge::answer::ApiError;

/// What a query says.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// The last resource of the page before.
    pub(super) skip_token: Option<String>,
}

impl Query {
    /// Reads the query and checks that the client speaks a version that is served.
    pub(super) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let mut query = Self::default();
        let mut version = None;
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        for (name, value) in pairs.map(|pairs| pairs.0).unwrap_or_default() {
            if name.eq_ignore_ascii_case("api-version") {
                version = Some(value);
            } else if name.eq_ignore_ascii_case("$skipToken") {
                query.skip_token = Some(value);
            }
        }
        match version {
            Some(version) if version == API_VERSION => Ok(query),
            Some(version) => Err(other_version(&version)),
            None => Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )),
        }
    }
}

fn other_version(given: &str) -> ApiError {
    let given: String = given.chars().filter(|c| !c.is_control()).take(40).collect();
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "InvalidApiVersionParameter",
        format!(
            "The api-version '{given}' is invalid. The supported versions are '{API_VERSION}'."
        ),
    )
}
