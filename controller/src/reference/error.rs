//! Why a reference leads nowhere.

use std::path::PathBuf;

use crate::error::Fault;
use crate::identity::IdentityError;
use crate::key_vault::KeyVaultError;
use crate::pkcs12::Pkcs12Error;

/// Tells why a credential could not be had. Never contains a value.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// A local secret is named, and there is no place for them.
    #[error("find the local secret `{name}`: no folder is configured")]
    NoFolder {
        /// The secret.
        name: String,
    },
    /// A local secret cannot be read.
    #[error("read the local secret `{name}` in `{}`", folder.display())]
    Local {
        /// The secret.
        name: String,
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The identity that a vault is asked as cannot be used.
    #[error("ask for {reference}")]
    Identity {
        /// The reference.
        reference: String,
        /// Why not.
        source: IdentityError,
    },
    /// The vault did not give it.
    #[error("get {reference}")]
    KeyVault {
        /// The reference.
        reference: String,
        /// Why not.
        source: KeyVaultError,
    },
    /// The file of PKCS #12 is none that is read here.
    #[error("use {reference}")]
    Archive {
        /// The reference.
        reference: String,
        /// Why not.
        source: Pkcs12Error,
    },
    /// What is there is something else.
    #[error("use {reference}: expected {expected}, got {got}")]
    Content {
        /// The reference.
        reference: String,
        /// What it should be.
        expected: &'static str,
        /// What it is instead; never a part of it.
        got: String,
    },
}

impl ReferenceError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoFolder { .. } => "set `dir` in [secrets]".to_owned(),
            Self::Local { folder, .. } => {
                format!("check that `{}` is there and that Keyturn may read it", folder.display())
            }
            Self::Identity { source, .. } => return source.hint(),
            Self::KeyVault { source, .. } => return source.hint(),
            Self::Archive { .. } => {
                "name a certificate of the vault, with its key; else make it with the content type \
                 `application/x-pem-file`, in its policy's `secret_properties`"
                    .to_owned()
            }
            Self::Content { .. } => return None,
        })
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoFolder { .. }
            | Self::Local { .. }
            | Self::Archive { .. }
            | Self::Content { .. } => Fault::Operator,
            Self::Identity { source, .. } => source.fault(),
            Self::KeyVault { source, .. } => source.fault(),
        }
    }
}
