//! Why a vault did not do what it was asked.

use std::sync::Arc;

use super::LoginError;
use crate::error::Fault;
use crate::remote::WayError;

/// Tells why a vault did not do what it was asked. Never contains a value or a token.
#[derive(Debug, thiserror::Error)]
pub enum Kv2Error {
    /// The vault's URI is none.
    #[error("use `{given}` as a vault: expected https://HOST or https://HOST:PORT")]
    Uri {
        /// What was given.
        given: String,
    },
    /// The path of a mount, a folder or a namespace is none.
    #[error(
        "use `{given}` as {what}: expected names of letters, digits, `-`, `_`, `.`, joined by `/`"
    )]
    Path {
        /// What it is for.
        what: &'static str,
        /// What was given.
        given: String,
    },
    /// There is no client to ask with.
    #[error("get ready to ask the vault")]
    Way {
        /// Why not.
        #[from]
        source: WayError,
    },
    /// There is no token for the vault.
    #[error("{doing} in {vault}: there is no token for it")]
    Login {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// Why there is none.
        source: Arc<LoginError>,
    },
    /// A request could not be written.
    #[error("{doing}: the request cannot be written")]
    Body {
        /// What was tried.
        doing: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The vault does not answer.
    #[error("{doing} in {vault}: it does not answer")]
    Reach {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// There is no such key.
    #[error("{doing} in {vault}: there is none")]
    NotFound {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
    },
    /// There is no engine of version 2 where it should be mounted.
    #[error("{doing} in {vault}: there is no KV engine of version 2 at `{mount}`{}", told(said))]
    NoEngine {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// Where it should be.
        mount: String,
        /// What the vault said, or nothing.
        said: String,
    },
    /// The token's policies do not allow it.
    #[error("{doing} in {vault}: permission denied, it takes \"{capability}\" on `{path}`")]
    Denied {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// The capability that is missing.
        capability: &'static str,
        /// On which path.
        path: String,
    },
    /// Somebody else has written the key meanwhile.
    #[error("{doing} in {vault}: it was written by somebody else meanwhile")]
    Conflict {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
    },
    /// The vault is a standby that sends its clients elsewhere.
    #[error("{doing} in {vault}: it is a standby that sends us to `{to}`, expected the same host")]
    Elsewhere {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// Where it points to.
        to: String,
    },
    /// The mount deletes versions after a while.
    #[error("keep passwords in {vault}: the mount deletes versions by itself ({after})")]
    Forgetful {
        /// The vault and the folder in it.
        vault: String,
        /// After what time, or when.
        after: String,
        /// Whether a value was stored all the same.
        is_stored: bool,
    },
    /// The vault refused or failed in another way.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer is not what it should be.
    #[error("{doing} in {vault}: expected the answer of a KV engine, got {got}")]
    Answer {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// What is in the answer instead.
        got: &'static str,
    },
    /// The same, after an attempt whose answer was lost.
    #[error(transparent)]
    Unsettled(Box<Self>),
}

/// What a vault said when it refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{doing} in {vault}: it answered {status}{}", told(message))]
pub struct Refusal {
    /// What was tried.
    pub doing: String,
    /// The vault.
    pub vault: String,
    /// The HTTP status.
    pub status: u16,
    /// What it said, one line, or nothing.
    pub message: String,
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl Kv2Error {
    /// Tells whether a change may have been made although it was reported as failed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Reach { source, .. } => !source.is_connect(),
            Self::Refused(refusal) => refusal.status >= 500 || refusal.status == 408,
            Self::Forgetful { is_stored, .. } => *is_stored,
            Self::Answer { .. } | Self::Unsettled(_) => true,
            _ => false,
        }
    }

    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Uri { .. } => "for example `https://vault.example:8200`".to_owned(),
            Self::Path { .. } => "for example `secret` or `teams/network`".to_owned(),
            Self::Way { .. } => "check `ca-file`, or install the system's certificates".to_owned(),
            Self::Login { source, .. } => return source.hint(),
            Self::Reach { .. } => "check the vault's URI and the way to it".to_owned(),
            Self::NotFound { .. } => "check the secret's name and version".to_owned(),
            Self::NoEngine { mount, .. } => format!(
                "check `mount` and `namespace`, or make one: `bao secrets enable -version=2 \
                 -path={mount} kv` (or `vault secrets …`)"
            ),
            Self::Denied { capability, path, .. } => format!(
                "add `path \"{path}\" {{ capabilities = [\"{}\"] }}` to a policy of the token \
                 (docs/hashicorp-vault.md has the whole policy), or check the mount: one that is not \
                 there is answered alike",
                capability.replace("\" and \"", "\", \"")
            ),
            Self::Conflict { .. } => "ask again".to_owned(),
            Self::Elsewhere { .. } => "set `uri` to a name that reaches the active node, or \
                 let the standbys forward requests (the default)"
                .to_owned(),
            Self::Forgetful { .. } => {
                "write `delete_version_after=0s` to the path `config` of the \
                 mount, or use another mount"
                    .to_owned()
            }
            Self::Refused(refusal) => return refusal.hint(),
            Self::Unsettled(source) => return source.hint(),
            Self::Body { .. } | Self::Answer { .. } => return None,
        })
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Login { source, .. } => source.fault(),
            Self::Reach { .. } | Self::Answer { .. } => Fault::Vault,
            Self::Refused(refusal) => refusal.fault(),
            Self::Unsettled(source) => source.fault(),
            Self::Conflict { .. } => Fault::Peer,
            Self::Body { .. } => Fault::Bug,
            Self::Uri { .. }
            | Self::Path { .. }
            | Self::Way { .. }
            | Self::NotFound { .. }
            | Self::NoEngine { .. }
            | Self::Denied { .. }
            | Self::Elsewhere { .. }
            | Self::Forgetful { .. } => Fault::Operator,
        }
    }
}

impl Refusal {
    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self.status {
            503 if self.is_sealed() => "unseal the vault: `bao operator unseal` (or `vault …`)",
            412 | 472 | 473 => "set `uri` to a name that reaches the active node",
            429 => "the vault is asked for more than its limit; it goes on by itself",
            501 => "the vault is not initialized yet: `bao operator init` (or `vault …`)",
            500.. => "the vault is in trouble; look at its log",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    pub(super) fn fault(&self) -> Fault {
        match self.status {
            412 | 429 | 472 | 473 | 500.. => Fault::Vault,
            _ => Fault::Operator,
        }
    }

    fn is_sealed(&self) -> bool {
        self.message.to_ascii_lowercase().contains("sealed")
    }
}
