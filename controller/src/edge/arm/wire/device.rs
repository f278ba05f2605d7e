//! `NetworkDevice`.

use protocol::id::ResourceName;
use protocol::status::{AdministrativeState, ConfigurationState, DeviceRole, ProvisioningState};
use serde::Serialize;

use super::fabric::LastOperation;
use super::secret::{self, SecretRotationStatus};
use super::{Resource, addresses};
use crate::model::{Device, Fabric, Outcome};
use crate::service::Service;

/// A device.
pub(in crate::edge::arm) type NetworkDevice = Resource<Properties>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::edge::arm) struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation: Option<String>,
    host_name: String,
    serial_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    network_device_role: DeviceRole,
    network_fabric_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    management_ipv4_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    management_ipv6_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_operation: Option<LastOperation>,
    configuration_state: ConfigurationState,
    provisioning_state: ProvisioningState,
    administrative_state: AdministrativeState,
    secret_rotation_status: Vec<SecretRotationStatus>,
}

/// Converts a device of a fabric.
pub(super) fn device(
    service: &Service,
    fabric: &Fabric,
    name: &ResourceName,
    device: &Device,
) -> NetworkDevice {
    let (ipv4, ipv6) = addresses(device);
    Resource {
        id: fabric.device_id(name).to_string(),
        name: name.to_string(),
        r#type: "microsoft.managednetworkfabric/networkdevices",
        location: fabric.spec.location.clone(),
        tags: device.notes.tags.clone(),
        properties: Properties {
            annotation: device.notes.annotation.clone(),
            host_name: name.to_string(),
            serial_number: device.spec.serial_number.clone(),
            version: device.version.clone(),
            network_device_role: device.spec.role,
            network_fabric_id: fabric.id.to_string(),
            management_ipv4_address: ipv4,
            management_ipv6_address: ipv6,
            last_operation: device.last_outcome.as_ref().map(LastOperation::of_device),
            configuration_state: device.configuration_state,
            provisioning_state: ProvisioningState::Succeeded,
            administrative_state: device.administrative_state,
            secret_rotation_status: secret::all(service, fabric, device),
        },
    }
}

impl NetworkDevice {
    /// Says that the device was declared just now and is being verified.
    pub(super) fn accept(&mut self) {
        self.properties.provisioning_state = ProvisioningState::Accepted;
    }
}

impl LastOperation {
    pub(super) fn of_device(outcome: &Outcome) -> Self {
        let details = match outcome {
            Outcome::Succeeded => "Succeeded".to_owned(),
            Outcome::Failed(failure) => format!("{}: {}", failure.code, failure.message),
        };
        Self { details }
    }
}
