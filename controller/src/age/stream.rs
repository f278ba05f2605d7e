//! The content of a file, in chunks that are sealed with their number and whether they are the last.

use std::io::{self, BufRead, Read, Write};

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::header::{cipher, derive};
use super::{AgeError, FileKey};

const CHUNK_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 16;

/// The key of the content, and the number of the next chunk.
struct Chunks {
    key: LessSafeKey,
    number: u64,
}

/// Whether more chunks follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Between,
    Last,
}

impl Chunks {
    fn new(file_key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Result<Self, AgeError> {
        let key = derive(file_key.as_slice(), nonce, b"payload")?;
        Ok(Self { key: cipher(&key)?, number: 0 })
    }

    /// Eleven bytes of the chunk's number, and one that says whether it is the last.
    fn nonce(&self, place: Place) -> Nonce {
        let mut nonce = [0; 12];
        let number = self.number.to_be_bytes();
        nonce.iter_mut().skip(3).zip(number).for_each(|(byte, digit)| *byte = digit);
        if let (Some(last), Place::Last) = (nonce.last_mut(), place) {
            *last = 1;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, place: Place, chunk: &mut Vec<u8>) -> Result<(), AgeError> {
        let sealed = self.key.seal_in_place_append_tag(self.nonce(place), Aad::empty(), chunk);
        self.number += 1;
        sealed.map_err(|_source| AgeError::Cipher)
    }

    fn open(&mut self, place: Place, chunk: &mut Vec<u8>) -> Option<()> {
        let nonce = self.nonce(place);
        let length = self.key.open_in_place(nonce, Aad::empty(), chunk).ok()?.len();
        chunk.truncate(length);
        self.number += 1;
        Some(())
    }
}

/// Seals what is written to it. Without [`Sealer::finish`] the file does not open to its end.
pub struct Sealer<W> {
    to: W,
    chunks: Chunks,
    /// The chunk that is being filled; with room for its tag, so that no copy of it is left behind.
    open: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealer<W> {
    pub(super) fn begin(file_key: &FileKey, mut to: W) -> Result<Self, AgeError> {
        let mut nonce = [0; NONCE_BYTES];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_source| AgeError::Cipher)?;
        to.write_all(&nonce).map_err(|source| AgeError::Io { source })?;
        let open = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
        Ok(Self { to, chunks: Chunks::new(file_key, &nonce)?, open })
    }

    /// Seals the last chunk, and returns what the file was written to.
    ///
    /// # Errors
    /// [`AgeError::Cipher`], [`AgeError::Io`].
    pub fn finish(mut self) -> Result<W, AgeError> {
        self.send(Place::Last)?;
        self.to.flush().map_err(|source| AgeError::Io { source })?;
        Ok(self.to)
    }

    fn send(&mut self, place: Place) -> Result<(), AgeError> {
        self.chunks.seal(place, &mut self.open)?;
        self.to.write_all(&self.open).map_err(|source| AgeError::Io { source })?;
        self.open.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk goes once there is more: before that it could be the last.
        if self.open.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.send(Place::Between).map_err(io::Error::other)?;
        }
        let room = CHUNK_BYTES - self.open.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.open.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> std::fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer(chunk {})", self.chunks.number)
    }
}

/// Opens what is read from it. Reading to the end is what proves that nothing is missing.
pub struct Opener<R> {
    from: R,
    chunks: Chunks,
    opened: Zeroizing<Vec<u8>>,
    /// How much of `opened` has been read.
    read: usize,
    ended: bool,
}

impl<R: BufRead> Opener<R> {
    pub(super) fn begin(file_key: &FileKey, mut from: R) -> Result<Self, AgeError> {
        let mut nonce = [0; NONCE_BYTES];
        from.read_exact(&mut nonce).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => AgeError::Damaged { what: "the content" },
            _ => AgeError::Io { source },
        })?;
        let opened = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
        Ok(Self { from, chunks: Chunks::new(file_key, &nonce)?, opened, read: 0, ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let damaged = || {
            let what = "the content";
            io::Error::new(io::ErrorKind::InvalidData, AgeError::Damaged { what })
        };
        self.opened.clear();
        self.read = 0;
        let most = (CHUNK_BYTES + TAG_BYTES) as u64;
        (&mut self.from).take(most).read_to_end(&mut self.opened)?;
        let is_last = self.from.fill_buf()?.is_empty();
        let place = if is_last { Place::Last } else { Place::Between };
        let is_first = self.chunks.number == 0;
        self.chunks.open(place, &mut self.opened).ok_or_else(damaged)?;
        if self.opened.is_empty() && !is_first {
            return Err(damaged());
        }
        self.ended = is_last;
        Ok(())
    }
}

impl<R: BufRead> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.opened.len() && !self.ended {
            self.next_chunk()?;
        }
        let mut rest = self.opened.get(self.read..).unwrap_or_default();
        let taken = rest.read(into)?;
        self.read += taken;
        Ok(taken)
    }
}

impl<R> std::fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener(chunk {})", self.chunks.number)
    }
}
