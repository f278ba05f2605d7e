//! An OpenBao of a test's own, set up as the document for operators says.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use controller::kv2::{Kv2, Kv2Settings, Login};
use controller::remote::{Pace, Way};
use controller::vault::HashicorpVault;
use harness::process::{Running, Said, run};
use harness::wait;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The document with the policy that operators copy.
const DOCUMENT: &str = include_str!("../../docs/hashicorp-vault.md");

const ID: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
                  Microsoft.KeyVault/vaults/bao";

/// Patient enough for a server that elects itself again after a snapshot was brought back.
const PACE: Pace = Pace {
    connect_max: Duration::from_secs(5),
    request_max: Duration::from_secs(20),
    first_pause: Duration::from_millis(500),
    tries_max: 6,
};

/// A server with one node, and the mount, the policy and the AppRole of the document.
#[derive(Debug)]
pub(crate) struct OpenBao {
    _running: Running,
    dir: tempfile::TempDir,
    port: u16,
    root: String,
    unseal_key: String,
}

impl OpenBao {
    /// Starts a server with raft as its storage.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory of our own");
        let (port, cluster) = (free_port(), free_port());
        configure(dir.path(), port, cluster);
        let mut command = Command::new(program());
        command.args(["server", "-config"]).arg(dir.path().join("server.hcl"));
        let mut running = Running::start("openbao", command.env("HOME", dir.path()), dir.path());
        if let Err(said) = running.line("==> OpenBao server started!") {
            panic!("OpenBao does not start: {}\n{}", said.out, said.err);
        }
        let nobody = String::new();
        let mut server =
            Self { _running: running, dir, port, root: nobody.clone(), unseal_key: nobody };
        let init = ["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"];
        let keys = server.bao(&init).json();
        server.unseal_key = text(&keys["unseal_keys_b64"][0]);
        server.root = text(&keys["root_token"]);
        server.unseal();
        server.set_up();
        server
    }

    pub(crate) fn unseal(&self) {
        self.bao(&["operator", "unseal", &self.unseal_key]);
        wait::until("the node to be active", wait::STEP_MAX, || {
            let said = self.try_bao(&["status", "-format=json"], "");
            (said.code == Some(0) && said.json()["is_self"] == true).then_some(())
        });
    }

    fn set_up(&self) {
        self.bao(&["secrets", "enable", "-path=network", "-version=2", "kv"]);
        self.set_policy(policy());
        self.bao(&["auth", "enable", "approle"]);
        self.set_role("token_ttl=1h");
        let read = ["read", "-field=role_id", "auth/approle/role/keyturn/role-id"];
        self.write("role-id", &self.bao(&read).out);
        self.new_secret_id();
    }

    pub(crate) fn new_secret_id(&self) {
        let path = "auth/approle/role/keyturn/secret-id";
        self.write("secret-id", &self.bao(&["write", "-f", "-field=secret_id", path]).out);
    }

    pub(crate) fn set_policy(&self, policy: &str) {
        let said = self.try_bao(&["policy", "write", "keyturn", "-"], policy);
        let _written = said.expect(0);
    }

    /// Changes the AppRole: its next tokens are as `settings` say.
    pub(crate) fn set_role(&self, settings: &str) {
        let role = "auth/approle/role/keyturn";
        self.bao(&["write", role, "token_policies=keyturn", settings]);
    }

    /// Runs the client as the root does.
    #[track_caller]
    pub(crate) fn bao(&self, arguments: &[&str]) -> Said {
        self.try_bao(arguments, "").expect(0)
    }

    pub(crate) fn try_bao(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = Command::new(program());
        command.args(arguments).env("HOME", self.dir.path());
        command.env("BAO_ADDR", self.uri()).env("BAO_CACERT", self.path("ca.pem"));
        if !self.root.is_empty() {
            command.env("BAO_TOKEN", &self.root);
        }
        run(&mut command, input)
    }

    fn uri(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file in a directory of our own");
    }

    pub(crate) fn approle(&self) -> Login {
        let (role_id, secret_id) = (self.path("role-id"), self.path("secret-id"));
        Login::AppRole { mount: "approle".to_owned(), role_id, secret_id }
    }

    pub(crate) fn settings(&self, login: Login) -> Kv2Settings {
        let address = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
        Kv2Settings {
            uri: self.uri(),
            mount: "network".to_owned(),
            prefix: Some("keyturn".to_owned()),
            namespace: None,
            login,
            way: Way { ca_file: Some(self.path("ca.pem")), address },
        }
    }

    pub(crate) fn vault(&self) -> HashicorpVault {
        vault(&self.settings(self.approle()))
    }
}

/// Uses a vault as it is configured.
pub(crate) fn vault(settings: &Kv2Settings) -> HashicorpVault {
    let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    HashicorpVault::new(Kv2::open(settings, PACE).unwrap(), ID, Arc::new(since))
}

/// Returns the policy of the document.
pub(crate) fn policy() -> &'static str {
    let (_before, rest) = DOCUMENT.split_once("```hcl\n").expect("the document has a policy");
    rest.split_once("```").expect("it has an end").0
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn program() -> PathBuf {
    let program = std::env::var_os("KEYTURN_OPENBAO").map(PathBuf::from);
    program.expect("these tests are run by `tests/openbao/run`, which installs OpenBao")
}

fn configure(dir: &Path, port: u16, cluster: u16) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let raft = dir.join("raft");
    std::fs::create_dir(&raft).unwrap();
    let config = format!(
        "storage \"raft\" {{\n path = \"{raft}\"\n node_id = \"one\"\n performance_multiplier = 1\n}}\n\
         listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n\
         cluster_address = \"127.0.0.1:{cluster}\"\n\
         tls_cert_file = \"{dir}/cert.pem\"\n tls_key_file = \"{dir}/key.pem\"\n}}\n\
         api_addr = \"https://localhost:{port}\"\n\
         cluster_addr = \"https://127.0.0.1:{cluster}\"\n",
        raft = raft.display(),
        dir = dir.display(),
    );
    let (leaf, key) = (leaf.pem(), key.serialize_pem());
    let files =
        [("ca.pem", &root), ("cert.pem", &leaf), ("key.pem", &key), ("server.hcl", &config)];
    for (name, text) in files {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
    listener.local_addr().expect("it is bound").port()
}
