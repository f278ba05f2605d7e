//! How records are tied together, and how a break is found.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Entry, LINE_BYTES_MAX, Record};

/// Goes into every hash, so that no other document of ours has the same.
const DOMAIN: &[u8] = b"keyturn audit record 1\n";

/// A line of the log: the record, its hash, and the signature of the hash.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<R> {
    record: R,
    hash: String,
    signature: String,
}

/// The end of a chain: the newest record's number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The number of the newest record; 0 where there is none.
    pub sequence: u64,
    /// Its hash; zeros where there is none.
    pub hash: [u8; 32],
}

/// Tells that a text is no [`Link`] or [`PublicKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read {what}: expected {expected}")]
pub struct LinkError {
    what: &'static str,
    expected: &'static str,
}

impl Link {
    /// The end of a chain without records.
    pub const START: Self = Self { sequence: 0, hash: [0; 32] };
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex::encode(self.hash))
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a number, a colon and 64 hexadecimal digits";
        let error = || LinkError { what: "the end of an audit", expected };
        let (sequence, hash) = text.trim().split_once(':').ok_or_else(error)?;
        let sequence = sequence.parse().map_err(|_source| error())?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes).map_err(|_source| error())?;
        Ok(Self { sequence, hash: bytes })
    }
}

/// The key by which records are checked: 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        let expected = "64 hexadecimal digits";
        hex::decode_to_slice(text.trim(), &mut bytes)
            .map_err(|_source| LinkError { what: "the audit's public key", expected })?;
        Ok(Self(bytes))
    }
}

/// Writes records.
#[derive(Debug)]
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// Makes a signer of a private key; `None` if the bytes are none (PKCS #8).
    #[must_use]
    pub fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8(bytes).ok().map(Self)
    }

    /// Returns the key by which the records are checked.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Writes the record that follows `end`, as a line with its line feed, and returns the new end.
    ///
    /// # Errors
    /// Returns the encoder's error, which no entry can cause: every field is a text or a number.
    pub fn write(&self, end: &Link, entry: &Entry) -> Result<(String, Link), serde_json::Error> {
        let sequence = end.sequence.saturating_add(1);
        let record = Record::of(entry, sequence, hex::encode(end.hash));
        let hash = hash(&serde_json::to_string(&record)?);
        let signature = hex::encode(self.0.sign(&hash).as_ref());
        let line = Line { record, hash: hex::encode(hash), signature };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        Ok((text, Link { sequence, hash }))
    }
}

fn hash(record: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(DOMAIN);
    digest.update(record);
    digest.finalize().into()
}

/// Tells where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct Broken {
    /// The line, from 1; one more than there are if the end is missing.
    pub line: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no record as this program writes them.
    #[error("it is no record as Keyturn writes them: it was edited or cut")]
    Form,
    /// Its number is not the next one.
    #[error(
        "it is record {got}, expected {expected}: records were taken out, put in or moved before it"
    )]
    Sequence {
        /// The next number.
        expected: u64,
        /// Its number.
        got: u64,
    },
    /// It follows another record than the one before it.
    #[error("it does not follow the record before it: one of the two was exchanged")]
    Previous,
    /// Its hash is another.
    #[error("its text does not have its hash: it was edited")]
    Hash,
    /// It was not signed by this key.
    #[error("its signature is not of this key: it was not written by this Keyturn")]
    Signature,
    /// The chain ends before its known end.
    #[error("the log ends after record {got}, expected {expected} at least: its end was cut off")]
    Cut {
        /// The number of the known end.
        expected: u64,
        /// The number of the last record.
        got: u64,
    },
    /// The record of the known end is another.
    #[error("record {sequence} is not the one that is known: the log was exchanged")]
    Exchanged {
        /// The number of the known end.
        sequence: u64,
    },
}

/// Checks a chain, line by line.
#[derive(Debug)]
pub struct Verifier {
    key: PublicKey,
    lines: u64,
    end: Link,
    /// An end that the chain must reach or go through.
    known: Option<Link>,
}

impl Verifier {
    /// Makes a verifier of a chain from its first record on.
    #[must_use]
    pub fn new(key: PublicKey) -> Self {
        Self::after(key, Link::START)
    }

    /// Makes a verifier of what follows `end`.
    #[must_use]
    pub fn after(key: PublicKey, end: Link) -> Self {
        Self { key, lines: 0, end, known: None }
    }

    /// Demands that the chain reaches `known`.
    #[must_use]
    pub fn reaching(mut self, known: Link) -> Self {
        self.known = Some(known);
        self
    }

    /// Returns the end of what was checked so far.
    #[must_use]
    pub fn end(&self) -> Link {
        self.end
    }

    /// Checks the next line, with or without its line feed.
    ///
    /// # Errors
    /// Returns [`Broken`]; nothing after it can be relied on.
    pub fn next(&mut self, line: &str) -> Result<Record, Broken> {
        self.lines = self.lines.saturating_add(1);
        let broken = |fault| Broken { line: self.lines, fault };
        let (record, link) = read(&self.key, line).map_err(broken)?;
        let expected = self.end.sequence.saturating_add(1);
        if record.sequence != expected {
            return Err(broken(Fault::Sequence { expected, got: record.sequence }));
        }
        if record.previous != hex::encode(self.end.hash) {
            return Err(broken(Fault::Previous));
        }
        if self.known.is_some_and(|known| known.sequence == link.sequence && known != link) {
            return Err(broken(Fault::Exchanged { sequence: link.sequence }));
        }
        self.end = link;
        Ok(record)
    }

    /// Ends the check, and returns the chain's end.
    ///
    /// # Errors
    /// Returns [`Broken`] if the chain has not reached the known end.
    pub fn finish(self) -> Result<Link, Broken> {
        let got = self.end.sequence;
        match self.known {
            Some(known) if got < known.sequence => {
                let fault = Fault::Cut { expected: known.sequence, got };
                Err(Broken { line: self.lines.saturating_add(1), fault })
            }
            _ => Ok(self.end),
        }
    }
}

/// Reads one line and checks it by itself.
fn read(key: &PublicKey, line: &str) -> Result<(Record, Link), Fault> {
    let text = line.strip_suffix('\n').unwrap_or(line);
    if text.len() > LINE_BYTES_MAX {
        return Err(Fault::Form);
    }
    let line: Line<Record> = serde_json::from_str(text).map_err(|_source| Fault::Form)?;
    // The one way to write a record: whatever differs was not written by us.
    let again = serde_json::to_string(&line).map_err(|_source| Fault::Form)?;
    let record = serde_json::to_string(&line.record).map_err(|_source| Fault::Form)?;
    let hash = hash(&record);
    if line.hash != hex::encode(hash) {
        return Err(Fault::Hash);
    }
    let signature = hex::decode(&line.signature).map_err(|_source| Fault::Signature)?;
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(&hash, &signature)
        .map_err(|_unspecified| Fault::Signature)?;
    // Hexadecimal digits have two cases, of which one is ours.
    if again != text || line.signature != hex::encode(&signature) {
        return Err(Fault::Form);
    }
    Ok((line.record.clone(), Link { sequence: line.record.sequence, hash }))
}
