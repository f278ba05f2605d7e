//! The audit, to be exported and checked elsewhere.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Native;
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;

/// Where to read.
#[derive(Default, Deserialize)]
pub(super) struct Place {
    /// The byte at which a line begins.
    #[serde(default)]
    from: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageBody {
    /// The lines as they stand in the log: every byte of them is signed.
    lines: Vec<String>,
    /// Where the next line begins; no lines: this is the end.
    next: u64,
    /// The newest record's number and hash.
    end: String,
    /// The key by which the lines are checked.
    public_key: String,
}

/// Returns a part of the log.
pub(super) async fn read(
    State(native): State<Native>,
    caller: Caller,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Response, ApiError> {
    caller.check("Keyturn/audit/read", Right::Administer, Scope::Everything)?;
    let Query(Place { from }) = place?;
    let auditor = native.door.auditor();
    // The end is taken before the lines, which may go beyond it but never fall short.
    let end = auditor.end().to_string();
    let page = auditor.page(from).await?;
    let public_key = auditor.public_key().to_string();
    let body = PageBody { lines: page.lines, next: page.next, end, public_key };
    Ok(json(StatusCode::OK, &body))
}
