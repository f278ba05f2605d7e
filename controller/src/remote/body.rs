//! Bodies of requests and answers, in memory that is overwritten.

use std::io;

use axum::body::Bytes;
use reqwest::Response;
use serde::Serialize;
use zeroize::Zeroizing;

/// The room for an answer that does not say how long it is, in bytes.
const FIRST_BYTES: usize = 16 << 10;

/// Counts what is written: a buffer that has to grow would leave copies of a value behind.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the body of a request.
///
/// # Errors
/// Returns why it could not be written.
pub(crate) fn json(body: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, body)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *text, body)?;
    Ok(Bytes::from_owner(text))
}

/// Reads an answer of at most `max` bytes, into memory that is overwritten; `None` if it is longer.
///
/// # Errors
/// Returns why it could not be read.
pub(crate) async fn body(
    mut response: Response,
    max: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, reqwest::Error> {
    let told = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut text = Zeroizing::new(Vec::with_capacity(told.unwrap_or(FIRST_BYTES).min(max)));
    while let Some(chunk) = response.chunk().await? {
        let length = text.len() + chunk.len();
        if length > max {
            return Ok(None);
        }
        if length > text.capacity() {
            // Grown by hand: a buffer that grows by itself leaves what was in it behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * text.capacity())));
            larger.extend_from_slice(&text);
            text = larger;
        }
        text.extend_from_slice(&chunk);
    }
    Ok(Some(text))
}
