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
use super::witness::{Answered, Witness};
use crate::access::{Admission, Principal, Rejected, Right, Scope};
use crate::auditor::Auditor;
use crate::clock;
use crate::inventory::FabricSpec;
use crate::naming::SecretName;
use crate::service::{Declarer, Desk, Service, ServiceError};

/// Where requests come in: who is let in, and how often.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    admission: Admission,
    limits: Arc<Limits>,
    auditor: Auditor,
}

impl Gate {
    /// Makes a gate for whoever is let in here, as often as the limits say.
    pub(super) fn new(admission: &Admission, auditor: &Auditor, limits: Limits) -> Self {
        let (admission, auditor) = (admission.clone(), auditor.clone());
        Self { admission, limits: Arc::new(limits), auditor }
    }
}

/// Lets a request pass only with a token that is good, notes whose it is, and sees it to its end.
pub(super) async fn require(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(presented) = bearer(request.headers()) else {
        let message =
            "Authentication failed. The 'Authorization' header is missing or is no bearer token.";
        return refuse(&gate.admission, message, None);
    };
    match gate.admission.admit(presented, clock::now()).await {
        Ok(principal) => {
            let (key, now) = (principal.key().to_owned(), Instant::now());
            let may = gate.limits.has_left(&key, Kind::Denied, now)
                && gate.limits.admit(&key, kind(&request), now);
            if !may {
                return too_many(&principal);
            }
            let witness = Arc::new(Witness::of(&request, &gate.auditor));
            let caller = Caller { principal: Arc::new(principal), witness: Arc::clone(&witness) };
            request.extensions_mut().insert(caller);
            let (response, is_denied) = see_to_its_end(witness, request, next).await;
            if is_denied {
                gate.limits.admit(&key, Kind::Denied, Instant::now());
            }
            response
        }
        Err(Rejected::NoKeys) => no_keys(),
        Err(rejected) => {
            let message = format!("{}.", rejected.sentence());
            refuse(&gate.admission, &message, Some(rejected))
        }
    }
}

/// Carries a request out, and records what became of it. What may change something is a task of its
/// own: whoever hangs up leaves neither half of it done nor its end unrecorded.
async fn see_to_its_end(witness: Arc<Witness>, request: Request, next: Next) -> (Response, bool) {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let work = async move {
        let response = next.run(request).await;
        let is_denied = witness.answered(Answered::by(&response)).await;
        (response, is_denied)
    };
    if looks {
        return work.await;
    }
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(source) => {
            tracing::error!(%source, "a request's task did not end");
            let message = "The request was not carried out because of a fault in Keyturn.";
            // Not 500 or 503: clients would repeat the request by themselves.
            let error = ApiError::new(StatusCode::BAD_GATEWAY, "InternalFault", message);
            (error.into_response(), false)
        }
    }
}

/// Revealing is a `POST`, so that no log has what was asked; it changes nothing all the same.
fn kind(request: &Request) -> Kind {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if looks || request.uri().path() == REVEAL_PATH { Kind::Read } else { Kind::Write }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Says how to be let in: one challenge for each issuer that is trusted, in the form of Azure's.
fn refuse(admission: &Admission, message: &str, flaw: Option<Rejected>) -> Response {
    let error = ApiError::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message);
    let hint = flaw.and_then(Rejected::hint).map(str::to_owned);
    let mut response = error.hint(hint.unwrap_or_else(|| way_in(admission))).into_response();
    let flaw = flaw.map_or(String::new(), |flaw| {
        format!(", error=\"invalid_token\", error_description=\"{}\"", flaw.sentence())
    });
    let realm = "realm=\"keyturn\"".to_owned();
    let issuers = admission.issuers().map(|issuer| format!("authorization_uri=\"{issuer}\""));
    let issuers: Vec<String> = issuers.collect();
    let challenges = if issuers.is_empty() { vec![realm] } else { issuers };
    for challenge in challenges {
        // Issuers are URLs, which a header can carry.
        if let Ok(value) = HeaderValue::from_str(&format!("Bearer {challenge}{flaw}")) {
            response.headers_mut().append(WWW_AUTHENTICATE, value);
        }
    }
    response
}

fn way_in(admission: &Admission) -> String {
    let mut hint = "send a token as the bearer token: the text of the daemon's `admin.token`, or \
                    one that `keyturn token create` has made"
        .to_owned();
    for issuer in admission.issuers() {
        hint.push_str(", or an access token of ");
        hint.push_str(issuer);
    }
    hint
}

/// Nothing is known against the token, so that it is no 401: whoever logs in anew gets no further.
fn no_keys() -> Response {
    let message = format!("{}.", Rejected::NoKeys.sentence());
    let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "IssuerUnavailable", message);
    error
        .hint("look into the daemon's log for why; local tokens are let in meanwhile")
        .into_response()
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
pub(super) struct Caller {
    principal: Arc<Principal>,
    witness: Arc<Witness>,
}

impl Caller {
    /// Returns who sent a request.
    pub(super) fn of(request: &Request) -> Result<Self, ApiError> {
        request.extensions().get::<Self>().cloned().ok_or_else(unknown)
    }

    /// Tells whether a fabric may be seen.
    pub(super) fn sees(&self, fabric: &FabricId) -> bool {
        self.principal.sees(fabric)
    }

    /// Tells whether there is a right on a scope, where nobody is refused.
    pub(super) fn may(&self, right: Right, scope: Scope<'_>) -> bool {
        self.principal.may(right, scope)
    }

    /// Tells whether what lies under a name in the vault may become that of a fabric which the
    /// caller declares. A refusal is recorded.
    pub(super) fn may_adopt(&self, name: &SecretName) -> bool {
        let scope = Scope::Secret { name: name.as_str(), fabric: None };
        self.check("Keyturn/secrets/adopt/action", Right::GetSecret, scope).is_ok()
    }

    /// Has something declared with the rights of the caller. An administrator of all fabrics could
    /// make a token that opens every secret.
    pub(super) fn declarer<'a>(
        &'a self,
        may_adopt: &'a (dyn Fn(&SecretName) -> bool + Send + Sync),
    ) -> Declarer<'a> {
        let who = self.principal.name();
        match self.may(Right::Administer, Scope::Everything) {
            true => Declarer::of_everything(who),
            false => Declarer::of_some(who, may_adopt),
        }
    }

    /// Checks a right on a scope. What is not only read is logged with who did it.
    pub(super) fn check(
        &self,
        action: &str,
        right: Right,
        scope: Scope<'_>,
    ) -> Result<(), ApiError> {
        let principal = &self.principal;
        let over = match scope {
            Scope::Fabric(fabric) => fabric.to_string(),
            Scope::Visible | Scope::Everything => "/".to_owned(),
            Scope::Secret { name, .. } => format!("/secrets/{name}"),
        };
        if principal.may(right, scope) {
            if !right.only_looks() {
                tracing::info!(%principal, action, scope = over, "may");
            }
            return Ok(());
        }
        tracing::warn!(%principal, action, scope = over, "may not");
        if !right.only_looks() {
            self.witness.denied(&principal.to_string(), action, &over);
        }
        let message = format!(
            "The client '{principal}' does not have authorization to perform action '{action}' \
             over scope '{over}'."
        );
        let error = ApiError::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message);
        Err(error.hint(principal.more_rights()))
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

/// The service, or what else is served, behind the check of a right. Routes have no other way to
/// it.
#[derive(Debug)]
pub(super) struct Door<S = Service>(Arc<S>);

impl<S> Clone for Door<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Door<S> {
    /// Puts a door before a service.
    pub(super) fn before(service: &Arc<S>) -> Self {
        Self(Arc::clone(service))
    }

    /// Returns the service to a caller who may see what is in a scope.
    pub(super) fn show(
        &self,
        caller: &Caller,
        action: &str,
        scope: Scope<'_>,
    ) -> Result<&Arc<S>, ApiError> {
        caller.check(action, Right::Read, scope).map(|()| &self.0)
    }

    /// Returns the service to a caller who may see numbers of what is visible.
    pub(super) fn measure(&self, caller: &Caller, action: &str) -> Result<&Arc<S>, ApiError> {
        caller.check(action, Right::ReadMetrics, Scope::Visible).map(|()| &self.0)
    }

    /// Returns the service to a caller who may do this, once it is in the audit that it is about
    /// to be done to the object `on`.
    pub(super) async fn open(
        &self,
        caller: &Caller,
        action: &str,
        right: Right,
        scope: Scope<'_>,
        on: &str,
    ) -> Result<&Arc<S>, ApiError> {
        caller.check(action, right, scope)?;
        caller.witness.asked(&caller.principal.to_string(), action, on).await?;
        Ok(&self.0)
    }
}

impl Door<Desk> {
    /// Returns the desk to a caller who may list what is in a scope.
    pub(super) fn list(
        &self,
        caller: &Caller,
        action: &str,
        scope: Scope<'_>,
    ) -> Result<&Arc<Desk>, ApiError> {
        caller.check(action, Right::ListSecrets, scope).map(|()| &self.0)
    }

    /// Returns the desk to a caller who has a right to some secret, to find out which one it is
    /// about; [`Door::open`] comes before anything is done.
    pub(super) fn begin(
        &self,
        caller: &Caller,
        action: &str,
        right: Right,
    ) -> Result<&Arc<Desk>, ApiError> {
        caller.check(action, right, Scope::Visible).map(|()| &self.0)
    }

    /// Returns the fabric that rights to a secret may be on. Asks the vault only for those who have
    /// no right to it otherwise.
    pub(super) async fn owner(
        &self,
        caller: &Caller,
        right: Right,
        name: &SecretName,
    ) -> Result<Option<FabricId>, ServiceError> {
        let scope = Scope::Secret { name: name.as_str(), fabric: None };
        match caller.principal.may(right, scope) {
            true => Ok(None),
            false => self.0.owner(name).await,
        }
    }
}

impl Door {
    /// Returns the record of who did what.
    pub(super) fn auditor(&self) -> &Auditor {
        self.0.auditor()
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
        self.0.read_operation(id, |fabric, _operation| fabric.id.clone())
    }
}
