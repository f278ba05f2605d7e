//! The real program, with a certificate that the configuration refers to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use fixtures::key_vault::{Fault, TENANT, VAULT};
use harness::site::{Server, Site};
use harness::wait;

use crate::world::{World, certificate, pkcs12, trusting};

/// The shortest that can be configured.
const POLL: &str = "10s";

fn config(world: &World) -> String {
    let secrets = world.secrets();
    let path = |path: Option<std::path::PathBuf>| path.unwrap().display().to_string();
    format!(
        r#"
[secrets]
dir = "{}"
poll = "{POLL}"
vault-suffix = "{}"
authority = "{}"
ca-file = "{}"
address = "{}"

[tls.certificate.key-vault]
vault-cert = {{ name = "server", version = "latest" }}

[tls.certificate.key-vault.vault]
name = "{VAULT}"
directory-id = "{TENANT}"
credentials = {{ service-principal-local-secret-name = "akv-sp" }}
"#,
        path(secrets.dir.clone()),
        secrets.vault_suffix,
        secrets.authority.clone().unwrap(),
        path(secrets.ca_file.clone()),
        secrets.address.unwrap(),
    )
}

/// Puts a new certificate into the vault and returns its authority.
fn renew(world: &World) -> String {
    let (leaf, key, root) = certificate();
    let _version = world.azure.put("server", &format!("{key}{leaf}"), "application/x-pem-file");
    root
}

/// Tells whether a client that trusts this authority takes the server's certificate by its name.
async fn is_taken(server: &Server, authority: &str) -> bool {
    let port = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trusting(authority.as_bytes()))
        .no_proxy()
        .resolve("keyturn.test", SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        .build()
        .unwrap();
    client.get(format!("https://keyturn.test:{port}/openapi.json")).send().await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_vault_is_served_and_a_new_one_is_taken_up_without_a_restart() {
    let world = World::start().await;
    let first = renew(&world);
    let site = Site::new(&config(&world));
    let server = site.serve();
    assert!(is_taken(&server, &first).await);
    // Clients of this host go on with the authority in the data directory.
    let _listed = site.keyturn(&["fabric", "list"]).expect(0);
    // As Key Vault gives it unless told otherwise.
    let made = certificate();
    let _version = world.azure.put("server", &pkcs12(&made, &["-legacy"]), "application/x-pkcs12");
    let second = made.2;
    let asked = world.azure.asked("GET /secrets/{name}");
    let fetched = || (world.azure.asked("GET /secrets/{name}") > asked).then_some(());
    tokio::task::block_in_place(|| wait::until("a second fetch", wait::STEP_MAX, fetched));
    // The answer is on its way for a moment.
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while !is_taken(&server, &second).await {
        assert!(tokio::time::Instant::now() < end, "the new certificate is not served");
    }
    assert!(!is_taken(&server, &first).await);
    // A vault that is down takes nothing away.
    world.azure.faults().set(Fault::Down);
    let told = || server.printed().contains("a reference was not fetched").then_some(());
    tokio::task::block_in_place(|| wait::until("a failure in the log", wait::STEP_MAX, told));
    assert!(is_taken(&server, &second).await);
    site.expect_unsaid(["PRIVATE KEY", fixtures::key_vault::SECRET]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_down_at_the_start_holds_no_daemon_up_and_check_tells_it() {
    let world = World::start().await;
    world.azure.faults().set(Fault::Down);
    let site = Site::new(&config(&world));
    let said = site
        .command()
        .args(["serve", "--check", "--config"])
        .arg(site.path("config.toml"))
        .output();
    let said = said.unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && text.contains("it does not answer"), "{text}");
    let server = site.serve();
    assert!(server.printed().contains("a reference was not fetched"), "{}", server.printed());
    let _listed = site.keyturn(&["fabric", "list"]).expect(0);
    let authority = renew(&world);
    world.azure.faults().clear();
    let fetched = || (world.azure.asked("GET /secrets/{name}") > 0).then_some(());
    tokio::task::block_in_place(|| wait::until("a fetch", wait::STEP_MAX, fetched));
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while !is_taken(&server, &authority).await {
        assert!(tokio::time::Instant::now() < end, "the certificate is not served");
    }
    server.stop();
}

/// Asks for the fabrics with a token; tells whether that was let in.
fn is_let_in(site: &Site, token: &str) -> bool {
    let file = site.write("token", token).display().to_string();
    site.keyturn(&["fabric", "list", "--token-file", &file]).code == Some(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_elsewhere_and_new_ones_are_taken_without_a_restart() {
    let world = World::start().await;
    let _root = renew(&world);
    let vault = format!(
        "vault = {{ name = \"{VAULT}\", directory-id = \"{TENANT}\", credentials = \
         {{ service-principal-local-secret-name = \"akv-sp\" }} }}"
    );
    let access = format!(
        "\n[access]\nadmin-token = {{ key-vault = {{ {vault}, vault-secret = {{ name = \"owner\" }} \
         }} }}\n[[access.token]]\nname = \"ci\"\ntoken = {{ secret-name = \"ci\" }}\nrole = \
         \"reader\"\n"
    );
    let [owner, reader, later] = ["Owner", "Reader", "Later"].map(|n| format!("{n:-<40}"));
    world.local("ci", &[("token", &format!("{reader}\n"))]);
    let site = Site::new(&format!("{}{access}", config(&world)));
    // The daemon starts without the owner's token, and takes it when it is there.
    let server = site.serve();
    assert!(!site.path("data/admin.token").exists());
    assert!(is_let_in(&site, &reader) && !is_let_in(&site, &owner));
    let _version = world.azure.put("owner", &owner, "");
    let until = |token: &str| {
        let let_in = || is_let_in(&site, token).then_some(());
        tokio::task::block_in_place(|| wait::until("the token is taken", wait::STEP_MAX, let_in));
    };
    until(&owner);
    let file = site.write("token", &owner).display().to_string();
    let made = ["token", "create", "--name", "x", "--role", "reader", "--token-file", &file];
    let _made = site.keyturn(&made).expect(0);
    world.local("ci", &[("token", &later)]);
    until(&later);
    assert!(!is_let_in(&site, &reader), "the one before is refused");
    let file = site.write("token", &later).display().to_string();
    let _reads_only = site
        .keyturn(&["token", "create", "--name", "y", "--role", "reader", "--token-file", &file])
        .expect(1);
    site.expect_unsaid([owner.as_str(), later.as_str()]);
    server.stop();
}

const INVENTORY: &str = r#"
[fabric]
id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/Microsoft.ManagedNetworkFabric/networkFabrics/lab"
location = "local"

[fabric.current-passwords.key-vault]
vault-secret = { name = "passwords" }

[fabric.current-passwords.key-vault.vault]
name = "VAULT"
directory-id = "TENANT"
credentials = { service-principal-local-secret-name = "akv-sp" }

[[devices]]
name = "ts-01"
role = "TS"
platform = "opengear"
serial-number = "Opengear;OM2216;1;SIM0003"
ssh = { address = "127.0.0.1", port = 1, host-key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_adopted_with_passwords_that_are_in_a_vault() {
    let world = World::start().await;
    let authority = renew(&world);
    let site = Site::new(&config(&world));
    site.write("fabric.toml", &INVENTORY.replace("VAULT", VAULT).replace("TENANT", TENANT));
    let server = site.serve();
    assert!(is_taken(&server, &authority).await);
    let apply = ["fabric", "apply", "-f", "fabric.toml", "--no-wait"];
    let _said = site.keyturn(&apply).expect(1).says(&["open the newest version of `passwords`"]);
    let profiles = ["admin", "AzureOperatorRO", "AzureOperatorRW", "TelcoRO", "TelcoRW"];
    let all = profiles.iter().chain(&["TerminalServer"]);
    let text: String = all.map(|name| format!("{name} = \"Vaulted-{name}.1\"\n")).collect();
    let _version = world.azure.put("passwords", "[profiles]\nnobody = \"Vaulted-1\"", "");
    let _said = site.keyturn(&apply).expect(1).says(&["in the key vault `kv-lab`", "nobody"]);
    let _version = world.azure.put("passwords", &format!("[profiles]\n{text}"), "");
    let _applied = site.keyturn(&apply).expect(0);
    assert_eq!(site.reveal("ts-01", "TerminalServer").value, "Vaulted-TerminalServer.1");
    site.expect_unsaid(["Vaulted-1"]);
    server.stop();
}
