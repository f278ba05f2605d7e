//! A simulated cluster, and vaults in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use controller::kubernetes::{
    Access, Kubernetes, KubernetesError, KubernetesSettings, ServiceAccount,
};
use controller::naming::SecretName;
use controller::remote::Pace;
use controller::vault::KubernetesVault;
use fixtures::kubernetes::{Cluster, NAMESPACE};
use serde_json::Value;

/// As in life, but for the pauses: a test waits for milliseconds.
pub(crate) const PACE: Pace = Pace {
    connect_max: Duration::from_secs(5),
    request_max: Duration::from_secs(20),
    first_pause: Duration::from_millis(1),
    tries_max: 5,
};

/// How long a token of these tests lives, in seconds.
pub(crate) const HOUR: u64 = 3_600;

/// A cluster and the files that its clients need.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { cluster: Cluster::start().await.unwrap(), dir };
        world.write("ca.crt", &world.cluster.authority());
        world.write("token", &world.cluster.token(HOUR));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// As a service account outside a pod.
    pub(crate) fn settings(&self) -> KubernetesSettings {
        let access = Access::ServiceAccount(ServiceAccount {
            server: Some(self.cluster.uri()),
            token_file: Some(self.path("token")),
            ca_file: Some(self.path("ca.crt")),
        });
        KubernetesSettings { namespace: Some(NAMESPACE.to_owned()), access }
    }

    pub(crate) async fn client(
        &self,
        settings: &KubernetesSettings,
        pace: Pace,
    ) -> Result<Kubernetes, KubernetesError> {
        Kubernetes::open(settings, pace).await
    }

    pub(crate) async fn vault(&self) -> KubernetesVault {
        self.vault_with(&self.settings(), PACE).await
    }

    pub(crate) async fn vault_with(
        &self,
        settings: &KubernetesSettings,
        pace: Pace,
    ) -> KubernetesVault {
        KubernetesVault::new(self.client(settings, pace).await.unwrap(), Arc::new(now))
    }

    /// The Secrets with values in the cluster.
    pub(crate) fn stored(&self) -> Vec<Value> {
        let has_value = |secret: &Value| secret.pointer("/data/password").is_some();
        self.cluster.secrets().into_iter().filter(has_value).collect()
    }

    /// The one Secret that there is, and its name.
    pub(crate) fn only(&self) -> (String, Value) {
        let [secret] = self.cluster.secrets().try_into().unwrap();
        (secret["metadata"]["name"].as_str().unwrap().to_owned(), secret)
    }
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::try_from(text.to_owned()).unwrap()
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
