//! `DELETE`, `PATCH`, and `PUT` on what there is already: what is noted on a resource, and the serial number
//! of a device that is replaced. Read-only fields in a request are ignored, as ARM does. Fabrics
//! and devices come from inventories, which say more than ARM has words for.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{DeviceId, FabricId, ResourceName};
use serde::{Deserialize, Deserializer};

use super::action::{invalid, to_its_end};
use super::path::Target;
use crate::edge::answer::{ApiError, raw};
use crate::edge::body::{self, Object};
use crate::service::{NoteChange, Service};

/// ARM's own limits: tags on a resource, characters of a name and of a value.
const TAGS_MAX: usize = 50;
const TAG_NAME_CHARACTERS_MAX: usize = 512;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// The longest description, in bytes.
const ANNOTATION_BYTES_MAX: usize = 4096;

/// The longest serial number, in bytes: `Make;Model;HardwareRevisionId;SerialNumber`.
const SERIAL_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    properties: Object<Properties>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    #[serde(default, deserialize_with = "given")]
    annotation: Option<Option<String>>,
    #[serde(default)]
    serial_number: Option<String>,
    #[serde(default)]
    feature_flags: Option<Vec<Object<FeatureFlag>>>,
    #[serde(default)]
    terminal_server_configuration: Option<Object<TerminalServerConfiguration>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeatureFlag {
    feature_flag_name: String,
    feature_flag_value: String,
}

#[derive(Deserialize)]
struct TerminalServerConfiguration {
    /// Only whether there is one is looked at.
    #[serde(default)]
    password: Option<serde::de::IgnoredAny>,
}

/// Tells a field that is `null` from one that is not there.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

/// Changes what is noted on a fabric. `whole`: what is not given is taken away.
pub(super) async fn fabric(
    service: &Arc<Service>,
    id: &FabricId,
    whole: bool,
    request: Request,
) -> Result<(), ApiError> {
    let resource = read(request).await?;
    let properties = &resource.properties.0;
    if let Some(flags) = &properties.feature_flags {
        let wanted: BTreeMap<&str, &str> = flags
            .iter()
            .map(|Object(flag)| (flag.feature_flag_name.as_str(), flag.feature_flag_value.as_str()))
            .collect();
        let same = service.read(id, |fabric| {
            let known = &fabric.spec.feature_flags;
            known.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(wanted)
        })?;
        if !same {
            let message = "Feature flags decide which secrets devices have, and cannot be changed \
                           without the passwords of those.";
            return Err(invalid(message)
                .target("featureFlags")
                .hint("change them in the inventory and run `keyturn fabric apply`"));
        }
    }
    let configuration = &properties.terminal_server_configuration;
    if configuration.as_ref().is_some_and(|Object(given)| given.password.is_some()) {
        let message = "The terminal server's password is not taken here.";
        return Err(invalid(message)
            .target("terminalServerConfiguration.password")
            .hint("rotate it, or tell it with `keyturn fabric apply`"));
    }
    let serial = properties.serial_number.is_some();
    let change = resource.change(whole)?;
    if serial {
        return Err(invalid("A fabric has no serial number.").target("serialNumber"));
    }
    note(service, id.clone(), None, change).await
}

/// Changes what is noted on a device, and its serial number.
pub(super) async fn device(
    service: &Arc<Service>,
    id: &DeviceId,
    whole: bool,
    request: Request,
) -> Result<(), ApiError> {
    let fabric = service.find_device(id)?;
    let change = read(request).await?.change(whole)?;
    note(service, fabric, Some(id.name().clone()), change).await
}

/// Deletes a fabric or a device. It is gone when this is answered, so that there is no operation to
/// be asked after; clients take 204 for that, and never 200.
pub(super) async fn delete(service: &Arc<Service>, target: Target) -> Result<Response, ApiError> {
    let service = Arc::clone(service);
    let work = async move {
        match target {
            Target::Fabric(id) => service.delete_fabric(&id).await,
            Target::Device(id) => service.delete_device(&id).await,
            _ => Ok(false),
        }
    };
    to_its_end(work).await?;
    Ok(raw(StatusCode::NO_CONTENT, Body::empty()))
}

async fn read(request: Request) -> Result<Resource, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    body::parse(&bytes)
}

async fn note(
    service: &Arc<Service>,
    fabric: FabricId,
    device: Option<ResourceName>,
    change: NoteChange,
) -> Result<(), ApiError> {
    let service = Arc::clone(service);
    to_its_end(async move { service.note(&fabric, device.as_ref(), change).await }).await
}

impl Resource {
    fn change(self, whole: bool) -> Result<NoteChange, ApiError> {
        let Self { tags, properties: Object(properties) } = self;
        if let Some(tags) = &tags {
            let fits = |(name, value): (&String, &String)| {
                (1..=TAG_NAME_CHARACTERS_MAX).contains(&name.chars().count())
                    && value.chars().count() <= TAG_VALUE_CHARACTERS_MAX
            };
            if tags.len() > TAGS_MAX || !tags.iter().all(fits) {
                return Err(invalid(format!(
                    "There may be {TAGS_MAX} tags, with names of 1 to {TAG_NAME_CHARACTERS_MAX} \
                     and values of at most {TAG_VALUE_CHARACTERS_MAX} characters."
                ))
                .target("tags"));
            }
        }
        let annotation = &properties.annotation;
        if annotation.iter().flatten().any(|text| text.len() > ANNOTATION_BYTES_MAX) {
            let message = format!("It may have at most {ANNOTATION_BYTES_MAX} bytes.");
            return Err(invalid(message).target("annotation"));
        }
        let legal = |text: &String| {
            (1..=SERIAL_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        };
        if !properties.serial_number.iter().all(legal) {
            let message =
                format!("It must have 1 to {SERIAL_BYTES_MAX} printable ASCII characters.");
            return Err(invalid(message).target("serialNumber"));
        }
        Ok(NoteChange {
            tags: tags.or_else(|| whole.then(BTreeMap::new)),
            annotation: properties.annotation.or_else(|| whole.then_some(None)),
            serial_number: properties.serial_number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str, whole: bool) -> Result<NoteChange, ApiError> {
        body::parse::<Resource>(text.as_bytes())?.change(whole)
    }

    #[test]
    fn what_is_not_given_stays_in_a_patch_and_goes_in_a_put() {
        let nothing = change("{}", false).unwrap();
        assert_eq!(nothing, NoteChange::default());
        let whole = change("{}", true).unwrap();
        assert_eq!((whole.tags, whole.annotation), (Some(BTreeMap::new()), Some(None)));
        let removed = change(r#"{"properties":{"annotation":null}}"#, false).unwrap();
        assert_eq!(removed.annotation, Some(None));
        let text = r#"{"id":"x","tags":{"a":"b"},"properties":{"annotation":"c",
                       "administrativeState":"Enabled","serialNumber":"Arista;7280;1;J"}}"#;
        let given = change(text, false).unwrap();
        assert_eq!(given.tags.unwrap()["a"], "b");
        assert_eq!(given.annotation, Some(Some("c".to_owned())));
        assert_eq!(given.serial_number.as_deref(), Some("Arista;7280;1;J"));
    }

    #[test]
    fn what_is_too_long_or_of_another_kind_is_refused() {
        let long = "x".repeat(4097);
        let tags: Vec<String> = (0..51).map(|at| format!("\"{at}\":\"\"")).collect();
        for text in [
            r#"{"tags":{"":"b"}}"#.to_owned(),
            r#"{"tags":{"a":1}}"#.to_owned(),
            r#"{"tags":[]}"#.to_owned(),
            format!("{{\"tags\":{{{}}}}}", tags.join(",")),
            format!("{{\"tags\":{{\"a\":\"{}\"}}}}", "x".repeat(257)),
            format!("{{\"properties\":{{\"annotation\":\"{long}\"}}}}"),
            r#"{"properties":{"serialNumber":""}}"#.to_owned(),
            r#"{"properties":{"serialNumber":"a\nb"}}"#.to_owned(),
            r#"{"properties":7}"#.to_owned(),
            r#"{"properties":["a"]}"#.to_owned(),
            "[]".to_owned(),
        ] {
            assert!(change(&text, false).is_err(), "{text}");
        }
    }
}
