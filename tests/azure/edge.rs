//! Our client of Azure Key Vault against our own Key Vault API, in the built program: challenge, token,
//! TLS, paging and errors of one side are read by the other.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use controller::key_vault::{KeyVault, KeyVaultError, KeyVaultSettings};
use controller::remote::Way;
use controller::vault::contract::{clock, contract, password};
use controller::vault::{AzureVault, Tag, Vault, VaultError};
use fixtures::key_vault::{DOMAIN, TENANT};
use harness::site::{Server, Site};

use crate::world::{ID, PACE, World, name};

/// A daemon that serves its vault, and a simulated Microsoft Entra ID that gives a token for it.
struct Edge {
    world: World,
    site: Site,
    server: Server,
    uri: String,
}

impl Edge {
    async fn start() -> Self {
        let world = World::start().await;
        let site = Site::new(&format!(
            "[edge.key-vault]\nlisten = \"127.0.0.1:0\"\nauthorization = \"{}/{TENANT}\"\nresource = \
             \"https://{DOMAIN}\"\nreads-max = 1000000\nwrites-max = 1000000\n",
            world.azure.login_uri(),
        ));
        let server = tokio::task::block_in_place(|| site.serve());
        let printed = server.printed();
        let line = printed.lines().find(|line| line.contains("serving the vault")).unwrap();
        let uri = line.split('"').find(|part| part.starts_with("https://")).unwrap().to_owned();
        let edge = Self { world, site, server, uri };
        edge.present("vault-secrets-officer");
        edge
    }

    /// Lets a token of this role be what Entra ID gives.
    fn present(&self, role: &str) {
        let args = ["token", "create", "--name", role, "--role", role, "-o", "json"];
        let made = tokio::task::block_in_place(|| self.site.keyturn(&args)).expect(0).json();
        self.world.azure.set_token(made["token"].as_str().unwrap());
    }

    fn settings(&self) -> KeyVaultSettings {
        KeyVaultSettings {
            uri: self.uri.clone(),
            resource: Some(format!("https://{DOMAIN}")),
            way: Way {
                ca_file: Some(self.site.path("data/ca.pem")),
                address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            },
        }
    }

    fn client(&self) -> KeyVault {
        KeyVault::open(&self.settings(), self.world.application(), PACE).unwrap()
    }

    fn vault(&self) -> AzureVault {
        AzureVault::new(self.client(), ID, PACE, clock())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_keeps_the_contract_over_our_own_key_vault_api() {
    let edges = Mutex::new(Vec::new());
    contract(async || {
        let edge = Edge::start().await;
        let vault = edge.vault();
        edges.lock().unwrap().push(edge);
        vault
    })
    .await;
    for Edge { server, .. } in edges.into_inner().unwrap() {
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_side_says_the_other_understands() {
    let edge = Edge::start().await;
    let (vault, admin) = (edge.vault(), name("lab-admin"));
    // More than a page, and a token that is kept.
    let mut wanted = Vec::new();
    for n in 0..30 {
        let tag = Tag::new(&n.to_string());
        wanted.push(vault.put(&admin, &tag, &password("value")).await.unwrap());
    }
    let listed = vault.versions(&admin).await.unwrap();
    assert_eq!(listed.into_iter().map(|info| info.version).collect::<Vec<_>>(), wanted);
    assert_eq!(edge.world.azure.asked("token"), 1);
    // A name that is deleted comes back with its versions when it is needed.
    edge.client().delete("lab-admin").await.unwrap();
    let error = vault.get(&admin, &wanted[0]).await.unwrap_err();
    assert!(matches!(error, VaultError::Deleted { .. }), "{error}");
    let again = vault.put(&admin, &Tag::new("30"), &password("other")).await.unwrap();
    assert!(vault.get(&admin, &wanted[0]).await.unwrap().matches(&password("value")));
    assert!(vault.get(&admin, &again).await.unwrap().matches(&password("other")));
    let absent = edge.client().get("nothing", None).await.unwrap_err();
    assert!(matches!(absent, KeyVaultError::NotFound { .. }), "{absent}");
    // Whoever may only read is told so.
    edge.present("vault-secrets-user");
    let reader = edge.vault();
    assert!(reader.get(&admin, &again).await.is_ok());
    let error = reader.put(&admin, &Tag::new("31"), &password("Canary")).await.unwrap_err();
    assert!(error.to_string().contains("403") && !error.is_outcome_unknown(), "{error}");
    edge.server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_resource_in_the_configuration_our_own_api_gets_no_token() {
    let edge = Edge::start().await;
    let settings = KeyVaultSettings { resource: None, ..edge.settings() };
    let client = KeyVault::open(&settings, edge.world.application(), PACE).unwrap();
    let error = client.versions("lab-admin").await.unwrap_err();
    assert!(matches!(&error, KeyVaultError::Resource { .. }), "{error}");
    assert!(error.hint().unwrap().contains(DOMAIN));
    assert_eq!(edge.world.azure.asked("token"), 0);
    // A token that nobody made is refused once more than it is replaced.
    edge.world.azure.set_token("keyturn_nobody_made_this");
    let error = edge.client().versions("lab-admin").await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    assert_eq!(edge.world.azure.asked("token"), 2);
    edge.server.stop();
}
