//! The bodies, as the REST API has them. Times are seconds since 1970.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::Response;
use protocol::id::{ResourceName, SecretVersion};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::name::bad;
use super::paging::{Paging, Part};
use crate::edge::answer::{ApiError, json, raw};
use crate::edge::body::{Object, object_or_null};
use crate::service::Opening;
use crate::vault::Label;
use crate::vault::secrets::{Change, Deleted, Described, Page, Properties, SecretValue};

/// The most tags, and the longest key and value of one, in characters: Key Vault's own limits.
const TAGS_MAX: usize = 15;
const TAG_CHARACTERS_MAX: usize = 256;

/// The longest content type, in characters: Key Vault's own limit.
const CONTENT_TYPE_CHARACTERS_MAX: usize = 255;

/// Room for what stands beside a value in an answer, in bytes: 15 tags of 512 characters, escaped.
const BUNDLE_ROOM: usize = 128 << 10;

/// What a deleted secret's state is called: it can be recovered, and purged before its time.
const RECOVERY_LEVEL: &str = "Recoverable+Purgeable";

const SECONDS_A_DAY: u64 = 24 * 3_600;

/// What is sent to set a secret.
#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Overwritten also where the rest is refused.
    #[serde(default, deserialize_with = "secret")]
    value: Option<Zeroizing<String>>,
    #[serde(flatten)]
    rest: Updated,
}

/// What is sent to change a secret's properties.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Updated {
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "object_or_null")]
    attributes: Option<GivenAttributes>,
}

#[derive(Default, Deserialize)]
struct GivenAttributes {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    exp: Option<i64>,
}

/// A backup, on its way out or in.
#[derive(Deserialize, Serialize)]
pub(super) struct Sealed {
    /// In the URL's alphabet of base64, without padding.
    pub(super) value: String,
}

fn secret<'de, D: Deserializer<'de>>(given: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Option::<String>::deserialize(given).map(|value| value.map(Zeroizing::new))
}

impl Wanted {
    /// Takes what was sent apart, and checks it.
    pub(super) fn taken(self) -> Result<(SecretValue, Properties), ApiError> {
        let change = self.rest.taken()?;
        let mut value = self.value.ok_or_else(|| bad("The parameter value is missing."))?;
        let value = SecretValue::new(std::mem::take(&mut *value))
            .map_err(|error| bad(format!("Failed to {error}.")))?;
        let Change { enabled, not_before, expires, content_type, tags } = change;
        let (enabled, tags) = (enabled.unwrap_or(true), tags.unwrap_or_default());
        Ok((value, Properties { enabled, not_before, expires, content_type, tags }))
    }
}

impl Updated {
    /// Takes what was sent apart, and checks it.
    pub(super) fn taken(self) -> Result<Change, ApiError> {
        let Self { content_type, tags, attributes } = self;
        let long = |text: &String, most: usize| text.chars().count() > most;
        if content_type.as_ref().is_some_and(|text| long(text, CONTENT_TYPE_CHARACTERS_MAX)) {
            return Err(bad(format!(
                "contentType: expected at most {CONTENT_TYPE_CHARACTERS_MAX} characters"
            )));
        }
        let given = tags.iter().flatten();
        let is_long = |(key, value): (&String, &String)| {
            long(key, TAG_CHARACTERS_MAX) || long(value, TAG_CHARACTERS_MAX)
        };
        if tags.as_ref().is_some_and(|tags| tags.len() > TAGS_MAX) || given.into_iter().any(is_long)
        {
            return Err(bad(format!(
                "tags: expected at most {TAGS_MAX}, with keys and values of at most \
                 {TAG_CHARACTERS_MAX} characters"
            )));
        }
        let GivenAttributes { enabled, nbf, exp } = attributes.unwrap_or_default();
        if let (Some(nbf), Some(exp)) = (nbf, exp)
            && exp < nbf
        {
            return Err(bad("attributes: expected exp after nbf"));
        }
        Ok(Change { enabled, not_before: nbf, expires: exp, content_type, tags })
    }
}

/// A secret, with its value or without.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bundle<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    attributes: Attributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(flatten)]
    deletion: Option<Deletion>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    created: u64,
    updated: u64,
    recovery_level: &'static str,
    recoverable_days: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deletion {
    recovery_id: String,
    deleted_date: u64,
    scheduled_purge_date: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    value: Vec<Bundle<'a>>,
    next_link: Option<String>,
}

/// What of a secret its id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// The secret, whatever its newest version is.
    Secret,
    /// This version.
    Version,
}

/// What is the same for all bodies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rim<'a> {
    /// The vault's base URI.
    pub(super) uri: &'a str,
    /// How long deleted secrets can be recovered, in seconds.
    pub(super) retention: u64,
    /// What seals where lists go on.
    pub(super) paging: &'a Paging,
}

impl Rim<'_> {
    pub(super) fn bundle<'a>(
        &self,
        described: &'a Described,
        id: Id,
        opening: Option<&Opening>,
    ) -> Bundle<'a> {
        let Described { name, version, created, updated, properties, .. } = described;
        let (uri, secret) = (self.uri, name.as_str());
        let id = match id {
            Id::Secret => format!("{uri}/secrets/{secret}"),
            Id::Version => format!("{uri}/secrets/{secret}/{version}"),
        };
        let mut tags = properties.tags.clone();
        tags.extend(opening.map(tags_of).into_iter().flatten());
        let attributes = Attributes {
            enabled: properties.enabled,
            nbf: properties.not_before,
            exp: properties.expires,
            created: *created,
            updated: *updated,
            recovery_level: RECOVERY_LEVEL,
            recoverable_days: self.retention / SECONDS_A_DAY,
        };
        let content_type = properties.content_type.as_deref();
        Bundle { value: None, id, content_type, attributes, tags, deletion: None }
    }

    pub(super) fn deleted<'a>(&self, deleted: &'a Deleted, id: Id) -> Bundle<'a> {
        let mut bundle = self.bundle(&deleted.newest, id, None);
        let (uri, name) = (self.uri, deleted.newest.name.as_str());
        bundle.deletion = Some(Deletion {
            recovery_id: format!("{uri}/deletedsecrets/{name}"),
            deleted_date: deleted.at,
            scheduled_purge_date: deleted.purge_at,
        });
        bundle
    }

    /// Answers with some of a list.
    pub(super) fn page<'a, T>(
        &self,
        path: &str,
        part: &Part,
        page: &'a Page<T>,
        of: impl Fn(&'a T) -> Bundle<'a>,
    ) -> Result<Response, ApiError> {
        let url = format!("{}{path}", self.uri);
        let next = page.next.as_ref().map(|after| self.paging.next(part, &url, after));
        let next_link = next.transpose()?;
        let value = page.items.iter().map(of).collect();
        Ok(json(StatusCode::OK, &List { value, next_link }))
    }
}

impl<'a> Bundle<'a> {
    /// Says what the version is to its secret.
    pub(super) fn labelled(mut self, label: Option<Label>) -> Self {
        self.tags.extend(label.map(|label| (Label::TAG.to_owned(), label.as_str().to_owned())));
        self
    }

    /// Answers without a value.
    pub(super) fn answer(self) -> Response {
        json(StatusCode::OK, &self)
    }

    /// Answers with the value.
    pub(super) fn answer_with(mut self, value: &'a SecretValue) -> Result<Response, ApiError> {
        self.value = Some(value.expose());
        // Large enough that it never grows, which would leave copies behind; overwritten when sent.
        let room = BUNDLE_ROOM + 6 * value.expose().len();
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *text, &self).map_err(|_error| {
            let message = "The secret could not be written as JSON.";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
        })?;
        let mut response = raw(StatusCode::OK, Body::from(Bytes::from_owner(text)));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Says which devices a version opens, where a client looks: in its tags.
fn tags_of(opening: &Opening) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::from([
        ("keyturn-fabric".to_owned(), opening.fabric.name().to_string()),
        ("keyturn-profile".to_owned(), opening.profile.to_string()),
        ("keyturn-password-set".to_owned(), opening.set.to_string()),
    ]);
    for (key, devices) in
        [("keyturn-opens", &opening.opens), ("keyturn-may-open", &opening.may_open)]
    {
        if !devices.is_empty() {
            tags.insert(key.to_owned(), names(devices));
        }
    }
    tags
}

/// Joins names, as many as fit into a tag.
fn names(devices: &[ResourceName]) -> String {
    let all = devices.iter().map(ToString::to_string).collect::<Vec<_>>();
    let joined = all.join(",");
    if joined.chars().count() <= TAG_CHARACTERS_MAX {
        return joined;
    }
    // Room for ` and 1234567 more` behind them.
    let room = TAG_CHARACTERS_MAX - 17;
    let (mut length, mut kept) = (0, Vec::new());
    for name in &all {
        length += name.chars().count() + 1;
        if length > room {
            break;
        }
        kept.push(name.as_str());
    }
    format!("{} and {} more", kept.join(","), all.len() - kept.len())
}

/// Returns what a version opens.
pub(super) fn opening<'o>(
    openings: &'o BTreeMap<SecretVersion, Opening>,
    described: &Described,
) -> Option<&'o Opening> {
    openings.get(&described.version)
}

/// Parses the body of a request, which must be an object.
pub(super) fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let Object(body) = serde_json::from_slice(bytes).map_err(|error: serde_json::Error| {
        bad(format!(
            "The request body cannot be read (line {}, column {}).",
            error.line(),
            error.column()
        ))
    })?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_memory_that_is_overwritten_whatever_is_wrong_with_the_rest() {
        // Its type is what sees to that.
        let value = |wanted: &Wanted| -> Option<Zeroizing<String>> { wanted.value.clone() };
        let refused = |rest: &str| {
            let wanted: Wanted = parse(format!("{{{rest}}}").as_bytes()).unwrap();
            (value(&wanted).map(|value| value.len()), wanted.taken().is_err())
        };
        let long = "x".repeat(CONTENT_TYPE_CHARACTERS_MAX + 1);
        let long = format!(r#""value": "Canary-1", "contentType": "{long}""#);
        assert_eq!(refused(&long), (Some(8), true));
        let attributes = r#""value": "Canary-1", "attributes": {"nbf": 2, "exp": 1}"#;
        assert_eq!(refused(attributes), (Some(8), true));
        assert_eq!(refused(r#""value": "Canary-1""#), (Some(8), false));
        for none in ["", r#""value": null"#] {
            assert_eq!(refused(none), (None, true), "{none}");
        }
    }
}
