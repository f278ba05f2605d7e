//! Files in the age format (<https://c2sp.org/age>, v1) for X25519 recipients, sealed and opened with
//! the cryptographic library that everything else here uses: see docs/adr/0016-backups-in-age.md.
//!
//! The key of a file is random and sealed to each recipient in the header. The content follows in
//! chunks of 64 KiB, each sealed with its number and whether it is the last, so that a file that was
//! changed, cut, lengthened or put together anew does not open to its end. Whoever opens one must not
//! use what was read before its end was reached.

mod bech32;
mod header;
mod stream;

use std::fmt;
use std::io::{self, BufRead, Write};
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use zeroize::Zeroizing;

pub use self::stream::{Opener, Sealer};

/// Bytes in a key of X25519, and in a shared secret.
const KEY_BYTES: usize = 32;

/// Tells why a file was not sealed or opened. Never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// The text is no recipient.
    #[error("understand the recipient `{given}`: expected `age1` and 58 characters more")]
    Recipient {
        /// What was given, cut short.
        given: String,
    },
    /// The text is no identity.
    #[error("understand an identity: expected `AGE-SECRET-KEY-1` and 58 characters more")]
    Identity,
    /// There is nobody to seal to, or nobody to open for.
    #[error("use the list of {what}: it is empty")]
    Nobody {
        /// `recipients` or `identities`.
        what: &'static str,
    },
    /// The file does not begin as an age file does.
    #[error("open it: it is no age file of version 1")]
    NotAge,
    /// The file is sealed to others.
    #[error("open it: it is sealed to other recipients")]
    NotForUs,
    /// The file is not what was sealed.
    #[error("open it: {what} is not what was sealed; it was changed or cut")]
    Damaged {
        /// Which part.
        what: &'static str,
    },
    /// It cannot be read or written.
    #[error("read or write it")]
    Io {
        /// Why.
        source: io::Error,
    },
    /// The cryptographic library failed.
    #[error("seal it: the cryptographic library failed")]
    Cipher,
}

impl AgeError {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Recipient { .. } => {
                    "`age-keygen` makes an identity, and says its recipient (`age1…`); recipients \
                     of plug-ins and of SSH are not taken"
                }
                Self::Identity => "give the file that `age-keygen` wrote, not its recipient",
                Self::Nobody { .. } => "name at least one",
                Self::NotAge => "give the file as it was written, without armor",
                Self::NotForUs => "give the identity whose recipient the file was sealed to",
                Self::Damaged { .. } => "take another copy of the file",
                Self::Io { .. } | Self::Cipher => return None,
            }
            .to_owned(),
        )
    }
}

/// To whom a file is sealed: anybody may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient([u8; KEY_BYTES]);

impl FromStr for Recipient {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let given = || text.chars().filter(|c| !c.is_control()).take(80).collect();
        let text = text.trim();
        let bytes = bech32::decode("age", text).and_then(|bytes| to_key(&bytes));
        bytes.map(Self).ok_or_else(|| AgeError::Recipient { given: given() })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32::encode("age", &self.0))
    }
}

fn to_key(bytes: &[u8]) -> Option<[u8; KEY_BYTES]> {
    bytes.try_into().ok()
}

/// Who can open what is sealed to its recipient.
pub struct Identity {
    key: PrivateKey,
    recipient: Recipient,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(of {})", self.recipient)
    }
}

impl Identity {
    /// Reads the identities of a file as `age-keygen` writes it: one a line, with comments.
    ///
    /// # Errors
    /// [`AgeError::Identity`] for any other line, [`AgeError::Nobody`] for a file without one.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, AgeError> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let all: Vec<Self> = lines.map(str::parse).collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(AgeError::Nobody { what: "identities" });
        }
        Ok(all)
    }

    /// Returns to whom files are sealed that this opens.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }
}

impl FromStr for Identity {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let bytes = bech32::decode("age-secret-key-", text).ok_or(AgeError::Identity)?;
        let is_upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
        if bytes.len() != KEY_BYTES || !is_upper {
            return Err(AgeError::Identity);
        }
        let key = PrivateKey::from_private_key(&X25519, &bytes);
        let key = key.map_err(|_source| AgeError::Identity)?;
        let public = key.compute_public_key().map_err(|_source| AgeError::Cipher)?;
        let recipient = to_key(public.as_ref()).map(Recipient).ok_or(AgeError::Cipher)?;
        Ok(Self { key, recipient })
    }
}

/// The key of one file.
type FileKey = Zeroizing<[u8; 16]>;

/// Begins a file that is sealed to `recipients`, one or more.
///
/// # Errors
/// [`AgeError::Nobody`], [`AgeError::Cipher`], [`AgeError::Io`].
pub fn seal<W: Write>(recipients: &[Recipient], mut to: W) -> Result<Sealer<W>, AgeError> {
    let mut key: FileKey = Zeroizing::new([0; 16]);
    aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_source| AgeError::Cipher)?;
    let header = header::render(recipients, &key)?;
    to.write_all(header.as_bytes()).map_err(|source| AgeError::Io { source })?;
    Sealer::begin(&key, to)
}

/// Opens a file for the first of `identities` that it was sealed to.
///
/// # Errors
/// [`AgeError::NotAge`], [`AgeError::NotForUs`], [`AgeError::Damaged`], [`AgeError::Io`].
pub fn open<R: BufRead>(identities: &[Identity], mut from: R) -> Result<Opener<R>, AgeError> {
    let key = header::read(identities, &mut from)?;
    Opener::begin(&key, from)
}

#[cfg(test)]
mod tests;
