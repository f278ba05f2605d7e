//! Why there is no token for a vault.

use std::path::PathBuf;

use super::super::error::{Kv2Error, Refusal};
use crate::error::Fault;

/// Tells why a vault gave no token. Never contains one, nor anything that gets one.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A file with a part of the credential cannot be read.
    #[error("read the credential `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file with a part of the credential holds nothing that could be one.
    #[error("use the credential `{}`: expected {expected}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The vault refused or failed.
    #[error("{doing} at {place}/v1/{path}: it answered {status}{}", told(message))]
    Refused {
        /// What was tried.
        doing: String,
        /// The vault.
        place: String,
        /// The path that was asked.
        path: String,
        /// The HTTP status.
        status: u16,
        /// What it said, one line, or nothing.
        message: String,
    },
    /// The vault let us in and gave no token.
    #[error("log in at {place}: expected a token, got none")]
    Nothing {
        /// The vault.
        place: String,
    },
    /// The vault could not be asked.
    #[error("ask for a token")]
    Ask {
        /// Why not.
        source: Box<Kv2Error>,
    },
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl LoginError {
    pub(super) fn ask(source: Kv2Error) -> Self {
        Self::Ask { source: Box::new(source) }
    }

    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File { file, .. } | Self::Content { file, .. } => format!(
                "check that `{}` is there, that Keyturn may read it and that it is not empty",
                file.display()
            ),
            Self::Refused { path, status, .. } => return self.refused_hint(path, *status),
            Self::Nothing { .. } => "check that the URI is a vault's".to_owned(),
            Self::Ask { source } => return source.hint(),
        })
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused { status: 412 | 429 | 472 | 473 | 500.., .. } | Self::Nothing { .. } => {
                Fault::Vault
            }
            Self::Ask { source } => source.fault(),
            Self::File { .. } | Self::Content { .. } | Self::Refused { .. } => Fault::Operator,
        }
    }

    fn as_refusal(&self) -> Option<Refusal> {
        let Self::Refused { doing, place, status, message, .. } = self else { return None };
        let (doing, vault, message) = (doing.clone(), place.clone(), message.clone());
        Some(Refusal { doing, vault, status: *status, message })
    }

    fn refused_hint(&self, path: &str, status: u16) -> Option<String> {
        let is_login = path.ends_with("/login");
        Some(match status {
            404 => format!("check `namespace` and where the method is mounted (`{path}`)"),
            400 | 403 if is_login => "check the role and its credential: a secret id or a service \
                                      account's token may have ended, or be bound to other hosts"
                .to_owned(),
            403 => "write a token that is good into its file; it must be allowed to read \
                    `auth/token/lookup-self`, as the policy `default` is"
                .to_owned(),
            _ => return self.as_refusal()?.hint(),
        })
    }
}
