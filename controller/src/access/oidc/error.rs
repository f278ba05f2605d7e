//! Why an issuer's keys cannot be had.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::KeysError;
use crate::duration;
use crate::error::Fault;

/// Tells why an issuer's keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The file cannot be read.
    #[error("read the keys of an issuer from `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the file or the server has is no set of keys.
    #[error("read the keys of an issuer from `{place}`")]
    Keys {
        /// The file or URL.
        place: String,
        /// What is wrong with it.
        source: KeysError,
    },
    /// The authorities that may vouch for a server cannot be used.
    #[error("use the certificate authorities {whose}: {what}")]
    Authorities {
        /// Of which file; or the system's.
        whose: String,
        /// What is wrong with them.
        what: String,
    },
    /// The server did not answer, or not by HTTPS.
    #[error("fetch the keys of an issuer from `{url}`")]
    Http {
        /// The URL.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server answered something else.
    #[error("fetch the keys of an issuer from `{url}`: the server answered {status}")]
    Status {
        /// The URL.
        url: String,
        /// What it answered.
        status: u16,
    },
    /// There is more than a set of keys can have.
    #[error("read the keys of an issuer from `{place}`: they have more than {max} bytes")]
    TooLarge {
        /// The file or URL.
        place: String,
        /// How much is read.
        max: usize,
    },
    /// It took too long.
    #[error("get the keys of an issuer from `{place}` within {}", duration::render(*within))]
    TimedOut {
        /// The file or URL.
        place: String,
        /// How long it may take.
        within: Duration,
    },
}

impl OidcError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::File { .. } => {
                "save what the issuer publishes at its `jwks_uri` to the file, or give `jwks-url`"
            }
            Self::Keys { source, .. } => source.hint(),
            Self::Authorities { .. } => {
                "give the authority that signed the server's certificate as `ca-file`, in PEM"
            }
            Self::Http { .. } | Self::TimedOut { .. } => {
                "look whether the daemon's host reaches the server and trusts its certificate; \
                 Keyturn uses no proxy and follows no redirect"
            }
            Self::Status { .. } | Self::TooLarge { .. } => {
                "give the `jwks_uri` of the issuer's `/.well-known/openid-configuration`"
            }
        };
        Some(hint.to_owned())
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::File { .. } | Self::Keys { .. } | Self::Authorities { .. } => Fault::Operator,
            _ => Fault::Peer,
        }
    }

    /// Returns the error with all that is under it, in one line, for a log.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            // A server may have had a word in it.
            text.extend(error.to_string().chars().filter(|c| !c.is_control()).take(200));
            source = error.source();
        }
        text
    }
}
