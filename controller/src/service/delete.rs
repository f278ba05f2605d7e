//! Deleting devices and fabrics. A fabric's secrets are purged with it; its journal stays, so that
//! what was done can be told.

use std::collections::BTreeSet;

use protocol::id::{DeviceId, FabricId, SecretVersion};

use super::{Keeper, Service, ServiceError};
use crate::journal::Entry;
use crate::model::{Event, Fabric};
use crate::naming::{self, SecretName};
use crate::plan::{self, Request};

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

    /// Forgets a fabric that has no devices, and purges its secrets. Tells whether
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
        self.purge(&keeper).await?;
        tracing::warn!(fabric = %id.name(), "deleted and purged");
        Ok(true)
    }

    /// Purges the secrets of a deleted fabric, once; what is interrupted is done again. Versions
    /// that another fabric refers to stay.
    pub(super) async fn purge(&self, keeper: &Keeper) -> Result<(), ServiceError> {
        if keeper.journal.read(|fabric| fabric.purged) {
            return Ok(());
        }
        let own = keeper.journal.read(own_names);
        let mut wanted = keeper.journal.read(older_versions);
        let vault = self.parts.vault.as_ref();
        let failed = |source| ServiceError::Vault { source };
        for name in own {
            let versions = vault.versions(&name).await.map_err(failed)?;
            wanted.extend(versions.into_iter().map(|version| (name.clone(), version.version)));
        }
        for (name, version) in wanted.difference(&self.referenced()?) {
            vault.purge(name, version).await.map_err(failed)?;
        }
        let at = (self.parts.clock)();
        let decide = move |_fabric: &Fabric| {
            Ok::<_, ServiceError>((vec![Entry::Durable(Event::FabricPurged { at })], ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }

    /// Returns every version that a fabric refers to.
    fn referenced(&self) -> Result<BTreeSet<Located>, ServiceError> {
        let mut all = BTreeSet::new();
        for id in self.fabrics() {
            all.extend(self.read(&id, located)?);
        }
        Ok(all)
    }
}

/// A version, by its secret's name.
type Located = (SecretName, SecretVersion);

/// The versions of all sets, as devices refer to them.
fn located(fabric: &Fabric) -> BTreeSet<Located> {
    let mut all = older_versions(fabric);
    for (device, known) in &fabric.devices {
        for profile in known.secrets.keys() {
            let sets = fabric.sets.keys();
            all.extend(sets.filter_map(|set| fabric.located(device, profile, *set)));
        }
    }
    all
}

/// The versions that lie under older names. Other versions under these names are not ours.
fn older_versions(fabric: &Fabric) -> BTreeSet<Located> {
    let mut all = BTreeSet::new();
    for set in fabric.sets.values() {
        for (profile, older) in &set.older_names {
            let shared = set.shared.get(profile);
            all.extend(older.shared().zip(shared.cloned()));
            let own = set
                .own
                .iter()
                .filter_map(|(device, own)| Some((older.of(device)?, own.get(profile)?.clone())));
            all.extend(own);
        }
    }
    all
}

/// The names that [`naming`] has given to the secrets that a fabric ever had: nobody else has them.
fn own_names(fabric: &Fabric) -> BTreeSet<SecretName> {
    let mut names = BTreeSet::new();
    for set in fabric.sets.values() {
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
