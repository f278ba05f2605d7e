//! `SecretRotationStatus`: how far one secret of a device is.

use protocol::status::SynchronizationStatus;
use serde::Serialize;

use crate::model::{Device, Fabric, Secret};
use crate::service::{ArchiveReference, Service};

/// How far one secret is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretRotationStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotation_time: Option<String>,
    synchronization_status: SynchronizationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_archive_reference: Option<SecretArchiveReference>,
    secret_type: String,
}

/// Where the value is that the device has now, as far as that has been proven.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretArchiveReference {
    key_vault_uri: String,
    key_vault_id: String,
    secret_name: String,
    secret_version: String,
}

/// Converts all secrets of a device, in the order of the profiles' names.
pub(super) fn all(
    service: &Service,
    fabric: &Fabric,
    device: &Device,
) -> Vec<SecretRotationStatus> {
    let secrets = device.secrets.iter();
    secrets
        .map(|(profile, secret)| {
            let reference = service.reference(fabric, &device.spec.name, profile);
            SecretRotationStatus::new(secret, reference)
        })
        .collect()
}

impl SecretRotationStatus {
    fn new(secret: &Secret, reference: Option<ArchiveReference>) -> Self {
        Self {
            last_rotation_time: secret.last_rotation.map(|at| at.to_string()),
            synchronization_status: secret.credential.status(),
            secret_archive_reference: reference.map(SecretArchiveReference::from),
            secret_type: secret.secret_type.to_string(),
        }
    }
}

impl From<ArchiveReference> for SecretArchiveReference {
    fn from(reference: ArchiveReference) -> Self {
        Self {
            key_vault_uri: reference.key_vault_uri,
            key_vault_id: reference.key_vault_id,
            secret_name: reference.secret_name.to_string(),
            secret_version: reference.secret_version.to_string(),
        }
    }
}
