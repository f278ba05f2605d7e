//! The customer's own vault, to which the secrets of a fabric are copied: what the documents call
//! its secret archive.

mod told;

use serde::{Deserialize, Serialize};

pub use self::told::{
    ArchiveChange, ArchiveSettings, DeprecatedArchive, DeprecatedChange, SettingsChange,
    ToldArchive,
};
use crate::document::{DocumentError, Table, Value};

const KEYS: [&str; 4] = ["vault-uri", "key-vault-id", "use-key-vault", "associated-identity"];
const IDENTITY_KEYS: [&str; 2] = ["identity-type", "user-assigned-identity-resource-id"];

/// What stands before a vault's name in its ARM id.
const VAULTS: &str = "/providers/microsoft.keyvault/vaults/";

/// The domain of the vaults of the public cloud.
const DOMAIN: &str = "vault.azure.net";

const URI: &str = "the URI of a vault, as in \"https://NAME.vault.azure.net\"";
const ID: &str = "the ARM id of a vault, /subscriptions/…/providers/Microsoft.KeyVault/vaults/NAME";
const IDENTITY_ID: &str = "the ARM id of a user-assigned identity";

/// `[fabric.secret-archive]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecretArchive {
    /// The vault's URI, without a slash at its end.
    pub vault_uri: String,
    /// The vault's ARM id, where somebody has told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault_id: Option<String>,
    /// Whether secrets are copied to it now.
    pub use_key_vault: bool,
    /// Who Keyturn is to the vault; `None`: whoever the installation is otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated_identity: Option<ArchiveIdentity>,
    /// What was told over the API, if that is where it comes from: an inventory that names no
    /// archive leaves it alone then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_api: Option<ToldArchive>,
}

/// A managed identity of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveIdentity {
    /// The one that the host itself has.
    SystemAssigned,
    /// One that was assigned to it, by its ARM id.
    UserAssigned(String),
}

impl SecretArchive {
    /// Checks what was told: a URI or an ARM id, of which the URI goes before.
    ///
    /// # Errors
    /// Returns what was expected, and of which key.
    pub fn of(
        vault_uri: Option<&str>,
        key_vault_id: Option<&str>,
        use_key_vault: bool,
        associated_identity: Option<ArchiveIdentity>,
    ) -> Result<Self, (&'static str, &'static str)> {
        let id = key_vault_id.map(|id| vault_name(id).map(|name| (id.to_owned(), name)));
        let id = match id {
            Some(None) => return Err(("key-vault-id", ID)),
            Some(Some(known)) => Some(known),
            None => None,
        };
        let vault_uri = match (vault_uri, &id) {
            (Some(uri), _) => base(uri).ok_or(("vault-uri", URI))?,
            (None, Some((_id, name))) => uri_of(name),
            (None, None) => return Err(("vault-uri", "`vault-uri` or `key-vault-id`")),
        };
        if let Some(ArchiveIdentity::UserAssigned(id)) = &associated_identity
            && !is_arm_id(id)
        {
            return Err(("associated-identity", IDENTITY_ID));
        }
        let key_vault_id = id.map(|(id, _name)| id);
        let over_api = None;
        Ok(Self { vault_uri, key_vault_id, use_key_vault, associated_identity, over_api })
    }

    /// Returns the vault that secrets are copied to now.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.use_key_vault.then_some(self.vault_uri.as_str())
    }
}

/// Reads `[fabric.secret-archive]`.
pub(super) fn parse(value: Value) -> Result<SecretArchive, DocumentError> {
    let mut table = value.table("[fabric.secret-archive]", &KEYS)?;
    let text = |table: &mut Table, key, expected| {
        let value = table.optional(key);
        value.map(|value| value.text(expected)).transpose()
    };
    let spot = table.spot().clone();
    let uri = text(&mut table, "vault-uri", URI)?;
    let id = text(&mut table, "key-vault-id", ID)?;
    let used = table.optional("use-key-vault").map(Value::boolean).transpose()?;
    let identity = table.optional("associated-identity").map(identity).transpose()?;
    let (uri, id) = (uri.as_ref().map(|uri| uri.as_str()), id.as_ref().map(|id| id.as_str()));
    SecretArchive::of(uri, id, used.unwrap_or(true), identity).map_err(|(key, expected)| {
        let got = if key == "vault-uri" { uri } else { id };
        spot.wrong(expected, format_args!("`{}`", got.unwrap_or("nothing")))
    })
}

fn identity(value: Value) -> Result<ArchiveIdentity, DocumentError> {
    let mut table = value.table("an associated identity", &IDENTITY_KEYS)?;
    let expected = "a type of identity";
    let kinds = [("SystemAssignedIdentity", false), ("UserAssignedIdentity", true)];
    let is_user = table.required("identity-type", expected)?.choice(expected, &kinds)?;
    if !is_user {
        return Ok(ArchiveIdentity::SystemAssigned);
    }
    let id = table.required("user-assigned-identity-resource-id", IDENTITY_ID)?;
    Ok(ArchiveIdentity::UserAssigned(id.text(IDENTITY_ID)?.to_string()))
}

/// Takes an https URL, without a slash at its end. That of an Azure Key Vault is of a host alone; others
/// have a path.
fn base(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let nobody = url.username().is_empty() && url.password().is_none();
    let is_plain = url.query().is_none() && url.fragment().is_none();
    let is_base = url.scheme() == "https" && url.has_host() && nobody && is_plain;
    is_base.then(|| url.as_str().trim_end_matches('/').to_owned())
}

/// The URI of a vault in the public cloud.
fn uri_of(name: &str) -> String {
    format!("https://{}.{DOMAIN}", name.to_ascii_lowercase())
}

/// The vault's name in its ARM id.
fn vault_name(id: &str) -> Option<&str> {
    let lower = id.to_ascii_lowercase();
    let name = id.get(lower.find(VAULTS)? + VAULTS.len()..)?;
    let is_name = |name: &str| {
        let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        legal && (3..=24).contains(&name.len())
    };
    (is_arm_id(id) && is_name(name)).then_some(name)
}

fn is_arm_id(id: &str) -> bool {
    let plain = id.bytes().all(|byte| byte.is_ascii_graphic());
    plain && id.len() <= 512 && id.to_ascii_lowercase().starts_with("/subscriptions/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/kv/\
                         providers/Microsoft.KeyVault/vaults/Customer-1";

    #[test]
    fn a_vault_is_named_by_its_uri_or_by_its_id() {
        let of = |uri, id| SecretArchive::of(uri, id, true, None);
        let by_id = of(None, Some(VAULT)).unwrap();
        assert_eq!(by_id.target(), Some("https://customer-1.vault.azure.net"));
        let both = of(Some("https://kv.example.net/"), Some(VAULT)).unwrap();
        assert_eq!(
            (both.target(), both.key_vault_id.as_deref()),
            (Some("https://kv.example.net"), Some(VAULT))
        );
        assert_eq!(SecretArchive { use_key_vault: false, ..both }.target(), None);
    }

    #[test]
    fn what_names_no_vault_is_refused_with_its_key() {
        let of = |uri, id| SecretArchive::of(uri, id, true, None).unwrap_err().0;
        for uri in ["http://kv.example", "kv", "https://u:p@kv.example", "https://kv.example/?a=b"]
        {
            assert_eq!(of(Some(uri), None), "vault-uri", "{uri}");
        }
        let (short, other) = (VAULT.replace("Customer-1", "a"), VAULT.replace("vaults", "keys"));
        for id in ["", "vaults/a", &short, &other] {
            assert_eq!(of(None, Some(id)), "key-vault-id", "{id}");
        }
        assert_eq!(of(None, None), "vault-uri");
        let identity = Some(ArchiveIdentity::UserAssigned("x".to_owned()));
        let error = SecretArchive::of(None, Some(VAULT), true, identity).unwrap_err();
        assert_eq!(error.0, "associated-identity");
    }
}
