//! Notices that the vault is an older copy by what is not in it.

use protocol::id::SecretVersion;

use super::{Service, ServiceError};
use crate::model::Fabric;
use crate::naming::SecretName;
use crate::rollback::Suspicion;

impl Service {
    /// Holds everything back if the newest password set of a fabric is not in the vault: it was stored
    /// before the journal named it, and stays for as long as it is the newest. A set is stored as a
    /// whole, so that one of its values is looked for.
    pub(super) async fn look_for_lost_versions(&self) -> Result<(), ServiceError> {
        let rollback = &self.parts.rollback;
        let Some(lost) = rollback.lost().await else { return Ok(()) };
        for id in self.fabrics() {
            let Some((name, version)) = self.read(&id, newest)? else { continue };
            if lost.contains(&*version.0) {
                continue;
            }
            let kept = self.parts.vault.versions(&name).await;
            let kept = kept.map_err(|source| ServiceError::Vault { source })?;
            if !kept.iter().any(|kept| kept.version == version) {
                let suspicion = Suspicion::VersionMissing { name, version };
                tracing::error!(suspicion = %suspicion, hint = suspicion.hint(), "nothing is exposed");
                rollback.hold(suspicion);
            }
        }
        Ok(())
    }
}

/// Returns a version of the newest set of a fabric that a device refers to.
fn newest(fabric: &Fabric) -> Option<(SecretName, SecretVersion)> {
    let set = *fabric.sets.keys().next_back()?;
    let mut secrets = fabric
        .devices
        .iter()
        .flat_map(|(device, known)| known.secrets.keys().map(move |profile| (device, profile)));
    secrets.find_map(|(device, profile)| fabric.located(device, profile, set))
}
