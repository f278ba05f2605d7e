//! A reference as a configuration says it.

use toml::{Table, Value};

use super::{KeyVaultReference, Reference, VaultCredentials};
use crate::identity::UserAssigned;

impl Reference {
    /// Returns the value that reads as this reference again.
    pub(crate) fn to_toml(&self) -> Value {
        match self {
            Self::Local(name) => table([("secret-name", name.as_str().into())]),
            Self::KeyVault(reference) => table([("key-vault", key_vault(reference))]),
        }
    }
}

fn key_vault(reference: &KeyVaultReference) -> Value {
    let KeyVaultReference { vault, kind, name, version } = reference;
    let credentials = match &vault.credentials {
        VaultCredentials::ServicePrincipal(name) => {
            table([("service-principal-local-secret-name", name.as_str().into())])
        }
        VaultCredentials::Managed(identity) => table([(
            "managed-identity",
            match identity {
                None => table([]),
                Some(UserAssigned::ClientId(id) | UserAssigned::ObjectId(id)) => {
                    table([("client-id", id.as_str().into())])
                }
                Some(UserAssigned::ResourceId(id)) => table([("resource-id", id.as_str().into())]),
            },
        )]),
        VaultCredentials::Workload => table([("workload-identity", table([]))]),
    };
    let version = version.as_deref().unwrap_or("latest");
    table([
        (
            "vault",
            table([
                ("name", vault.name.as_str().into()),
                ("directory-id", vault.directory.as_str().into()),
                ("credentials", credentials),
            ]),
        ),
        (kind.as_str(), table([("name", name.as_str().into()), ("version", version.into())])),
    ])
}

fn table<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
    Value::Table(pairs.collect::<Table>())
}
