//! Long-running operations: how they are begun and asked after.
//!
//! A request that starts one is answered 202 with `Azure-AsyncOperation` and `Location`, both the
//! same absolute URL; so is every question until the operation has ended, and then 200 without
//! them. `Retry-After` is a whole number of seconds and stands on 202 only: on anything else
//! clients take it as leave to send the request again.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{HOST, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use protocol::id::OperationId;

use super::wire::OperationStatus;
use super::{API_VERSION, path, wire};
use crate::edge::answer::{ApiError, json, raw};
use crate::edge::witness::Started;
use crate::service::Service;

const ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");

/// How long a client waits before it asks again, in seconds. Without it the published command line
/// waits 30.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Says how far an operation is.
pub(super) fn show(
    service: &Service,
    subscription: &str,
    id: OperationId,
    request: &Request,
) -> Result<Response, ApiError> {
    let status = look_up(service, id)?;
    let theirs = format!("/subscriptions/{subscription}/");
    let ours = status.path().get(..theirs.len());
    if !ours.is_some_and(|ours| ours.eq_ignore_ascii_case(&theirs)) {
        return Err(path::no_operation(&id.to_string()));
    }
    if !status.is_running() {
        return Ok(json(StatusCode::OK, &status));
    }
    let url = status_url(request, status.path())?;
    let mut response = json(StatusCode::ACCEPTED, &status);
    point_to(&mut response, &url);
    Ok(response)
}

/// Answers a request that started an operation, or found the one that it had started before.
pub(super) fn accepted(
    service: &Service,
    id: OperationId,
    url: &Origin,
) -> Result<Response, ApiError> {
    let status = look_up(service, id)?;
    let mut response = raw(StatusCode::ACCEPTED, Body::from("null"));
    point_to(&mut response, &url.join(&status_link(status.path()))?);
    response.extensions_mut().insert(Started(id));
    Ok(response)
}

/// Points from the answer to a `PUT` to the operation that verifies what was declared.
pub(super) fn followed_by(
    mut response: Response,
    service: &Service,
    id: OperationId,
    url: &Origin,
) -> Result<Response, ApiError> {
    let status = look_up(service, id)?;
    let link = url.join(&status_link(status.path()))?;
    response.headers_mut().insert(ASYNC_OPERATION, link);
    Ok(response)
}

fn look_up(service: &Service, id: OperationId) -> Result<OperationStatus, ApiError> {
    Ok(service.read_operation(id, wire::operation)?)
}

fn status_link(path: &str) -> String {
    format!("{path}?api-version={API_VERSION}")
}

fn status_url(request: &Request, path: &str) -> Result<HeaderValue, ApiError> {
    Origin::of(request)?.join(&status_link(path))
}

fn point_to(response: &mut Response, url: &HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ASYNC_OPERATION, url.clone());
    headers.insert(LOCATION, url.clone());
    headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
}

/// Makes a path absolute, as the caller sees this server.
pub(super) fn absolute(request: &Request, path: &str) -> Result<String, ApiError> {
    Ok(format!("{}{path}", Origin::of(request)?.url()))
}

/// Under which name and port the caller reaches this server.
#[derive(Debug)]
pub(super) struct Origin(Authority);

impl Origin {
    /// Reads it from the request's target or its `Host`.
    pub(super) fn of(request: &Request) -> Result<Self, ApiError> {
        authority(request.uri(), request.headers()).map(Self).ok_or_else(|| {
            let message = "The 'Host' header is missing or is no host and port.";
            ApiError::new(StatusCode::BAD_REQUEST, "InvalidHost", message)
        })
    }

    /// Returns this server's address as the caller knows it.
    pub(super) fn url(&self) -> String {
        format!("https://{}", self.0)
    }

    fn join(&self, path: &str) -> Result<HeaderValue, ApiError> {
        HeaderValue::try_from(format!("https://{}{path}", self.0)).map_err(|_source| {
            let message = "The address of the operation cannot be written into a header.";
            ApiError::new(StatusCode::BAD_REQUEST, "InvalidHost", message)
        })
    }
}

fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let host = || headers.get(HOST)?.to_str().ok()?.parse().ok();
    let authority: Authority = uri.authority().cloned().or_else(host)?;
    // A name in front of an `@` would lead clients elsewhere.
    (!authority.as_str().contains('@') && !authority.host().is_empty()).then_some(authority)
}
