//! `NetworkFabric`.

use std::collections::BTreeMap;

use protocol::status::{AdministrativeState, ConfigurationState, DeviceRole, ProvisioningState};
use serde::Serialize;

use super::secret::{self, SecretRotationStatus};
use crate::edge::arm::archive::ShownArchive;
use crate::inventory::SecretArchive;
use crate::model::{Fabric, Operation, OperationState, Parameter};
use crate::service::Service;

/// A fabric.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::edge::arm) struct NetworkFabric {
    id: String,
    name: String,
    r#type: &'static str,
    location: String,
    tags: BTreeMap<String, String>,
    system_data: SystemData,
    properties: Properties,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SystemData {
    created_at: String,
    last_modified_at: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    annotation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fabric_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal_server_configuration: Option<TerminalServerConfiguration>,
    fabric_locks: [FabricLock; 2],
    feature_flags: Vec<FeatureFlag>,
    secret_rotation_summary: SecretRotationSummary,
    #[serde(flatten)]
    secret_archive: ShownArchive,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_operation: Option<LastOperation>,
    configuration_state: ConfigurationState,
    provisioning_state: ProvisioningState,
    administrative_state: AdministrativeState,
    #[serde(flatten)]
    parameters: BTreeMap<String, Parameter>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TerminalServerConfiguration {
    serial_number: String,
    network_device_id: String,
    secret_rotation_status: Vec<SecretRotationStatus>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FabricLock {
    lock_state: &'static str,
    lock_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FeatureFlag {
    feature_flag_name: String,
    feature_flag_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretRotationSummary {
    active_password_set_count: usize,
}

/// How the last operation on a resource went, in words.
#[derive(Debug, Serialize)]
pub(super) struct LastOperation {
    pub(super) details: String,
}

/// Converts a fabric.
pub(in crate::edge::arm) fn fabric(service: &Service, fabric: &Fabric) -> NetworkFabric {
    NetworkFabric {
        id: fabric.id.to_string(),
        name: fabric.id.name().to_string(),
        r#type: "microsoft.managednetworkfabric/networkfabrics",
        location: fabric.spec.location.clone(),
        tags: fabric.notes.tags.clone(),
        system_data: SystemData {
            created_at: fabric.created.to_string(),
            last_modified_at: fabric.modified.to_string(),
        },
        properties: properties(service, fabric),
    }
}

fn properties(service: &Service, fabric: &Fabric) -> Properties {
    let flags = fabric.spec.feature_flags.iter();
    let flags = flags.map(|(name, value)| FeatureFlag {
        feature_flag_name: name.clone(),
        feature_flag_value: value.clone(),
    });
    Properties {
        annotation: fabric.notes.annotation.clone(),
        fabric_version: fabric.version.clone(),
        terminal_server_configuration: terminal_server(service, fabric),
        fabric_locks: [
            FabricLock::new("Administrative", fabric.administrative_lock),
            FabricLock::new("Configuration", fabric.configuration_lock),
        ],
        feature_flags: flags.collect(),
        secret_rotation_summary: SecretRotationSummary {
            active_password_set_count: fabric.active_set_count(),
        },
        secret_archive: fabric.spec.secret_archive.as_ref().map(archive).unwrap_or_default(),
        last_operation: fabric.operations.last().map(LastOperation::of_fabric),
        configuration_state: fabric.configuration_state(),
        provisioning_state: fabric.provisioning_state,
        administrative_state: fabric.administrative_state(),
        parameters: fabric.notes.parameters.clone(),
    }
}

fn archive(archive: &SecretArchive) -> ShownArchive {
    ShownArchive::from(archive.told())
}

/// The API knows one terminal server per fabric; of several, the first by name is shown here, and
/// every one as a device.
fn terminal_server(service: &Service, fabric: &Fabric) -> Option<TerminalServerConfiguration> {
    let mut devices = fabric.members();
    let (name, device) = devices.find(|(_name, device)| device.spec.role == DeviceRole::TS)?;
    Some(TerminalServerConfiguration {
        serial_number: device.spec.serial_number.clone(),
        network_device_id: fabric.device_id(name).to_string(),
        secret_rotation_status: secret::all(service, fabric, device),
    })
}

impl FabricLock {
    fn new(lock_type: &'static str, locked: bool) -> Self {
        Self { lock_state: if locked { "Enabled" } else { "Disabled" }, lock_type }
    }
}

impl LastOperation {
    fn of_fabric(operation: &Operation) -> Self {
        let kind = operation.kind.as_str();
        let details = match operation.state {
            OperationState::Running => format!("{kind}: running (operation {})", operation.id),
            OperationState::Succeeded => format!("{kind}: Succeeded (operation {})", operation.id),
            OperationState::Failed => {
                let failures = operation.failures().count();
                let devices = failures + operation.succeeded();
                format!(
                    "{kind}: Failed on {failures} of {devices} devices (operation {})",
                    operation.id
                )
            }
        };
        Self { details }
    }
}
