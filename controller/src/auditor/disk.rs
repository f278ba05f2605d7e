//! The log in a file, its end and its keys beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

use super::{AuditError, Auditor, Paper};
use crate::audit::{Broken, Fault, LINE_BYTES_MAX, Link, Record, Signer, Verifier};
use crate::data_dir::{AUDIT_END_FILE, AUDIT_FILE, AUDIT_KEY_FILE, AUDIT_PUBLIC_KEY_FILE};
use crate::disk::file::{create_private, failed};
use crate::disk::{DiskError, replace_private};

/// Opens the audit in a directory, and begins one where there is none. Starts a task.
///
/// The newest record is checked here, and that the log does not end before its known end; the whole
/// chain is what `keyturn audit verify` checks.
///
/// # Errors
/// Returns [`AuditError`]: a log that was cut or exchanged is not gone on with.
pub async fn open(dir: &Path) -> Result<Auditor, AuditError> {
    let dir = dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || open_files(&dir)).await;
    let (paper, signer, end) = opened.map_err(|_ended| AuditError::Stopped)??;
    Ok(Auditor::over(Arc::new(paper), signer, end))
}

/// Makes a key: its private form (PKCS #8), and what signs with it.
pub(super) fn new_key() -> Result<(Zeroizing<Vec<u8>>, Signer), AuditError> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_unspecified| AuditError::Key)?;
    let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
    let signer = Signer::from_pkcs8(&pkcs8).ok_or(AuditError::Key)?;
    Ok((pkcs8, signer))
}

fn open_files(dir: &Path) -> Result<(DiskPaper, Signer, Link), AuditError> {
    let [log, end, key, public] =
        [AUDIT_FILE, AUDIT_END_FILE, AUDIT_KEY_FILE, AUDIT_PUBLIC_KEY_FILE]
            .map(|name| dir.join(name));
    let signer = signer(&key, &log)?;
    let known = match (is_there(&end)?, is_there(&log)?) {
        (true, true) => Some(known_end(&end)?),
        (false, false) => None,
        (true, false) if known_end(&end)? == Link::START => None,
        (true, false) => return Err(AuditError::Lost { lost: log, kept: end }),
        (false, true) => return Err(AuditError::Lost { lost: end, kept: log }),
    };
    let line = format!("{}\n", signer.public_key());
    replace_private(&public, line.as_bytes()).map_err(of_disk)?;
    if known.is_none() {
        note_end(&end, Link::START)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log)
        .map_err(|source| of_disk(failed(&log, "open", source)))?;
    let (whole, torn, newest) = newest(&mut file, &log, &signer)?;
    let newest = newest.unwrap_or(Link::START);
    let known = known.unwrap_or(Link::START);
    let fault = if newest.sequence < known.sequence {
        Some(Fault::Cut { expected: known.sequence, got: newest.sequence })
    } else if newest.sequence == known.sequence && newest != known {
        Some(Fault::Exchanged { sequence: known.sequence })
    } else {
        None
    };
    if let Some(fault) = fault {
        let source = Broken { line: newest.sequence.saturating_add(1), fault };
        return Err(AuditError::Broken { file: log, source });
    }
    // Only now: a tail that hides a cut is evidence, and stays.
    if torn > 0 {
        tracing::warn!(bytes = torn, "an unfinished line of the audit is taken away");
        file.set_len(whole).map_err(|source| of_disk(failed(&log, "shorten", source)))?;
        file.sync_all().map_err(|source| of_disk(failed(&log, "flush", source)))?;
    }
    let open = Open { file, length: whole, end: newest };
    Ok((DiskPaper(Arc::new(Files { log, end, open: Mutex::new(open) })), signer, newest))
}

fn of_disk(source: DiskError) -> AuditError {
    AuditError::Disk { source: Arc::new(source) }
}

fn is_there(path: &Path) -> Result<bool, AuditError> {
    path.try_exists().map_err(|source| of_disk(failed(path, "look for", source)))
}

/// Reads the key, or makes one where there is no log that another key has signed.
fn signer(key: &Path, log: &Path) -> Result<Signer, AuditError> {
    match fs::read(key).map(Zeroizing::new) {
        Ok(bytes) => Signer::from_pkcs8(&bytes).ok_or_else(|| AuditError::Damaged {
            file: key.to_owned(),
            expected: "a private key (PKCS #8, Ed25519)",
        }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            if is_there(log)? {
                return Err(AuditError::Lost { lost: key.to_owned(), kept: log.to_owned() });
            }
            let (bytes, signer) = new_key()?;
            create_private(key, &bytes).map_err(of_disk)?;
            Ok(signer)
        }
        Err(source) => Err(of_disk(failed(key, "read", source))),
    }
}

fn known_end(path: &Path) -> Result<Link, AuditError> {
    let text = fs::read_to_string(path).map_err(|source| of_disk(failed(path, "read", source)))?;
    text.parse().map_err(|_source| AuditError::Damaged {
        file: path.to_owned(),
        expected: "a record's number, a colon and its hash",
    })
}

fn note_end(path: &Path, end: Link) -> Result<(), AuditError> {
    replace_private(path, format!("{end}\n").as_bytes()).map_err(of_disk)
}

/// Finds the newest record and checks it by itself. Returns before it the bytes of all whole lines,
/// and those of one that a crash has left unfinished and that was acknowledged to nobody.
fn newest(
    file: &mut File,
    log: &Path,
    signer: &Signer,
) -> Result<(u64, u64, Option<Link>), AuditError> {
    let io = |doing| move |source| of_disk(failed(log, doing, source));
    let length = file.seek(SeekFrom::End(0)).map_err(io("read"))?;
    // A batch may be torn in its first line: the newest whole one is not far before it.
    let window = length.min(64 * LINE_BYTES_MAX as u64);
    file.seek(SeekFrom::Start(length - window)).map_err(io("read"))?;
    let mut tail = Vec::new();
    file.take(window).read_to_end(&mut tail).map_err(io("read"))?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = (tail.len() - whole) as u64;
    let text = String::from_utf8_lossy(tail.get(..whole).unwrap_or_default());
    let Some(line) = text.lines().last() else { return Ok((length - torn, torn, None)) };
    let broken = |source| AuditError::Broken { file: log.to_owned(), source };
    let form = || broken(Broken { line: 0, fault: Fault::Form });
    // Checked as the follower of what it says it follows: the chain is checked elsewhere.
    let record = |line: &str| -> Option<Record> {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        serde_json::from_value(value.get("record")?.clone()).ok()
    };
    let record = record(line).ok_or_else(form)?;
    let before = format!("{}:{}", record.sequence.saturating_sub(1), record.previous);
    let before = before.parse().map_err(|_source| form())?;
    let mut verifier = Verifier::after(signer.public_key(), before);
    verifier
        .next(line)
        .map_err(|source| broken(Broken { line: record.sequence, fault: source.fault }))?;
    Ok((length - torn, torn, Some(verifier.end())))
}

struct Open {
    file: File,
    length: u64,
    end: Link,
}

struct Files {
    log: PathBuf,
    end: PathBuf,
    open: Mutex<Open>,
}

#[derive(Clone)]
struct DiskPaper(Arc<Files>);

impl Files {
    fn append(&self, lines: &[u8], end: Link) -> Result<(), DiskError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let written =
            open.file.write_all(lines).map_err(|source| failed(&self.log, "write", source));
        let flushed = written.and_then(|()| {
            open.file.sync_data().map_err(|source| failed(&self.log, "flush", source))
        });
        let noted =
            flushed.and_then(|()| replace_private(&self.end, format!("{end}\n").as_bytes()));
        match noted {
            Ok(()) => {
                open.length += lines.len() as u64;
                open.end = end;
                Ok(())
            }
            Err(source) => {
                // What was not acknowledged is taken back. Where even that fails, nothing may be
                // written after it.
                let taken = open.file.set_len(open.length).and_then(|()| open.file.sync_all());
                taken.map_err(|source| failed(&self.log, "shorten", source))?;
                // The new end may be there although it was not acknowledged: it would accuse the
                // log of having been cut. Where there is no room for a file, the old one is there.
                let noted = replace_private(&self.end, format!("{}\n", open.end).as_bytes());
                match noted {
                    Ok(()) | Err(DiskError::Full { .. } | DiskError::ReadOnly { .. }) => {
                        Err(source)
                    }
                    Err(unknown) => Err(unknown),
                }
            }
        }
    }

    fn read(&self, from: u64, bytes_max: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let io = |source| failed(&self.log, "read", source);
        let file = File::open(&self.log).map_err(io)?;
        let length = self.open.lock().unwrap_or_else(PoisonError::into_inner).length;
        if from > length {
            return Ok(None);
        }
        let mut before = [b'\n'];
        if from > 0 {
            file.read_exact_at(&mut before, from - 1).map_err(io)?;
        }
        if before != [b'\n'] {
            return Ok(None);
        }
        let rest = usize::try_from(length - from).unwrap_or(usize::MAX);
        let mut bytes = vec![0; rest.min(bytes_max)];
        file.read_exact_at(&mut bytes, from).map_err(io)?;
        Ok(Some(bytes))
    }
}

#[async_trait]
impl Paper for DiskPaper {
    async fn append(&self, lines: Vec<u8>, end: Link) -> Result<(), DiskError> {
        let files = Arc::clone(&self.0);
        let appended = tokio::task::spawn_blocking(move || files.append(&lines, end)).await;
        appended.unwrap_or_else(|_ended| Err(DiskError::Poisoned { file: self.0.log.clone() }))
    }

    async fn read(&self, from: u64, bytes_max: usize) -> Result<Option<Vec<u8>>, DiskError> {
        let files = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || files.read(from, bytes_max)).await;
        read.unwrap_or_else(|_ended| Err(DiskError::Poisoned { file: self.0.log.clone() }))
    }
}
