//! Deleting devices and fabrics. What their hardware may still have is kept; a fabric's journal stays,
//! so that what was done can be told.

use std::sync::PoisonError;

use protocol::id::{DeviceId, FabricId};

use super::{Service, ServiceError};
use crate::journal::Entry;
use crate::model::{Event, Fabric};
use crate::plan::{self, Request};

impl Service {
    /// Forgets a device. The passwords that its hardware may have stay in the vault. Tells whether
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

    /// Forgets a fabric that has no devices. What no device may have is purged, now or as soon as
    /// the vault can; the rest is kept for its retention or until somebody purges it by force. Tells
    /// whether there was such a fabric.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] while the fabric has devices or an operation runs, and
    /// [`ServiceError::Rollback`] while the vault or the store looks like an older copy.
    pub async fn delete_fabric(&self, id: &FabricId) -> Result<bool, ServiceError> {
        {
            let _alone = self.declaring.lock().await;
            let Ok(keeper) = self.keeper(id) else { return Ok(false) };
            self.check_newest()?;
            let (policy, at) = (self.parts.policy, (self.parts.clock)());
            let decide = move |fabric: &Fabric| {
                plan::guard::admit(fabric, &policy, &Request::DeleteFabric)
                    .map_err(|refusal| ServiceError::Refused { refusal })?;
                Ok((vec![Entry::Durable(Event::FabricDeleted { at })], ()))
            };
            let written = keeper.journal.write(decide).await;
            written.map_err(|source| ServiceError::Journal { source })??;
            self.deleted.write().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), keeper);
            self.forget(id);
        }
        tracing::warn!(fabric = %id.name(), "deleted");
        // It is deleted, whatever becomes of this: what fails is done by the next sweep.
        if let Err(error) = self.purge_due(id).await {
            tracing::warn!(fabric = %id.name(), error = %error, hint = error.hint(), "not purged");
        }
        Ok(true)
    }
}
