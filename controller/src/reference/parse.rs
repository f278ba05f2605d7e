//! References as people write them.

use super::{KeyVaultReference, Kind, LocalName, Reference, VaultCredentials, VaultReference};
use crate::document::{DocumentError, Table, Value};
use crate::identity::UserAssigned;

/// What the name of a local secret is expected to be.
pub(crate) const LOCAL: &str =
    "the name of a local secret: lower-case letters, digits, `-` and `.`";
const VAULT: &str = "a vault's name: 3 to 24 letters, digits and `-`, a letter first";
const DIRECTORY: &str = "the directory (tenant) of the vault: a GUID";
const NAME: &str = "an object's name: 1 to 127 letters, digits and `-`";
const VERSION: &str = "a version: 32 hexadecimal digits, or `latest`";

const CREDENTIALS: [&str; 3] =
    ["service-principal-local-secret-name", "managed-identity", "workload-identity"];

impl Reference {
    /// Reads `{ key-vault = … }` or `{ secret-name = … }`; `what` is what has them.
    ///
    /// # Errors
    /// Returns [`DocumentError`], also for a kind of object that has no place here.
    pub(crate) fn parse(value: Value, what: &str, kind: Kind) -> Result<Self, DocumentError> {
        if !value.is_table() {
            // Somebody may have written the credential itself, which no error shows.
            return Err(value
                .spot()
                .wrong("a table: { key-vault } or { secret-name }", "another value"));
        }
        let mut table = value.table(what, &["key-vault", "secret-name"])?;
        match (table.optional("secret-name"), table.optional("key-vault")) {
            (Some(name), None) => Ok(Self::Local(local(name)?)),
            (None, Some(value)) => Ok(Self::KeyVault(Box::new(key_vault(value, kind)?))),
            (Some(name), Some(_)) => {
                Err(name.spot().wrong("either `secret-name` or `key-vault`", "both"))
            }
            (None, None) => Err(table.spot().wrong("`secret-name` or `key-vault`", "neither")),
        }
    }
}

/// Reads `{ key-vault = … }` about a key, which can be nowhere else.
pub(crate) fn wrapping_key(value: Value) -> Result<Reference, DocumentError> {
    Ok(Reference::KeyVault(Box::new(key_vault(value, Kind::Key)?)))
}

fn local(value: Value) -> Result<LocalName, DocumentError> {
    value.read(LOCAL, LocalName::new)
}

fn key_vault(value: Value, kind: Kind) -> Result<KeyVaultReference, DocumentError> {
    let kinds = Kind::ALL.map(Kind::as_str);
    let keys: Vec<&str> = ["vault"].into_iter().chain(kinds).collect();
    let mut table = value.table("`key-vault`", &keys)?;
    let vault = vault(table.required("vault", "the vault: { name, directory-id, credentials }")?)?;
    let given = Kind::ALL.map(|kind| table.optional(kind.as_str()).map(|value| (kind, value)));
    let mut given: Vec<(Kind, Value)> = given.into_iter().flatten().collect();
    let one = match kind {
        Kind::Key => "`vault-key`, and nothing else",
        _ => "exactly one of `vault-secret`, `vault-cert` and `vault-ca-chain-cert`",
    };
    let (found, value) = match (given.pop(), given.is_empty()) {
        (Some(only), true) => only,
        (Some((_kind, value)), false) => return Err(value.spot().wrong(one, "another one too")),
        (None, _) => return Err(table.spot().wrong(one, "none of them")),
    };
    if found != kind {
        let expected = format!("`{}`, which is what this place takes", kind.as_str());
        return Err(value.spot().wrong(expected, format_args!("`{}`", found.as_str())));
    }
    let mut object = value.table(&format!("`{}`", kind.as_str()), &["name", "version"])?;
    let name = object.required("name", NAME)?.read(NAME, object_name)?;
    let version = object.optional("version").map(|value| value.read(VERSION, version));
    Ok(KeyVaultReference { vault, kind, name, version: version.transpose()?.flatten() })
}

fn vault(value: Value) -> Result<VaultReference, DocumentError> {
    let mut table = value.table("`vault`", &["name", "directory-id", "credentials"])?;
    let name = table.required("name", VAULT)?.read(VAULT, vault_name)?;
    let directory = table.required("directory-id", DIRECTORY)?.read(DIRECTORY, guid)?;
    let expected = "as whom the vault is asked: { service-principal-local-secret-name }";
    let mut credentials =
        table.required("credentials", expected)?.table("`credentials`", &CREDENTIALS)?;
    let credentials = credentials_of(&mut credentials)?;
    Ok(VaultReference { name, directory, credentials })
}

fn credentials_of(table: &mut Table) -> Result<VaultCredentials, DocumentError> {
    let given = CREDENTIALS.map(|key| table.optional(key));
    let count = given.iter().flatten().count();
    let [principal, managed, workload] = given;
    let one = "exactly one of `service-principal-local-secret-name`, `managed-identity` and \
               `workload-identity`";
    match (principal, managed, workload) {
        (Some(name), None, None) => Ok(VaultCredentials::ServicePrincipal(local(name)?)),
        (None, Some(value), None) => Ok(VaultCredentials::Managed(managed_identity(value)?)),
        (None, None, Some(value)) => {
            value.table("`workload-identity`", &[])?;
            Ok(VaultCredentials::Workload)
        }
        _ => Err(table.spot().wrong(one, format_args!("{count} of them"))),
    }
}

fn managed_identity(value: Value) -> Result<Option<UserAssigned>, DocumentError> {
    let mut table = value.table("`managed-identity`", &["client-id", "resource-id"])?;
    let expected = "the client id of a user-assigned identity: a GUID";
    let client = table.optional("client-id").map(|value| value.read(expected, guid)).transpose()?;
    let expected = "the ARM id of a user-assigned identity";
    let is_id = |text: &str| {
        let is_id =
            text.starts_with("/subscriptions/") && text.bytes().all(|b| b.is_ascii_graphic());
        is_id.then(|| text.to_owned())
    };
    let resource = table.optional("resource-id").map(|value| value.read(expected, is_id));
    match (client, resource.transpose()?) {
        (Some(_), Some(_)) => {
            Err(table.spot().wrong("`client-id` or `resource-id`, or neither", "both"))
        }
        (Some(client), None) => Ok(Some(UserAssigned::ClientId(client))),
        (None, Some(resource)) => Ok(Some(UserAssigned::ResourceId(resource))),
        (None, None) => Ok(None),
    }
}

fn vault_name(text: &str) -> Option<String> {
    let legal = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let fits =
        (3..=24).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_alphabetic());
    // It becomes a part of a host's name, which may not end with a hyphen.
    (legal && fits && !text.ends_with('-')).then(|| text.to_owned())
}

fn guid(text: &str) -> Option<String> {
    uuid::Uuid::try_parse(text).ok().filter(|_id| text.len() == 36).map(|_id| text.to_owned())
}

fn object_name(text: &str) -> Option<String> {
    let legal = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (legal && (1..=127).contains(&text.len())).then(|| text.to_owned())
}

/// Key Vault knows no version called `latest`: it is asked for none.
fn version(text: &str) -> Option<Option<String>> {
    let is_version = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match text {
        "latest" => Some(None),
        version => is_version.then(|| Some(version.to_ascii_lowercase())),
    }
}
