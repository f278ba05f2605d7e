//! `DELETE`, `PATCH`, and the bodies of `PUT`: what is noted on a resource, and the serial number of
//! a device that is replaced. Read-only fields in a request are ignored, as ARM does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{DeviceId, FabricId, PROVIDER};
use serde::Deserialize;

use super::action::invalid;
use super::archive::{self, GivenDeprecated, GivenSettings, given, given_object};
use super::extension::{Extension, Secret};
use super::path::{DeviceKind, Target};
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, raw};
use crate::edge::auth::{Caller, Door};
use crate::edge::body::{self, Object};
use crate::inventory::{ArchiveChange, FabricSpec};
use crate::model::Parameter;
use crate::service::{NoteChange, Service};

/// ARM's own limits: tags on a resource, characters of a name and of a value.
const TAGS_MAX: usize = 50;
const TAG_NAME_CHARACTERS_MAX: usize = 512;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// The longest description, in bytes.
const ANNOTATION_BYTES_MAX: usize = 4096;

/// The longest serial number, in bytes: `Make;Model;HardwareRevisionId;SerialNumber`.
const SERIAL_BYTES_MAX: usize = 256;

/// The longest of the texts that a fabric is declared with and that are only shown again, in bytes:
/// an ARM id is the longest of them.
const PARAMETER_BYTES_MAX: usize = 1024;

/// What is sent of a resource.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) location: Option<String>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "body::object")]
    pub(super) properties: Properties,
}

/// Of the properties, those that mean something here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Properties {
    #[serde(default, deserialize_with = "given")]
    annotation: Option<Option<String>>,
    #[serde(default)]
    pub(super) serial_number: Option<String>,
    #[serde(default)]
    feature_flags: Option<Vec<Object<FeatureFlag>>>,
    #[serde(default, deserialize_with = "body::object_or_null")]
    pub(super) terminal_server_configuration: Option<TerminalServerConfiguration>,
    #[serde(default)]
    pub(super) network_fabric_id: Option<String>,
    #[serde(default)]
    pub(super) network_device_role: Option<String>,
    #[serde(default)]
    pub(super) management_ipv4_address: Option<String>,
    #[serde(default)]
    pub(super) primary_management_ipv4_address: Option<String>,
    #[serde(default, deserialize_with = "body::object_or_null")]
    pub(super) keyturn: Option<Extension>,
    #[serde(default, deserialize_with = "given_object")]
    secret_archive_settings: Option<Option<GivenSettings>>,
    #[serde(default, deserialize_with = "given_object")]
    secret_archive: Option<Option<GivenDeprecated>>,
    // What a fabric is declared with and that is only shown again.
    #[serde(default)]
    network_fabric_sku: Option<String>,
    #[serde(default)]
    network_fabric_controller_id: Option<String>,
    #[serde(default)]
    rack_count: Option<i64>,
    #[serde(default)]
    server_count_per_rack: Option<i64>,
    #[serde(default)]
    ipv4_prefix: Option<String>,
    #[serde(default)]
    ipv6_prefix: Option<String>,
    #[serde(default, rename = "fabricASN")]
    fabric_asn: Option<i64>,
    #[serde(default)]
    hardware_alert_threshold: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeatureFlag {
    feature_flag_name: String,
    feature_flag_value: String,
}

/// The account of the terminal servers.
#[derive(Deserialize)]
pub(super) struct TerminalServerConfiguration {
    #[serde(default)]
    pub(super) username: Option<String>,
    #[serde(default)]
    pub(super) password: Option<Secret>,
}

/// Changes what is noted on a fabric, and which vault of the customer's its secrets are copied to:
/// that, as every declaration, is an administrator's.
pub(super) async fn fabric<'d>(
    door: &'d Door,
    caller: &Caller,
    id: &FabricId,
    request: Request,
) -> Result<&'d Arc<Service>, ApiError> {
    let mut resource = read(request).await?;
    let archive = resource.archive_change(door.spec_of(id).as_ref())?;
    let right = if archive.is_some() { Right::Administer } else { Right::Operate };
    let action = format!("{PROVIDER}/{}/write", FabricId::KIND);
    let service = door.open(caller, &action, right, Scope::Fabric(id), &id.to_string()).await?;
    resource.keeps_feature_flags(service, id)?;
    let configuration = &resource.properties.terminal_server_configuration;
    if configuration.as_ref().is_some_and(|terminal_server| terminal_server.password.is_some()) {
        let message = "The terminal server's password is not taken here.";
        return Err(invalid(message)
            .target("terminalServerConfiguration.password")
            .hint("rotate it, or tell it with PUT or `keyturn fabric apply`"));
    }
    let change = resource.fabric_change(false)?;
    // What may be refused goes first.
    if let Some(archive) = archive {
        service.declare_archive(id, &archive).await?;
    }
    service.note(id, None, change).await?;
    Ok(service)
}

/// Changes what is noted on a device, and its serial number.
pub(super) async fn device(
    service: &Service,
    id: &DeviceId,
    request: Request,
) -> Result<(), ApiError> {
    let fabric = service.find_device(id)?;
    let change = read(request).await?.change(false)?;
    service.note(&fabric, Some(id.name()), change).await?;
    Ok(())
}

/// Deletes a fabric or a device. It is gone when this is answered, so that there is no operation to
/// be asked after; clients take 204 for that, and never 200.
pub(super) async fn delete(
    door: &Door,
    service: &Service,
    target: Target,
) -> Result<Response, ApiError> {
    if let Target::Device(id, kind) = &target
        && door.fabric_of_kind(id, *kind == DeviceKind::Bootstrap).is_err()
    {
        return Ok(deleted());
    }
    match target {
        Target::Fabric(id) => service.delete_fabric(&id).await?,
        Target::Device(id, _kind) => service.delete_device(&id).await?,
        _ => false,
    };
    Ok(deleted())
}

/// Says that something is not there (any more).
pub(super) fn deleted() -> Response {
    raw(StatusCode::NO_CONTENT, Body::empty())
}

/// Reads a resource, which may hold passwords.
pub(super) async fn read(request: Request) -> Result<Resource, ApiError> {
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let resource = body::parse(&bytes);
    body::wipe(bytes);
    resource
}

impl Resource {
    /// Takes the change of the secret archive, if what is given is one: what was read can be written
    /// back by whoever may only note.
    pub(super) fn archive_change(
        &mut self,
        known: Option<&FabricSpec>,
    ) -> Result<Option<ArchiveChange>, ApiError> {
        let Properties { secret_archive_settings, secret_archive, .. } = &mut self.properties;
        let change = archive::change(secret_archive_settings.take(), secret_archive.take())?;
        let before = known.and_then(|spec| spec.secret_archive.as_ref());
        let after = change.apply(before).map_err(|objection| archive::objected(&objection))?;
        Ok((after.as_ref() != before).then_some(change))
    }

    /// Returns the feature flags, where some are given.
    pub(super) fn feature_flags(&self) -> Option<BTreeMap<String, String>> {
        let flags = self.properties.feature_flags.as_ref()?.iter();
        let flag = |Object(flag): &Object<FeatureFlag>| {
            (flag.feature_flag_name.clone(), flag.feature_flag_value.clone())
        };
        Some(flags.map(flag).collect())
    }

    /// Refuses other feature flags than a fabric has.
    pub(super) fn keeps_feature_flags(
        &self,
        service: &Service,
        id: &FabricId,
    ) -> Result<(), ApiError> {
        let Some(wanted) = self.feature_flags() else { return Ok(()) };
        if service.read(id, |fabric| fabric.spec.feature_flags == wanted)? {
            return Ok(());
        }
        let message = "Feature flags decide which secrets devices have, and cannot be changed \
                       without the passwords of those.";
        Err(invalid(message)
            .target("featureFlags")
            .hint("change them in the inventory and run `keyturn fabric apply`"))
    }

    /// Returns what is to be noted on a fabric. `whole`: what is not given is taken away.
    pub(super) fn fabric_change(mut self, whole: bool) -> Result<NoteChange, ApiError> {
        if self.properties.serial_number.is_some() {
            return Err(invalid("A fabric has no serial number.").target("serialNumber"));
        }
        let parameters = self.properties.parameters()?;
        let parameters = whole.then_some(parameters);
        Ok(NoteChange { parameters, ..self.change(whole)? })
    }

    /// Returns what is to be noted on a device. `whole`: what is not given is taken away.
    pub(super) fn change(self, whole: bool) -> Result<NoteChange, ApiError> {
        let Self { tags, properties, .. } = self;
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
            parameters: None,
        })
    }
}

impl Properties {
    /// Takes what is only shown again.
    fn parameters(&mut self) -> Result<BTreeMap<String, Parameter>, ApiError> {
        let number = |value: Option<i64>| value.map(Parameter::Number);
        let text = |value: &mut Option<String>| value.take().map(Parameter::Text);
        let all = [
            ("networkFabricSku", text(&mut self.network_fabric_sku)),
            ("networkFabricControllerId", text(&mut self.network_fabric_controller_id)),
            ("rackCount", number(self.rack_count)),
            ("serverCountPerRack", number(self.server_count_per_rack)),
            ("ipv4Prefix", text(&mut self.ipv4_prefix)),
            ("ipv6Prefix", text(&mut self.ipv6_prefix)),
            ("fabricASN", number(self.fabric_asn)),
            ("hardwareAlertThreshold", number(self.hardware_alert_threshold)),
        ];
        let mut parameters = BTreeMap::new();
        for (name, value) in all {
            if let Some(Parameter::Text(text)) = &value
                && text.len() > PARAMETER_BYTES_MAX
            {
                let message = format!("It may have at most {PARAMETER_BYTES_MAX} bytes.");
                return Err(invalid(message).target(name));
            }
            parameters.extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(parameters)
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
