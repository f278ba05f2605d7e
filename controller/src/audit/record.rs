//! What one record says.

use protocol::id::{OperationId, PasswordSet, ResourceName};
use serde::{Deserialize, Serialize};

use super::DEVICES_MAX;
use crate::model::Timestamp;

/// The longest text of a field, in characters. An ARM id has at most some 400.
const FIELD_CHARACTERS_MAX: usize = 600;

/// How far something is that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is asked for, or about to be done. Always written before the effect.
    Requested,
    /// It was done, or its operation has been started.
    Succeeded,
    /// It was not done: a rule or the caller's rights stand against it, or the request is wrong.
    Refused,
    /// It was not done, or only in part, because something does not work.
    Failed,
    /// The caller hung up before the answer; it may have been done.
    Abandoned,
}

/// Something to be recorded. It has no field for a value, and none is ever put into its texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who: a principal's name, or `keyturn` for what Keyturn does by itself.
    pub who: String,
    /// What, in ARM's form: `Microsoft.ManagedNetworkFabric/networkFabrics/write`.
    pub action: String,
    /// On which object: an ARM id where there is one.
    pub object: String,
    /// How far it is.
    pub outcome: Outcome,
    /// The error's code.
    pub code: Option<String>,
    /// The id under which the request was answered (`x-ms-request-id`).
    pub request: Option<String>,
    /// The caller's own id of it (`x-ms-client-request-id`).
    pub client_request: Option<String>,
    /// The record whose outcome this is.
    pub of: Option<u64>,
    /// The operation that it started, or that it is about.
    pub operation: Option<OperationId>,
    /// The password set that devices are about to get.
    pub set: Option<PasswordSet>,
    /// The devices, at most [`DEVICES_MAX`].
    pub devices: Vec<ResourceName>,
    /// When, by the clock of this host.
    pub at: Timestamp,
}

impl Entry {
    /// Makes an entry about something that is asked for.
    #[must_use]
    pub fn requested(who: &str, action: &str, object: &str, at: Timestamp) -> Self {
        Self {
            who: who.to_owned(),
            action: action.to_owned(),
            object: object.to_owned(),
            outcome: Outcome::Requested,
            code: None,
            request: None,
            client_request: None,
            of: None,
            operation: None,
            set: None,
            devices: Vec::new(),
            at,
        }
    }

    /// Makes the entry about what has become of this one, which was written as `of`.
    #[must_use]
    pub fn ended(&self, of: u64, outcome: Outcome, at: Timestamp) -> Self {
        Self { outcome, of: Some(of), devices: Vec::new(), at, ..self.clone() }
    }
}

/// A record as it is written: fields in this order, those without a value left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Its number; the first is 1.
    pub sequence: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// See [`Entry::who`].
    pub who: String,
    /// See [`Entry::action`].
    pub action: String,
    /// See [`Entry::object`].
    pub object: String,
    /// See [`Entry::outcome`].
    pub outcome: Outcome,
    /// See [`Entry::code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// See [`Entry::request`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// See [`Entry::client_request`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_request: Option<String>,
    /// See [`Entry::of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// See [`Entry::operation`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// See [`Entry::set`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_set: Option<PasswordSet>,
    /// See [`Entry::devices`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<ResourceName>,
    /// The hash of the record before it; that of the first is 64 zeros.
    pub previous: String,
}

impl Record {
    /// Numbers an entry and ties it to the record before it.
    pub(super) fn of(entry: &Entry, sequence: u64, previous: String) -> Self {
        Self {
            sequence,
            at: entry.at.to_string(),
            who: bounded(&entry.who),
            action: bounded(&entry.action),
            object: bounded(&entry.object),
            outcome: entry.outcome,
            code: entry.code.as_deref().map(bounded),
            request: entry.request.as_deref().map(bounded),
            client_request: entry.client_request.as_deref().map(bounded),
            of: entry.of,
            operation: entry.operation,
            password_set: entry.set,
            devices: entry.devices.iter().take(DEVICES_MAX).cloned().collect(),
            previous,
        }
    }
}

/// Callers choose some of these texts: what would spoil a terminal or fill the disk is left out.
fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(FIELD_CHARACTERS_MAX).collect()
}
