//! The ledger's file: loaded at the start, written by one task, rewritten when most of it is old.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::LedgerError;
use super::record::Record;
use super::state::State;

/// How much is appended before the file is rewritten without what is over.
const REWRITE_BYTES: u64 = 64 * 1024 * 1024;
/// How long the writer rests after a flush that several jobs have waited for. The writes that come
/// meanwhile share the next flush, which costs more processor time than all that is written.
const REST: Duration = Duration::from_millis(5);
/// How many writes may queue up before their senders wait.
const QUEUE_MAX: usize = 4096;

fn file_error(path: &Path, error: &std::io::Error) -> LedgerError {
    LedgerError::File { path: path.display().to_string(), why: error.to_string() }
}

/// Reads a ledger file; a torn last line is dropped.
pub(super) fn load(path: &Path) -> Result<State, LedgerError> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut text).map_err(|error| file_error(path, &error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(file_error(path, &error)),
    };
    let mut state = State::default();
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let is_last = lines.peek().is_none();
        match serde_json::from_slice::<Record>(line) {
            Ok(record) if line.ends_with(b"\n") => state.apply(&record),
            _ if is_last => {
                tracing::warn!(line = index + 1, "dropped the torn last line of the ledger");
            }
            _ => {
                let path = path.display().to_string();
                return Err(LedgerError::Corrupt { path, line: index + 1 });
            }
        }
    }
    Ok(state)
}

/// Writes a fresh file beside the old one and puts it in its place.
fn rewrite(path: &Path, records: &[Record]) -> std::io::Result<File> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&encode(records)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    Ok(file)
}

fn encode(records: &[Record]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, record)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// One append that waits for its flush.
struct Pending {
    text: Vec<u8>,
    done: oneshot::Sender<Result<(), LedgerError>>,
}

/// The handle to the task that writes.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Pending>,
    broken: Arc<Mutex<Option<LedgerError>>>,
}

impl Writer {
    /// Rewrites the file without what is over and starts the task that appends to it.
    pub(super) fn start(path: &Path, state: Arc<Mutex<State>>) -> Result<Self, LedgerError> {
        let records = lock(&state).snapshot();
        let file = rewrite(path, &records).map_err(|error| file_error(path, &error))?;
        Ok(Self::on(file, path, state))
    }

    /// Starts the task that appends to a file.
    pub(super) fn on(file: File, path: &Path, state: Arc<Mutex<State>>) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE_MAX);
        let broken = Arc::new(Mutex::new(None));
        let task = Task { path: path.to_owned(), pending, state, broken: Arc::clone(&broken) };
        tokio::spawn(task.run(Arc::new(file)));
        Self { queue, broken }
    }

    /// Appends records and waits until they are on the disk.
    pub(super) async fn append(&self, records: &[Record]) -> Result<(), LedgerError> {
        let broken = lock(&self.broken).clone();
        if let Some(error) = broken {
            return Err(error);
        }
        let text = encode(records).map_err(|error| LedgerError::Write(error.to_string()))?;
        let (done, flushed) = oneshot::channel();
        let stopped = || LedgerError::Write("the ledger's writer has stopped".to_owned());
        self.queue.send(Pending { text, done }).await.map_err(|_closed| stopped())?;
        flushed.await.map_err(|_closed| stopped())?
    }
}

struct Task {
    path: PathBuf,
    pending: mpsc::Receiver<Pending>,
    state: Arc<Mutex<State>>,
    broken: Arc<Mutex<Option<LedgerError>>>,
}

impl Task {
    /// Writes and flushes all that has queued up, again and again.
    async fn run(mut self, mut file: Arc<File>) {
        let mut appended = 0;
        let mut rested = Instant::now();
        while let Some(first) = self.pending.recv().await {
            sleep_until(rested).await;
            let mut batch = vec![first];
            while let Ok(next) = self.pending.try_recv() {
                batch.push(next);
            }
            let mut text = Vec::new();
            for pending in &mut batch {
                text.append(&mut pending.text);
            }
            appended += text.len() as u64;
            // Records are applied before they are queued, so the state has all of this batch. An
            // attempt that is queued behind it is counted twice by a reader, never not at all.
            let snapshot = (appended > REWRITE_BYTES).then(|| lock(&self.state).snapshot());
            if snapshot.is_some() {
                appended = 0;
            }
            let result = match write(&self.path, &file, text, snapshot).await {
                Ok(next) => {
                    file = next;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if batch.len() > 1 {
                rested = Instant::now() + REST;
            }
            if let Err(error) = &result {
                *lock(&self.broken) = Some(error.clone());
            }
            for pending in batch {
                // Whoever does not wait any more needs no answer.
                let _unheard = pending.done.send(result.clone());
            }
            if result.is_err() {
                return;
            }
        }
    }
}

/// Appends and flushes, or puts a file with a snapshot in the old one's place.
async fn write(
    path: &Path,
    file: &Arc<File>,
    text: Vec<u8>,
    snapshot: Option<Vec<Record>>,
) -> Result<Arc<File>, LedgerError> {
    let (path, file) = (path.to_owned(), Arc::clone(file));
    let written = tokio::task::spawn_blocking(move || match snapshot {
        Some(records) => rewrite(&path, &records).map(Arc::new),
        None => {
            (&*file).write_all(&text)?;
            file.sync_data()?;
            Ok(file)
        }
    });
    match written.await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(LedgerError::Write(error.to_string())),
        Err(_lost) => Err(LedgerError::Write("the runtime is shutting down".to_owned())),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
