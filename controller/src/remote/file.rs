//! Files with credentials that a service wants to see.

use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// The largest file of a credential, in bytes: room for a long token.
pub(crate) const FILE_BYTES_MAX: usize = 32 << 10;

/// Reads a file in a thread that may wait for a disk. White space around its text is no part of it;
/// `None` if there is no text, or more of it than any credential has.
///
/// # Errors
/// Returns why it could not be read.
pub(crate) async fn credential(file: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let path = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&path));
    let text = reading.await.unwrap_or_else(|source| Err(io::Error::other(source)))?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn read(file: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
    std::fs::File::open(file)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    let fits = text.len() <= FILE_BYTES_MAX;
    let text = str::from_utf8(&text).ok().filter(|_text| fits);
    Ok(text.map(|text| Zeroizing::new(text.trim().to_owned())))
}
