//! What a PKCS #12 file is protected by: its MAC (RFC 7292, section 4), and ciphers whose keys are
//! made of a password (RFC 7292, appendix B and C; RFC 8018 for PBES2).
//!
//! Key Vault gives a file that nobody's password protects: what is decrypted here was sent over TLS,
//! and the ciphers of 1998 that Windows and `openssl -legacy` still write hide nothing.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    self as aes, AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::digest::{self, Context};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, pbkdf2};
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use des::TdesEde3;
use rc2::Rc2;
use zeroize::Zeroizing;

use super::Pkcs12Error;
use super::der::{Der, OCTETS, OID, SEQUENCE};

/// More passes than any program writes: a file must not hold a thread for long.
const PASSES_MAX: u32 = 1_000_000;

/// What a key that is made of a password is for (RFC 7292, B.3).
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA384: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const SHA512: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x03";

const TRIPLE_DES: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03";
const RC2_128: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x05";
const RC2_40: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x06";
const PBES2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
const PBKDF2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c";
const HMAC_SHA1: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x07";
const HMAC_SHA256: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x09";
const HMAC_SHA384: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x0a";
const HMAC_SHA512: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x0b";
const CBC_128: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x02";
const CBC_192: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x16";
const CBC_256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a";

/// The two ways in which programs write no password into a key: as a text of no letters, and as no
/// text at all.
pub(super) const NO_PASSWORDS: [&[u8]; 2] = [&[0, 0], &[]];

/// Finds the password that a file's MAC was made with.
pub(super) fn verified(mut mac: Der<'_>, data: &[u8]) -> Result<&'static [u8], Pkcs12Error> {
    let mut info = mac.sequence("the MAC's digest")?;
    let algorithm = info.sequence("the MAC's algorithm")?.take(OID, "the MAC's algorithm")?;
    let expected = info.take(OCTETS, "the MAC's digest")?;
    let salt = mac.take(OCTETS, "the MAC's salt")?;
    let passes = if mac.0.is_empty() { 1 } else { passes(&mut mac)? };
    let (digest, mac) = match algorithm {
        SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return Err(Pkcs12Error::Unknown { what: "the MAC's algorithm" }),
    };
    let fits = |password: &&[u8]| {
        let key = derive(digest, Purpose::Mac, password, salt, passes, digest.output_len());
        hmac::verify(&hmac::Key::new(mac, &key), data, expected).is_ok()
    };
    NO_PASSWORDS.into_iter().find(fits).ok_or(Pkcs12Error::Password)
}

/// Opens what an algorithm and a password have sealed. `password` is for keys of PKCS #12's own; those
/// of PBES2 are made of none.
pub(super) fn decrypt(
    mut algorithm: Der<'_>,
    password: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Pkcs12Error> {
    let id = algorithm.take(OID, "a cipher")?;
    let mut parameters = algorithm.sequence("a cipher's parameters")?;
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let length = if id == PBES2 {
        pbes2(parameters, &mut bytes)?
    } else {
        let salt = parameters.take(OCTETS, "a cipher's salt")?;
        let passes = passes(&mut parameters)?;
        let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        let make = |purpose, length| derive(sha1, purpose, password, salt, passes, length);
        let iv = make(Purpose::Iv, 8);
        match id {
            TRIPLE_DES => cbc(TdesEde3::new_from_slice(&make(Purpose::Key, 24)), &iv, &mut bytes),
            RC2_128 => cbc(Rc2::new_from_slice(&make(Purpose::Key, 16)), &iv, &mut bytes),
            RC2_40 => cbc(Rc2::new_from_slice(&make(Purpose::Key, 5)), &iv, &mut bytes),
            _ => return Err(Pkcs12Error::Unknown { what: "a cipher" }),
        }?
    };
    bytes.truncate(length);
    Ok(bytes)
}

fn passes(der: &mut Der<'_>) -> Result<u32, Pkcs12Error> {
    let passes = der.number("a number of passes")?;
    let fits = (1..=PASSES_MAX).contains(&passes);
    fits.then_some(passes).ok_or(Pkcs12Error::Malformed { what: "a number of passes" })
}

/// Decrypts in place and returns how much is left without the padding.
fn cbc<C: BlockCipherDecrypt, E>(
    cipher: Result<C, E>,
    iv: &[u8],
    bytes: &mut [u8],
) -> Result<usize, Pkcs12Error> {
    let cipher = cipher.map_err(|_length| Pkcs12Error::Password)?;
    let mode = Decryptor::inner_iv_slice_init(cipher, iv);
    let mode = mode.map_err(|_length| Pkcs12Error::Password)?;
    let opened = mode.decrypt_padded::<Pkcs7>(bytes);
    opened.map(<[u8]>::len).map_err(|_padding| Pkcs12Error::Password)
}

fn pbes2(mut parameters: Der<'_>, bytes: &mut [u8]) -> Result<usize, Pkcs12Error> {
    let mut function = parameters.sequence("a key's function")?;
    let mut cipher = parameters.sequence("a cipher")?;
    if function.take(OID, "a key's function")? != PBKDF2 {
        return Err(Pkcs12Error::Unknown { what: "a key's function" });
    }
    let mut function = function.sequence("a key's parameters")?;
    let salt = function.take(OCTETS, "a key's salt")?;
    let passes = passes(&mut function)?;
    let mut hash = HMAC_SHA1;
    // A length is what the cipher says anyway.
    while let Some(value) = function.next()? {
        if value.tag == SEQUENCE {
            hash = Der(value.content).take(OID, "a key's hash")?;
        }
    }
    let hash = match hash {
        HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
        HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
        HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
        HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(Pkcs12Error::Unknown { what: "a key's hash" }),
    };
    let (algorithm, length) = match cipher.take(OID, "a cipher")? {
        CBC_128 => (&AES_128, aes::AES_128_KEY_LEN),
        CBC_192 => (&AES_192, aes::AES_192_KEY_LEN),
        CBC_256 => (&AES_256, aes::AES_256_KEY_LEN),
        _ => return Err(Pkcs12Error::Unknown { what: "a cipher" }),
    };
    let iv: [u8; 16] = cipher
        .take(OCTETS, "a cipher's start")?
        .try_into()
        .map_err(|_length| Pkcs12Error::Malformed { what: "a cipher's start" })?;
    let mut key = Zeroizing::new(vec![0; length]);
    let passes = NonZeroU32::new(passes).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(hash, passes, salt, b"", &mut key);
    let failed = |_unspecified| Pkcs12Error::Password;
    let key = UnboundCipherKey::new(algorithm, &key).map_err(failed)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(failed)?;
    let start = DecryptionContext::Iv128(FixedLength::from(iv));
    key.decrypt(bytes, start).map(|opened| opened.len()).map_err(failed)
}

/// Makes a key of a password (RFC 7292, B.2).
fn derive(
    algorithm: &'static digest::Algorithm,
    purpose: Purpose,
    password: &[u8],
    salt: &[u8],
    passes: u32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let block = algorithm.block_len();
    let fill = |text: &[u8]| -> Vec<u8> {
        text.iter().copied().cycle().take(text.len().div_ceil(block) * block).collect()
    };
    let mut input = Zeroizing::new([fill(salt), fill(password)].concat());
    let mut key = Zeroizing::new(Vec::with_capacity(length + algorithm.output_len()));
    while key.len() < length {
        let mut context = Context::new(algorithm);
        context.update(&vec![purpose as u8; block]);
        context.update(&input);
        let mut hash = context.finish();
        for _pass in 1..passes {
            hash = digest::digest(algorithm, hash.as_ref());
        }
        key.extend_from_slice(hash.as_ref());
        let added: Vec<u8> = hash.as_ref().iter().copied().cycle().take(block).collect();
        for part in input.chunks_exact_mut(block) {
            add_with_one(part, &added);
        }
    }
    key.truncate(length);
    key
}

/// Adds a number, and one, to another of the same length, without what it carries over.
fn add_with_one(number: &mut [u8], added: &[u8]) {
    let mut carry = 1;
    for (digit, added) in number.iter_mut().zip(added).rev() {
        let sum = u16::from(*digit) + u16::from(*added) + carry;
        *digit = sum.to_be_bytes()[1];
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_other_programs() {
        // Two of the vectors that implementations of PKCS #12 have handed on to each other.
        let salt = hex::decode("0a58cf64530d823f").unwrap();
        let smeg: Vec<u8> = "smeg".encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect();
        let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        let key = derive(sha1, Purpose::Key, &smeg, &salt, 1, 24);
        assert_eq!(hex::encode(&*key), "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3");
        let salt = hex::decode("3d83c0e4546ac140").unwrap();
        let key = derive(sha1, Purpose::Mac, &smeg, &salt, 1, 20);
        assert_eq!(hex::encode(&*key), "8d967d88f6caa9d714800ab3d48051d63f73a312");
    }
}
