//! The vaults of customers: those that the configuration knows how to reach, and else Azure Key
//! Vaults, each with the identity that its fabric associates.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{ArchiveConfig, AzureAccess, AzureVaultConfig};
use crate::identity::{IdentitySettings, ManagedIdentity, Principal, UserAssigned};
use crate::inventory::{ArchiveIdentity, SecretArchive};
use crate::remote_vault;
use crate::service::Archives;
use crate::vault::{Vault, VaultError};

/// Clients of vaults. They are kept: they know the vault's challenge, and their identities keep
/// tokens.
pub(super) struct RemoteArchives {
    /// Who Keyturn is to a vault that a fabric names and no configuration knows.
    identity: IdentitySettings,
    /// Those of the configuration, by their URIs.
    known: HashMap<String, Arc<dyn Vault>>,
    /// The others, made when they are first needed.
    open: Mutex<HashMap<String, (SecretArchive, Arc<dyn Vault>)>>,
}

impl fmt::Debug for RemoteArchives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteArchives").finish_non_exhaustive()
    }
}

impl RemoteArchives {
    /// Makes the clients of the vaults that are configured. Asks none of them.
    pub(super) async fn open(config: &ArchiveConfig) -> Result<Self, VaultError> {
        let mut known = HashMap::new();
        for vault in &config.vaults {
            let vault = remote_vault::open(vault).await?;
            tracing::info!(vault = vault.uri(), "a fabric may name this vault for its copies");
            known.insert(vault.uri(), vault);
        }
        Ok(Self { identity: config.identity.clone(), known, open: Mutex::default() })
    }

    fn azure(&self, archive: &SecretArchive) -> AzureVaultConfig {
        let identity = self.identity.clone();
        let principal = match &archive.associated_identity {
            None => identity.principal,
            Some(own) => Principal::Managed(managed(own)),
        };
        let identity = IdentitySettings { principal, ..identity };
        let (uri, id) = (archive.vault_uri.clone(), archive.key_vault_id.clone());
        // Whoever declares a fabric names the vault: nothing but its own name speaks for it.
        AzureVaultConfig { uri, id, access: AzureAccess { identity, resource: None } }
    }
}

impl Archives for RemoteArchives {
    fn open(&self, archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        if let Some(vault) = self.known.get(&archive.vault_uri) {
            return Ok(Arc::clone(vault));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, vault)) = open.get(&archive.vault_uri)
            && known == archive
        {
            return Ok(Arc::clone(vault));
        }
        let vault = remote_vault::open_azure(&self.azure(archive))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RemoteVaultConfig;

    const OWN: &str = "https://vault.own.example";

    fn archive(uri: &str) -> SecretArchive {
        SecretArchive::of(Some(uri), None, true, None).unwrap()
    }

    #[tokio::test]
    async fn a_resource_is_trusted_with_the_configured_vault_and_with_none_that_an_inventory_names()
    {
        let resource = Some("https://vault.azure.net".to_owned());
        let access = AzureAccess { resource, ..AzureAccess::default() };
        let known = AzureVaultConfig { uri: OWN.to_owned(), id: None, access };
        let vaults = vec![RemoteVaultConfig::Azure(known)];
        let config = ArchiveConfig { vaults, ..ArchiveConfig::default() };
        let archives = RemoteArchives::open(&config).await.unwrap();
        let opened = Archives::open(&archives, &archive(OWN)).unwrap();
        assert!(Arc::ptr_eq(&opened, archives.known.get(OWN).unwrap()));
        for other in ["https://evil.example", "https://kv.vault.azure.net"] {
            let opened = Archives::open(&archives, &archive(other)).unwrap();
            assert_eq!(opened.uri(), other);
            assert_eq!(archives.azure(&archive(other)).access.resource, None, "{other}");
        }
    }
}
