//! What goes to a vault and comes back, as the engine writes it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Kv2Error;
use super::call::Answer;
use crate::remote;

/// What a mount does with every key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Mount {
    /// After what time versions are deleted, `0s` for never, as Go writes durations.
    #[serde(default)]
    pub delete_version_after: String,
    /// How many versions of a key are kept; 0 for the engine's default, 10.
    pub max_versions: u64,
}

/// A version of a key, or why there is none.
pub enum Read<T> {
    /// The newest one, or the one that was asked for.
    Value {
        /// What is in it.
        data: T,
        /// Its number.
        version: u64,
    },
    /// It is deleted and can be brought back.
    Deleted,
    /// Its data is gone for ever.
    Destroyed,
    /// There never was one, or nobody knows of it any more.
    Missing,
}

impl<T> fmt::Debug for Read<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value { .. } => "Value(…)",
            Self::Deleted => "Deleted",
            Self::Destroyed => "Destroyed",
            Self::Missing => "Missing",
        })
    }
}

/// A version that was written.
#[derive(Clone, Debug, Deserialize)]
pub struct Written {
    /// Its number.
    pub version: u64,
    /// When it will be deleted; empty for never.
    #[serde(default)]
    pub deletion_time: String,
}

/// What is known of a key.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// The number of its newest version; 0 if there is none yet.
    pub current_version: u64,
    /// What others have noted of it.
    #[serde(default)]
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// Its versions by number.
    #[serde(default)]
    pub versions: BTreeMap<String, VersionState>,
}

/// What is known of a version.
#[derive(Clone, Debug, Deserialize)]
pub struct VersionState {
    created_time: String,
    #[serde(default)]
    deletion_time: String,
    /// Its data is gone for ever.
    #[serde(default)]
    pub destroyed: bool,
}

impl Metadata {
    /// Returns a version, if it is known.
    #[must_use]
    pub fn version(&self, number: u64) -> Option<&VersionState> {
        self.versions.get(&number.to_string())
    }

    /// Returns the numbers of all versions that are known.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.versions.keys().filter_map(|number| number.parse().ok()).collect()
    }
}

impl VersionState {
    /// Returns when it was written, in nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn created(&self) -> i128 {
        instant(&self.created_time).unwrap_or_default()
    }

    /// Returns when it was or will be deleted, in seconds since 1970-01-01T00:00:00Z; `None` if never.
    #[must_use]
    pub fn deletion(&self) -> Option<u64> {
        if self.deletion_time.is_empty() {
            return None;
        }
        let seconds = instant(&self.deletion_time).map(|nanos| nanos / 1_000_000_000);
        Some(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default())
    }
}

fn instant(text: &str) -> Option<i128> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp_nanos)
}

#[derive(Serialize)]
pub(super) struct New<'a, T> {
    pub(super) options: Options,
    pub(super) data: &'a T,
}

#[derive(Serialize)]
pub(super) struct Options {
    pub(super) cas: u64,
}

#[derive(Serialize)]
pub(super) struct Described<'a> {
    custom_metadata: &'a BTreeMap<&'a str, &'a str>,
    cas_required: bool,
    delete_version_after: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_versions: Option<u32>,
}

impl<'a> Described<'a> {
    pub(super) fn new(
        custom_metadata: &'a BTreeMap<&'a str, &'a str>,
        max_versions: Option<u32>,
    ) -> Self {
        Self { custom_metadata, cas_required: true, delete_version_after: "0s", max_versions }
    }
}

#[derive(Serialize)]
pub(super) struct Marks<'a> {
    pub(super) custom_metadata: &'a BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
pub(super) struct Versions<'a> {
    pub(super) versions: &'a [u64],
}

#[derive(Deserialize)]
pub(super) struct Keys {
    pub(super) keys: Vec<String>,
}

/// What is around every answer.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) data: T,
}

/// A refusal. Whatever has no list of errors, even an empty one, is not the vault's.
#[derive(Default, Deserialize)]
pub(super) struct Failure {
    pub(super) errors: Option<Vec<String>>,
}

/// Returns what a refusal says, in one line: the engine writes lists of errors in several.
pub(super) fn message(failure: &Failure) -> String {
    let lines = failure.errors.iter().flatten().flat_map(|error| error.lines());
    let said = lines.map(|line| line.trim_start_matches(['\t', ' ', '*']).trim());
    let said = said.filter(|line| !line.is_empty() && !line.ends_with(" occurred:"));
    remote::shown(&said.collect::<Vec<_>>().join(", "))
}

/// The answer to a read: also what says that there is nothing any more has it.
#[derive(Deserialize)]
struct Found<T> {
    data: Option<T>,
    metadata: FoundVersion,
}

#[derive(Deserialize)]
struct FoundVersion {
    version: u64,
    #[serde(default)]
    destroyed: bool,
}

pub(super) fn value<T: DeserializeOwned>(answer: &Answer) -> Result<Read<T>, Kv2Error> {
    let found: Found<T> = answer.read()?;
    Ok(match found.data {
        Some(data) => Read::Value { data, version: found.metadata.version },
        None if found.metadata.destroyed => Read::Destroyed,
        None => Read::Deleted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_says_is_one_line() {
        let errors = |text: &str| message(&serde_json::from_str(text).unwrap());
        let denied = r#"{"errors": ["1 error occurred:\n\t* permission denied\n\n"]}"#;
        assert_eq!(errors(denied), "permission denied");
        assert_eq!(errors(r#"{"errors": ["a", "b"]}"#), "a, b");
        assert_eq!(errors(r#"{"errors": []}"#), "");
        assert_eq!(errors("{}"), "");
    }

    #[test]
    fn times_of_versions_are_read_to_the_nanosecond() {
        let state = |text: &str| -> VersionState { serde_json::from_str(text).unwrap() };
        let kept = state(r#"{"created_time": "2026-11-20T20:05:39.912727316Z"}"#);
        assert_eq!((kept.created() % 1_000_000_000, kept.deletion()), (912_727_316, None));
        let deleted = state(r#"{"created_time": "", "deletion_time": "1970-01-01T00:01:00Z"}"#);
        assert_eq!((deleted.created(), deleted.deletion()), (0, Some(60)));
        // What cannot be read is taken for deleted.
        let odd = state(r#"{"created_time": "x", "deletion_time": "soon", "destroyed": true}"#);
        assert_eq!((odd.destroyed, odd.deletion()), (true, Some(0)));
    }
}
