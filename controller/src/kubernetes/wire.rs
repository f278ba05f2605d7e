//! What goes to an API server and comes back, as Kubernetes writes it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Labels or annotations.
pub type Texts = BTreeMap<String, String>;

/// A value of a Secret: bytes, which Kubernetes writes in base64.
#[derive(Clone, Default)]
pub struct Data(Zeroizing<Vec<u8>>);

impl Data {
    /// Takes bytes as a value. They are copied.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data(…)")
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // As large as it becomes, so that nothing is left behind by growing.
        let mut text = Zeroizing::new(vec![0; self.0.len().div_ceil(3) * 4]);
        STANDARD.encode_slice(&*self.0, &mut text).map_err(S::Error::custom)?;
        to.serialize_str(str::from_utf8(&text).map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        let decoded = STANDARD.decode_vec(&*text, &mut bytes);
        // Without the source, which names a character of the value.
        decoded.map_err(|_source| D::Error::custom("a value that is not in base64"))?;
        Ok(Self(bytes))
    }
}

/// What is known of a Secret without opening it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Properties {
    /// Its name.
    pub name: String,
    /// Names its state: every change gives another.
    pub resource_version: String,
    /// What it is found by.
    pub labels: Texts,
    /// What else is noted of it.
    pub annotations: Texts,
}

/// A Secret that was opened.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What is known of it.
    pub properties: Properties,
    /// Its values.
    pub data: BTreeMap<String, Data>,
}

/// A Secret that is to be.
#[derive(Clone, Debug)]
pub struct New {
    /// Its name.
    pub name: String,
    /// Its type, which cannot be changed.
    pub kind: &'static str,
    /// What it is found by.
    pub labels: Texts,
    /// What else is noted of it.
    pub annotations: Texts,
    /// Its values.
    pub data: BTreeMap<&'static str, Data>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    r#type: &'static str,
    data: &'a BTreeMap<&'static str, Data>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    labels: &'a Texts,
    annotations: &'a Texts,
}

impl New {
    pub(super) fn body(&self) -> Body<'_> {
        let Self { name, kind, labels, annotations, data } = self;
        let metadata = Metadata { name, labels, annotations };
        Body { api_version: "v1", kind: "Secret", metadata, r#type: kind, data }
    }
}

/// An object, whole or without all but its metadata.
#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) metadata: Properties,
    #[serde(default)]
    pub(super) data: Option<BTreeMap<String, Data>>,
}

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) metadata: PageMetadata,
    pub(super) items: Vec<Object>,
}

#[derive(Default, Deserialize)]
pub(super) struct PageMetadata {
    #[serde(default)]
    pub(super) r#continue: Option<String>,
}

/// What an API server says when it refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) reason: String,
    pub(super) details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Details {
    pub(super) causes: Option<Vec<Cause>>,
    pub(super) retry_after_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Cause {
    pub(super) reason: String,
}

impl Status {
    /// Tells whether it is an API server's, and not a page of something that stands between.
    pub(super) fn is_status(&self) -> bool {
        self.kind == "Status"
    }

    pub(super) fn has_cause(&self, reason: &str) -> bool {
        let causes = self.details.as_ref().and_then(|details| details.causes.as_ref());
        causes.is_some_and(|causes| causes.iter().any(|cause| cause.reason == reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_base64_and_never_shown() {
        let data = Data::new("grüße".as_bytes());
        let text = serde_json::to_string(&data).unwrap();
        assert_eq!(text, "\"Z3LDvMOfZQ==\"");
        let read: Data = serde_json::from_str(&text).unwrap();
        assert_eq!(read.bytes(), data.bytes());
        assert_eq!(format!("{data:?}"), "Data(…)");
        let wrong = serde_json::from_str::<Data>("\"Canary!\"").unwrap_err();
        assert!(!wrong.to_string().contains('!'), "{wrong}");
    }

    #[test]
    fn what_is_null_is_nothing() {
        let object: Object =
            serde_json::from_str("{\"metadata\":{\"name\":\"a\"},\"data\":null}").unwrap();
        assert!(object.data.is_none() && object.metadata.name == "a");
    }
}
