//! `[archive]` of a configuration file: who Keyturn is to the vaults of customers, and which of them
//! are no Azure Key Vaults.

use std::path::Path;

use super::azure::{self, AzureAccess};
use super::remote_vault::{self, RemoteVaultConfig};
use super::secrets::FileSecrets;
use crate::document::{DocumentError, Value};
use crate::identity::IdentitySettings;

/// `[archive]`: the way to the vaults of customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// Who Keyturn is to an Azure Key Vault for which a fabric associates no identity of its own.
    /// Such vaults are named by inventories: a token goes only where the resource that the vault
    /// asks for covers its name.
    pub identity: IdentitySettings,
    /// `[[archive.vaults]]`: vaults that are reached in a way of their own. A fabric names one by its
    /// URI.
    pub vaults: Vec<RemoteVaultConfig>,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self { identity: AzureAccess::default().identity, vaults: Vec::new() }
    }
}

/// Reads `[archive]`.
pub(super) fn parse(
    value: Value,
    secrets: &mut FileSecrets,
) -> Result<ArchiveConfig, DocumentError> {
    let keys: Vec<&str> = azure::KEYS.into_iter().chain(["vaults"]).collect();
    let spot = value.spot();
    let mut table = value.table("[archive]", &keys)?;
    let AzureAccess { identity, resource } = azure::parse(&mut table, secrets)?;
    if let Some(resource) = resource {
        let expected = "`resource` beside the `uri` of the one vault that it is trusted with, under \
                        [archive.vaults.azure-key-vault]";
        return Err(spot.wrong(expected, format_args!("`{resource}` for any vault")));
    }
    let mut vaults: Vec<RemoteVaultConfig> = Vec::new();
    for value in table.optional("vaults").map(Value::one_or_list).unwrap_or_default() {
        let spot = value.spot();
        let vault = remote_vault::parse(value, "a vault of [[archive.vaults]]", secrets)?;
        if vaults.iter().any(|other| other.to_string() == vault.to_string()) {
            return Err(spot.wrong("each vault once", format_args!("`{vault}` again")));
        }
        vaults.push(vault);
    }
    Ok(ArchiveConfig { identity, vaults })
}

/// Makes paths relative to the configuration's folder.
pub(super) fn place(config: ArchiveConfig, base: &Path) -> ArchiveConfig {
    let ArchiveConfig { identity, vaults } = config;
    let vaults = vaults.into_iter().map(|vault| remote_vault::place(vault, base)).collect();
    ArchiveConfig { identity: azure::place_identity(identity, base), vaults }
}
