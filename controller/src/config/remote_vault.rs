//! A vault that others run, as a configuration names it: for all passwords (`[vault]`), or for copies
//! (`[[archive.vaults]]`).

use std::fmt;
use std::path::Path;

use super::azure::{self, AzureAccess};
use super::hashicorp::{self, HashicorpConfig};
use super::kubernetes;
use super::oidc::optional_text;
use super::secrets::FileSecrets;
use crate::document::{DocumentError, Table, Value};
use crate::kubernetes::KubernetesSettings;
use crate::kv2::Kv2Settings;

const AZURE_KEYS: [&str; 2] = ["uri", "key-vault-id"];

const KEYS: [&str; 3] = ["azure-key-vault", "hashicorp-vault", "kubernetes"];

const KIND: &str = "one kind of vault: `azure-key-vault`, `hashicorp-vault` or `kubernetes`";

const URI: &str = "the URI of a vault, as in \"https://NAME.vault.azure.net\"";

/// A vault that others run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteVaultConfig {
    /// `azure-key-vault`
    Azure(AzureVaultConfig),
    /// `hashicorp-vault`: a HashiCorp Vault or an OpenBao.
    Hashicorp(Box<HashicorpConfig>),
    /// `kubernetes`: the Secrets of a namespace.
    Kubernetes(KubernetesSettings),
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

/// Says which vault it is, for people.
impl fmt::Display for RemoteVaultConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Azure(vault) => f.write_str(&vault.uri),
            Self::Hashicorp(vault) => {
                let Kv2Settings { uri, mount, prefix, .. } = &vault.settings;
                write!(f, "{uri}/{mount}")?;
                prefix.iter().try_for_each(|prefix| write!(f, "/{prefix}"))
            }
            Self::Kubernetes(settings) => match &settings.namespace {
                Some(namespace) => write!(f, "the namespace {namespace} in Kubernetes"),
                None => f.write_str("a namespace in Kubernetes"),
            },
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
        None => Err(table.spot().wrong(KIND, "none")),
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
    let spot = table.spot().clone();
    let mut given: Vec<RemoteVaultConfig> = Vec::new();
    if let Some(value) = table.optional("azure-key-vault") {
        given.push(RemoteVaultConfig::Azure(azure_vault(value, secrets)?));
    }
    if let Some(value) = table.optional("hashicorp-vault") {
        given.push(RemoteVaultConfig::Hashicorp(Box::new(hashicorp::parse(value)?)));
    }
    if let Some(value) = table.optional("kubernetes") {
        given.push(RemoteVaultConfig::Kubernetes(kubernetes::parse(value)?));
    }
    let first = given.pop();
    match given.pop() {
        Some(_other) => Err(spot.wrong(KIND, "several")),
        None => Ok(first),
    }
}

fn azure_vault(value: Value, secrets: &mut FileSecrets) -> Result<AzureVaultConfig, DocumentError> {
    let keys: Vec<&str> = AZURE_KEYS.into_iter().chain(azure::KEYS).collect();
    let mut table = value.table("`azure-key-vault`", &keys)?;
    let uri = table.required("uri", URI)?.read(URI, root)?;
    let id = optional_text(&mut table, "key-vault-id", "the ARM id of the vault")?;
    let access = azure::parse(&mut table, secrets)?;
    Ok(AzureVaultConfig { uri, id, access })
}

/// Makes paths relative to the configuration's folder.
pub(super) fn place(vault: RemoteVaultConfig, base: &Path) -> RemoteVaultConfig {
    match vault {
        RemoteVaultConfig::Azure(AzureVaultConfig { uri, id, access }) => {
            let access = azure::place(access, base);
            RemoteVaultConfig::Azure(AzureVaultConfig { uri, id, access })
        }
        RemoteVaultConfig::Hashicorp(config) => {
            RemoteVaultConfig::Hashicorp(Box::new(hashicorp::place(*config, base)))
        }
        RemoteVaultConfig::Kubernetes(settings) => {
            RemoteVaultConfig::Kubernetes(kubernetes::place(settings, base))
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
