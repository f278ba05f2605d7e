//! The description of every route, OpenAPI 3.1: for whoever makes clients, mocks or tests of them.
//!
//! A route is described by one entry in [`arm`] or [`native`], and the bodies and parameters that it
//! names by the JSON files beside them. Tests compare the entries with the routes that are served,
//! in both directions, and with the rights that the routes want.

mod arm;
mod native;
mod operation;

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use self::operation::Operation;
use super::answer::{ApiError, raw};

/// Where the description is, for whoever asks, without a token: it says what every installation of
/// this version serves, and nothing of this one.
pub(super) const PATH: &str = "/openapi.json";

/// The bodies, parameters and answers that the entries name.
const COMPONENTS: [&str; 3] = [
    include_str!("openapi/shared.json"),
    include_str!("openapi/arm.json"),
    include_str!("openapi/native.json"),
];

/// It is the same for the life of the program. A file that is no JSON is found by the first test.
static DOCUMENT: LazyLock<Result<Bytes, serde_json::Error>> = LazyLock::new(|| {
    document().and_then(|document| serde_json::to_vec(&document)).map(Bytes::from)
});

/// Answers the description.
pub(super) async fn show() -> Response {
    match &*DOCUMENT {
        Ok(document) => raw(StatusCode::OK, Body::from(document.clone())),
        Err(error) => {
            tracing::error!(%error, "the description of the routes cannot be read");
            let message = "The description of the routes cannot be read.";
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            ApiError::new(status, "InternalServerError", message).into_response()
        }
    }
}

fn document() -> Result<Value, serde_json::Error> {
    let mut paths = Map::new();
    for operation in arm::operations().into_iter().chain(native::operations()) {
        let Operation { path, method, .. } = &operation;
        let methods = paths.entry(path.clone()).or_insert_with(|| json!({}));
        if let Value::Object(methods) = methods {
            methods.insert((*method).to_owned(), operation.describe());
        }
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keyturn",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Rotates the passwords of a network fabric. Paths and the names of \
                            properties' values compare without case. Unknown and read-only \
                            properties of ARM bodies are ignored.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": components()?,
    }))
}

fn components() -> Result<Map<String, Value>, serde_json::Error> {
    let mut all: Map<String, Value> = Map::new();
    for text in COMPONENTS {
        for (kind, named) in serde_json::from_str::<Map<String, Value>>(text)? {
            match (all.entry(kind).or_insert_with(|| json!({})), named) {
                (Value::Object(known), Value::Object(named)) => known.extend(named),
                (known, named) => *known = named,
            }
        }
    }
    Ok(all)
}
