//! What the simulated vault is held to, asked of a real one.

use std::sync::atomic::{AtomicU64, Ordering};

use controller::error::Fault as Whose;
use controller::kv2::{Kv2Settings, Login};
use controller::vault::contract::{contract, password};
use controller::vault::{HashicorpVault, Label, Tag, Vault, VaultError};
use protocol::id::SecretVersion;

use crate::kubernetes;
use crate::server::{OpenBao, policy, vault};

const ADMIN: &str = "Lab-East-Admin";

async fn put(vault: &HashicorpVault, tag: &str) -> Result<SecretVersion, VaultError> {
    vault.put(&name(), &Tag::new(tag), &password(&format!("Canary-{tag}"))).await
}

fn name() -> controller::naming::SecretName {
    ADMIN.to_owned().try_into().unwrap()
}

/// The path of a version's key, as the client of OpenBao is told it.
fn path(version: &SecretVersion) -> String {
    format!("network/keyturn/secrets/{}/{version}", ADMIN.to_lowercase())
}

#[tokio::test]
async fn the_contract_is_kept_with_the_policy_of_the_document() {
    let server = OpenBao::start();
    let made = AtomicU64::new(0);
    contract(async || {
        let prefix = format!("keyturn/{}", made.fetch_add(1, Ordering::Relaxed));
        let settings = server.settings(server.approle());
        vault(&Kv2Settings { prefix: Some(prefix), ..settings })
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_is_where_the_document_says_and_is_destroyed_when_it_is_purged() {
    let server = OpenBao::start();
    let vault = server.vault();
    let version = put(&vault, "op-1").await.unwrap();
    vault.label(&name(), &version, Label::Current).await.unwrap();
    let path = path(&version);
    assert_eq!(server.bao(&["kv", "get", "-field=value", &path]).out.trim(), "Canary-op-1");
    let known = server.bao(&["kv", "metadata", "get", "-format=json", &path]).json();
    let custom = &known["data"]["custom_metadata"];
    assert_eq!(
        (&custom["keyturn-tag"], &custom["keyturn-label"]),
        (&"op-1".into(), &"CURRENT".into())
    );
    // Nobody writes over it by mistake, and who does it on purpose changes nothing.
    let refused = server.try_bao(&["kv", "put", &path, "value=by-hand"], "");
    let _says = refused.expect(2).says(&["check-and-set parameter required"]);
    server.bao(&["kv", "put", "-cas=1", &path, "value=by-hand"]);
    assert!(vault.get(&name(), &version).await.unwrap().matches(&password("Canary-op-1")));

    vault.purge(&name(), &version).await.unwrap();

    let known = server.bao(&["kv", "metadata", "get", "-format=json", &path]).json();
    for number in ["1", "2"] {
        assert_eq!(known["data"]["versions"][number]["destroyed"], true, "{known}");
    }
    let error = put(&vault, "op-1").await.unwrap_err();
    assert!(matches!(error, VaultError::Purged { .. }), "{error}");
}

#[tokio::test]
async fn a_mount_that_keeps_one_version_loses_nothing_and_one_that_forgets_is_refused() {
    let server = OpenBao::start();
    server.bao(&["write", "network/config", "max_versions=1"]);
    let mut versions = Vec::new();
    for n in 0..12 {
        versions.push(put(&server.vault(), &n.to_string()).await.unwrap());
    }
    let listed = server.vault().versions(&name()).await.unwrap();
    assert_eq!(listed.into_iter().map(|info| info.version).collect::<Vec<_>>(), versions);
    let last = server.vault();
    put(&last, "before").await.unwrap();

    server.bao(&["write", "network/config", "delete_version_after=1h"]);

    let refused = put(&server.vault(), "new").await.unwrap_err();
    assert!(refused.to_string().contains("1h") && !refused.is_outcome_unknown(), "{refused}");
    let noticed = put(&last, "new").await.unwrap_err();
    assert!(noticed.is_outcome_unknown() && noticed.fault() == Whose::Operator, "{noticed}");
    server.bao(&["write", "network/config", "delete_version_after=0s"]);
    let version = put(&last, "new").await.unwrap();
    let known = server.bao(&["kv", "metadata", "get", "-format=json", &path(&version)]).json();
    assert_eq!(known["data"]["versions"]["1"]["deletion_time"], "", "{known}");
}

#[tokio::test]
async fn each_line_of_the_policy_is_needed_and_told_when_it_is_missing() {
    let server = OpenBao::start();
    let vault = server.vault();
    let version = put(&vault, "first").await.unwrap();
    let secrets: Vec<&str> = policy().lines().filter(|line| line.contains("network/")).collect();
    assert_eq!(secrets.len(), 6);
    for line in secrets {
        server.set_policy(&policy().replace(line, ""));
        let path = line.split('"').nth(1).unwrap();
        let vault = server.vault();
        let mut said = Vec::new();
        said.extend(put(&vault, "second").await.err());
        said.extend(vault.label(&name(), &version, Label::Pending).await.err());
        said.extend(vault.disable(&name(), &version).await.err());
        if path.contains("undelete") {
            said.extend(undelete_is_needed(&server, &vault).await.err());
        }
        if path.contains("destroy") {
            said.extend(vault.purge(&name(), &version).await.err());
        }
        let hints: Vec<String> = said.iter().filter_map(VaultError::hint).collect();
        let wanted = format!("path \"{path}\"");
        assert!(hints.iter().any(|hint| hint.contains(&wanted)), "{path}: {hints:?}");
        server.set_policy(policy());
        server.bao(&["kv", "undelete", "-versions=1", &self::path(&version)]);
    }
}

/// Puts what the engine is going to delete.
async fn undelete_is_needed(
    server: &OpenBao,
    vault: &HashicorpVault,
) -> Result<SecretVersion, VaultError> {
    server.bao(&["write", "network/config", "delete_version_after=1h"]);
    let _stored = put(vault, "third").await;
    server.bao(&["write", "network/config", "delete_version_after=0s"]);
    put(vault, "third").await
}

#[tokio::test]
async fn tokens_are_renewed_and_replaced_when_they_are_withdrawn() {
    let server = OpenBao::start();
    let vault = server.vault();
    put(&vault, "1").await.unwrap();
    server.bao(&["token", "revoke", "-mode=path", "auth/approle"]);
    put(&vault, "2").await.unwrap();
    // Two seconds of life, six with all renewals: used for longer than that.
    server.set_role("token_ttl=2s");
    server.set_role("token_max_ttl=4s");
    server.bao(&["token", "revoke", "-mode=path", "auth/approle"]);
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(7) {
        vault.versions(&name()).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_in_a_file_is_used_and_one_that_is_refused_is_told() {
    let server = OpenBao::start();
    let token = ["token", "create", "-policy=keyturn", "-period=1h", "-field=token"];
    server.write("token", &server.bao(&token).out);
    let vault = vault(&server.settings(Login::Token { file: server.path("token") }));
    put(&vault, "1").await.unwrap();
    server.bao(&["token", "revoke", std::fs::read_to_string(server.path("token")).unwrap().trim()]);
    let error = put(&vault, "2").await.unwrap_err();
    assert!(error.hint().unwrap().contains("lookup-self"), "{error:?}");
    server.write("token", &server.bao(&token).out);
    put(&vault, "2").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_of_kubernetes_is_let_in() {
    let server = OpenBao::start();
    let host = format!("kubernetes_host=http://{}", kubernetes::start().await);
    server.bao(&["auth", "enable", "-path=clusters/east", "kubernetes"]);
    // Any certificate will do: this Kubernetes speaks plain HTTP.
    let ca = format!("kubernetes_ca_cert=@{}", server.path("ca.pem").display());
    let own = ["disable_local_ca_jwt=true", "disable_iss_validation=true", &ca];
    server.bao(&[&["write", "auth/clusters/east/config", &host][..], &own].concat());
    let role = "auth/clusters/east/role/keyturn";
    let bound = ["bound_service_account_names=daemon", "bound_service_account_namespaces=keyturn"];
    server.bao(&[&["write", role, "token_policies=keyturn"][..], &bound].concat());
    server.write("jwt", kubernetes::JWT);
    let login = |role: &str| {
        let (mount, role) = ("clusters/east".to_owned(), role.to_owned());
        Login::Kubernetes { mount, role, token_file: server.path("jwt") }
    };
    put(&vault(&server.settings(login("keyturn"))), "1").await.unwrap();
    let error = put(&vault(&server.settings(login("other"))), "1").await.unwrap_err();
    assert!(error.hint().unwrap().contains("check the role"), "{error:?}");
}

#[tokio::test]
async fn a_sealed_vault_is_told_and_used_again_when_it_is_open() {
    let server = OpenBao::start();
    let vault = server.vault();
    put(&vault, "1").await.unwrap();
    server.bao(&["operator", "seal"]);
    let error = vault.versions(&name()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("unseal") && error.fault() == Whose::Vault, "{error}");
    server.unseal();
    assert_eq!(vault.versions(&name()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn mounts_and_namespaces_that_are_not_there_are_told_and_those_that_are_can_be_used() {
    let server = OpenBao::start();
    let own = server.settings(server.approle());
    let foreign = Kv2Settings { namespace: Some("teams/east".to_owned()), ..own.clone() };
    let old = Kv2Settings { mount: "old".to_owned(), ..own };
    server.bao(&["secrets", "enable", "-path=old", "-version=1", "kv"]);
    server.set_policy(&policy().replace("network/", "old/"));
    for settings in [&foreign, &old] {
        let error = put(&vault(settings), "1").await.unwrap_err();
        assert!(error.hint().unwrap().contains("namespace"), "{error}");
        assert_eq!(error.fault(), Whose::Operator);
    }
    for namespace in [&["teams"][..], &["-namespace=teams", "east"]] {
        server.bao(&[&["namespace", "create"], namespace].concat());
    }
    let there = "-namespace=teams/east";
    server.bao(&["secrets", "enable", there, "-path=network", "-version=2", "kv"]);
    let _written = server.try_bao(&["policy", "write", there, "keyturn", "-"], policy()).expect(0);
    let token = ["token", "create", there, "-policy=keyturn", "-field=token"];
    server.write("token", &server.bao(&token).out);
    let vault =
        vault(&Kv2Settings { login: Login::Token { file: server.path("token") }, ..foreign });
    let version = put(&vault, "1").await.unwrap();
    let stored = server.bao(&["kv", "get", there, "-field=value", &path(&version)]);
    assert_eq!(stored.out.trim(), "Canary-1");
}

#[tokio::test]
async fn a_raft_snapshot_that_is_brought_back_has_the_lower_mark() {
    let server = OpenBao::start();
    let vault = server.vault();
    vault.raise_mark(1, "before").await.unwrap();
    let before = vault.mark().await.unwrap();
    let snapshot = server.path("snapshot");
    let snapshot = snapshot.to_str().unwrap();
    server.bao(&["operator", "raft", "snapshot", "save", snapshot]);
    vault.raise_mark(2, "after").await.unwrap();
    put(&vault, "after").await.unwrap();
    server.bao(&["operator", "raft", "snapshot", "restore", "-force", snapshot]);
    assert_eq!(vault.mark().await.unwrap(), before);
    assert_eq!(vault.versions(&name()).await.unwrap(), []);
}
