//! What an operator says of a vault, and of who Keyturn is to it.

use std::path::PathBuf;

use super::Kv2Error;
use crate::remote::Way;

/// A mount of the engine, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv2Settings {
    /// Where the vault is: `https://HOST` or `https://HOST:PORT`.
    pub uri: String,
    /// Where the engine is mounted, `secret` for example.
    pub mount: String,
    /// The folder in the mount that Keyturn has for itself. Default: all of the mount.
    pub prefix: Option<String>,
    /// The namespace of mount and login. Default: the root's.
    pub namespace: Option<String>,
    /// Who Keyturn is.
    pub login: Login,
    /// How the vault is reached.
    pub way: Way,
}

/// How a token is got. Files are read again each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A token in a file, which somebody else renews or replaces: an agent of the vault's.
    Token {
        /// The file.
        file: PathBuf,
    },
    /// An AppRole.
    AppRole {
        /// Where the method is mounted: `approle`.
        mount: String,
        /// The file with the role's id.
        role_id: PathBuf,
        /// The file with a secret id.
        secret_id: PathBuf,
    },
    /// The service account of a pod in Kubernetes.
    Kubernetes {
        /// Where the method is mounted: `kubernetes`.
        mount: String,
        /// The role in the vault.
        role: String,
        /// The file with the account's token.
        token_file: PathBuf,
    },
}

impl Login {
    /// Returns where the method is mounted, below `auth`.
    pub(super) fn mount(&self) -> &str {
        match self {
            Self::Token { .. } => "token",
            Self::AppRole { mount, .. } | Self::Kubernetes { mount, .. } => mount,
        }
    }
}

/// Tells whether a text can be the path of a mount, a folder or a namespace: names of letters, digits,
/// `-`, `_` and `.`, joined by `/`.
#[must_use]
pub fn is_path(text: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.chars().all(is_legal);
    text.trim_matches('/').split('/').all(is_name)
}

/// Takes a path apart.
pub(super) fn names(what: &'static str, path: &str) -> Result<Vec<String>, Kv2Error> {
    if is_path(path) {
        return Ok(path.trim_matches('/').split('/').map(str::to_owned).collect());
    }
    Err(Kv2Error::Path { what, given: path.to_owned() })
}
