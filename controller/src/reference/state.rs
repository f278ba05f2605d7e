//! What is known of the references that are in use.

use std::collections::BTreeMap;

use super::{Reference, ReferenceError};
use crate::error::chain;

/// How one place of the configuration fares with its reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceState {
    /// What is referred to, as an operator knows it.
    pub reference: String,
    /// When it was fetched last, in seconds since 1970-01-01T00:00:00Z; what was fetched then is in
    /// use.
    pub fetched: Option<u64>,
    /// Why it could not be fetched since, and what mends it.
    pub failure: Option<String>,
}

/// Places by their keys, `tls.certificate` for example.
pub(super) type States = BTreeMap<String, ReferenceState>;

/// Notes what came of an attempt at `now`.
pub(super) fn note(
    states: &mut States,
    place: &str,
    reference: &Reference,
    now: u64,
    failure: Option<&ReferenceError>,
) {
    let state = states.entry(place.to_owned()).or_default();
    state.reference = reference.to_string();
    state.failure = failure.map(told);
    if failure.is_none() {
        state.fetched = Some(now);
    }
}

/// An error with what led to it and what mends it, in one line.
pub(super) fn told(error: &ReferenceError) -> String {
    let text = chain(error);
    match error.hint() {
        Some(hint) => format!("failed to {text}; {hint}"),
        None => format!("failed to {text}"),
    }
}
