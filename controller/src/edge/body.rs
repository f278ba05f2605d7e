//! Request bodies: bounded in size and in time, JSON.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use super::answer::ApiError;

/// The largest body of an ordinary request, in bytes.
pub(super) const ORDINARY_BYTES_MAX: usize = 64 << 10;

/// How long a body may take: a slow caller must not hold a place for ever.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Reads a body of at most `bytes_max` bytes.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(TIME_MAX, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_source)) => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestContentTooLarge",
            format!("The request body is cut off or has more than {bytes_max} bytes."),
        )),
        Err(_elapsed) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeout",
            format!("The request body did not arrive within {} s.", TIME_MAX.as_secs()),
        )),
    }
}

/// Overwrites a body that held passwords, where nobody else has a hand on it.
pub(super) fn wipe(bytes: Bytes) {
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

/// Parses a body as JSON. The message says what is wrong and where, without what was sent.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "does not have the fields that it should have",
            _ => "is not JSON",
        };
        let message = format!("The request content {what} (line {line}, column {column}).");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
    })
}
