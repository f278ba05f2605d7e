//! The ids that every answer carries, so that a caller's report can be found in the log.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const RETURN_CLIENT_ID: HeaderName = HeaderName::from_static("x-ms-return-client-request-id");

/// The longest id of a caller's own that is taken, in characters.
const CLIENT_ID_CHARACTERS_MAX: usize = 128;

/// The id that the answer will have.
#[derive(Clone, Copy)]
struct AnswerId(Uuid);

/// Gives the answer its ids, and the log a line.
pub(super) async fn stamp(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    request.extensions_mut().insert(AnswerId(id));
    let correlation = guid(request.headers(), &CORRELATION_ID).unwrap_or(id);
    let echo = request.headers().get(CLIENT_ID).filter(|_id| wants_echo(request.headers()));
    let echo = echo.cloned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    tracing::debug!(%id, %method, path, status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    for (name, id) in [(REQUEST_ID, id), (CORRELATION_ID, correlation)] {
        if let Ok(value) = HeaderValue::try_from(id.to_string()) {
            headers.insert(name, value);
        }
    }
    if let Some(echo) = echo {
        headers.insert(CLIENT_ID, echo);
    }
    response
}

/// Returns the id under which a request will be answered.
pub(super) fn of_answer(request: &Request) -> Option<String> {
    request.extensions().get::<AnswerId>().map(|id| id.0.to_string())
}

/// Returns the caller's own id of the request. Clients send the same one again with a repeated
/// request: it makes a submission idempotent.
pub(super) fn of_caller(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(CLIENT_ID)?.to_str().ok()?;
    (1..=CLIENT_ID_CHARACTERS_MAX).contains(&id.len()).then(|| id.to_ascii_lowercase())
}

fn guid(headers: &HeaderMap, name: &HeaderName) -> Option<Uuid> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn wants_echo(headers: &HeaderMap) -> bool {
    let wish = headers.get(RETURN_CLIENT_ID).and_then(|value| value.to_str().ok());
    wish.is_some_and(|wish| wish.eq_ignore_ascii_case("true"))
}
