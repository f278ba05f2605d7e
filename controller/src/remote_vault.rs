//! Opens vaults that others run, as a configuration names them.

use std::sync::Arc;

use crate::clock;
use crate::config::{AzureVaultConfig, RemoteVaultConfig};
use crate::error::chain;
use crate::identity::Identity;
use crate::key_vault::{KeyVault, KeyVaultSettings};
use crate::remote::Pace;
use crate::vault::{AzureVault, Clock, Vault, VaultError, hashicorp, kubernetes};

/// Makes a client of a vault. Asks nobody yet. The client keeps what it learns of the vault, and its
/// tokens: one is made and kept for each vault.
///
/// # Errors
/// Returns why there can be none.
pub async fn open(config: &RemoteVaultConfig) -> Result<Arc<dyn Vault>, VaultError> {
    match config {
        RemoteVaultConfig::Azure(config) => open_azure(config),
        RemoteVaultConfig::Hashicorp(config) => {
            hashicorp::open(&config.settings, config.id.as_deref(), wall_clock())
        }
        RemoteVaultConfig::Kubernetes(settings) => {
            kubernetes::open(settings, Pace::default(), wall_clock()).await
        }
    }
}

/// As [`open`], for an Azure Key Vault.
///
/// # Errors
/// As [`open`].
pub fn open_azure(config: &AzureVaultConfig) -> Result<Arc<dyn Vault>, VaultError> {
    let AzureVaultConfig { uri, id, access } = config;
    let variable = |name: &str| std::env::var(name).ok();
    let identity = Identity::open(&access.identity, Pace::default(), wall_clock(), variable);
    let identity = identity.map_err(|source| VaultError::Unreachable { reason: chain(&source) })?;
    let (resource, way) = (access.resource.clone(), access.identity.way.clone());
    let settings = KeyVaultSettings { uri: uri.clone(), resource, way };
    let client = KeyVault::open(&settings, identity, Pace::default())?;
    let id = id.as_ref().unwrap_or(uri);
    Ok(Arc::new(AzureVault::new(client, id, Pace::default(), wall_clock())))
}

fn wall_clock() -> Clock {
    Arc::new(|| clock::since_1970().as_secs())
}
