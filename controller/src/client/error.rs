//! Why a request of a client did not do what it should.

use std::path::PathBuf;

use serde_json::Value;

use crate::error::Fault;

/// Tells why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address is not one.
    #[error("use `{given}` as the server: expected https://HOST:PORT")]
    Server {
        /// What was given.
        given: String,
    },
    /// The certificate authority cannot be used.
    #[error("read the certificate authority from `{}`: {what}", file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// Why.
        what: String,
    },
    /// The token cannot be read.
    #[error("read the token from `{}`", file.display())]
    Token {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server was not reached, or went away.
    #[error("reach the server {server}")]
    Http {
        /// Where it should be.
        server: String,
        /// Why.
        source: reqwest::Error,
    },
    /// What came cannot be written.
    #[error("write what the server sent")]
    Write {
        /// Why.
        source: std::io::Error,
    },
    /// A request could not be written.
    #[error("write the request")]
    Body {
        /// Why.
        source: serde_json::Error,
    },
    /// The answer is not what it should be.
    #[error("understand the answer of {server}")]
    Answer {
        /// Who answered.
        server: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The server refused or failed.
    #[error("{failure}")]
    Api {
        /// What it said.
        failure: Box<ApiFailure>,
    },
}

/// What the API says of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiFailure {
    /// The HTTP status; 0 for an operation's failure.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// For people.
    pub message: String,
    /// The resource.
    pub target: Option<String>,
    /// What it is about, resource by resource.
    pub details: Vec<Self>,
    /// What mends it.
    pub hint: Option<String>,
}

impl ApiFailure {
    /// Reads an error as the API writes it.
    #[must_use]
    pub fn of(error: &Value) -> Self {
        let text = |key: &str| error.get(key).and_then(Value::as_str).map(scrubbed);
        let list = |key: &str| error.get(key).and_then(Value::as_array).cloned();
        let infos = list("additionalInfo").unwrap_or_default();
        let hint = infos.iter().find_map(|info| info.pointer("/info/hint")?.as_str());
        Self {
            status: 0,
            code: text("code").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
            target: text("target"),
            details: list("details").unwrap_or_default().iter().map(Self::of).collect(),
            hint: hint.map(scrubbed),
        }
    }
}

/// Takes control characters out of what goes to a terminal.
fn scrubbed(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl ClientError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Server { .. } => Some("for example `--server https://127.0.0.1:7443`".to_owned()),
            Self::Authority { .. } => Some(
                "give the daemon's `ca.pem` with `--ca`, or its data directory with `--data-dir`"
                    .to_owned(),
            ),
            Self::Token { .. } => Some(
                "give the daemon's `admin.token` with `--token-file`, or its data directory with \
                 `--data-dir`"
                    .to_owned(),
            ),
            Self::Http { .. } => Some(
                "check that the daemon runs (`keyturn serve`) and that `--server` and `--ca` are \
                 its own"
                    .to_owned(),
            ),
            Self::Api { failure } => failure.hint.clone(),
            Self::Body { .. } | Self::Answer { .. } | Self::Write { .. } => None,
        }
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Server { .. }
            | Self::Authority { .. }
            | Self::Token { .. }
            | Self::Write { .. } => Fault::Operator,
            Self::Http { .. } | Self::Answer { .. } => Fault::Peer,
            Self::Body { .. } => Fault::Bug,
            Self::Api { failure } if failure.status >= 500 => Fault::Vault,
            Self::Api { .. } => Fault::Operator,
        }
    }

    /// Tells whether the server said that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { failure } if failure.status == 404)
    }

    /// Tells whether the server was not reached or went away: asking again may help.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Http { .. })
    }
}
