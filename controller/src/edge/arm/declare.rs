//! `PUT`: declares a fabric or a device, or changes what is noted on one that there is.
//!
//! A device is declared by `properties.keyturn`, which holds what an inventory says and the
//! passwords that the device has now. What is declared here goes through the same checks as an
//! inventory, and the same verification follows. Whoever declares needs the right for it; to change
//! what is noted, that of an operator is enough.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{DeviceId, FabricId, OperationId, PROVIDER};
use protocol::password::Password;
use protocol::status::DeviceRole;
use serde::Serialize;

use super::action::invalid;
use super::archive;
use super::extension::{AT, Described, Extension, role, spelled};
use super::operation::{Origin, followed_by};
use super::path::DeviceKind;
use super::update::{self, Resource};
use super::wire;
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::{Caller, Door};
use crate::inventory::{ArchiveChange, DeviceSpec, FabricSpec};
use crate::naming::SecretName;
use crate::service::{Login, NoteChange, Service, ServiceError};

/// Declares a fabric, or changes what is noted on it.
pub(super) async fn fabric(
    door: &Door,
    caller: &Caller,
    id: &FabricId,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let mut resource = update::read(request).await?;
    let login = login(&mut resource)?;
    let known = door.spec_of(id);
    let created = known.is_none();
    let archive = resource.archive_change(known.as_ref())?;
    let declares = created || login.is_some();
    let administers = declares || archive.is_some();
    let right = if administers { Right::Administer } else { Right::Operate };
    let action = format!("{PROVIDER}/{}/write", FabricId::KIND);
    let (scope, on) = (Scope::Fabric(id), id.to_string());
    let service = door.open(caller, &action, right, scope, &on).await?;
    let spec = match known {
        Some(spec) => resource.keeps_feature_flags(service, id).map(|()| spec)?,
        None => described_fabric(&mut resource, id, archive.as_ref())?,
    };
    let change = resource.fabric_change(true)?;
    if let Some(archive) = archive.filter(|_archive| !created) {
        service.declare_archive(id, &archive).await?;
    }
    let operation = match declares {
        true => service.declare_fabric(spec, login).await?.operation,
        false => None,
    };
    service.note(id, None, change).await?;
    let body = service.read(id, |fabric| wire::fabric(service, fabric))?;
    answer(service, created, &body, operation, &origin)
}

/// Declares a device, or changes what is noted on it. One that waits for its first password set
/// joins the fabric when it is put among the network devices, with the extension or without.
pub(super) async fn device(
    door: &Door,
    caller: &Caller,
    id: &DeviceId,
    kind: DeviceKind,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = Origin::of(&request)?;
    let mut resource = update::read(request).await?;
    let known = door.fabric_of(id).ok();
    let created = door.fabric_of_kind(id, kind == DeviceKind::Bootstrap).is_err();
    let extension = resource.properties.keyturn.take();
    let declares = created || extension.is_some();
    let fabric = match (&extension, &known) {
        (Some(_), known) => fabric_of(&resource, known.as_ref(), id)?,
        (None, Some(known)) => known.clone(),
        (None, None) => return Err(undescribed()),
    };
    let right = if declares { Right::Administer } else { Right::Operate };
    let action = format!("{PROVIDER}/{}/write", kind.as_str());
    let (scope, on) = (Scope::Fabric(&fabric), kind.id(id));
    let service = door.open(caller, &action, right, scope, &on).await?;
    let operation = if declares {
        let declaration = declaration(service, &fabric, id, extension, &mut resource)?;
        // The serial number is a part of the declaration.
        let change = NoteChange { serial_number: None, ..resource.change(true)? };
        declare(service, caller, &fabric, kind, declaration, change).await?
    } else {
        let change = resource.change(true)?;
        service.note(&fabric, Some(id.name()), change).await?;
        None
    };
    let body = service.read(&fabric, |fabric| {
        let (name, device) = fabric.devices.get_key_value(id.name())?;
        let body = wire::any_device(service, fabric, name, device);
        Some(if operation.is_some() { body.accepted() } else { body })
    })?;
    answer(service, created, &body, operation, &origin)
}

type Declaration = (DeviceSpec, BTreeMap<String, Password>);

/// Says what a device is; without the extension, as it was declared before.
fn declaration(
    service: &Service,
    fabric: &FabricId,
    id: &DeviceId,
    extension: Option<Extension>,
    resource: &mut Resource,
) -> Result<Declaration, ApiError> {
    if let Some(mut extension) = extension {
        let passwords = extension.take_passwords()?;
        let spec = extension.spec(described(service, fabric, id, resource)?)?;
        return Ok((spec, passwords));
    }
    let known = service.read(fabric, |fabric| Some(fabric.devices.get(id.name())?.spec.clone()))?;
    let mut spec = known.ok_or_else(undescribed)?;
    if let Some(serial_number) = resource.properties.serial_number.take() {
        spec.serial_number = serial_number;
    }
    Ok((spec, BTreeMap::new()))
}

async fn declare(
    service: &Service,
    caller: &Caller,
    fabric: &FabricId,
    kind: DeviceKind,
    (mut spec, passwords): Declaration,
    change: NoteChange,
) -> Result<Option<OperationId>, ApiError> {
    spec.bootstrap = kind == DeviceKind::Bootstrap;
    let name = spec.name.clone();
    let may_adopt = |name: &SecretName| caller.may_adopt(name);
    let by = caller.declarer(&may_adopt);
    let applied = service.declare_device(fabric, spec, passwords, &by).await.map_err(explained)?;
    service.note(fabric, Some(&name), change).await?;
    Ok(applied.operation)
}

/// Answers with the resource, and points to the operation that verifies it.
fn answer(
    service: &Service,
    created: bool,
    body: &impl Serialize,
    operation: Option<OperationId>,
    origin: &Origin,
) -> Result<Response, ApiError> {
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let response = json(status, body);
    match operation {
        Some(operation) => followed_by(response, service, operation, origin),
        None => Ok(response),
    }
}

/// Takes the terminal servers' password, where one is told.
fn login(resource: &mut Resource) -> Result<Option<Login>, ApiError> {
    const AT: &str = "terminalServerConfiguration";
    let Some(configuration) = resource.properties.terminal_server_configuration.take() else {
        return Ok(None);
    };
    match (configuration.username, configuration.password) {
        (Some(user), Some(password)) => {
            let password = password.password().map_err(|e| e.target(format!("{AT}.password")))?;
            Ok(Some(Login { user, password }))
        }
        (None, Some(_)) => {
            let message = "The password is told without the account that it belongs to.";
            Err(invalid(message).target(format!("{AT}.username")))
        }
        (_, None) => Ok(None),
    }
}

fn described_fabric(
    resource: &mut Resource,
    id: &FabricId,
    change: Option<&ArchiveChange>,
) -> Result<FabricSpec, ApiError> {
    let location = resource.location.take();
    let location = location
        .ok_or_else(|| invalid("The property 'location' is missing.").target("location"))?;
    let feature_flags = resource.feature_flags().unwrap_or_default();
    let older_names = BTreeMap::new();
    let secret_archive = change.map(|change| change.apply(None)).transpose();
    let secret_archive = secret_archive.map_err(|objection| archive::objected(&objection))?;
    let (id, secret_archive) = (id.clone(), secret_archive.flatten());
    Ok(FabricSpec { id, location, feature_flags, older_names, secret_archive })
}

/// Returns the fabric that a device is of, or is declared to be of.
fn fabric_of(
    resource: &Resource,
    known: Option<&FabricId>,
    id: &DeviceId,
) -> Result<FabricId, ApiError> {
    const AT: &str = "properties.networkFabricId";
    let (known, given) = match (known, &resource.properties.network_fabric_id) {
        (Some(known), None) => return Ok(known.clone()),
        (None, None) => return Err(undescribed()),
        (known, Some(given)) => (known, given),
    };
    let given: FabricId = given.parse().map_err(|error| {
        invalid(format!("The property is wrong: failed to {error}.")).target(AT)
    })?;
    if known.is_some_and(|known| *known != given) {
        let message = "A device cannot be moved to another fabric.";
        let hint = "delete it there first";
        return Err(invalid(message).target(AT).hint(hint));
    }
    if given.device(id.name()) != *id {
        let message = "A device is in the subscription and resource group of its fabric.";
        return Err(invalid(message).target(AT));
    }
    Ok(given)
}

/// Says that nobody has said yet what a device is.
fn undescribed() -> ApiError {
    let message = format!(
        "The device is not known: say in '{AT}' how it is reached, and in \
         'properties.networkFabricId' which fabric it is of."
    );
    invalid(message).target(AT).hint("docs/azure-client.md has an example")
}

/// What is not said of a known device stays as it is.
fn described(
    service: &Service,
    fabric: &FabricId,
    id: &DeviceId,
    resource: &mut Resource,
) -> Result<Described, ApiError> {
    let known: Option<(DeviceRole, String)> = service.read(fabric, |fabric| {
        let spec = &fabric.devices.get(id.name())?.spec;
        Some((spec.role, spec.serial_number.clone()))
    })?;
    let (known_role, known_serial) = known.unzip();
    let properties = &mut resource.properties;
    let missing = |name: &str| {
        let message = format!("The property '{name}' is missing.");
        invalid(message).target(format!("properties.{name}"))
    };
    let given = properties.network_device_role.as_deref().map(role).transpose()?;
    Ok(Described {
        name: id.name().clone(),
        role: given.or(known_role).ok_or_else(|| missing("networkDeviceRole"))?,
        serial_number: properties
            .serial_number
            .clone()
            .or(known_serial)
            .ok_or_else(|| missing("serialNumber"))?,
        address: properties
            .management_ipv4_address
            .take()
            .or_else(|| properties.primary_management_ipv4_address.take()),
    })
}

/// Says in this API's words where the mistake is.
fn explained(error: ServiceError) -> ApiError {
    let (target, hint) = match &error {
        ServiceError::Inventory { source } => match source.key() {
            "" => (AT.to_owned(), None),
            "serial-number" => ("properties.serialNumber".to_owned(), None),
            key => (format!("{AT}.{}", spelled(key)), None),
        },
        ServiceError::PasswordMissing { profile, .. } => {
            let at = format!("{AT}.currentPasswords.{profile}");
            let hint = format!("give the password that the device has now as '{at}'");
            (at, Some(hint))
        }
        _ => return error.into(),
    };
    let answer = ApiError::from(error).target(target);
    match hint {
        Some(hint) => answer.hint(hint),
        None => answer,
    }
}
