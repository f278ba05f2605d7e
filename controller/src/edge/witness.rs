//! What the audit says of one request: that it came, before anything is done; and what became of
//! it, before it is answered.

use std::sync::{Mutex, PoisonError};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::OperationId;

use super::answer::{ApiError, Told};
use super::request_id;
use crate::audit::{Entry, Outcome};
use crate::auditor::{AuditError, Auditor};
use crate::clock::now;
use crate::error::{Fault, chain};

/// The operation that a request has started, as a note on its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started(pub(super) OperationId);

/// Records one request of one caller.
#[derive(Debug)]
pub(super) struct Witness {
    auditor: Auditor,
    request: Option<String>,
    client_request: Option<String>,
    /// What was recorded as asked for, and not yet as ended.
    open: Mutex<Vec<(u64, Entry)>>,
    /// What somebody had no right to, and is not recorded yet.
    denials: Mutex<Vec<Entry>>,
}

impl Witness {
    /// Makes the witness of a request.
    pub(super) fn of(request: &Request, auditor: &Auditor) -> Self {
        Self {
            auditor: auditor.clone(),
            request: request_id::of_answer(request),
            client_request: request_id::of_caller(request.headers()),
            open: Mutex::default(),
            denials: Mutex::default(),
        }
    }

    /// Records what is asked for. It must not be done if that fails.
    pub(super) async fn asked(&self, who: &str, action: &str, on: &str) -> Result<(), ApiError> {
        let entry = self.entry(who, action, on);
        let sequence = self.auditor.write(entry.clone()).await?;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push((sequence, entry));
        Ok(())
    }

    /// Notes that somebody may not do something; it is recorded before that is answered.
    pub(super) fn denied(&self, who: &str, action: &str, on: &str) {
        let mut entry = self.entry(who, action, on);
        (entry.outcome, entry.code) = (Outcome::Refused, Some("AuthorizationFailed".to_owned()));
        self.denials.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Records what has become of the request. Tells whether the caller had no right to it.
    pub(super) async fn answered(&self, answer: Answered) -> bool {
        let denials = self.take_denials();
        let is_denied = !denials.is_empty();
        for entry in denials {
            self.auditor.write_after(entry).await;
        }
        for (sequence, entry) in self.take() {
            let mut entry = entry.ended(sequence, answer.outcome, now());
            entry.code.clone_from(&answer.code);
            entry.operation = answer.operation;
            self.auditor.write_after(entry).await;
        }
        is_denied
    }

    fn entry(&self, who: &str, action: &str, on: &str) -> Entry {
        let mut entry = Entry::requested(who, action, on, now());
        entry.request.clone_from(&self.request);
        entry.client_request.clone_from(&self.client_request);
        entry
    }

    fn take_denials(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.denials.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> Vec<(u64, Entry)> {
        std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What an answer says, as far as the audit is concerned.
#[derive(Debug)]
pub(super) struct Answered {
    outcome: Outcome,
    code: Option<String>,
    operation: Option<OperationId>,
}

impl Answered {
    /// Reads it off an answer.
    pub(super) fn by(response: &Response) -> Self {
        let outcome = match response.status() {
            status if status.is_server_error() => Outcome::Failed,
            status if status.is_client_error() => Outcome::Refused,
            _ => Outcome::Succeeded,
        };
        let told = response.extensions().get::<Told>();
        let code = told.map(|told| told.inner.map_or_else(|| told.code.clone(), str::to_owned));
        let operation = response.extensions().get::<Started>().map(|started| started.0);
        Self { outcome, code, operation }
    }
}

/// A request that comes to no end, because the daemon stops, may be done all the same.
impl Drop for Witness {
    fn drop(&mut self) {
        for entry in self.take_denials() {
            self.auditor.note(entry);
        }
        for (sequence, entry) in self.take() {
            self.auditor.note(entry.ended(sequence, Outcome::Abandoned, now()));
        }
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        let text = chain(&error);
        let (status, code) = match error.fault() {
            Fault::Operator => (StatusCode::BAD_REQUEST, "InvalidQuery"),
            Fault::Bug => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "AuditUnavailable"),
        };
        let message = format!("Failed to {text}. Nothing was done.");
        let answer = Self::new(status, code, message);
        match error.hint() {
            Some(hint) => answer.hint(hint),
            None => answer,
        }
    }
}
