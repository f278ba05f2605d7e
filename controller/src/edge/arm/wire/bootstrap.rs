//! `NetworkBootstrapDevice`, which has no words for how far its secrets are: Keyturn's own routes
//! say that.

use protocol::id::ResourceName;
use protocol::status::{AdministrativeState, ConfigurationState, ProvisioningState};
use serde::Serialize;

use super::device::{NetworkDevice, device};
use super::{Resource, addresses};
use crate::edge::arm::path::DeviceKind;
use crate::model::{Device, Fabric};
use crate::service::Service;

/// A device that waits for its first password set.
pub(in crate::edge::arm) type NetworkBootstrapDevice = Resource<Properties>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::edge::arm) struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation: Option<String>,
    host_name: String,
    serial_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    network_fabric_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_management_ipv4_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_management_ipv6_address: Option<String>,
    configuration_state: ConfigurationState,
    provisioning_state: ProvisioningState,
    administrative_state: AdministrativeState,
}

/// A device of either kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::edge::arm) enum AnyDevice {
    /// It is in the fabric.
    Network(Box<NetworkDevice>),
    /// It waits for its first password set.
    Bootstrap(Box<NetworkBootstrapDevice>),
}

/// Converts a device of either kind.
pub(in crate::edge::arm) fn any_device(
    service: &Service,
    fabric: &Fabric,
    name: &ResourceName,
    known: &Device,
) -> AnyDevice {
    match DeviceKind::of(known) {
        DeviceKind::Network => AnyDevice::Network(Box::new(device(service, fabric, name, known))),
        DeviceKind::Bootstrap => AnyDevice::Bootstrap(Box::new(bootstrap(fabric, name, known))),
    }
}

fn bootstrap(fabric: &Fabric, name: &ResourceName, device: &Device) -> NetworkBootstrapDevice {
    let (ipv4, ipv6) = addresses(device);
    Resource {
        id: DeviceKind::Bootstrap.id(&fabric.device_id(name)),
        name: name.to_string(),
        r#type: "microsoft.managednetworkfabric/networkbootstrapdevices",
        location: fabric.spec.location.clone(),
        tags: device.notes.tags.clone(),
        properties: Properties {
            annotation: device.notes.annotation.clone(),
            host_name: name.to_string(),
            serial_number: device.spec.serial_number.clone(),
            version: device.version.clone(),
            network_fabric_id: fabric.id.to_string(),
            primary_management_ipv4_address: ipv4,
            primary_management_ipv6_address: ipv6,
            configuration_state: device.configuration_state,
            provisioning_state: ProvisioningState::Succeeded,
            administrative_state: device.administrative_state,
        },
    }
}

impl AnyDevice {
    /// Says that the device was declared just now and is being verified.
    pub(in crate::edge::arm) fn accepted(mut self) -> Self {
        match &mut self {
            Self::Network(device) => device.accept(),
            Self::Bootstrap(device) => {
                device.properties.provisioning_state = ProvisioningState::Accepted;
            }
        }
        self
    }
}
