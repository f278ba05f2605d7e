//! Why a daemon does not start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::OtherError;
use crate::access::TokenError;
use crate::access::oidc::OidcError;
use crate::auditor::AuditError;
use crate::config::ConfigError;
use crate::data_dir::TOKENS_FILE;
use crate::disk::DiskError;
use crate::error::Fault;
use crate::reference::ReferenceError;
use crate::rollback::RollbackError;
use crate::service::ServiceError;
use crate::store::StoreError;
use crate::template::{DocumentError, PolicyError};
use crate::vault::VaultError;

/// Tells why a daemon does not start. Nothing was exposed and no device was touched.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config {
        /// What is wrong.
        source: ConfigError,
    },
    /// The data directory cannot be used.
    #[error("use the data directory `{}`", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can put files into the data directory.
    #[error("use the data directory `{}`: others may write it (mode {mode:04o})", dir.display())]
    DirectoryOpen {
        /// The directory.
        dir: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The audit cannot be opened or written.
    #[error(transparent)]
    Audit {
        /// Why.
        source: AuditError,
    },
    /// The tokens that were made cannot be read.
    #[error(transparent)]
    Tokens {
        /// Why.
        source: TokenError,
    },
    /// An issuer of tokens cannot be used as it is configured.
    #[error(transparent)]
    Oidc {
        /// Why.
        source: OidcError,
    },
    /// A file cannot be read.
    #[error("read `{}`", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("write `{}`", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read a file that holds a secret.
    #[error("use `{}`: its mode is {mode:04o}, expected 0600", file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A disk refused a file.
    #[error(transparent)]
    Disk {
        /// Why.
        source: DiskError,
    },
    /// The file of the administrator's token holds something else.
    #[error("read a token from `{}`: expected 32 or more printable characters", file.display())]
    Token {
        /// The file.
        file: PathBuf,
    },
    /// The operating system's generator failed.
    #[error("draw random bytes from the operating system")]
    Random,
    /// A certificate could not be made.
    #[error("make a certificate for {whom}")]
    Certificate {
        /// For whom.
        whom: &'static str,
        /// Why.
        source: rcgen::Error,
    },
    /// The authority's key is no key, or it is missing beside its certificate.
    #[error("use the certificate authority's key `{}`: {what}", file.display())]
    AuthorityKey {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The authority's certificate does not belong to its key.
    #[error("use `{}`: it does not belong to the certificate authority's key", file.display())]
    AuthorityMismatch {
        /// The certificate.
        file: PathBuf,
        /// What the check said.
        source: rustls::Error,
    },
    /// TLS could not be set up.
    #[error("set up TLS")]
    Tls {
        /// Why.
        source: rustls::Error,
    },
    /// The store cannot be opened.
    #[error("open the store")]
    Store {
        /// Why.
        source: StoreError,
    },
    /// The vault cannot be opened.
    #[error("open the vault")]
    Vault {
        /// Why.
        source: VaultError,
    },
    /// Of store and vault one is there and the other one is not.
    #[error("find `{}`, although `{}` is there", lost.display(), kept.display())]
    Lost {
        /// The one that is not there.
        lost: PathBuf,
        /// The one that is there.
        kept: PathBuf,
    },
    /// Whether the vault or the store is an older copy cannot be told.
    #[error(transparent)]
    Rollback {
        /// Why.
        source: RollbackError,
    },
    /// A credential that the configuration refers to cannot be had.
    #[error(transparent)]
    Reference {
        /// Why.
        source: ReferenceError,
    },
    /// The secrets template is wrong.
    #[error(transparent)]
    Template {
        /// What is wrong.
        source: DocumentError,
    },
    /// The template and a platform do not go together.
    #[error(transparent)]
    Policy {
        /// Which.
        source: PolicyError,
    },
    /// The agent did not start.
    #[error("start the agent")]
    Agent {
        /// Why.
        source: OtherError,
    },
    /// The service did not start.
    #[error("start the service")]
    Service {
        /// Why.
        source: ServiceError,
    },
    /// The address cannot be served.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Signals cannot be heard.
    #[error("listen for signals")]
    Signals {
        /// Why.
        source: std::io::Error,
    },
}

impl DaemonError {
    pub(super) fn directory(dir: &Path, source: std::io::Error) -> Self {
        Self::Directory { dir: dir.to_owned(), source }
    }

    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config { source } => source.hint().map(str::to_owned),
            Self::Directory { .. } => {
                Some("give a directory that you may write with `--data-dir`".to_owned())
            }
            Self::DirectoryOpen { dir, .. } => Some(format!("run `chmod 700 {}`", dir.display())),
            Self::Exposed { file, .. } => Some(format!(
                "run `chmod 600 {}`, and consider what is in it known to others",
                file.display()
            )),
            Self::Disk { source } => source.hint(),
            Self::Audit { source } => source.hint(),
            Self::Tokens { .. } => Some(format!(
                "bring `{TOKENS_FILE}` back from its backup; without it every token that was made \
                 has to be made anew"
            )),
            Self::Token { file } => {
                Some(format!("remove `{}` to have a new token made", file.display()))
            }
            Self::AuthorityKey { file, .. } | Self::AuthorityMismatch { file, .. } => {
                Some(format!(
                    "bring `{}` back from its backup, or remove both `ca.pem` and `ca.key` to \
                     have a new authority made, which every client must then be told of",
                    file.display()
                ))
            }
            Self::Oidc { source } => source.hint(),
            Self::Reference { source } => source.hint(),
            Self::Store { source } => source.hint(),
            Self::Vault { source } => source.hint(),
            Self::Rollback { source } => source.hint(),
            Self::Lost { lost, kept } => Some(format!(
                "bring `{}` back from its backup; if it never held anything, remove `{}` too",
                lost.display(),
                kept.display()
            )),
            Self::Template { source } => source.hint().map(str::to_owned),
            Self::Policy { source } => Some(source.hint().to_owned()),
            Self::Service { source } => source.hint(),
            Self::Listen { .. } => {
                Some("give a free address with `--listen`; port 0 takes any free port".to_owned())
            }
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Random
            | Self::Certificate { .. }
            | Self::Tls { .. }
            | Self::Agent { .. }
            | Self::Signals { .. } => None,
        }
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Audit { source } => source.fault(),
            Self::Disk { source } => source.fault(),
            Self::Oidc { source } => source.fault(),
            Self::Reference { source } => source.fault(),
            Self::Store { source } => source.fault(),
            Self::Vault { source } => source.fault(),
            Self::Rollback { source } => source.fault(),
            Self::Service { source } => source.fault(),
            Self::Certificate { .. } | Self::Tls { .. } => Fault::Bug,
            _ => Fault::Operator,
        }
    }
}
