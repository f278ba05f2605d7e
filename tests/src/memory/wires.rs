//! The way to a simulated device without sockets, with the director's hand on every login and every
//! line.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use agent::learned::Learned;
use agent::transport::{
    Connection, ConnectionKind, ExecReply, Gate, Login, OpenError, Stream, Transport,
    log_in_on_line,
};
use async_trait::async_trait;
use fixtures::device::{End, Wish};
use fixtures::sim::{self, LoginError, Shell, ShellEvent, SimDevice};
use protocol::job::Path;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::director::{Act, Director, Place};
use super::papers::Secrets;

/// Where the agent's connections come from.
const AGENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long an SSH client waits for a key exchange, and then for the answer to a password.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Columns of the terminal.
const WIDTH: u32 = 511;

/// Leads to one device: by SSH without a network, or by its serial line.
#[derive(Clone)]
pub(super) struct Wires {
    pub(super) device: Arc<SimDevice>,
    pub(super) director: Arc<Director>,
    pub(super) secrets: Secrets,
}

#[async_trait]
impl Transport for Wires {
    async fn open(&self, login: &Login<'_>) -> Result<Box<dyn Connection>, OpenError> {
        let act = self.director.enter(Place::Login, login.user).await;
        if act == Act::Fail {
            return Err(OpenError::Cut("a fault that a test switched on".to_owned()));
        }
        let mut opened = self.connect(login).await;
        if let (Act::DoTwice, Ok(first)) = (act, &mut opened) {
            first.close().await;
            opened = self.connect(login).await;
        }
        self.director.leave(Place::Login);
        match (act, opened) {
            (Act::LoseAnswer, Ok(mut connection)) => {
                connection.close().await;
                Err(OpenError::Lost("a fault that a test switched on".to_owned()))
            }
            (_, opened) => opened,
        }
    }
}

impl Wires {
    async fn connect(&self, login: &Login<'_>) -> Result<Box<dyn Connection>, OpenError> {
        if matches!(login.path, Path::Serial { .. }) {
            return log_in_on_line(Box::new(self.tap(self.device.console())), login).await;
        }
        let connection = self.reach(login).await?;
        login.attempts.count(Gate::Device(login.user)).await?;
        if self.device.is_silent() {
            wait(SILENCE_MAX, login).await;
            return Err(OpenError::Lost("no answer in time".to_owned()));
        }
        if !connection.authenticate(login.user, login.password.expose()) {
            wait(self.device.switches().fail_delay, login).await;
            return Err(OpenError::Refused { user: login.user.to_owned() });
        }
        login.attempts.succeeded(Gate::Device(login.user)).await;
        let (wires, user, learned) = (self.clone(), login.user.to_owned(), login.learned.clone());
        Ok(Box::new(Network { wires, connection: Some(connection), user, learned }))
    }

    /// Connects, and checks the host key.
    async fn reach(&self, login: &Login<'_>) -> Result<sim::Connection, OpenError> {
        let connection = match self.device.connect(AGENT) {
            Ok(connection) => connection,
            Err(LoginError::Silent) => {
                wait(SILENCE_MAX, login).await;
                return Err(OpenError::Cut("no key exchange in time".to_owned()));
            }
            Err(error) => return Err(OpenError::Unreachable(error.to_string())),
        };
        if self.device.take_other_host_key() {
            let (expected, got) = ("SHA256:pinned".to_owned(), "SHA256:another".to_owned());
            return Err(OpenError::HostKey { expected, got });
        }
        Ok(connection)
    }

    fn tap(&self, shell: Shell) -> Tap {
        let line = Vec::new();
        Tap { wires: self.clone(), shell: Some(shell), line, is_cut: false }
    }
}

async fn wait(time: Duration, login: &Login<'_>) {
    sleep_until(login.deadline.min(Instant::now() + time)).await;
}

/// A connection of its own, as over SSH.
struct Network {
    wires: Wires,
    connection: Option<sim::Connection>,
    user: String,
    learned: Learned,
}

impl Network {
    fn open(&self, wish: &Wish) -> Result<Shell, OpenError> {
        let opened = self.connection.as_ref().and_then(|open| open.open(&self.user, wish));
        opened.ok_or_else(|| OpenError::Busy("the connection has gone".to_owned()))
    }

    async fn run(
        &self,
        command: &str,
        stdin: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<ExecReply, OpenError> {
        self.wires.secrets.learn_hashes(command);
        self.wires.secrets.learn_hashes(&String::from_utf8_lossy(stdin.unwrap_or_default()));
        let mut shell = self.open(&Wish::Exec { command: command.to_owned() })?;
        let keyboard = shell.keyboard();
        keyboard.send(stdin.unwrap_or_default());
        keyboard.finish();
        let mut output = Vec::new();
        let replied = timeout_at(deadline, async {
            loop {
                match shell.next().await {
                    ShellEvent::Bytes(bytes) => output.extend(bytes),
                    ShellEvent::End(end) => return end,
                }
            }
        });
        match replied.await {
            Ok(End::Exit(status)) => Ok(ExecReply { output, status: Some(status) }),
            Ok(End::Cut) => Err(OpenError::Lost("the connection was cut".to_owned())),
            Err(_elapsed) => Err(OpenError::Lost("the command did not end".to_owned())),
        }
    }
}

#[async_trait]
impl Connection for Network {
    async fn shell(&mut self) -> Result<Box<dyn Stream>, OpenError> {
        let shell = self.open(&Wish::Shell { tty: Some(WIDTH) })?;
        Ok(Box::new(self.wires.tap(shell)))
    }

    async fn exec(
        &mut self,
        command: &str,
        stdin: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<ExecReply, OpenError> {
        let act = self.wires.director.enter(Place::Line, &describe(command)).await;
        let cut = || OpenError::Lost("the connection was cut by a test".to_owned());
        if act == Act::Fail {
            return Err(cut());
        }
        let mut reply = self.run(command, stdin, deadline).await;
        if act == Act::DoTwice {
            reply = self.run(command, stdin, deadline).await;
        }
        self.wires.director.leave(Place::Line);
        if act == Act::LoseAnswer { Err(cut()) } else { reply }
    }

    fn kind(&self) -> ConnectionKind {
        ConnectionKind::Network
    }

    fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.is_stale())
    }

    fn learned(&self) -> Learned {
        self.learned.clone()
    }

    async fn close(&mut self) {
        self.connection = None;
    }
}

/// A stream to a device, watched line by line.
struct Tap {
    wires: Wires,
    shell: Option<Shell>,
    /// What was written of the present line.
    line: Vec<u8>,
    is_cut: bool,
}

/// Says in a few words what a line is about; a line that may be a secret by itself is not shown.
fn describe(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().filter(|word| !word.contains('$')).collect();
    let shown = words.iter().take(4).copied().collect::<Vec<_>>().join(" ");
    if words.len() == 1 && line.len() > 12 { "(a word)".to_owned() } else { shown }
}

impl Tap {
    /// Cuts the stream; on a network the device notices.
    fn cut(&mut self) -> io::Error {
        self.is_cut = true;
        self.shell = None;
        io::ErrorKind::ConnectionReset.into()
    }

    fn send(&self, bytes: &[u8]) {
        if let Some(shell) = &self.shell {
            shell.keyboard().send(bytes);
        }
    }

    /// Sends the end of a line, or what the director makes of it.
    fn end_line(&mut self, piece: &[u8]) -> Poll<io::Result<usize>> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).into_owned();
        self.wires.secrets.learn_hashes(&text);
        let act = self.wires.director.enter_now(Place::Line, &describe(&text));
        match act {
            Act::Never => return Poll::Pending,
            Act::Fail => return Poll::Ready(Err(self.cut())),
            Act::Do | Act::Suffer(..) | Act::DoTwice | Act::LoseAnswer => self.send(piece),
        }
        if act == Act::DoTwice {
            self.send(&line);
        }
        self.wires.director.leave(Place::Line);
        if act == Act::LoseAnswer {
            self.cut();
        }
        Poll::Ready(Ok(piece.len()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.wires.director.has_crashed() {
            return Poll::Pending;
        }
        if self.is_cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let end = bytes.iter().position(|byte| *byte == b'\r').map(|at| at + 1);
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        self.line.extend_from_slice(piece);
        match end {
            Some(_) => self.end_line(piece),
            None => {
                self.send(piece);
                Poll::Ready(Ok(piece.len()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.shell {
            Some(shell) => Pin::new(shell).poll_read(cx, buffer),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}
