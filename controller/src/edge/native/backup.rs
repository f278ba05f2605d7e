//! A backup of the vault, sealed to recipients that the caller names.
//!
//! Whoever opens it has every password, so that it wants the right to read them all.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use futures_util::stream;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::Native;
use crate::access::{Right, Scope};
use crate::age::Recipient;
use crate::edge::answer::ApiError;
use crate::edge::auth::Caller;
use crate::edge::body;
use crate::service::ServiceError;

/// Where the vault is backed up.
pub(super) const BACKUP_PATH: &str = "/keyturn/v1/vault:backup";

/// Recipients of one backup at most: all of them are named in one record of the audit.
const RECIPIENTS_MAX: usize = 8;

/// Parts of the answer that wait for the caller at most, each of some 64 KiB.
const PARTS_MAX: usize = 16;

/// How long a caller may take for one part, and for all of them: as long as a backup is made nobody
/// else can make one, and a copy of the vault lies beside it.
const PART_MAX: Duration = Duration::from_secs(60);
const ALL_PARTS_MAX: Duration = Duration::from_secs(3_600);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    recipients: Vec<String>,
}

/// Answers with a backup.
pub(super) async fn back_up(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let action = "Keyturn/vault/backup/action";
    caller.check(action, Right::Reveal, Scope::Everything)?;
    let bytes = body::read(request.into_body(), body::ORDINARY_BYTES_MAX).await?;
    let wanted: Wanted = body::parse(&bytes)?;
    let recipients = recipients(&wanted)?;
    let to: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    let on = format!("{BACKUP_PATH} for {}", to.join(", "));
    let service = native.door.open(&caller, action, Right::Reveal, Scope::Everything, &on).await?;
    let (parts, mut sent) = mpsc::channel(PARTS_MAX);
    let (service, parts) = (service.clone(), Parts::new(parts));
    let work = async move { service.back_up_vault(recipients, Box::new(parts)).await };
    let work = tokio::spawn(work);
    // Nothing is answered before there is something: until then an error has its own answer.
    let Some(first) = sent.recv().await else {
        let done = work.await.map_err(|_stopped| stopped())?;
        return Err(done.err().map_or_else(stopped, ApiError::from));
    };
    Ok(answer(first, sent, work))
}

fn recipients(wanted: &Wanted) -> Result<Vec<Recipient>, ApiError> {
    let wrong = |message: String| {
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
            .target("recipients")
    };
    if wanted.recipients.is_empty() || wanted.recipients.len() > RECIPIENTS_MAX {
        let message = format!("Give 1 to {RECIPIENTS_MAX} recipients (age1…).");
        return Err(wrong(message));
    }
    let parse = |text: &String| {
        let parsed: Result<Recipient, _> = text.parse();
        parsed.map_err(|error| {
            let answer = wrong(format!("Failed to {error}."));
            match error.hint() {
                Some(hint) => answer.hint(hint),
                None => answer,
            }
        })
    };
    wanted.recipients.iter().map(parse).collect()
}

fn stopped() -> ApiError {
    let message = "The backup has ended without a result.";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
}

type Work = JoinHandle<Result<crate::service::Backup, ServiceError>>;

fn answer(first: Bytes, sent: mpsc::Receiver<Bytes>, work: Work) -> Response {
    let parts = stream::unfold(Some((Some(first), sent, work)), async |state| {
        let (first, mut sent, work) = state?;
        if let Some(part) = match first {
            Some(first) => Some(first),
            None => sent.recv().await,
        } {
            return Some((Ok(part), Some((None, sent, work))));
        }
        // An answer that breaks off is told from one that is whole; so is the file by itself.
        match work.await {
            Ok(Ok(_backup)) => None,
            Ok(Err(error)) => {
                tracing::error!(error = %error, hint = error.hint(), "a backup broke off");
                Some((Err(io::Error::other(error)), None))
            }
            Err(stopped) => Some((Err(io::Error::other(stopped)), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Hands parts of the file to the answer; used outside of the runtime's threads. Whoever does not
/// read is given up.
struct Parts {
    to: mpsc::Sender<Bytes>,
    runtime: Handle,
    until: Instant,
}

impl Parts {
    /// Has the time begin. To be called by the runtime.
    fn new(to: mpsc::Sender<Bytes>) -> Self {
        Self { to, runtime: Handle::current(), until: Instant::now() + ALL_PARTS_MAX }
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sending = self.to.send(Bytes::copy_from_slice(bytes));
        let until = self.until.min(Instant::now() + PART_MAX);
        let sent = self.runtime.block_on(async { timeout_at(until, sending).await });
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the caller does not read it");
        sent.map_err(|_elapsed| late())?.map_err(|_gone| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::spawn_blocking;

    use super::*;

    /// Writes parts until that fails, and says how many were taken and why no more.
    fn write_all(mut parts: Parts) -> JoinHandle<(usize, io::ErrorKind)> {
        spawn_blocking(move || {
            let mut taken = 0;
            loop {
                match parts.write(b"a part") {
                    Ok(_all) => taken += 1,
                    Err(error) => return (taken, error.kind()),
                }
            }
        })
    }

    /// Lets time pass as long as somebody waits outside of the runtime.
    async fn pass_until_done<T>(waits: &JoinHandle<T>) {
        while !waits.is_finished() {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_does_not_read_is_given_up() {
        let (to, mut sent) = mpsc::channel(2);
        let writing = write_all(Parts::new(to));
        pass_until_done(&writing).await;
        assert_eq!(writing.await.unwrap(), (2, io::ErrorKind::TimedOut));
        assert!(sent.recv().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_reads_a_little_now_and_then_is_given_up_in_the_end() {
        let (to, mut sent) = mpsc::channel(1);
        let parts = Parts::new(to);
        tokio::time::advance(ALL_PARTS_MAX + Duration::from_secs(1)).await;
        let writing = write_all(parts);
        let reading = tokio::spawn(async move { while sent.recv().await.is_some() {} });
        assert_eq!(writing.await.unwrap().1, io::ErrorKind::TimedOut);
        reading.await.unwrap();
    }
}
