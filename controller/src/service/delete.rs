//! Deleting devices and fabrics. A fabric's secrets are purged with it; its journal stays, so that
//! what was done can be told.

use std::collections::BTreeSet;

use protocol::id::{DeviceId, FabricId};

use super::{Service, ServiceError};
use crate::journal::Entry;
use crate::model::{Event, Fabric};
use crate::naming::{self, OlderName, SecretName};
use crate::plan::{self, Request};
use crate::vault::{Vault, VaultError};

impl Service {
    /// Forgets a device. Its passwords stay in the vault until the fabric is deleted. Tells whether
    /// there was one.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] while the device is in service or an operation runs.
    pub async fn delete_device(&self, device: &DeviceId) -> Result<bool, ServiceError> {
        let Ok(fabric) = self.find_device(device) else { return Ok(false) };
        let keeper = self.keeper(&fabric)?;
        let (policy, at, name) = (self.parts.policy, (self.parts.clock)(), device.name().clone());
        let decide = move |fabric: &Fabric| {
            let request = Request::DeleteDevice(name.clone());
            plan::guard::admit(fabric, &policy, &request)
                .map_err(|refusal| ServiceError::Refused { refusal })?;
            Ok((vec![Entry::Durable(Event::DeviceDeleted { device: name, at })], ()))
        };
        let written = keeper.journal.write(decide).await;
        written.map_err(|source| ServiceError::Journal { source })??;
        tracing::warn!(device = %device.name(), fabric = %fabric.name(), "deleted");
        Ok(true)
    }

    /// Forgets a fabric that has no devices, and purges all versions of its secrets. Tells whether
    /// there was one. A purge that is interrupted is finished by the next start.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] while the fabric has devices or an operation runs, and
    /// [`ServiceError::Vault`] where the purge is left to the next start.
    pub async fn delete_fabric(&self, id: &FabricId) -> Result<bool, ServiceError> {
        let _alone = self.declaring.lock().await;
        let Ok(keeper) = self.keeper(id) else { return Ok(false) };
        let (policy, at) = (self.parts.policy, (self.parts.clock)());
        let decide = move |fabric: &Fabric| {
            plan::guard::admit(fabric, &policy, &Request::DeleteFabric)
                .map_err(|refusal| ServiceError::Refused { refusal })?;
            Ok((vec![Entry::Durable(Event::FabricDeleted { at })], ()))
        };
        let written = keeper.journal.write(decide).await;
        written.map_err(|source| ServiceError::Journal { source })??;
        self.forget(id);
        let names = keeper.journal.read(secrets);
        purge(self.parts.vault.as_ref(), &names)
            .await
            .map_err(|source| ServiceError::Vault { source })?;
        tracing::warn!(fabric = %id.name(), secrets = names.len(), "deleted and purged");
        Ok(true)
    }

    /// Finishes the deletion of a fabric that an earlier run has deleted.
    pub(super) async fn finish_deletion(&self, fabric: &Fabric) -> Result<(), ServiceError> {
        purge(self.parts.vault.as_ref(), &secrets(fabric))
            .await
            .map_err(|source| ServiceError::Vault { source })
    }
}

/// The names of all secrets that a fabric ever had: those that its devices share, and each
/// device's own.
fn secrets(fabric: &Fabric) -> BTreeSet<SecretName> {
    let mut names = BTreeSet::new();
    for set in fabric.sets.values() {
        let older = set.older_names.values();
        names.extend(older.filter_map(OlderName::shared));
        for device in set.own.keys() {
            names.extend(set.older_names.values().filter_map(|older| older.of(device)));
        }
        names.extend(set.shared.keys().map(|profile| naming::name(&fabric.id, profile, None)));
        for (device, profiles) in &set.own {
            for profile in profiles.keys() {
                names.insert(naming::name(&fabric.id, profile, None));
                names.insert(naming::name(&fabric.id, profile, Some(device)));
            }
        }
    }
    names
}

async fn purge(vault: &dyn Vault, names: &BTreeSet<SecretName>) -> Result<(), VaultError> {
    for name in names {
        for version in vault.versions(name).await? {
            vault.purge(name, &version.version).await?;
        }
    }
    Ok(())
}
