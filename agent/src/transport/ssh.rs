//! SSH: the pinned host key first, then the password, then a shell or single commands.

mod algorithms;
mod authentication;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use protocol::job::Path;
use russh::client::{self, Handle};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Connection, ConnectionKind, ExecReply, Login, OpenError, Stream, Transport};
use crate::dialogue::{REPLY_BYTES_MAX, scrub};
use crate::learned::Learned;

pub(super) use authentication::Credentials;

/// The longest that a TCP connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The longest that version exchange and key exchange may take.
const KEY_EXCHANGE_MAX: Duration = Duration::from_secs(15);
/// The longest that opening a channel may take.
const CHANNEL_MAX: Duration = Duration::from_secs(15);
/// The longest that a polite good-bye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// When an idle connection is probed, so that one that died is noticed.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// When a connection that says nothing at all is given up.
const INACTIVITY_MAX: Duration = Duration::from_secs(120);
/// Columns and rows of the terminal: wide enough for a line with a hash, high enough for no pager.
const TERMINAL: (u32, u32) = (511, 1000);

/// How many key exchanges and authentications may be under way at once. They are work for
/// processors and need memory: more at once would be done no sooner. At a round trip of 50 ms, 256
/// of them still make some 800 logins in a second; a device that hangs in one holds its place for
/// [`KEY_EXCHANGE_MAX`] at most. A login that only proves a password has its place until its
/// session has gone, so that there are never many more sessions than devices.
const HANDSHAKES_MAX: usize = 256;

/// The SSH transport.
#[derive(Debug, Clone)]
pub struct Ssh {
    handshakes: Arc<Semaphore>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self { handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)) }
    }
}

#[async_trait]
impl Transport for Ssh {
    async fn open(&self, login: &Login<'_>) -> Result<Box<dyn Connection>, OpenError> {
        let Path::Ssh { address, port, host_key } = login.path else {
            return Err(OpenError::Unusable("it is not an SSH path".to_owned()));
        };
        let server = Server { address, port: *port, host_key };
        let credentials = Credentials {
            user: login.user,
            passwords: &[login.password],
            gate: super::Gate::Device(login.user),
        };
        let connection = connect(self, &server, login, &credentials).await?;
        Ok(Box::new(connection))
    }
}

/// Where an SSH server is, and which key it must have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) address: &'a str,
    pub(super) port: u16,
    pub(super) host_key: &'a str,
}

/// Connects to a server, checks its key and logs in.
pub(super) async fn connect(
    ssh: &Ssh,
    server: &Server<'_>,
    login: &Login<'_>,
    credentials: &Credentials<'_>,
) -> Result<SshConnection, OpenError> {
    let pinned = PublicKey::from_openssh(server.host_key)
        .map_err(|_source| OpenError::Unusable("the pinned host key is not a key".to_owned()))?;
    let config = Arc::new(client::Config {
        preferred: algorithms::preferred(&pinned, login.platform, login.learned),
        inactivity_timeout: Some(INACTIVITY_MAX),
        keepalive_interval: Some(KEEPALIVE),
        nodelay: true,
        ..client::Config::default()
    });
    let seen = Arc::new(Mutex::new(Seen::default()));
    let handler = Handler { pinned: Arc::new(pinned), seen: Arc::clone(&seen) };
    let socket = dial(server, login.deadline).await?;
    let turn = Arc::clone(&ssh.handshakes).acquire_owned();
    let Ok(Ok(turn)) = timeout_at(login.deadline, turn).await else {
        return Err(OpenError::Cut("no turn for a login in the job's time".to_owned()));
    };
    let exchange = client::connect_stream(config, socket, handler);
    let until = login.deadline.min(Instant::now() + KEY_EXCHANGE_MAX);
    let mut handle = match timeout_at(until, exchange).await {
        Ok(Ok(handle)) => handle,
        Ok(Err(error)) => return Err(key_exchange_error(&seen, &error)),
        Err(_elapsed) => return Err(OpenError::Cut("no key exchange in time".to_owned())),
    };
    let method = authentication::log_in(&mut handle, &seen, login, credentials).await?;
    let mut learned = login.learned.clone();
    learned.method = Some(method);
    if let Some(name) = lock(&seen).key_exchange.take() {
        learned.key_exchange = Some(name);
    }
    Ok(SshConnection { handle, learned, turn: Some(turn) })
}

async fn dial(server: &Server<'_>, deadline: Instant) -> Result<TcpStream, OpenError> {
    let until = deadline.min(Instant::now() + CONNECT_MAX);
    let connecting = TcpStream::connect((server.address, server.port));
    let unreachable =
        |why: String| OpenError::Unreachable(format!("{}:{}: {why}", server.address, server.port));
    let socket = match timeout_at(until, connecting).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_elapsed) => return Err(unreachable("no answer in time".to_owned())),
    };
    socket.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
    Ok(socket)
}

/// Throttling, full sessions and quiet mode all look like a cut: none of them costs an attempt.
fn key_exchange_error(seen: &Mutex<Seen>, error: &russh::Error) -> OpenError {
    match lock(seen).wrong_key.take() {
        Some((expected, got)) => OpenError::HostKey { expected, got },
        None => OpenError::Cut(scrub(&error.to_string(), &[])),
    }
}

/// What the handler saw in the background.
#[derive(Debug, Default)]
struct Seen {
    wrong_key: Option<(String, String)>,
    key_exchange: Option<String>,
    banner: String,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers what the SSH library asks. Small: the library keeps several of it in each session.
struct Handler {
    pinned: Arc<PublicKey>,
    seen: Arc<Mutex<Seen>>,
}

/// The most of all banners that is kept, in bytes.
const BANNER_BYTES_MAX: usize = 4096;

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = offered else { return Ok(false) };
        if key.key_data() == self.pinned.key_data() {
            return Ok(true);
        }
        let print =
            |key: &PublicKey| format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        lock(&self.seen).wrong_key = Some((print(&self.pinned), print(key)));
        Ok(false)
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &russh::Names,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        lock(&self.seen).key_exchange = Some(names.kex.as_ref().to_owned());
        Ok(())
    }

    async fn auth_banner(
        &mut self,
        banner: &str,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        let mut seen = lock(&self.seen);
        let room = BANNER_BYTES_MAX.saturating_sub(seen.banner.len());
        seen.banner.extend(banner.chars().take(room / 4));
        Ok(())
    }
}

/// An authenticated SSH connection.
pub(super) struct SshConnection {
    handle: Handle<Handler>,
    learned: Learned,
    /// Given back once the connection is used for more than a login.
    turn: Option<OwnedSemaphorePermit>,
}

impl SshConnection {
    async fn channel(&mut self) -> Result<russh::Channel<client::Msg>, OpenError> {
        self.turn = None;
        match timeout(CHANNEL_MAX, self.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(OpenError::Busy(scrub(&error.to_string(), &[]))),
            Err(_elapsed) => Err(OpenError::Busy("no channel in time".to_owned())),
        }
    }

    /// Opens a terminal with a shell on it, without waiting for the device's word for either.
    pub(super) async fn terminal(&mut self) -> Result<Box<dyn Stream>, OpenError> {
        let channel = self.channel().await?;
        let (columns, rows) = TERMINAL;
        let asked = async {
            channel.request_pty(false, "vt100", columns, rows, 0, 0, &[]).await?;
            channel.request_shell(false).await
        };
        match timeout(CHANNEL_MAX, asked).await {
            Ok(Ok(())) => Ok(Box::new(channel.into_stream())),
            Ok(Err(error)) => Err(OpenError::Busy(scrub(&error.to_string(), &[]))),
            Err(_elapsed) => Err(OpenError::Busy("no terminal in time".to_owned())),
        }
    }

    /// Ends the session and waits until the library has let go of it.
    pub(super) async fn goodbye(&mut self) {
        // One that has ended must not be asked again how.
        if !self.handle.is_closed() {
            let leaving = async {
                let _told = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
                let _ended = (&mut self.handle).await;
            };
            if timeout(GOODBYE_MAX, leaving).await.is_err() {
                tracing::debug!("a device did not take the end of its session in time");
            }
        }
        self.turn = None;
    }

    pub(super) fn learned(&self) -> Learned {
        self.learned.clone()
    }
}

#[async_trait]
impl Connection for SshConnection {
    async fn shell(&mut self) -> Result<Box<dyn Stream>, OpenError> {
        self.terminal().await
    }

    async fn exec(
        &mut self,
        command: &str,
        stdin: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<ExecReply, OpenError> {
        let run = async {
            let mut channel = self.channel().await?;
            let lost = |error: russh::Error| OpenError::Lost(scrub(&error.to_string(), &[]));
            channel.exec(true, command).await.map_err(lost)?;
            if let Some(stdin) = stdin {
                channel.data(stdin).await.map_err(lost)?;
            }
            channel.eof().await.map_err(lost)?;
            collect(&mut channel).await
        };
        timeout_at(deadline, run)
            .await
            .unwrap_or_else(|_elapsed| Err(OpenError::Lost("the command did not end".to_owned())))
    }

    fn kind(&self) -> ConnectionKind {
        ConnectionKind::Network
    }

    fn is_open(&self) -> bool {
        !self.handle.is_closed()
    }

    fn learned(&self) -> Learned {
        Self::learned(self)
    }

    async fn close(&mut self) {
        self.goodbye().await;
    }
}

/// Collects what a command says until its channel is closed.
async fn collect(channel: &mut russh::Channel<client::Msg>) -> Result<ExecReply, OpenError> {
    let mut reply = ExecReply { output: Vec::new(), status: None };
    let mut ended = false;
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => {
                if reply.output.len() + data.len() > REPLY_BYTES_MAX {
                    return Err(OpenError::Lost("the reply is longer than it may be".to_owned()));
                }
                reply.output.extend_from_slice(&data);
            }
            ChannelMsg::ExitStatus { exit_status } => reply.status = Some(exit_status),
            ChannelMsg::Failure => {
                return Err(OpenError::Busy("the device runs no single commands".to_owned()));
            }
            ChannelMsg::Eof => ended = true,
            ChannelMsg::Close => {
                ended = true;
                break;
            }
            _ => {}
        }
        if ended && reply.status.is_some() {
            break;
        }
    }
    if ended { Ok(reply) } else { Err(OpenError::Lost("the connection was cut".to_owned())) }
}

#[cfg(test)]
mod tests;
