//! The audit: who did what, in an order that nobody can change afterwards without being found.
//!
//! Each record is one line of JSON. It names the record before it by that one's hash, and is signed
//! (Ed25519), so that a line that was edited, moved, taken out or put in is found by whoever has the
//! public key. What a chain cannot show is that its newest lines are missing: for that its end (a
//! [`Link`]) is kept apart from it, and can be noted elsewhere.

mod chain;
mod record;

pub use self::chain::{Broken, Fault, Link, LinkError, PublicKey, Signer, Verifier};
pub use self::record::{Entry, Outcome, Record};

/// The longest line, in bytes. A record has bounded fields; see [`DEVICES_MAX`].
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Devices in one record at most. A name has at most 128 characters, so that they fit into
/// [`LINE_BYTES_MAX`]; what concerns more devices takes several records.
pub const DEVICES_MAX: usize = 256;

#[cfg(test)]
mod tests;
