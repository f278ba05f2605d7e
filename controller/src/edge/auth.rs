//! Who asks, and whether they may: the caller's token is checked once, before any route, and the
//! service stands behind a [`Door`] that opens for a right on a scope only.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::id::{DeviceId, FabricId, OperationId};
use tokio::time::Instant;

use super::answer::ApiError;
use super::limit::{Kind, Limits};
use super::native::REVEAL_PATH;
use crate::access::{Principal, Rejected, Right, Scope, Tokens};
use crate::inventory::FabricSpec;
use crate::model::Timestamp;
use crate::service::{Service, ServiceError};

/// Where requests come in: whom the tokens admit, and how often.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    tokens: Arc<Tokens>,
    limits: Arc<Limits>,
}

impl Gate {
    /// Makes a gate for whoever has one of these tokens.
    pub(super) fn new(tokens: &Arc<Tokens>) -> Self {
        Self { tokens: Arc::clone(tokens), limits: Arc::default() }
    }
}

/// Lets a request pass only with a token that is good, and notes whose it is.
pub(super) async fn require(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(presented) = bearer(request.headers()) else {
        return refuse(
            "Authentication failed. The 'Authorization' header is missing or is no bearer token.",
            "Bearer realm=\"keyturn\"",
        );
    };
    match gate.tokens.admit(presented, now()) {
        Ok(principal) => {
            if !gate.limits.admit(&principal.to_string(), kind(&request), Instant::now()) {
                return too_many(&principal);
            }
            request.extensions_mut().insert(Caller(Arc::new(principal)));
            next.run(request).await
        }
        Err(Rejected::Unknown) => refuse(
            "The access token is invalid.",
            "Bearer realm=\"keyturn\", error=\"invalid_token\", \
             error_description=\"The access token is invalid\"",
        ),
        Err(Rejected::Expired) => refuse(
            "The access token has expired.",
            "Bearer realm=\"keyturn\", error=\"invalid_token\", \
             error_description=\"The access token has expired\"",
        ),
    }
}

/// Revealing is a `POST`, so that no log has what was asked; it changes nothing all the same.
fn kind(request: &Request) -> Kind {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if looks || request.uri().path() == REVEAL_PATH { Kind::Read } else { Kind::Write }
}

/// The wall clock: tokens are made and expire by it.
pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refuse(message: &str, challenge: &'static str) -> Response {
    let error = ApiError::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message).hint(
        "send a token as the bearer token: the text of the daemon's `admin.token`, or one that \
         `keyturn token create` has made",
    );
    let mut response = error.into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// The one refusal that is to be repeated: the request was not even looked at.
fn too_many(principal: &Principal) -> Response {
    let message = format!("The client '{principal}' makes too many requests.");
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
    let mut response = error.hint("wait a second between requests").into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Whoever sent the request.
#[derive(Clone, Debug)]
pub(super) struct Caller(Arc<Principal>);

impl Caller {
    /// Returns who sent a request.
    pub(super) fn of(request: &Request) -> Result<Self, ApiError> {
        request.extensions().get::<Self>().cloned().ok_or_else(unknown)
    }

    /// Tells whether a fabric may be seen.
    pub(super) fn sees(&self, fabric: &FabricId) -> bool {
        self.0.sees(fabric)
    }

    /// Checks a right on a scope. What is not only read is logged with who did it.
    pub(super) fn check(
        &self,
        action: &str,
        right: Right,
        scope: Scope<'_>,
    ) -> Result<(), ApiError> {
        let principal = &self.0;
        let over = match scope {
            Scope::Fabric(fabric) => fabric.to_string(),
            Scope::Visible | Scope::Everything => "/".to_owned(),
        };
        if principal.may(right, scope) {
            if right != Right::Read {
                tracing::info!(%principal, action, scope = over, "may");
            }
            return Ok(());
        }
        tracing::warn!(%principal, action, scope = over, "may not");
        let message = format!(
            "The client '{principal}' does not have authorization to perform action '{action}' \
             over scope '{over}'."
        );
        let error = ApiError::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message);
        Err(error.hint("use a token with another role or scope (`keyturn token create`)"))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unknown)
    }
}

/// No request comes this far without a caller; one that does is nobody's.
fn unknown() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", "Nobody is logged in.")
}

/// The service, behind the check of a right. Routes have no other way to it.
#[derive(Clone, Debug)]
pub(super) struct Door(Arc<Service>);

impl Door {
    /// Puts a door before a service.
    pub(super) fn before(service: &Arc<Service>) -> Self {
        Self(Arc::clone(service))
    }

    /// Returns the service to a caller who may do this.
    pub(super) fn open(
        &self,
        caller: &Caller,
        action: &str,
        right: Right,
        scope: Scope<'_>,
    ) -> Result<&Arc<Service>, ApiError> {
        caller.check(action, right, scope).map(|()| &self.0)
    }

    /// Returns the fabric of a device, on which rights to the device are.
    pub(super) fn fabric_of(&self, device: &DeviceId) -> Result<FabricId, ServiceError> {
        self.0.find_device(device)
    }

    /// The same for a device of one kind: it waits for its first password set, or does not.
    pub(super) fn fabric_of_kind(
        &self,
        device: &DeviceId,
        bootstrap: bool,
    ) -> Result<FabricId, ServiceError> {
        let found = self.0.find_device(device)?;
        let is_one = self.0.read(&found, |fabric| {
            fabric.devices.get(device.name()).is_some_and(|d| d.spec.bootstrap == bootstrap)
        })?;
        let kind = if bootstrap { "bootstrap device" } else { "network device" };
        let id = device.name().to_string();
        is_one.then_some(found).ok_or(ServiceError::NotFound { what: kind, id })
    }

    /// Returns what was declared of a fabric, if it is known: what a request must be allowed to do
    /// depends on it.
    pub(super) fn spec_of(&self, fabric: &FabricId) -> Option<FabricSpec> {
        self.0.read(fabric, |fabric| fabric.spec.clone()).ok()
    }

    /// Returns the fabric of an operation.
    pub(super) fn fabric_of_operation(&self, id: OperationId) -> Result<FabricId, ServiceError> {
        self.0.operation(id).map(|(fabric, _operation)| fabric)
    }
}
