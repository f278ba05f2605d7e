//! Who Keyturn is to an Azure Key Vault, and how the vault is reached: what `[archive]` and
//! `[vault.azure-key-vault]` both say.

use std::path::Path;

use super::file::path;
use super::oidc::{optional_text, url};
use super::secrets::FileSecrets;
use crate::document::{DocumentError, Table};
use crate::identity::{Credential, IdentitySettings, ManagedIdentity, Principal, UserAssigned};
use crate::remote::Way;

/// The keys of a table with an identity.
pub(super) const KEYS: [&str; 10] = [
    "identity",
    "client-id",
    "tenant-id",
    "credentials-dir",
    "credentials-secret-name",
    "token-file",
    "authority",
    "resource",
    "ca-file",
    "address",
];

/// How Keyturn shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Managed,
    Application,
    Federated,
}

const KINDS: [(&str, Kind); 3] = [
    ("managed-identity", Kind::Managed),
    ("service-principal", Kind::Application),
    ("workload-identity", Kind::Federated),
];

/// Who Keyturn is to vaults in Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureAccess {
    /// Default: the managed identity that the host has.
    pub identity: IdentitySettings,
    /// What tokens are asked for, where a vault is not in a domain of its own: trusted with the one
    /// vault that it stands beside. Default: what the vault says itself, which must be above its
    /// name.
    pub resource: Option<String>,
}

impl Default for AzureAccess {
    fn default() -> Self {
        let principal = Principal::Managed(ManagedIdentity::default());
        let identity = IdentitySettings { principal, authority: None, way: Way::default() };
        Self { identity, resource: None }
    }
}

/// Takes the keys of an identity out of a table; that a local secret is named is noted in `secrets`.
pub(super) fn parse(
    table: &mut Table,
    secrets: &mut FileSecrets,
) -> Result<AzureAccess, DocumentError> {
    let spot = table.spot().clone();
    let kind = table.optional("identity");
    let kind = kind.map(|value| value.choice("a kind of identity", &KINDS)).transpose()?;
    let client = optional_text(table, "client-id", "the client id of an identity")?;
    let tenant = optional_text(table, "tenant-id", "the id of a directory (tenant)")?;
    let folder = path(table, "credentials-dir", "the path of a folder")?;
    let credential = table.optional("credentials-secret-name");
    let credential = credential.map(|value| secrets.folder(value)).transpose()?;
    if folder.is_some() && credential.is_some() {
        return Err(spot.wrong("either `credentials-dir` or `credentials-secret-name`", "both"));
    }
    let folder = folder.or(credential);
    let token_file = path(table, "token-file", "the path of a file")?;
    let url_of = |table: &mut Table, key: &str| {
        let value = table.optional(key);
        let expected = "an https URL without a user in it";
        value.map(|value| value.read(expected, |text| url(text, &["https"]))).transpose()
    };
    let (authority, resource) = (url_of(table, "authority")?, url_of(table, "resource")?);
    let ca_file = path(table, "ca-file", "the path of a file")?;
    let address = table.optional("address");
    let address = address.map(|value| value.parsed("an IP address")).transpose()?;
    let principal = match (kind.unwrap_or(Kind::Managed), folder) {
        (Kind::Managed, None) => Principal::Managed(ManagedIdentity {
            user_assigned: client.map(UserAssigned::ClientId),
            endpoint: None,
        }),
        (Kind::Application, Some(folder)) => {
            Principal::Application { tenant, credential: Credential::Folder(folder) }
        }
        (Kind::Federated, None) => Principal::Application {
            tenant,
            credential: Credential::Federated { client, token_file },
        },
        (Kind::Application, None) => {
            let expected =
                "`credentials-dir` or `credentials-secret-name` beside a service principal";
            return Err(spot.wrong(expected, "none"));
        }
        (Kind::Managed | Kind::Federated, Some(_folder)) => {
            let expected = "`credentials-dir` beside `identity = \"service-principal\"` alone";
            return Err(spot.wrong(expected, "another identity"));
        }
    };
    let identity = IdentitySettings { principal, authority, way: Way { ca_file, address } };
    Ok(AzureAccess { identity, resource })
}

/// Makes paths relative to the configuration's folder.
pub(super) fn place(mut access: AzureAccess, base: &Path) -> AzureAccess {
    access.identity = place_identity(access.identity, base);
    access
}

/// The same for an identity alone.
pub(super) fn place_identity(mut identity: IdentitySettings, base: &Path) -> IdentitySettings {
    let way = &mut identity.way;
    way.ca_file = way.ca_file.take().map(|path| base.join(path));
    if let Principal::Application { credential, .. } = &mut identity.principal {
        match credential {
            Credential::Folder(folder) => *folder = base.join(&*folder),
            Credential::Federated { token_file, .. } => {
                *token_file = token_file.take().map(|path| base.join(path));
            }
        }
    }
    identity
}
