//! A serial line attached to the agent's own host.

use async_trait::async_trait;
use protocol::job::Path;
use tokio::time::{Instant, timeout_at};
use tokio_serial::SerialPortBuilderExt;

use super::conversation::Wire;
use super::{Connection, ConnectionKind, ExecReply, Login, OpenError, Stream, Transport, login};
use crate::learned::Learned;

/// The serial transport.
#[derive(Debug, Clone, Copy)]
pub struct Serial;

#[async_trait]
impl Transport for Serial {
    async fn open(&self, login: &Login<'_>) -> Result<Box<dyn Connection>, OpenError> {
        let Path::Serial { path, baud } = login.path else {
            return Err(OpenError::Unusable("it is not a serial path".to_owned()));
        };
        // The port is opened exclusively, which makes it the lock of its console.
        let port = tokio_serial::new(path, *baud).open_native_async();
        let port = port.map_err(|error| port_error(path, &error))?;
        log_in_on_line(Box::new(port), login).await
    }
}

/// Logs in on a line that somebody else has opened, as [`Serial`] does on a serial port.
///
/// # Errors
/// As [`Transport::open`].
pub async fn log_in_on_line(
    line: Box<dyn Stream>,
    login: &Login<'_>,
) -> Result<Box<dyn Connection>, OpenError> {
    let line = log_in(line, login).await?;
    Ok(Box::new(Line { stream: Some(line), learned: login.learned.clone() }))
}

fn port_error(path: &str, error: &tokio_serial::Error) -> OpenError {
    let text = format!("{path}: {error}");
    match text.contains("exclusive lock") || text.contains("busy") {
        true => OpenError::Busy(text),
        false => OpenError::Unreachable(text),
    }
}

/// Logs in on a line within the job's time and gives the line back.
pub(super) async fn log_in(
    stream: Box<dyn Stream>,
    login: &Login<'_>,
) -> Result<Box<dyn Stream>, OpenError> {
    let mut wire = Wire::new(stream, true);
    match timeout_at(login.deadline, login::log_in(&mut wire, login)).await {
        Ok(Ok(())) => Ok(wire.into_stream()),
        Ok(Err(error)) => Err(error),
        // Where in the login the time ran out is not known, so it may have cost an attempt.
        Err(_elapsed) => Err(OpenError::Lost("the login took too long".to_owned())),
    }
}

/// A serial line, logged in.
struct Line {
    stream: Option<Box<dyn Stream>>,
    learned: Learned,
}

#[async_trait]
impl Connection for Line {
    async fn shell(&mut self) -> Result<Box<dyn Stream>, OpenError> {
        self.stream.take().ok_or_else(|| OpenError::Busy("a line has one session".to_owned()))
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
        self.stream = None;
    }
}
