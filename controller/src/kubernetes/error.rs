//! Why a cluster did not do what it was asked.

use crate::error::Fault;

/// What lies under an error, whatever library it comes from.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Tells why Kubernetes did not do what it was asked. Never contains a value or a token.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// This program was built without the client.
    #[error("use a Kubernetes cluster: this program was built without the feature `kubernetes`")]
    NotBuilt,
    /// How the cluster is reached is not known.
    #[error("find the Kubernetes cluster: {what}")]
    Access {
        /// What is missing or wrong.
        what: String,
    },
    /// The namespace is none.
    #[error("use `{given}` as a namespace: expected a name of Kubernetes")]
    Namespace {
        /// What was given.
        given: String,
    },
    /// There is nothing to show the cluster who Keyturn is.
    #[error("show {server} who asks: {what}")]
    Identity {
        /// The API server.
        server: String,
        /// What is missing or wrong.
        what: String,
    },
    /// A request could not be written.
    #[error("{doing}: the request cannot be written")]
    Request {
        /// What was tried.
        doing: String,
        /// Why not.
        source: Source,
    },
    /// The API server does not answer.
    #[error("{doing} at {server}: it does not answer")]
    Reach {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// Whether it is certain that it was not asked.
        is_unasked: bool,
        /// Why not.
        source: Source,
    },
    /// The API server has not answered in time.
    #[error("{doing} at {server}: no answer in {seconds} s")]
    TimedOut {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The answer is not what it should be.
    #[error("{doing} at {server}: expected the API server's answer, got {got}")]
    Answer {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// What is in the answer instead.
        got: &'static str,
    },
    /// The identity has not the right.
    #[error("{doing} at {server}: it may not `{verb}` Secrets in the namespace `{namespace}`")]
    Forbidden {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// The verb that is missing in a role.
        verb: &'static str,
        /// The namespace.
        namespace: String,
        /// What the API server said, one line.
        message: String,
    },
    /// The namespace is being deleted, or is not there.
    #[error("{doing} at {server}: the namespace `{namespace}` {state}")]
    NoNamespace {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// The namespace.
        namespace: String,
        /// How it is instead, a verb first.
        state: &'static str,
    },
    /// There is no room for more: in the cluster's database, or in what the namespace may have.
    #[error("{doing} at {server}: it is full, nothing was changed: {message}")]
    Full {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// What the API server said, one line.
        message: String,
    },
    /// A Secret was made immutable by somebody else.
    #[error("{doing} at {server}: somebody has made the Secret `{object}` immutable")]
    Immutable {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// The Secret.
        object: String,
    },
    /// A Secret has the name of one of ours and is none.
    #[error("use the Secret `{object}` at {server}: it was not made by Keyturn for this")]
    Foreign {
        /// The Secret.
        object: String,
        /// The API server.
        server: String,
    },
    /// A Secret does not hold any more what was put into it.
    #[error("open the Secret `{object}` at {server}: its value is not what was put into it")]
    Damaged {
        /// The Secret.
        object: String,
        /// The API server.
        server: String,
    },
    /// Others change the same Secret all the time.
    #[error("{doing} at {server}: somebody else changed it each of {tries} times")]
    Contended {
        /// What was tried.
        doing: String,
        /// The API server.
        server: String,
        /// How often.
        tries: u32,
    },
    /// The API server refused or failed in another way.
    #[error("{0}")]
    Refused(Box<Refusal>),
}

/// What an API server said when it refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{doing} at {server}: it answered {status} `{reason}`: {message}")]
pub struct Refusal {
    /// What was tried.
    pub doing: String,
    /// The API server.
    pub server: String,
    /// The HTTP status.
    pub status: u16,
    /// Kubernetes' reason, or nothing.
    pub reason: String,
    /// What it said, one line.
    pub message: String,
}

impl KubernetesError {
    /// Tells whether a change may have been made although it was reported as failed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Reach { is_unasked, .. } => !is_unasked,
            Self::TimedOut { .. } | Self::Answer { .. } => true,
            Self::Refused(refusal) => refusal.status >= 500 || refusal.status == 408,
            _ => false,
        }
    }

    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotBuilt => "build it with `--features kubernetes`".to_owned(),
            Self::Access { .. } => "run Keyturn in a pod with a service account, or name a \
                                    `kubeconfig` or a `server`"
                .to_owned(),
            Self::Namespace { .. } => {
                "a namespace has 1 to 63 lower-case letters, digits and `-`".to_owned()
            }
            Self::Identity { .. } => {
                "check the token's file, or the user of the kubeconfig's context".to_owned()
            }
            Self::Reach { .. } | Self::TimedOut { .. } => {
                "check the API server, its certificate and the way to it".to_owned()
            }
            Self::Answer { .. } => {
                "check that this is an API server, and that nothing stands between".to_owned()
            }
            Self::Forbidden { verb, namespace, .. } => format!(
                "give the identity a Role in `{namespace}` with `get`, `list`, `create` and \
                 `patch` of `secrets` (docs/kubernetes-vault.md); `kubectl auth can-i {verb} \
                 secrets -n {namespace}` tells"
            ),
            Self::NoNamespace { namespace, .. } => {
                format!("create the namespace `{namespace}`, or name another")
            }
            Self::Full { .. } => "raise the namespace's quota, or compact and defragment etcd and \
                                  disarm its alarm"
                .to_owned(),
            Self::Immutable { object, .. } => format!(
                "see which policy does that; a Secret that is immutable can only be deleted: \
                 `kubectl delete secret {object}`"
            ),
            Self::Foreign { object, .. } => {
                format!("move the Secret `{object}` aside, or give Keyturn a namespace of its own")
            }
            Self::Damaged { object, .. } => {
                format!("bring the Secret `{object}` back from a backup of the cluster")
            }
            Self::Contended { .. } => "see who else changes Secrets of Keyturn".to_owned(),
            Self::Refused(refusal) => return refusal.hint(),
            Self::Request { .. } => return None,
        })
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Reach { .. }
            | Self::TimedOut { .. }
            | Self::Answer { .. }
            | Self::Full { .. }
            | Self::Damaged { .. }
            | Self::Contended { .. } => Fault::Vault,
            Self::Refused(refusal) if refusal.status == 429 || refusal.status >= 500 => {
                Fault::Vault
            }
            Self::Request { .. } => Fault::Bug,
            Self::NotBuilt
            | Self::Access { .. }
            | Self::Namespace { .. }
            | Self::Identity { .. }
            | Self::Forbidden { .. }
            | Self::NoNamespace { .. }
            | Self::Immutable { .. }
            | Self::Foreign { .. }
            | Self::Refused(_) => Fault::Operator,
        }
    }
}

impl Refusal {
    fn hint(&self) -> Option<String> {
        Some(match self.status {
            401 => "check that the token is one for this cluster, and has not ended".to_owned(),
            422 => "see whether an admission policy of the cluster refuses such Secrets".to_owned(),
            429 => {
                "the API server is asked for more than its limit; it goes on by itself".to_owned()
            }
            500.. => "the API server or its database is in trouble; see `/readyz`".to_owned(),
            _ => return None,
        })
    }
}
