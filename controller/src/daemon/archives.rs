//! The vaults of customers: Azure Key Vaults, each with the identity that its fabric associates.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock;
use crate::config::ArchiveConfig;
use crate::error::chain;
use crate::identity::{Identity, IdentitySettings, ManagedIdentity, Principal, UserAssigned};
use crate::inventory::{ArchiveIdentity, SecretArchive};
use crate::key_vault::{KeyVault, KeyVaultSettings};
use crate::remote::Pace;
use crate::service::Archives;
use crate::vault::{AzureVault, Vault, VaultError};

/// Clients of vaults, made when they are first needed and kept: they know the vault's challenge, and
/// their identities keep tokens.
#[derive(Debug)]
pub(super) struct AzureArchives {
    config: ArchiveConfig,
    open: Mutex<HashMap<String, (SecretArchive, AzureVault)>>,
}

impl AzureArchives {
    /// Makes the clients' keeper.
    pub(super) fn new(config: ArchiveConfig) -> Self {
        Self { config, open: Mutex::default() }
    }

    fn connect(&self, archive: &SecretArchive) -> Result<AzureVault, VaultError> {
        let settings = IdentitySettings {
            principal: match &archive.associated_identity {
                None => self.config.identity.principal.clone(),
                Some(identity) => Principal::Managed(managed(identity)),
            },
            ..self.config.identity.clone()
        };
        let clock = Arc::new(|| clock::since_1970().as_secs());
        let variable = |name: &str| std::env::var(name).ok();
        let identity = Identity::open(&settings, Pace::default(), clock, variable);
        let identity =
            identity.map_err(|source| VaultError::Unreachable { reason: chain(&source) })?;
        let settings = KeyVaultSettings {
            uri: archive.vault_uri.clone(),
            resource: self.config.resource.clone(),
            way: self.config.identity.way.clone(),
        };
        let client = KeyVault::open(&settings, identity, Pace::default())?;
        let id = archive.key_vault_id.as_ref().unwrap_or(&archive.vault_uri);
        let clock: crate::vault::Clock = Arc::new(|| clock::since_1970().as_secs());
        Ok(AzureVault::new(client, id, Pace::default(), clock))
    }
}

impl Archives for AzureArchives {
    fn open(&self, archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, vault)) = open.get(&archive.vault_uri)
            && known == archive
        {
            return Ok(Arc::new(vault.clone()));
        }
        let vault = self.connect(archive)?;
        open.insert(archive.vault_uri.clone(), (archive.clone(), vault.clone()));
        Ok(Arc::new(vault))
    }
}

fn managed(identity: &ArchiveIdentity) -> ManagedIdentity {
    let user_assigned = match identity {
        ArchiveIdentity::SystemAssigned => None,
        ArchiveIdentity::UserAssigned(id) => Some(UserAssigned::ResourceId(id.clone())),
    };
    ManagedIdentity { user_assigned, endpoint: None }
}
