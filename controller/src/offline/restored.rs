//! Going on with a vault or a store that was brought back from an older copy.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::id::{DeviceId, Epoch, ProfileName, SecretVersion};

use super::{DataDir, OfflineError};
use crate::journal::{Entry, Journal};
use crate::model::{Event, Fabric};
use crate::naming::SecretName;
use crate::rollback::{RollbackGuard, Suspicion};
use crate::store::{SqliteStore, Store};
use crate::vault::Vault;

/// More than the starts of a daemon since any copy was made: each raises the epoch by one.
const EPOCHS_PASSED_MAX: u64 = 1_000_000;

/// A password that a device may have and that is not in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPassword {
    /// The device.
    pub device: DeviceId,
    /// The user profile.
    pub profile: ProfileName,
    /// The secret.
    pub name: SecretName,
    /// The version that is not there.
    pub version: SecretVersion,
}

impl fmt::Display for LostPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, profile, name, version } = self;
        write!(f, "{profile} on {device}: version {version} of `{name}`")
    }
}

/// What was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What had been suspected; nothing, if the vault and the store are the newest ones.
    pub suspicion: Option<Suspicion>,
    /// What is lost.
    pub lost: Vec<LostPassword>,
    /// The store that was made because there was none.
    pub new_store: Option<PathBuf>,
}

impl DataDir {
    /// Takes the vault and the store for the newest ones that there are. Where no store is there, an
    /// empty one is made. `despite_loss` accepts also that passwords are lost which devices may have.
    ///
    /// # Errors
    /// [`OfflineError::Lost`] with what would be lost; nothing was changed then.
    pub async fn accept_restored(&self, despite_loss: bool) -> Result<Accepted, OfflineError> {
        self.recorded("Keyturn/vault/acceptRestored/action", async {
            let vault = self.vault().await?;
            let new_store =
                (!self.config.store.path.exists()).then(|| self.config.store.path.clone());
            let of_store = |source| OfflineError::Store { source };
            let store =
                Arc::new(SqliteStore::open(&self.config.store.path).await.map_err(of_store)?);
            let lost = lost(&*vault, store.clone()).await?;
            if !lost.is_empty() && !despite_loss {
                return Err(OfflineError::Lost { lost });
            }
            outlive_agents(store.clone()).await?;
            let versions: BTreeSet<&SecretVersion> = lost.iter().map(|one| &one.version).collect();
            let versions: Vec<SecretVersion> = versions.into_iter().cloned().collect();
            let accepted = RollbackGuard::accept(&self.dir, &*vault, &*store, &versions).await;
            let suspicion = accepted.map_err(|source| OfflineError::Rollback { source })?;
            let missing = lost.first().map(|one| Suspicion::VersionMissing {
                name: one.name.clone(),
                version: one.version.clone(),
            });
            let suspicion = suspicion.or(missing);
            Ok(Accepted { suspicion, lost, new_store })
        })
        .await
    }
}

/// Raises the epoch of every fabric above any that agents have heard: they obey none that is older,
/// and an older store has one.
async fn outlive_agents(store: Arc<dyn Store>) -> Result<(), OfflineError> {
    for journal in journals(store).await? {
        let raise = |fabric: &Fabric| {
            let epoch = Epoch(fabric.epoch.0.saturating_add(EPOCHS_PASSED_MAX));
            Ok::<_, OfflineError>((vec![Entry::Durable(Event::EpochRaised { epoch })], ()))
        };
        let raised = journal.write(raise).await;
        raised.map_err(|source| OfflineError::Journal { source })??;
    }
    Ok(())
}

async fn journals(store: Arc<dyn Store>) -> Result<Vec<Journal>, OfflineError> {
    let mut journals = Vec::new();
    for id in store.fabrics().await.map_err(|source| OfflineError::Store { source })? {
        let journal = Journal::open(Arc::clone(&store), id, None).await;
        journals.push(journal.map_err(|source| OfflineError::Journal { source })?);
    }
    Ok(journals)
}

/// Returns the passwords that devices may have, by the journals, and that are not in the vault.
async fn lost(vault: &dyn Vault, store: Arc<dyn Store>) -> Result<Vec<LostPassword>, OfflineError> {
    let mut lost = Vec::new();
    for journal in journals(store).await? {
        for held in journal.read(held) {
            let kept = vault.versions(&held.name).await;
            let kept = kept.map_err(|source| OfflineError::Vault { source })?;
            if !kept.iter().any(|kept| kept.version == held.version) {
                lost.push(held);
            }
        }
    }
    Ok(lost)
}

/// Returns every password that a device of the fabric may have.
fn held(fabric: &Fabric) -> Vec<LostPassword> {
    let mut all = Vec::new();
    for (device, known) in fabric.devices.iter().filter(|_device| !fabric.deleted) {
        for (profile, secret) in &known.secrets {
            let sets = secret.credential.in_use();
            let located = sets.filter_map(|set| fabric.located(device, profile, set));
            all.extend(located.map(|(name, version)| LostPassword {
                device: fabric.id.device(device),
                profile: profile.clone(),
                name,
                version,
            }));
        }
    }
    all
}
