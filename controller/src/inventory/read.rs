//! Getting the texts: files and standard input, bounded, with passwords overwritten.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::DocumentError;
use crate::error::Fault;

/// The largest file that is read: an inventory of 5,000 devices with a password of its own for each
/// of 21 profiles takes a third of it.
pub const FILE_BYTES_MAX: usize = 16 << 20;

/// Others may do nothing with a file that holds passwords.
const OTHERS: u32 = 0o077;

/// Tells why an inventory or a file of passwords was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file cannot be read.
    #[error("read {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file is too large to be what it should be.
    #[error("read {file}: it has more than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file is not text.
    #[error("read {file}: expected UTF-8 text, got other bytes at line {line}")]
    NotText {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// Others can read the passwords.
    #[error(
        "read passwords from {}: others than its owner may use the file (mode {mode:04o}, \
         expected 0600)", file.display()
    )]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The text is not what it should be.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl InventoryError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::TooLarge { .. } | Self::NotText { .. } => {
                Some("check that the path is that of a TOML file".to_owned())
            }
            Self::Exposed { file, .. } => Some(format!(
                "run `chmod 600 {}`, and consider the passwords in it known to others",
                file.display()
            )),
            Self::Document(error) => error.hint().map(str::to_owned),
        }
    }

    /// Returns who has to act: whoever wrote the file.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

/// Reads an inventory's text, and returns the folder that it is in.
pub(super) fn inventory(path: &Path) -> Result<(String, PathBuf), InventoryError> {
    let name = path.display().to_string();
    let failed = |source| InventoryError::Read { file: name.clone(), source };
    let mut file = File::open(path).map_err(failed)?;
    let full = std::path::absolute(path).map_err(failed)?;
    let base = full.parent().unwrap_or_else(|| Path::new("/")).to_owned();
    let text = text(&name, &bounded(&name, &mut file)?)?.to_string();
    Ok((text, base))
}

/// Reads the text of a file of passwords that nobody but its owner may use; for a client that sends
/// it on unread.
///
/// # Errors
/// Returns [`InventoryError`] for a file that cannot be read, is no text, or that others may use.
pub fn private_text(path: &Path) -> Result<Zeroizing<String>, InventoryError> {
    let name = path.display().to_string();
    let failed = |source| InventoryError::Read { file: name.clone(), source };
    let mut file = File::open(path).map_err(failed)?;
    // Asked of the opened file: its name may lead to another one a moment later.
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(InventoryError::Exposed { file: path.to_owned(), mode });
    }
    stream_text(&name, &mut file)
}

/// Reads a text with passwords from a stream, for example standard input; `name` is what errors
/// call it.
///
/// # Errors
/// Returns [`InventoryError`] for a stream that cannot be read, is no text, or does not end.
pub fn stream_text(name: &str, from: &mut impl Read) -> Result<Zeroizing<String>, InventoryError> {
    text(name, &bounded(name, from)?)
}

fn text(name: &str, bytes: &[u8]) -> Result<Zeroizing<String>, InventoryError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(InventoryError::NotText { file: name.to_owned(), line })
        }
    }
}

/// Reads at most [`FILE_BYTES_MAX`] bytes. Every buffer on the way is overwritten, also those that
/// became too small; blocks of this size pass by the buffer of standard input.
fn bounded(name: &str, from: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, InventoryError> {
    const BLOCK_BYTES: usize = 64 << 10;
    let mut bytes = Zeroizing::new(Vec::with_capacity(BLOCK_BYTES));
    let mut block = Zeroizing::new(vec![0; BLOCK_BYTES]);
    loop {
        let count = match from.read(&mut block) {
            Ok(0) => return Ok(bytes),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(InventoryError::Read { file: name.to_owned(), source });
            }
        };
        if bytes.len() + count > FILE_BYTES_MAX {
            return Err(InventoryError::TooLarge { file: name.to_owned() });
        }
        if bytes.len() + count > bytes.capacity() {
            let mut longer = Zeroizing::new(Vec::with_capacity(bytes.capacity() * 2));
            longer.extend_from_slice(&bytes);
            bytes = longer;
        }
        bytes.extend_from_slice(block.get(..count).unwrap_or_default());
    }
}
