//! What goes to a vault and comes back, as Key Vault writes it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::KeyVaultError;
use super::call::Answer;

/// What a version is marked with: at most 15 pairs of texts of at most 256 characters.
pub type Tags = BTreeMap<String, String>;

/// What is known of a version without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Properties {
    /// The vault's name for it: 32 hexadecimal digits.
    pub version: String,
    /// Whether it can be opened.
    pub enabled: bool,
    /// When it was made, in seconds since 1970-01-01T00:00:00Z.
    pub created: u64,
    /// Its tags.
    pub tags: Tags,
    /// What its value is, `application/x-pem-file` for example.
    pub content_type: Option<String>,
}

/// A version that was opened.
pub struct Secret {
    /// Its value.
    pub value: Zeroizing<String>,
    /// What else is known of it.
    pub properties: Properties,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("properties", &self.properties).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct New<'a> {
    pub(super) value: &'a str,
    pub(super) content_type: &'a str,
    pub(super) tags: &'a Tags,
}

#[derive(Serialize)]
pub(super) struct Change<'a> {
    pub(super) attributes: Enabled,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<&'a Tags>,
}

#[derive(Serialize)]
pub(super) struct Enabled {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bundle {
    id: String,
    #[serde(default, deserialize_with = "secret")]
    pub(super) value: Option<Zeroizing<String>>,
    #[serde(default)]
    attributes: Attributes,
    tags: Option<Tags>,
    content_type: Option<String>,
}

#[derive(Default, Deserialize)]
struct Attributes {
    enabled: Option<bool>,
    created: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) value: Option<Vec<Bundle>>,
    pub(super) next_link: Option<String>,
}

/// A key without what is secret in it.
#[derive(Deserialize)]
pub(super) struct KeyBundle {
    pub(super) key: Jwk,
}

#[derive(Deserialize)]
pub(super) struct Jwk {
    pub(super) kid: String,
    pub(super) kty: String,
}

#[derive(Serialize)]
pub(super) struct Operation<'a> {
    pub(super) alg: &'a str,
    pub(super) value: &'a str,
}

#[derive(Deserialize)]
pub(super) struct OperationResult {
    pub(super) kid: String,
    #[serde(deserialize_with = "text")]
    pub(super) value: Zeroizing<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Failure {
    #[serde(default)]
    pub(super) error: Reason,
}

#[derive(Default, Deserialize)]
pub(super) struct Reason {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    pub(super) innererror: Option<Inner>,
}

#[derive(Default, Deserialize)]
pub(super) struct Inner {
    #[serde(default)]
    pub(super) code: String,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Zeroizing::new))
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

impl Bundle {
    /// Returns what is known of the version, whose name is the last part of its id.
    pub(super) fn properties(self, answer: &Answer) -> Result<Properties, KeyVaultError> {
        let version = self.id.rsplit('/').next().unwrap_or_default();
        let is_version = version.len() == 32 && version.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_version {
            return Err(answer.wrong("an id without a version"));
        }
        Ok(Properties {
            version: version.to_owned(),
            enabled: self.attributes.enabled.unwrap_or(true),
            created: self.attributes.created.unwrap_or_default(),
            tags: self.tags.unwrap_or_default(),
            content_type: self.content_type,
        })
    }
}
