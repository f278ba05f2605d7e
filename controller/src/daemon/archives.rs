//! The vaults of customers: those that the configuration knows how to reach, and else Azure Key
//! Vaults, each with the identity that its fabric associates.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{ArchiveConfig, AzureAccess, AzureVaultConfig, RemoteVaultConfig};
use crate::identity::{IdentitySettings, ManagedIdentity, Principal, UserAssigned};
use crate::inventory::{ArchiveIdentity, SecretArchive};
use crate::remote_vault;
use crate::service::Archives;
use crate::vault::{Vault, VaultError};

/// Clients of vaults, made when they are first needed and kept: they know the vault's challenge, and
/// their identities keep tokens.
pub(super) struct RemoteArchives {
    config: ArchiveConfig,
    open: Mutex<HashMap<String, (SecretArchive, Arc<dyn Vault>)>>,
}

impl fmt::Debug for RemoteArchives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteArchives").finish_non_exhaustive()
    }
}

impl RemoteArchives {
    /// Makes the clients' keeper.
    pub(super) fn new(config: ArchiveConfig) -> Self {
        Self { config, open: Mutex::default() }
    }

    /// Returns how a vault is reached.
    fn way_to(&self, archive: &SecretArchive) -> RemoteVaultConfig {
        let known = self.config.vaults.iter().find(|vault| vault.uri() == archive.vault_uri);
        known.cloned().unwrap_or_else(|| RemoteVaultConfig::Azure(self.azure(archive)))
    }

    fn azure(&self, archive: &SecretArchive) -> AzureVaultConfig {
        let AzureAccess { identity, resource } = self.config.azure.clone();
        let principal = match &archive.associated_identity {
            None => identity.principal,
            Some(own) => Principal::Managed(managed(own)),
        };
        let identity = IdentitySettings { principal, ..identity };
        let (uri, id) = (archive.vault_uri.clone(), archive.key_vault_id.clone());
        AzureVaultConfig { uri, id, access: AzureAccess { identity, resource } }
    }
}

impl Archives for RemoteArchives {
    fn open(&self, archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, vault)) = open.get(&archive.vault_uri)
            && known == archive
        {
            return Ok(Arc::clone(vault));
        }
        let vault = remote_vault::open(&self.way_to(archive))?;
        open.insert(archive.vault_uri.clone(), (archive.clone(), Arc::clone(&vault)));
        Ok(vault)
    }
}

fn managed(identity: &ArchiveIdentity) -> ManagedIdentity {
    let user_assigned = match identity {
        ArchiveIdentity::SystemAssigned => None,
        ArchiveIdentity::UserAssigned(id) => Some(UserAssigned::ResourceId(id.clone())),
    };
    ManagedIdentity { user_assigned, endpoint: None }
}
