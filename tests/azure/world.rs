//! A simulated Azure, and clients of it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use controller::identity::{
    Credential, Identity, IdentityError, IdentitySettings, ManagedIdentity, Principal,
};
use controller::key_vault::{KeyVault, KeyVaultError, KeyVaultSettings};
use controller::naming::SecretName;
use controller::reference::ReferenceSettings;
use controller::remote::{Pace, Way};
use controller::vault::AzureVault;
use fixtures::key_vault::{Azure, CLIENT, SECRET, TENANT};
use harness::process::{need, run};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The vault's ARM id.
pub(crate) const ID: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/\
                             lab/providers/Microsoft.KeyVault/vaults/kv";

/// As in life, but for the pauses: a test waits for milliseconds.
pub(crate) const PACE: Pace = Pace {
    connect_max: Duration::from_secs(5),
    request_max: Duration::from_secs(20),
    first_pause: Duration::from_millis(1),
    tries_max: 5,
};

/// An Azure and the files that its clients need.
pub(crate) struct World {
    pub(crate) azure: Azure,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let world =
            Self { azure: Azure::start().await.unwrap(), dir: tempfile::tempdir().unwrap() };
        world.write("ca.pem", world.azure.authority());
        world.write("clientid", &format!("{CLIENT}\n"));
        world.write("clientsecret", SECRET);
        world.local("akv-sp", &[("clientid", CLIENT), ("clientsecret", SECRET)]);
        world
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    pub(crate) fn way(&self) -> Way {
        Way { ca_file: Some(self.dir.path().join("ca.pem")), address: Some(self.azure.address()) }
    }

    /// The application with its secret in a folder.
    pub(crate) fn application(&self) -> Identity {
        self.identity(Principal::Application {
            tenant: Some(TENANT.to_owned()),
            credential: Credential::Folder(self.dir.path().to_owned()),
        })
        .unwrap()
    }

    pub(crate) fn managed(&self) -> Principal {
        let endpoint = Some(self.azure.imds_uri());
        Principal::Managed(ManagedIdentity { endpoint, user_assigned: None })
    }

    pub(crate) fn identity(&self, principal: Principal) -> Result<Identity, IdentityError> {
        let authority = Some(self.azure.login_uri());
        let settings = IdentitySettings { principal, authority, way: self.way() };
        Identity::open(&settings, PACE, Arc::new(now), |_name| None)
    }

    pub(crate) fn settings(&self) -> KeyVaultSettings {
        KeyVaultSettings { uri: self.azure.vault_uri(), resource: None, way: self.way() }
    }

    pub(crate) fn client(&self, pace: Pace) -> Result<KeyVault, KeyVaultError> {
        KeyVault::open(&self.settings(), self.application(), pace)
    }

    pub(crate) fn vault(&self) -> AzureVault {
        AzureVault::new(self.client(PACE).unwrap(), ID, PACE, Arc::new(now))
    }

    /// `[secrets]` of a configuration for this Azure.
    pub(crate) fn secrets(&self) -> ReferenceSettings {
        let uri = self.azure.vault_uri();
        ReferenceSettings {
            dir: Some(self.path("secrets")),
            vault_suffix: uri.split_once('.').unwrap().1.to_owned(),
            authority: Some(self.azure.login_uri()),
            ca_file: self.way().ca_file,
            address: self.way().address,
            ..ReferenceSettings::default()
        }
    }

    /// Writes a local secret.
    pub(crate) fn local(&self, name: &str, files: &[(&str, &str)]) {
        let folder = self.path("secrets").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            std::fs::write(folder.join(file), text).unwrap();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::try_from(text.to_owned()).unwrap()
}

/// A certificate for `keyturn.test` and its key (PEM), and the one of its authority.
pub(crate) fn certificate() -> (String, String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["keyturn.test".to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    (leaf.pem(), key.serialize_pem(), root)
}

/// What Key Vault gives for a certificate unless told otherwise: a file of PKCS #12 without a password,
/// in base64. `openssl` makes it, with what `options` say.
pub(crate) fn pkcs12((leaf, key, root): &(String, String, String), options: &[&str]) -> String {
    need(&[("openssl", "openssl")]);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("all.pem"), format!("{key}{leaf}{root}")).unwrap();
    let (from, to) = (path("all.pem"), path("all.pfx"));
    let export = ["pkcs12", "-export", "-passout", "pass:", "-in", &from, "-out", &to];
    let _made = run(Command::new("openssl").args(export).args(options), "").expect(0);
    run(Command::new("openssl").args(["base64", "-A", "-in", &to]), "").expect(0).out
}

/// What a client needs that trusts one authority and no other.
pub(crate) fn trusting(authority: &[u8]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let authority = rustls::pki_types::pem::PemObject::from_pem_slice(authority).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
