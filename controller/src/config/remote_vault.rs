//! A vault that others run, as a configuration names it: for all passwords (`[vault]`), or for copies
//! (`[[archive.vaults]]`).

use std::path::Path;

use super::azure::{self, AzureAccess};
use super::oidc::optional_text;
use super::secrets::FileSecrets;
use crate::document::{DocumentError, Table, Value};

const AZURE_KEYS: [&str; 2] = ["uri", "key-vault-id"];

const KEYS: [&str; 1] = ["azure-key-vault"];

const URI: &str = "the URI of a vault, as in \"https://NAME.vault.azure.net\"";

/// A vault that others run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteVaultConfig {
    /// `azure-key-vault`
    Azure(AzureVaultConfig),
}

/// An Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureVaultConfig {
    /// Its URI, without a slash at its end.
    pub uri: String,
    /// Its ARM id. Default: references have the URI in its place.
    pub id: Option<String>,
    /// Who Keyturn is to it.
    pub access: AzureAccess,
}

impl RemoteVaultConfig {
    /// Returns the vault's URI, as archive references have it.
    #[must_use]
    pub fn uri(&self) -> &str {
        match self {
            Self::Azure(vault) => &vault.uri,
        }
    }
}

/// Reads a table with exactly one kind of vault.
pub(super) fn parse(
    value: Value,
    what: &str,
    secrets: &mut FileSecrets,
) -> Result<RemoteVaultConfig, DocumentError> {
    let mut table = value.table(what, &KEYS)?;
    match optional(&mut table, secrets)? {
        Some(vault) => Ok(vault),
        None => Err(table.spot().wrong("a kind of vault: `azure-key-vault`", "none")),
    }
}

/// The keys of a table that may name a vault among others.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter()
}

/// Takes the kind of vault out of a table, if it has one.
pub(super) fn optional(
    table: &mut Table,
    secrets: &mut FileSecrets,
) -> Result<Option<RemoteVaultConfig>, DocumentError> {
    let Some(value) = table.optional("azure-key-vault") else { return Ok(None) };
    let keys: Vec<&str> = AZURE_KEYS.into_iter().chain(azure::KEYS).collect();
    let mut table = value.table("`azure-key-vault`", &keys)?;
    let uri = table.required("uri", URI)?.read(URI, root)?;
    let id = optional_text(&mut table, "key-vault-id", "the ARM id of the vault")?;
    let access = azure::parse(&mut table, secrets)?;
    Ok(Some(RemoteVaultConfig::Azure(AzureVaultConfig { uri, id, access })))
}

/// Makes paths relative to the configuration's folder.
pub(super) fn place(vault: RemoteVaultConfig, base: &Path) -> RemoteVaultConfig {
    match vault {
        RemoteVaultConfig::Azure(AzureVaultConfig { uri, id, access }) => {
            let access = azure::place(access, base);
            RemoteVaultConfig::Azure(AzureVaultConfig { uri, id, access })
        }
    }
}

/// Takes the https URL of a host alone, without a slash at its end.
fn root(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let nobody = url.username().is_empty() && url.password().is_none();
    let is_root = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_base = url.scheme() == "https" && url.has_host() && nobody && is_root;
    is_base.then(|| url.as_str().trim_end_matches('/').to_owned())
}
