//! Why a vault did not do what it was asked.

use std::sync::Arc;

use crate::error::Fault;
use crate::identity::IdentityError;
use crate::remote::WayError;

/// Tells why Key Vault did not do what it was asked. Never contains a value or a token.
#[derive(Debug, thiserror::Error)]
pub enum KeyVaultError {
    /// The vault's URI is none.
    #[error("use `{given}` as a vault: expected https://HOST or https://HOST:PORT")]
    Uri {
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
    Identity {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// Why there is none.
        source: Arc<IdentityError>,
    },
    /// What answers does not ask for a token as a vault does.
    #[error("use {vault}: expected a vault's challenge for a token, got none")]
    Challenge {
        /// The vault.
        vault: String,
    },
    /// The vault belongs to another directory than the identity.
    #[error("use {vault}: it takes tokens of the directory {theirs}, the identity's is {ours}")]
    Tenant {
        /// The vault.
        vault: String,
        /// The identity's directory.
        ours: String,
        /// The vault's directory.
        theirs: String,
    },
    /// The vault asks for a token that is not for it.
    #[error("use {vault}: it asks for a token for `{resource}`, which does not cover it")]
    Resource {
        /// The vault.
        vault: String,
        /// What it asks for.
        resource: String,
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
    /// There is no such secret or version.
    #[error("{doing} in {vault}: there is none")]
    NotFound {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
    },
    /// The version is disabled.
    #[error("{doing} in {vault}: it is disabled")]
    Disabled {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
    },
    /// The secret has been deleted, and its name is taken until it is recovered or purged.
    #[error("{doing} in {vault}: the secret is deleted, and its name is not free")]
    Deleted {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// Whether this is going to end by itself: it is being deleted or recovered.
        is_passing: bool,
    },
    /// The vault refused or failed in another way.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The answer is not what it should be.
    #[error("{doing} in {vault}: expected Key Vault's answer, got {got}")]
    Answer {
        /// What was tried.
        doing: String,
        /// The vault.
        vault: String,
        /// What is in the answer instead.
        got: &'static str,
    },
}

/// What a vault said when it refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{doing} in {vault}: it answered {status} `{}`: {message}", self.reason())]
pub struct Refusal {
    /// What was tried.
    pub doing: String,
    /// The vault.
    pub vault: String,
    /// Whether it was about a key and not about a secret.
    pub is_of_key: bool,
    /// The HTTP status.
    pub status: u16,
    /// Key Vault's code.
    pub code: String,
    /// Key Vault's inner code, or nothing.
    pub inner: String,
    /// What it said, one line.
    pub message: String,
}

impl Refusal {
    fn reason(&self) -> &str {
        if self.inner.is_empty() { &self.code } else { &self.inner }
    }
}

impl KeyVaultError {
    /// Tells refusals apart by what can be done about them.
    pub(super) fn refused(refusal: Refusal) -> Self {
        let Refusal { doing, vault, .. } = &refusal;
        let (doing, vault) = (doing.clone(), vault.clone());
        match (refusal.status, refusal.inner.as_str()) {
            (404, _) => Self::NotFound { doing, vault },
            (403, "SecretDisabled" | "KeyDisabled") => Self::Disabled { doing, vault },
            (409, "ObjectIsDeletedButRecoverable") => {
                Self::Deleted { doing, vault, is_passing: false }
            }
            (409, "ObjectIsBeingDeleted" | "ObjectIsBeingRecovered") => {
                Self::Deleted { doing, vault, is_passing: true }
            }
            _ => Self::Refused(Box::new(refusal)),
        }
    }

    /// Tells whether a change may have been made although it was reported as failed.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Reach { source, .. } => !source.is_connect(),
            Self::Refused(refusal) => refusal.status >= 500 || refusal.status == 408,
            Self::Answer { .. } => true,
            _ => false,
        }
    }

    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Uri { .. } => "for example `https://NAME.vault.azure.net`".to_owned(),
            Self::Way { .. } => "check `ca-file`, or install the system's certificates".to_owned(),
            Self::Identity { source, .. } => return source.hint(),
            Self::Challenge { .. } => {
                "check that the URI is a vault's, and that nothing stands between".to_owned()
            }
            Self::Tenant { theirs, .. } => {
                format!(
                    "set `directory-id` to {theirs} if the vault is yours, with an identity of it"
                )
            }
            Self::Resource { resource, .. } => format!(
                "check the vault's URI; for a vault in a domain of your own set `resource = \
                 \"{resource}\"`"
            ),
            Self::Reach { .. } => "check the vault's URI and the way to it".to_owned(),
            Self::NotFound { .. } => {
                "check name and version; what was deleted can be recovered in the vault".to_owned()
            }
            Self::Disabled { .. } => "enable the version in the vault, or name another".to_owned(),
            Self::Deleted { is_passing: true, .. } => "try again in a minute".to_owned(),
            Self::Deleted { is_passing: false, .. } => {
                "recover the secret in the vault, or purge it".to_owned()
            }
            Self::Refused(refusal) => return refusal.hint(),
            Self::Body { .. } | Self::Answer { .. } => return None,
        })
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Identity { source, .. } => source.fault(),
            Self::Reach { .. } | Self::Answer { .. } => Fault::Vault,
            Self::Deleted { is_passing: true, .. } => Fault::Vault,
            Self::Refused(refusal) if refusal.status == 429 || refusal.status >= 500 => {
                Fault::Vault
            }
            Self::Body { .. } => Fault::Bug,
            Self::Uri { .. }
            | Self::Way { .. }
            | Self::Challenge { .. }
            | Self::Tenant { .. }
            | Self::Resource { .. }
            | Self::NotFound { .. }
            | Self::Disabled { .. }
            | Self::Deleted { .. }
            | Self::Refused(_) => Fault::Operator,
        }
    }
}

impl Refusal {
    fn hint(&self) -> Option<String> {
        Some(match (self.status, self.inner.as_str()) {
            (401, _) => "check that the vault takes tokens of this identity's directory".to_owned(),
            (403, "ForbiddenByFirewall") => {
                "let this host through the vault's firewall, or use a private endpoint".to_owned()
            }
            (403, "KeyOperationForbidden") => {
                "allow the key `wrapKey` and `unwrapKey`: its permitted operations".to_owned()
            }
            (403, _) if self.is_of_key => "give the identity the role `Key Vault Crypto Service \
                 Encryption User` on the vault, or an access policy with get, wrapKey and unwrapKey"
                .to_owned(),
            (403, _) => "give the identity the role `Key Vault Secrets Officer` on the vault \
                         (`Key Vault Secrets User` where it only reads), or an access policy with \
                         get, list, set, delete and recover"
                .to_owned(),
            (429, _) => {
                "the vault is asked for more than its limit; it goes on by itself".to_owned()
            }
            (500.., _) => "the vault is in trouble; look at its state in Azure".to_owned(),
            _ => return None,
        })
    }
}
