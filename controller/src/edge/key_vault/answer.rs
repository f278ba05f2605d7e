//! Answers as Key Vault gives them: its errors, and the challenge that tells a client where to get a
//! token.
//!
//! A client of Azure's sends its first request without a token and without a body, learns from the
//! challenge what the token is to be for, and sends the request again.

use std::collections::BTreeSet;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;

use super::Settings;
use crate::edge::answer::{ApiError, Detail, Told, json};
use crate::plan::retention::{Holder, Stay};
use crate::service::ServiceError;
use crate::vault::VaultError;

/// What the service says of itself.
const SERVICE_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-ms-keyvault-service-version"),
    HeaderValue::from_static(concat!("keyturn-", env!("CARGO_PKG_VERSION"))),
);
const REGION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-ms-keyvault-region"), HeaderValue::from_static("local"));

/// The most devices that a message names; all are in the audit's and the command line's reach.
const NAMED_MAX: usize = 20;

/// The challenge to whoever comes without a token that is taken.
#[derive(Clone, Debug)]
pub(super) struct Challenge(Option<HeaderValue>);

impl Challenge {
    pub(super) fn of(settings: &Settings) -> Self {
        let Settings { authorization, resource, .. } = settings;
        let text = format!("Bearer authorization=\"{authorization}\", resource=\"{resource}\"");
        // URLs of the configuration, which a header can carry.
        Self(HeaderValue::try_from(text).ok())
    }
}

#[derive(Serialize)]
struct Body {
    error: Error,
}

#[derive(Serialize)]
struct Error {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    innererror: Option<Inner>,
}

#[derive(Serialize)]
struct Inner {
    code: &'static str,
}

/// Gives every answer Key Vault's headers, and every error Key Vault's words.
pub(super) async fn translate(
    State(challenge): State<Challenge>,
    request: Request,
    next: Next,
) -> Response {
    let has_token = request.headers().contains_key(AUTHORIZATION);
    let mut response = next.run(request).await;
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        let status = response.status();
        let error = error(status, told, has_token);
        let mut translated = json(status, &Body { error });
        // What else the answer says (`Retry-After`, `Allow`) it says still.
        for (name, value) in response.headers() {
            if !translated.headers().contains_key(name) && name != WWW_AUTHENTICATE {
                translated.headers_mut().append(name, value.clone());
            }
        }
        translated.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
        if let (StatusCode::UNAUTHORIZED, Some(challenge)) = (status, challenge.0) {
            translated.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response = translated;
    }
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    for (name, value) in [SERVICE_VERSION, REGION] {
        headers.insert(name, value);
    }
    response
}

/// Says an error of the gate, or of a handler, as Key Vault would.
fn error(status: StatusCode, told: Told, has_token: bool) -> Error {
    let Told { code, inner, message, hint } = told;
    let (code, inner) = match (status, code.as_str()) {
        (StatusCode::UNAUTHORIZED, _) => ("Unauthorized".to_owned(), None),
        (StatusCode::FORBIDDEN, "AuthorizationFailed") => {
            ("Forbidden".to_owned(), Some("ForbiddenByRbac"))
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => ("Throttled".to_owned(), None),
        (_, "InvalidRequestContent") => ("BadParameter".to_owned(), None),
        _ => (code, inner),
    };
    let message = match status {
        StatusCode::UNAUTHORIZED if !has_token => {
            "AKV10000: Request is missing a Bearer or PoP token.".to_owned()
        }
        StatusCode::UNAUTHORIZED => format!("AKV10032: Error validating the token: {message}"),
        StatusCode::TOO_MANY_REQUESTS => {
            format!("Request was not processed because too many requests were received. {message}")
        }
        _ => message,
    };
    let message = match hint {
        Some(hint) => format!("{message} ({hint})"),
        None => message,
    };
    Error { code, message, innererror: inner.map(|code| Inner { code }) }
}

/// Says what the desk does not do.
pub(super) fn refused(error: ServiceError) -> ApiError {
    let hint = error.hint();
    let answer = match &error {
        ServiceError::SecretInUse { name, holders } => {
            let conflict = conflict(in_use(name.as_str(), holders)).inner("SecretInUse");
            conflict.details(holders.iter().map(detail).collect())
        }
        ServiceError::SecretKept { name, stays } => {
            let message =
                format!("Secret {} has a version that is kept: {}.", name.as_str(), reasons(stays));
            conflict(message).inner("SecretKept").details(stays.iter().map(reason).collect())
        }
        ServiceError::SecretUnsettled { name } => {
            let name = name.as_str();
            let message = format!("Secret {name} belongs to devices that are not known now.");
            conflict(message).inner("SecretUnsettled")
        }
        ServiceError::SecretOfDevices { name } => {
            let name = name.as_str();
            let message = format!("Secret {name} has passwords that were made for devices.");
            let code = (StatusCode::FORBIDDEN, "Forbidden");
            ApiError::new(code.0, code.1, message).inner("ForbiddenByPolicy")
        }
        ServiceError::Vault { source } => match of_vault(source) {
            Some(answer) => answer,
            None => return error.into(),
        },
        _ => return error.into(),
    };
    match hint {
        Some(hint) => answer.hint(hint),
        None => answer,
    }
}

/// What is said of a state that a caller can know; `None`: the vault itself failed.
fn of_vault(error: &VaultError) -> Option<ApiError> {
    Some(match error {
        VaultError::NoSecret { name } => not_found(name.as_str()),
        VaultError::NotFound { name, version } | VaultError::Purged { name, version } => {
            not_found(&format!("{}/{version}", name.as_str()))
        }
        VaultError::Disabled { .. } => {
            let message = "Operation get is not allowed on a disabled secret.";
            ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message).inner("SecretDisabled")
        }
        VaultError::Deleted { name } => {
            let name = name.as_str();
            let message = format!(
                "Secret {name} is currently in a deleted but recoverable state, and its name \
                 cannot be reused; in this state, the secret can only be recovered or purged."
            );
            conflict(message).inner("ObjectIsDeletedButRecoverable")
        }
        VaultError::Exists { name } => {
            let name = name.as_str();
            conflict(format!("There was a conflict restoring the secret {name}: it exists."))
        }
        VaultError::TooManyVersions { .. } | VaultError::NotOurs => {
            super::name::bad(format!("Failed to {error}."))
        }
        _ => return None,
    })
}

fn not_found(what: &str) -> ApiError {
    let message = format!(
        "A secret with (name/id) {what} was not found in this key vault. If you recently deleted \
         this secret you may be able to recover it using the correct recovery command."
    );
    ApiError::new(StatusCode::NOT_FOUND, "SecretNotFound", message)
}

fn conflict(message: String) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "Conflict", message)
}

fn in_use(name: &str, holders: &[Holder]) -> String {
    let named = holders.iter().take(NAMED_MAX);
    let named = named.map(|holder| format!("{} {}", holder.device.name(), holder.hold));
    let mut named = named.collect::<Vec<_>>().join("; ");
    let more = holders.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        named.push_str(&format!("; and {more} more"));
    }
    format!("Secret {name} has a version that devices need: {named}.")
}

fn reasons(stays: &[Stay]) -> String {
    let reasons: BTreeSet<String> = stays.iter().map(ToString::to_string).collect();
    reasons.into_iter().collect::<Vec<_>>().join("; ")
}

fn reason(stay: &Stay) -> Detail {
    Detail {
        code: stay.code().to_owned(),
        message: stay.to_string(),
        target: stay.device().map(ToString::to_string),
    }
}

fn detail(holder: &Holder) -> Detail {
    Detail {
        code: "SecretInUse".to_owned(),
        message: holder.hold.to_string(),
        target: Some(holder.device.to_string()),
    }
}

/// Answers a path that the API does not have.
pub(super) async fn no_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NotFound", "The API has no such path.")
}
