//! AES-256-GCM with everything that a sealed text belongs to bound to it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::VaultError;

/// The length of a key, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// How many bytes a sealed text is longer than the text: the nonce before and the tag behind it.
const OVERHEAD_BYTES: usize = NONCE_LEN + 16;

/// The bytes of a key, overwritten when dropped.
pub(super) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// A key that is ready for use.
///
/// Nonces are 96 random bits, which the library draws itself. Two of `n` nonces are the same with
/// a probability of about n² / 2⁹⁷, so one key may seal 2³¹ texts at a risk of 2⁻³⁵ (NIST SP
/// 800-38D, section 8.3, allows 2³² at 2⁻³²).
#[derive(Debug)]
pub(super) struct Cipher {
    key: RandomizedNonceKey,
    id: String,
}

impl Cipher {
    /// Takes a key.
    pub(super) fn new(bytes: &KeyBytes) -> Result<Self, VaultError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice())
            .map_err(|_source| VaultError::Cipher { doing: "take a key" })?;
        Ok(Self { key, id: key_id(bytes) })
    }

    /// Returns what names the key without telling it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Seals `text`; only the same `context` opens it again.
    pub(super) fn seal(&self, context: &[&[u8]], text: &[u8]) -> Result<Vec<u8>, VaultError> {
        // The text is sealed where it stands, so no copy of it outlives this.
        let mut buffer = Zeroizing::new(Vec::with_capacity(text.len() + OVERHEAD_BYTES));
        buffer.extend_from_slice(text);
        let nonce = self
            .key
            .seal_in_place_append_tag(bind(context), &mut *buffer)
            .map_err(|_source| VaultError::Cipher { doing: "seal a value" })?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&buffer);
        Ok(sealed)
    }

    /// Opens what [`Cipher::seal`] made; `None` if the key, the context or the text is another.
    pub(super) fn open(&self, context: &[&[u8]], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let length = self.key.open_in_place(nonce, bind(context), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }
}

/// Returns the first 16 hexadecimal digits of a hash of the key. The key is random, so nothing
/// about it follows from that.
pub(super) fn key_id(bytes: &KeyBytes) -> String {
    let mut text = Zeroizing::new(b"keyturn vault key id 1\n".to_vec());
    text.extend_from_slice(bytes.as_slice());
    let mut id = hex::encode(digest(&SHA256, &text));
    id.truncate(16);
    id
}

/// Joins the parts so that no two lists of parts are the same: each after its length.
fn bind(context: &[&[u8]]) -> Aad<Vec<u8>> {
    let mut bound = Vec::new();
    for part in context {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    Aad::from(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(byte: u8) -> Cipher {
        Cipher::new(&Zeroizing::new([byte; KEY_BYTES])).unwrap()
    }

    #[test]
    fn only_the_same_key_context_and_text_open() {
        let sealed = cipher(1).seal(&[b"ab", b"c"], b"secret").unwrap();
        assert_eq!(sealed.len(), 6 + OVERHEAD_BYTES);
        assert_eq!(cipher(1).open(&[b"ab", b"c"], &sealed).unwrap().as_slice(), b"secret");
        assert!(cipher(2).open(&[b"ab", b"c"], &sealed).is_none());
        for context in [[b"a".as_slice(), b"bc"].as_slice(), &[b"abc"], &[b"ab", b"c", b""], &[]] {
            assert!(cipher(1).open(context, &sealed).is_none());
        }
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(cipher(1).open(&[b"ab", b"c"], &flipped).is_none(), "byte {at}");
            assert!(cipher(1).open(&[b"ab", b"c"], &sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_text_is_never_sealed_the_same() {
        let cipher = cipher(1);
        assert_ne!(cipher.seal(&[], b"x").unwrap(), cipher.seal(&[], b"x").unwrap());
    }
}
