//! Answers: JSON bodies, and errors in the form that ARM clients read.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The content type of every body.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Why a request is not done. Never carries a `Retry-After`: clients would send the same request
/// again behind their user's back.
#[derive(Debug)]
pub(super) struct ApiError(Box<Said>);

#[derive(Debug)]
struct Said {
    status: StatusCode,
    code: String,
    message: String,
    target: Option<String>,
    details: Vec<Detail>,
    hint: Option<String>,
    allow: Option<String>,
    inner: Option<&'static str>,
}

/// One thing that an error is about.
#[derive(Debug, Serialize)]
pub(super) struct Detail {
    /// The stable code.
    pub(super) code: String,
    /// For people.
    pub(super) message: String,
    /// The resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
}

impl ApiError {
    /// Makes an error with a stable code and a sentence for people.
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (code, message) = (code.into(), message.into());
        let (target, details, hint, allow, inner) = (None, Vec::new(), None, None, None);
        Self(Box::new(Said { status, code, message, target, details, hint, allow, inner }))
    }

    /// Says that a resource does not have a method.
    pub(super) fn method(method: &Method) -> Self {
        let message = format!("The requested resource does not support http method '{method}'.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// Says which methods there are, in a header: RFC 9110 wants it.
    pub(super) fn allow(mut self, methods: &[&str]) -> Self {
        self.0.allow = Some(methods.join(","));
        self
    }

    /// Says which resource or field it is about.
    pub(super) fn target(mut self, target: impl Into<String>) -> Self {
        self.0.target = Some(target.into());
        self
    }

    /// Says what mends it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says it more exactly, to those who know Key Vault's errors.
    pub(super) fn inner(mut self, code: &'static str) -> Self {
        self.0.inner = Some(code);
        self
    }

    /// Says which resources are the cause.
    pub(super) fn details(mut self, details: Vec<Detail>) -> Self {
        self.0.details = details;
        self
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    details: &'a [Detail],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    additional_info: Vec<AdditionalInfo<'a>>,
}

#[derive(Serialize)]
struct AdditionalInfo<'a> {
    r#type: &'static str,
    info: Hint<'a>,
}

#[derive(Serialize)]
struct Hint<'a> {
    hint: &'a str,
}

/// What an error says, as a note on its answer.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The stable code.
    pub(super) code: String,
    /// The more exact one, if there is one.
    pub(super) inner: Option<&'static str>,
    /// For people.
    pub(super) message: String,
    /// What mends it.
    pub(super) hint: Option<String>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let said = *self.0;
        let hint = said.hint.as_deref();
        let error = ErrorBody {
            code: &said.code,
            message: &said.message,
            target: said.target.as_deref(),
            details: &said.details,
            additional_info: hint
                .map(|hint| AdditionalInfo { r#type: "Hint", info: Hint { hint } })
                .into_iter()
                .collect(),
        };
        let mut response = json(said.status, &Envelope { error });
        let Said { code, inner, message, hint, allow, .. } = said;
        response.extensions_mut().insert(Told { code, inner, message, hint });
        if let Some(Ok(allow)) = allow.map(HeaderValue::try_from) {
            response.headers_mut().insert(ALLOW, allow);
        }
        response
    }
}

/// Answers another method than a route has; the router adds those that it has.
pub(super) async fn other_method(method: Method) -> Response {
    ApiError::method(&method).into_response()
}

/// Answers with a JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => raw(status, Body::from(bytes)),
        // No wire type here has a map with keys other than texts, so this cannot be.
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            raw(StatusCode::INTERNAL_SERVER_ERROR, Body::empty())
        }
    }
}

/// Answers with a body that is JSON already.
pub(super) fn raw(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
