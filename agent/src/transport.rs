//! Ways to a device. After [`Transport::open`] the caller is logged in.
//!
//! A transport says exactly what a failed login has cost ([`OpenError::cost`]): a connection that
//! broke before the password was sent costs nothing, a refusal costs one attempt, silence after
//! the password may have cost one. It counts each attempt through [`Attempts`] *before* it sends a
//! password, and checks the pinned host key before that.

mod console;
mod conversation;
mod login;
mod serial;
mod ssh;

use std::sync::Arc;

use async_trait::async_trait;
use protocol::id::DeviceId;
use protocol::job::Path;
use protocol::password::Password;
use protocol::report::Reason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::learned::Learned;
use crate::platform::Platform;

pub use console::Console;
pub use conversation::{Conversation, ConversationError, Wire};
pub use login::leave;
pub use serial::{Serial, log_in_on_line};
pub use ssh::Ssh;

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One kind of way to devices.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Connects, authenticates and returns the open connection.
    ///
    /// # Errors
    /// Returns [`OpenError`], whose [`OpenError::cost`] says whether an attempt was spent.
    async fn open(&self, login: &Login<'_>) -> Result<Box<dyn Connection>, OpenError>;
}

/// One login to be made.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The device.
    pub device: &'a DeviceId,
    /// The way to it.
    pub path: &'a Path,
    /// Its platform.
    pub platform: &'a Arc<Platform>,
    /// The account's name on the device.
    pub user: &'a str,
    /// The account's password.
    pub password: &'a Password,
    /// The terminal server's passwords, the likeliest first; for consoles.
    pub door: &'a [&'a Password],
    /// What is known of the device.
    pub learned: &'a Learned,
    /// Counts attempts.
    pub attempts: &'a dyn Attempts,
    /// When the whole job ends.
    pub deadline: Instant,
}

impl std::fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("device", &self.device)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Who is being logged in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate<'a> {
    /// The device itself, as this user.
    Device(&'a str),
    /// The terminal server on the way to it, as this user.
    TerminalServer(&'a DeviceId, &'a str),
}

/// Counts login attempts durably, and refuses one more than the budget allows.
#[async_trait]
pub trait Attempts: Send + Sync {
    /// Counts an attempt that is about to be made.
    ///
    /// # Errors
    /// Returns [`OpenError::BudgetSpent`] or [`OpenError::Ledger`]; then no password may be sent.
    async fn count(&self, gate: Gate<'_>) -> Result<(), OpenError>;

    /// Notes that the attempt succeeded.
    async fn succeeded(&self, gate: Gate<'_>);
}

/// An open connection, logged in.
#[async_trait]
pub trait Connection: Send {
    /// Opens the device's command line.
    ///
    /// # Errors
    /// Returns [`OpenError::Busy`] where the device gives no further session.
    async fn shell(&mut self) -> Result<Box<dyn Stream>, OpenError>;

    /// Runs one command without a terminal and waits for its end.
    ///
    /// # Errors
    /// Returns [`OpenError`] where the command could not be run to its end.
    async fn exec(
        &mut self,
        command: &str,
        stdin: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<ExecReply, OpenError>;

    /// Tells what kind of connection it is.
    fn kind(&self) -> ConnectionKind;

    /// Tells whether the connection is still there. One that cannot tell is.
    fn is_open(&self) -> bool {
        true
    }

    /// Returns what was learned in opening it.
    fn learned(&self) -> Learned;

    /// Ends the connection. A serial line must have been left by [`leave`] before.
    async fn close(&mut self);
}

/// What kind of connection a device is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    /// A connection of its own: others can be opened beside it, and closing it ends the session.
    Network,
    /// A line that everybody shares: one session at a time, which outlives the connection.
    Line,
}

/// What a command without a terminal gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecReply {
    /// Standard output and standard error, as they came.
    pub output: Vec<u8>,
    /// The exit status, if the device told it.
    pub status: Option<u32>,
}

/// What a failed login has cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// No password was sent.
    Nothing,
    /// The device has refused the password.
    Attempt,
    /// The password was sent and nothing came back.
    PerhapsAttempt,
}

/// Tells why a device could not be logged in to. Never contains a password; device text is
/// scrubbed and cut.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// Nothing answers at the address.
    #[error("connect: {0}")]
    Unreachable(String),
    /// The connection broke, or nothing came in time, before a password was sent.
    #[error("come to the login: {0}")]
    Cut(String),
    /// The host key is not the pinned one.
    #[error("trust the host key: expected {expected}, got {got}")]
    HostKey {
        /// The pinned key's fingerprint.
        expected: String,
        /// The offered key's fingerprint.
        got: String,
    },
    /// The device refused the password.
    #[error("log in as `{user}`: the password was refused")]
    Refused {
        /// The account.
        user: String,
    },
    /// The device says that the account is locked.
    #[error("log in as `{user}`: the device says that the account is locked")]
    Locked {
        /// The account.
        user: String,
        /// A password had been sent.
        sent: bool,
    },
    /// The device wants the password changed first.
    #[error("log in as `{user}`: the device wants the password to be changed first")]
    Expired {
        /// The account.
        user: String,
    },
    /// The terminal server on the way does not let us through.
    #[error("pass the terminal server as `{user}`: {why}")]
    DoorRefused {
        /// The account on the terminal server.
        user: String,
        /// What failed there.
        why: String,
    },
    /// The connection broke, or nothing came in time, after the password was sent.
    #[error("learn what came of the login: {0}")]
    Lost(String),
    /// The line showed the password in clear.
    #[error("type the password unseen: the line showed it")]
    Exposed,
    /// The line is in use, or the device has no free session.
    #[error("get a session: {0}")]
    Busy(String),
    /// The device offers no way to log in with a password.
    #[error("log in with a password: {0}")]
    NoMethod(String),
    /// One more attempt could lock the account.
    #[error("stay within the login budget of `{user}`")]
    BudgetSpent {
        /// The account.
        user: String,
    },
    /// The attempt could not be counted durably.
    #[error("count the login durably: {0}")]
    Ledger(String),
    /// The path or the platform cannot be used so.
    #[error("use this path: {0}")]
    Unusable(String),
}

impl OpenError {
    /// Says what the failed login has cost.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match self {
            Self::Refused { .. } | Self::Locked { sent: true, .. } => Cost::Attempt,
            Self::Expired { .. } | Self::Exposed | Self::Lost(_) => Cost::PerhapsAttempt,
            _ => Cost::Nothing,
        }
    }

    /// Says for a report why the job stopped.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            // A closed port, a reset and silence before the login are one thing to whoever has to
            // mend it, and which of them is seen is chance.
            Self::Unreachable(_) | Self::Cut(_) | Self::DoorRefused { .. } => {
                Reason::CouldNotConnect
            }
            Self::Lost(_) => Reason::ConnectionLost,
            Self::HostKey { .. } => Reason::HostKeyMismatch,
            Self::Refused { .. } | Self::Expired { .. } | Self::NoMethod(_) => {
                Reason::AuthenticationRefused
            }
            Self::Locked { .. } => Reason::Locked,
            Self::Exposed => Reason::UnexpectedOutput,
            Self::Busy(_) => Reason::Busy,
            Self::BudgetSpent { .. } => Reason::LoginBudgetSpent,
            Self::Ledger(_) => Reason::LedgerFailed,
            Self::Unusable(_) => Reason::BadJob,
        }
    }
}

/// The transports that an agent has, one for each kind of path.
#[derive(Clone)]
pub struct Transports {
    /// For [`Path::Ssh`].
    pub ssh: Arc<dyn Transport>,
    /// For [`Path::Serial`].
    pub serial: Arc<dyn Transport>,
    /// For [`Path::Console`].
    pub console: Arc<dyn Transport>,
}

impl std::fmt::Debug for Transports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transports(…)")
    }
}

impl Transports {
    /// Returns the real ones: TCP, serial ports, consoles through terminal servers.
    #[must_use]
    pub fn real() -> Self {
        let ssh = Ssh::default();
        let console = Arc::new(Console::through(&ssh));
        Self { ssh: Arc::new(ssh), serial: Arc::new(Serial), console }
    }

    /// Returns the transport for a path.
    #[must_use]
    pub fn for_path(&self, path: &Path) -> &Arc<dyn Transport> {
        match path {
            Path::Ssh { .. } => &self.ssh,
            Path::Serial { .. } => &self.serial,
            Path::Console { .. } => &self.console,
        }
    }
}
