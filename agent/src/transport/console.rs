//! A device's serial console, through its terminal server over SSH.
//!
//! The terminal server gives a line to whoever logs in as `user:portNN`. Its own host key is
//! pinned and its own password is needed; what follows is the login of a serial line. An OpenSSH
//! client would treat `~` at the beginning of a line as an escape; we are none, and neither names
//! nor passwords that we type begin with one.

use async_trait::async_trait;
use protocol::job::Path;
use tokio::time::Instant;

use super::serial;
use super::ssh::{self, Credentials, Server, Ssh, SshConnection};
use super::{Connection, ConnectionKind, ExecReply, Gate, Login, OpenError, Stream, Transport};
use crate::learned::Learned;

/// The console transport.
#[derive(Debug, Clone, Default)]
pub struct Console {
    ssh: Ssh,
}

impl Console {
    /// Makes the transport on top of an SSH transport, whose limits it shares.
    #[must_use]
    pub fn through(ssh: &Ssh) -> Self {
        Self { ssh: ssh.clone() }
    }
}

#[async_trait]
impl Transport for Console {
    async fn open(&self, login: &Login<'_>) -> Result<Box<dyn Connection>, OpenError> {
        let Path::Console { terminal_server, address, port, host_key, user } = login.path else {
            return Err(OpenError::Unusable("it is not a console path".to_owned()));
        };
        if login.door.is_empty() {
            return Err(OpenError::Unusable("no password for the terminal server".to_owned()));
        }
        let account = user.split(':').next().unwrap_or(user);
        let gate = Gate::TerminalServer(terminal_server, account);
        let credentials = Credentials { user, passwords: login.door, gate };
        // What was learned of the device is not true of its terminal server.
        let fresh = Learned::default();
        let door = Login { learned: &fresh, ..*login };
        let server = Server { address, port: *port, host_key };
        let connected = ssh::connect(&self.ssh, &server, &door, &credentials).await;
        let mut connection = connected.map_err(|error| at_the_door(error, user))?;
        let line = connection.terminal().await?;
        match serial::log_in(line, login).await {
            Ok(line) => Ok(Box::new(Through {
                door: connection,
                line: Some(line),
                learned: login.learned.clone(),
            })),
            Err(error) => {
                connection.goodbye().await;
                Err(error)
            }
        }
    }
}

/// Keeps what happens at the terminal server apart from what happens at the device: there no
/// attempt of the device's account is spent.
fn at_the_door(error: OpenError, user: &str) -> OpenError {
    match error {
        OpenError::Refused { .. }
        | OpenError::Locked { .. }
        | OpenError::Expired { .. }
        | OpenError::BudgetSpent { .. } => {
            OpenError::DoorRefused { user: user.to_owned(), why: error.to_string() }
        }
        OpenError::Lost(why) => OpenError::Cut(format!("at the terminal server: {why}")),
        other => other,
    }
}

/// A console line, logged in, and the connection that it goes through.
struct Through {
    door: SshConnection,
    line: Option<Box<dyn Stream>>,
    learned: Learned,
}

#[async_trait]
impl Connection for Through {
    async fn shell(&mut self) -> Result<Box<dyn Stream>, OpenError> {
        self.line.take().ok_or_else(|| OpenError::Busy("a line has one session".to_owned()))
    }

    async fn exec(
        &mut self,
        _command: &str,
        _stdin: Option<&[u8]>,
        _deadline: Instant,
    ) -> Result<ExecReply, OpenError> {
        Err(OpenError::Unusable("a line runs no single commands".to_owned()))
    }

    fn kind(&self) -> ConnectionKind {
        ConnectionKind::Line
    }

    fn learned(&self) -> Learned {
        self.learned.clone()
    }

    async fn close(&mut self) {
        self.line = None;
        self.door.goodbye().await;
    }
}
