//! Vaults, and who Keyturn is to them.

use std::path::Path;

use super::Text;
use crate::config::{ArchiveConfig, AzureAccess, RemoteVaultConfig, VaultConfig, hashicorp};
use crate::identity::{Credential, Principal, UserAssigned};
use crate::kubernetes::{Access, KubernetesSettings, ServiceAccount};

pub(super) fn primary(text: &mut Text<'_>, config: &VaultConfig) {
    text.section("vault");
    if config.remote.is_none() {
        text.path("path", Some(&config.path), "");
        let otherwise = "the systemd credential, else vault.key in the data directory";
        text.path("key-file", config.key_file.as_deref(), otherwise);
        let otherwise = "the systemd credential, else asked for, if the key takes one";
        text.path("passphrase-file", config.passphrase_file.as_deref(), otherwise);
        if let Some(passphrase) = &config.passphrase {
            text.plain("passphrase", passphrase.to_toml());
        }
        if let Some(key) = &config.wrapped_key {
            text.plain("wrapped-key", key.to_toml());
        }
    }
    text.plain("retention-versions-min", config.retention.versions_min);
    text.duration("retention-time", config.retention.time);
    if let Some(vault) = &config.remote {
        remote(text, "vault", vault);
    }
}

pub(super) fn archive(text: &mut Text<'_>, config: &ArchiveConfig) {
    text.section("archive");
    azure(text, &AzureAccess { identity: config.identity.clone(), resource: None });
    for vault in &config.vaults {
        text.section("[archive.vaults]");
        remote(text, "archive.vaults", vault);
    }
}

fn remote(text: &mut Text<'_>, parent: &str, vault: &RemoteVaultConfig) {
    match vault {
        RemoteVaultConfig::Azure(vault) => {
            text.section(&format!("{parent}.azure-key-vault"));
            text.quoted("uri", &vault.uri);
            if let Some(id) = &vault.id {
                text.quoted("key-vault-id", id);
            }
            azure(text, &vault.access);
        }
        RemoteVaultConfig::Hashicorp(vault) => {
            text.section(&format!("{parent}.hashicorp-vault"));
            for (key, value) in hashicorp::pairs(vault) {
                text.quoted(key, &value);
            }
        }
        RemoteVaultConfig::Kubernetes(settings) => {
            text.section(&format!("{parent}.kubernetes"));
            kubernetes(text, settings);
        }
    }
}

fn kubernetes(text: &mut Text<'_>, settings: &KubernetesSettings) {
    let namespace = settings.namespace.as_deref();
    text.optional("namespace", namespace, "that of the service account or the context");
    match &settings.access {
        Access::Kubeconfig { file, context } => {
            text.path("kubeconfig", Some(file), "");
            text.optional("context", context.as_deref(), "the current one");
        }
        Access::ServiceAccount(ServiceAccount { server, token_file, ca_file }) => {
            let usual = "what Kubernetes gives to a pod";
            text.optional("server", server.as_deref(), usual);
            text.path("token-file", token_file.as_deref(), usual);
            text.path("ca-file", ca_file.as_deref(), usual);
        }
    }
}

fn azure(text: &mut Text<'_>, access: &AzureAccess) {
    let mut optional: Vec<(&str, Option<&str>)> = Vec::new();
    let mut paths: Vec<(&str, Option<&Path>)> = Vec::new();
    let kind = match &access.identity.principal {
        Principal::Managed(managed) => {
            let client = match &managed.user_assigned {
                Some(UserAssigned::ClientId(id)) => Some(id.as_str()),
                _ => None,
            };
            optional.push(("client-id", client));
            "managed-identity"
        }
        Principal::Application { tenant, credential } => {
            optional.push(("tenant-id", tenant.as_deref()));
            match credential {
                Credential::Folder(folder) => {
                    paths.push(("credentials-dir", Some(folder)));
                    "service-principal"
                }
                Credential::Federated { client, token_file } => {
                    optional.push(("client-id", client.as_deref()));
                    paths.push(("token-file", token_file.as_deref()));
                    "workload-identity"
                }
            }
        }
    };
    text.quoted("identity", kind);
    let (identity, way) = (&access.identity, &access.identity.way);
    optional.push(("authority", identity.authority.as_deref()));
    optional.push(("resource", access.resource.as_deref()));
    for (key, value) in optional {
        if let Some(value) = value {
            text.quoted(key, value);
        }
    }
    paths.push(("ca-file", way.ca_file.as_deref()));
    for (key, value) in paths {
        if value.is_some() {
            text.path(key, value, "");
        }
    }
    if let Some(address) = way.address {
        text.quoted("address", &address.to_string());
    }
}
