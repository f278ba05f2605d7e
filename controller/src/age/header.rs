//! The header: the file's key, sealed to each recipient, and a check that ties it to the key.

use std::io::{self, BufRead, Read};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::{AgeError, FileKey, Identity, KEY_BYTES, Recipient};

const FIRST_LINE: &str = "age-encryption.org/v1\n";

/// What a stanza of ours is called, and what its key is derived for.
const X25519_NAME: &str = "X25519";
const X25519_LABEL: &[u8] = b"age-encryption.org/v1/X25519";

/// Columns of a full line of a stanza's body.
const COLUMNS: usize = 64;

/// The longest header that is read, in bytes: some thousand recipients.
const HEADER_BYTES_MAX: u64 = 256 << 10;

/// A file's key, sealed.
const SEALED_BYTES: usize = 16 + 16;

/// The length of a derived key.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

/// Derives a key (HKDF-SHA-256).
pub(super) fn derive(
    secret: &[u8],
    salt: &[u8],
    label: &[u8],
) -> Result<Zeroizing<[u8; KEY_BYTES]>, AgeError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let derived = Salt::new(HKDF_SHA256, salt).extract(secret);
    let derived = derived.expand(&[label], Length).and_then(|okm| okm.fill(key.as_mut_slice()));
    derived.map_err(|_source| AgeError::Cipher)?;
    Ok(key)
}

/// Takes a key for ChaCha20-Poly1305.
pub(super) fn cipher(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, AgeError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_source| AgeError::Cipher)?;
    Ok(LessSafeKey::new(key))
}

/// A key that seals one text needs no nonce.
fn no_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Writes the header of a file.
pub(super) fn render(recipients: &[Recipient], key: &FileKey) -> Result<String, AgeError> {
    if recipients.is_empty() {
        return Err(AgeError::Nobody { what: "recipients" });
    }
    let mut header = FIRST_LINE.to_owned();
    for recipient in recipients {
        header.push_str(&stanza(recipient, key)?);
    }
    header.push_str("---");
    let check = STANDARD_NO_PAD.encode(hmac::sign(&check_key(key)?, header.as_bytes()));
    Ok(format!("{header} {check}\n"))
}

fn check_key(key: &FileKey) -> Result<hmac::Key, AgeError> {
    let derived = derive(key.as_slice(), &[], b"header")?;
    Ok(hmac::Key::new(HMAC_SHA256, derived.as_slice()))
}

fn stanza(recipient: &Recipient, key: &FileKey) -> Result<String, AgeError> {
    let ephemeral = PrivateKey::generate(&X25519).map_err(|_source| AgeError::Cipher)?;
    let share = ephemeral.compute_public_key().map_err(|_source| AgeError::Cipher)?;
    let wrap = wrap_key(&ephemeral, &recipient.0, share.as_ref(), recipient)?;
    let mut sealed = Zeroizing::new(Vec::with_capacity(SEALED_BYTES));
    sealed.extend_from_slice(key.as_slice());
    cipher(&wrap)?
        .seal_in_place_append_tag(no_nonce(), Aad::empty(), &mut *sealed)
        .map_err(|_source| AgeError::Cipher)?;
    let (share, body) = (STANDARD_NO_PAD.encode(share), STANDARD_NO_PAD.encode(&*sealed));
    Ok(format!("-> {X25519_NAME} {share}\n{body}\n"))
}

/// Derives the key that seals the file's key, from our key and theirs.
fn wrap_key(
    own: &PrivateKey,
    other: &[u8; KEY_BYTES],
    share: &[u8],
    recipient: &Recipient,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, AgeError> {
    let salt = [share, &recipient.0].concat();
    let other = UnparsedPublicKey::new(&X25519, other.as_slice());
    // A point of low order, which makes the same secret with everybody, is refused by the library.
    let damaged = AgeError::Damaged { what: "a recipient's part" };
    agree(own, other, damaged, |secret| derive(secret, &salt, X25519_LABEL))
}

/// One recipient's part, whoever that is.
struct Stanza {
    arguments: Vec<String>,
    body: Vec<u8>,
}

/// Reads the header, to its end and no further, and returns the file's key.
pub(super) fn read(identities: &[Identity], from: &mut impl BufRead) -> Result<FileKey, AgeError> {
    let mut from = from.take(HEADER_BYTES_MAX);
    let mut header = line(&mut from)?;
    if header != FIRST_LINE {
        return Err(AgeError::NotAge);
    }
    let mut stanzas = Vec::new();
    let check = loop {
        let first = line(&mut from)?;
        if let Some(check) = first.strip_prefix("---") {
            header.push_str("---");
            break check.to_owned();
        }
        header.push_str(&first);
        stanzas.push(stanza_after(&first, &mut from, &mut header)?);
    };
    let check = check.strip_prefix(' ').and_then(|check| check.strip_suffix('\n'));
    let check = check.and_then(decode).filter(|_check| !stanzas.is_empty()).ok_or_else(damaged)?;
    let key = unwrap(identities, &stanzas)?;
    hmac::verify(&check_key(&key)?, header.as_bytes(), &check).map_err(|_source| damaged())?;
    Ok(key)
}

fn damaged() -> AgeError {
    AgeError::Damaged { what: "the header" }
}

fn line(from: &mut impl BufRead) -> Result<String, AgeError> {
    let mut line = String::new();
    match from.read_line(&mut line) {
        Ok(_) if line.ends_with('\n') => Ok(line),
        Ok(0) => Err(damaged()),
        // The end of the file, or of what a header may have.
        Ok(_) => Err(if line.len() < FIRST_LINE.len() { AgeError::NotAge } else { damaged() }),
        Err(source) if source.kind() == io::ErrorKind::InvalidData => Err(AgeError::NotAge),
        Err(source) => Err(AgeError::Io { source }),
    }
}

/// Standard base64 without padding, in its one canonical form.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

fn stanza_after(
    first: &str,
    from: &mut impl BufRead,
    header: &mut String,
) -> Result<Stanza, AgeError> {
    let arguments = first.strip_prefix("-> ").and_then(|line| line.strip_suffix('\n'));
    let arguments: Vec<String> =
        arguments.ok_or_else(damaged)?.split(' ').map(str::to_owned).collect();
    let is_legal = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let mut body = String::new();
    loop {
        let next = line(from)?;
        header.push_str(&next);
        let part = next.strip_suffix('\n').unwrap_or(&next);
        body.push_str(part);
        if part.len() < COLUMNS {
            break;
        }
        if part.len() > COLUMNS {
            return Err(damaged());
        }
    }
    let body = decode(&body).filter(|_body| arguments.iter().all(is_legal));
    Ok(Stanza { arguments, body: body.ok_or_else(damaged)? })
}

fn unwrap(identities: &[Identity], stanzas: &[Stanza]) -> Result<FileKey, AgeError> {
    let part = || AgeError::Damaged { what: "a recipient's part" };
    let ours = |stanza: &&Stanza| stanza.arguments.first().is_some_and(|name| name == X25519_NAME);
    for stanza in stanzas.iter().filter(ours) {
        let [_name, share] = stanza.arguments.as_slice() else { return Err(part()) };
        let share = decode(share).and_then(|share| <[u8; KEY_BYTES]>::try_from(share).ok());
        let share = share.ok_or_else(part)?;
        // Looked at before it is opened: a longer text could be made to open with several keys.
        if stanza.body.len() != SEALED_BYTES {
            return Err(part());
        }
        for identity in identities {
            let wrap = wrap_key(&identity.key, &share, &share, &identity.recipient)?;
            let mut sealed = Zeroizing::new(stanza.body.clone());
            let opened = cipher(&wrap)?.open_in_place(no_nonce(), Aad::empty(), &mut sealed);
            if let Ok(opened) = opened {
                let mut key: FileKey = Zeroizing::new([0; 16]);
                key.copy_from_slice(opened);
                return Ok(key);
            }
        }
    }
    Err(AgeError::NotForUs)
}
