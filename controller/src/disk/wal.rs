//! Finds damage in a write-ahead log that SQLite itself passes over.
//!
//! SQLite reads a log up to the first frame whose checksum is wrong and takes the rest for an
//! unfinished write. That is right after a power cut, and wrong if a bit has flipped in the
//! middle: then transactions that were confirmed would vanish without a word. The two can be told
//! apart, because with `synchronous = FULL` a transaction's frames are durable before the first
//! frame of the next one is written: a bad frame with a whole later transaction behind it was good
//! once. (Format: sqlite.org/fileformat2.html, section 4.)

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::{DiskError, file};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const PAGE_BYTES_MAX: u32 = 65_536;

/// Checks the log at `path` and tells whether there is anything in it. None, an empty one and one
/// cut off at any point are fine.
///
/// # Errors
/// [`DiskError::Corrupt`] if a confirmed transaction in it is damaged, [`DiskError::Io`] if it
/// cannot be read.
pub(crate) fn check(path: &Path) -> Result<bool, DiskError> {
    // A log that is not an ordinary file is SQLite's to refuse.
    let is_left = match fs::metadata(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => false,
        Err(source) => return Err(file::failed(path, "look for", source)),
        Ok(metadata) => metadata.is_file() && metadata.len() > 0,
    };
    let scan_file = || {
        File::open(path)
            .and_then(|log| scan(BufReader::new(log)))
            .map_err(|source| file::failed(path, "read", source))
    };
    // Another process may just be starting the log over; the second look sees the new one.
    if is_left && scan_file()? && scan_file()? {
        return Err(DiskError::Corrupt {
            file: path.to_owned(),
            expected: "the checksums of confirmed transactions to be right".to_owned(),
            source: None,
        });
    }
    Ok(is_left)
}

/// Reads a log to its end and tells whether a frame is bad that was confirmed once.
fn scan(mut log: impl Read) -> io::Result<bool> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? {
        return Ok(false);
    }
    let Some(mut reader) = Reader::new(&header) else {
        // The header is flushed before the first frame is written, and is too small to be torn:
        // either it was never written, or it is damaged.
        return Ok(header.iter().any(|byte| *byte != 0));
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + reader.page_bytes];
    let mut bad = false;
    let mut commits_behind = false;
    while fill(&mut log, &mut frame)? {
        let Some(kind) = reader.kind(&frame) else {
            // A frame of an earlier round of this log: what we look for ends here, unless the
            // salts themselves are what is damaged, and then a later frame shows it.
            bad = true;
            continue;
        };
        if commits_behind {
            return Ok(true);
        }
        bad = bad || !reader.is_good(&frame);
        commits_behind = bad && kind == Kind::Commit;
    }
    Ok(false)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Commit,
    Inner,
}

struct Reader {
    big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
    sums: (u32, u32),
}

impl Reader {
    fn new(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let magic = word(header, 0)?;
        let page = word(header, 8)?;
        if magic & !1 != 0x377f_0682 || !(512..=PAGE_BYTES_MAX).contains(&page) {
            return None;
        }
        let mut reader = Self {
            big_endian: magic & 1 == 1,
            page_bytes: usize::try_from(page).ok()?,
            salts: header.get(16..24)?.try_into().ok()?,
            sums: (0, 0),
        };
        reader.sum(header.get(..24)?);
        (reader.sums == (word(header, 24)?, word(header, 28)?)).then_some(reader)
    }

    /// Tells what a frame of this round of the log is; `None` for one of an earlier round.
    fn kind(&self, frame: &[u8]) -> Option<Kind> {
        if frame.get(8..16)? != self.salts {
            return None;
        }
        Some(if word(frame, 4)? == 0 { Kind::Inner } else { Kind::Commit })
    }

    fn is_good(&mut self, frame: &[u8]) -> bool {
        let (Some(head), Some(page)) = (frame.get(..8), frame.get(FRAME_HEADER_BYTES..)) else {
            return false;
        };
        self.sum(head);
        self.sum(page);
        word(frame, 16).zip(word(frame, 20)) == Some(self.sums)
    }

    fn sum(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = self.sums;
        for pair in bytes.chunks_exact(8) {
            let [a, b, c, d, e, f, g, h] = pair else {
                continue;
            };
            let (left, right) = ([*a, *b, *c, *d], [*e, *f, *g, *h]);
            let (left, right) = if self.big_endian {
                (u32::from_be_bytes(left), u32::from_be_bytes(right))
            } else {
                (u32::from_le_bytes(left), u32::from_le_bytes(right))
            };
            first = first.wrapping_add(left).wrapping_add(second);
            second = second.wrapping_add(right).wrapping_add(first);
        }
        self.sums = (first, second);
    }
}

/// Reads a big-endian number of 4 bytes.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Fills `buffer`, or tells that the log ends before that.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
