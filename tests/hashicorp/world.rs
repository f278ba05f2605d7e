//! A simulated vault, and clients of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use controller::kv2::{Kv2, Kv2Settings, Login};
use controller::naming::SecretName;
use controller::remote::{Pace, Way};
use controller::vault::HashicorpVault;
use fixtures::kv2::{JWT, Kv2Server, MOUNT, ROLE, ROLE_ID, SECRET_ID};

/// What archive references call the vault.
pub(crate) const ID: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/\
                             lab/providers/Microsoft.KeyVault/vaults/kv";

/// As in life, but for the pauses: a test waits for milliseconds.
pub(crate) const PACE: Pace = Pace {
    connect_max: Duration::from_secs(5),
    request_max: Duration::from_secs(20),
    first_pause: Duration::from_millis(1),
    tries_max: 5,
};

/// A vault and the files that its clients need.
pub(crate) struct World {
    pub(crate) server: Kv2Server,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { server: Kv2Server::start().await.unwrap(), dir };
        world.write("ca.pem", world.server.authority());
        world.write("role-id", &format!("{ROLE_ID}\n"));
        world.write("secret-id", SECRET_ID);
        world.write("jwt", JWT);
        world.write("token", &format!("{}\n", world.server.give_token(0)));
        world
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn approle(&self) -> Login {
        let (role_id, secret_id) = (self.path("role-id"), self.path("secret-id"));
        Login::AppRole { mount: "approle".to_owned(), role_id, secret_id }
    }

    pub(crate) fn kubernetes(&self) -> Login {
        let (mount, role) = ("kubernetes".to_owned(), ROLE.to_owned());
        Login::Kubernetes { mount, role, token_file: self.path("jwt") }
    }

    pub(crate) fn token(&self) -> Login {
        Login::Token { file: self.path("token") }
    }

    pub(crate) fn settings(&self, login: Login) -> Kv2Settings {
        let ca_file = Some(self.path("ca.pem"));
        Kv2Settings {
            uri: self.server.uri(),
            mount: MOUNT.to_owned(),
            prefix: Some("lab/keyturn".to_owned()),
            namespace: None,
            login,
            way: Way { ca_file, address: Some(self.server.address()) },
        }
    }

    pub(crate) fn client(&self, login: Login) -> Kv2 {
        Kv2::open(&self.settings(login), PACE).unwrap()
    }

    pub(crate) fn vault(&self) -> HashicorpVault {
        self.vault_as(self.approle())
    }

    pub(crate) fn vault_as(&self, login: Login) -> HashicorpVault {
        HashicorpVault::new(self.client(login), ID, Arc::new(now))
    }

    /// Returns the values of a secret.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let folder = format!("lab/keyturn/secrets/{name}/");
        self.server.values(&folder).into_values().collect()
    }
}

/// Returns where a version is.
pub(crate) fn key(name: &str, version: &protocol::id::SecretVersion) -> String {
    format!("lab/keyturn/secrets/{name}/{version}")
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::try_from(text.to_owned()).unwrap()
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
