//! A client of the Secrets in one namespace of a Kubernetes cluster: what Keyturn needs of them, and
//! no more.
//!
//! Source: Kubernetes API reference, core/v1 `Secret`, and "Kubernetes API Concepts". The crate `kube`
//! knows kubeconfig files and writes requests; they are sent, and answers read, by the HTTP client of
//! the house: `docs/adr/0018` says why.
//!
//! Values are in memory that is overwritten, and in no error or log. What is only looked at is asked
//! for without its values (`PartialObjectMetadata`). Every request may be made twice: what is created
//! has a name that its caller chose, and what is changed names the state that it was in.

#[cfg(feature = "kubernetes")]
mod call;
#[cfg(feature = "kubernetes")]
mod client;
#[cfg(feature = "kubernetes")]
mod connect;
mod error;
#[cfg(feature = "kubernetes")]
mod place;
#[cfg(feature = "kubernetes")]
mod wire;
#[cfg(feature = "kubernetes")]
mod yaml;

use std::path::PathBuf;

#[cfg(feature = "kubernetes")]
pub use self::client::{Changed, Created, Kubernetes};
pub use self::error::{KubernetesError, Refusal};
#[cfg(feature = "kubernetes")]
pub use self::wire::{Data, New, Properties, Secret, Texts};

/// The longest name of a namespace.
const NAMESPACE_CHARACTERS_MAX: usize = 63;

/// A namespace, and who Keyturn is to its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// The namespace. Default: the service account's, or that of the kubeconfig's context.
    pub namespace: Option<String>,
    /// How the cluster is reached, and as whom.
    pub access: Access,
}

/// How a cluster is reached, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// As a service account, which a pod has without being told.
    ServiceAccount(ServiceAccount),
    /// As a kubeconfig file says.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// Which of its contexts. Default: its current one.
        context: Option<String>,
    },
}

impl Default for Access {
    fn default() -> Self {
        Self::ServiceAccount(ServiceAccount::default())
    }
}

/// A service account. Everything that is `None` is as Kubernetes gives it to a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Where the API server is: `https://HOST` or `https://HOST:PORT`.
    pub server: Option<String>,
    /// The file with the token. It is read again as it rotates.
    pub token_file: Option<PathBuf>,
    /// The authorities that vouch for the API server (PEM). The file is read again as it rotates.
    pub ca_file: Option<PathBuf>,
}

/// Tells whether a text can be the name of a namespace: 1 to 63 lower-case letters, digits and `-`, a
/// letter or digit at both ends.
#[must_use]
pub fn is_namespace(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = (1..=NAMESPACE_CHARACTERS_MAX).contains(&text.len());
    let legal = text.chars().all(|c| plain(c) || c == '-');
    fits && legal && text.starts_with(plain) && text.ends_with(plain)
}
