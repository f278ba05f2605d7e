//! A credential that is somewhere else: in a folder of this host, or in an Azure Key Vault. What a
//! configuration or an inventory says in place of a file.
//!
//! The form is that of Azure IoT MQ's `keyVault` field (mq.iotoperations.azure.com/v1beta1), in
//! kebab-case: `key-vault = { vault = { name, directory-id, credentials }, vault-cert = { name,
//! version } }`, or `secret-name`. A name in a vault's domain is a URI, and names of folders are
//! names: nothing here leads to another place than the configuration's.

mod error;
mod fetch;
mod local;
mod parse;
mod render;
mod state;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use self::error::ReferenceError;
pub use self::fetch::{Certificate, Resolver};
pub(crate) use self::parse::{LOCAL, wrapping_key};
pub use self::state::ReferenceState;
use crate::identity::UserAssigned;

/// The domain of vaults in Azure's public cloud.
pub const VAULT_SUFFIX_DEFAULT: &str = "vault.azure.net";

/// How often references are fetched again: a certificate that is renewed weeks before its end is
/// served minutes later, and a vault is not felt to be asked.
pub const POLL_DEFAULT: Duration = Duration::from_secs(300);

/// `[secrets]`: where references lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceSettings {
    /// The folder of local secrets: one folder for each, with a file for each key, as Kubernetes
    /// mounts a Secret. Default: none, and no local secret can be named.
    pub dir: Option<PathBuf>,
    /// How often everything is fetched again, 10s to 1d. [`POLL_DEFAULT`].
    pub poll: Duration,
    /// What stands behind a vault's name, with a port if need be. [`VAULT_SUFFIX_DEFAULT`].
    pub vault_suffix: String,
    /// The resource of tokens for vaults that are not in a domain of their own. Default: what a
    /// vault says itself, which must be above its name.
    pub resource: Option<String>,
    /// Where Microsoft Entra ID is. Default: `AZURE_AUTHORITY_HOST`, else the public cloud's.
    pub authority: Option<String>,
    /// The authorities that vouch for vaults and Entra ID (PEM). Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// Where vaults and Entra ID are, in place of what their names resolve to. Default: DNS.
    pub address: Option<IpAddr>,
}

impl Default for ReferenceSettings {
    fn default() -> Self {
        Self {
            dir: None,
            poll: POLL_DEFAULT,
            vault_suffix: VAULT_SUFFIX_DEFAULT.to_owned(),
            resource: None,
            authority: None,
            ca_file: None,
            address: None,
        }
    }
}

/// What a reference leads to, which is also what its place takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `vault-secret`: a plain secret.
    Secret,
    /// `vault-cert`: a certificate with its key.
    Certificate,
    /// `vault-ca-chain-cert`: the certificates above one.
    CaChain,
    /// `vault-key`: a key that does not leave the vault.
    Key,
}

impl Kind {
    /// All kinds.
    const ALL: [Self; 4] = [Self::Secret, Self::Certificate, Self::CaChain, Self::Key];

    fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "vault-secret",
            Self::Certificate => "vault-cert",
            Self::CaChain => "vault-ca-chain-cert",
            Self::Key => "vault-key",
        }
    }
}

/// Where a credential is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// In a folder below [`ReferenceSettings::dir`].
    Local(LocalName),
    /// In an Azure Key Vault.
    KeyVault(Box<KeyVaultReference>),
}

/// The name of a local secret, as Kubernetes names Secrets: 1 to 253 lower-case letters, digits, `-`
/// and `.`, a letter or digit at both ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalName(String);

impl LocalName {
    /// Takes a text as a name, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let legal = text.chars().all(|c| plain(c) || c == '-' || c == '.');
        let fits = (1..=253).contains(&text.len()) && text.starts_with(plain);
        // Two dots would lead out of the folder, and Kubernetes has names with single ones only.
        let is_name = fits && legal && text.ends_with(plain) && !text.contains("..");
        is_name.then(|| Self(text.to_owned()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One object of a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVaultReference {
    /// The vault.
    pub vault: VaultReference,
    /// What the object is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version: 32 hexadecimal digits; with `None` the newest.
    pub version: Option<String>,
}

/// A vault, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VaultReference {
    /// Its name.
    pub name: String,
    /// The directory (tenant) that it belongs to.
    pub directory: String,
    /// As whom.
    pub credentials: VaultCredentials,
}

/// As whom a vault is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VaultCredentials {
    /// A service principal, whose `clientid` and `clientsecret` are a local secret.
    ServicePrincipal(LocalName),
    /// A managed identity of this host; with `None` the system-assigned one.
    Managed(Option<UserAssigned>),
    /// What workload identity federation has put into the environment.
    Workload,
}

impl Reference {
    /// Tells whether the folder of local secrets is needed to follow it.
    #[must_use]
    pub fn needs_folder(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::KeyVault(object) => {
                matches!(object.vault.credentials, VaultCredentials::ServicePrincipal(_))
            }
        }
    }
}

impl fmt::Display for Reference {
    /// Writes what an operator knows the reference by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(name) => write!(f, "local secret `{}`", name.0),
            Self::KeyVault(reference) => {
                let KeyVaultReference { vault, kind, name, version } = reference.as_ref();
                let version = version.as_deref().unwrap_or("latest");
                let kind = kind.as_str();
                write!(f, "`{kind}` `{name}` ({version}) in the key vault `{}`", vault.name)
            }
        }
    }
}

#[cfg(test)]
mod tests;
