//! Why there is no token.

use std::path::PathBuf;

use crate::error::Fault;
use crate::remote::WayError;

/// Tells why an identity was not given a token. Never contains a token or a secret.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no client to ask with.
    #[error("get ready to ask for tokens")]
    Way {
        /// Why not.
        #[from]
        source: WayError,
    },
    /// Neither the configuration nor the environment says something that is needed.
    #[error("know {what}: neither `{key}` nor the variable `{variable}` is set")]
    Unset {
        /// What is needed.
        what: &'static str,
        /// The key of the configuration.
        key: &'static str,
        /// The variable of the environment.
        variable: &'static str,
    },
    /// An address is none.
    #[error("use `{given}` as {what}: expected {expected}")]
    Address {
        /// What it is for.
        what: &'static str,
        /// What was given.
        given: String,
        /// What it should be.
        expected: &'static str,
    },
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
    /// Whoever gives tokens does not answer.
    #[error("ask {place} for a token")]
    Reach {
        /// Whom.
        place: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// Whoever gives tokens refused.
    #[error("get a token of {place}: it answered {status} `{code}`: {message}")]
    Refused {
        /// Who.
        place: String,
        /// The HTTP status.
        status: u16,
        /// The short code, `invalid_client` for example.
        code: String,
        /// What it said, one line.
        message: String,
    },
    /// The answer has no token that could be used.
    #[error("get a token of {place}: expected a token that lives, got {got}")]
    Answer {
        /// Who answered.
        place: String,
        /// What is in the answer instead.
        got: &'static str,
    },
}

/// What mends a refusal, by what the refusal has in it.
const REMEDIES: [(&str, &str); 9] = [
    ("AADSTS7000215", "write the client secret's value, not its id, into `clientsecret`"),
    ("AADSTS7000222", "the client secret has ended: make a new one and replace `clientsecret`"),
    (
        "AADSTS700016",
        "there is no such application in this directory: check client and directory id",
    ),
    ("AADSTS90002", "there is no such directory: check the directory id and the authority"),
    (
        "AADSTS70021",
        "no federated credential of the application has this token's issuer, subject and audience",
    ),
    ("AADSTS700024", "the federated token is over: check that its file is renewed"),
    (
        "Identity not found",
        "assign the managed identity to this host, and check the id if it is a user-assigned one",
    ),
    (
        "Multiple user assigned identities",
        "this host has several identities: say which one by its client id",
    ),
    ("unauthorized_client", "check that the application may ask for tokens of this resource"),
];

impl IdentityError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Way { .. } => "check `ca-file`, or install the system's certificates".to_owned(),
            Self::Unset { key, variable, .. } => {
                format!("set `{key}` in the configuration, or `{variable}` for the process")
            }
            Self::Address { .. } => return None,
            Self::File { file, .. } | Self::Content { file, .. } => format!(
                "check that `{}` is there, that Keyturn may read it and that it is not empty",
                file.display()
            ),
            Self::Reach { place, .. } => format!(
                "check the way to {place}; a managed identity is there on hosts in Azure only"
            ),
            Self::Refused { code, message, .. } => {
                let fits = |mark: &str| message.contains(mark) || code == mark;
                let remedy = REMEDIES.iter().find(|(mark, _remedy)| fits(mark));
                return remedy.map(|(_mark, remedy)| (*remedy).to_owned());
            }
            Self::Answer { .. } => "compare the clock of this host with the right time".to_owned(),
        })
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused { status, .. } if *status == 429 || *status >= 500 => Fault::Vault,
            Self::Reach { .. } | Self::Answer { .. } => Fault::Vault,
            Self::Way { .. }
            | Self::Unset { .. }
            | Self::Address { .. }
            | Self::File { .. }
            | Self::Content { .. }
            | Self::Refused { .. } => Fault::Operator,
        }
    }
}
