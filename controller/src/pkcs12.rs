//! Certificates with their key in a PKCS #12 file (RFC 7292), as Azure Key Vault gives them:
//! without a password, in DER, protected by a MAC. Why it is not a crate's: `docs/adr/0021`.

mod chain;
mod cipher;
mod der;

use std::fmt;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use self::chain::Found;
use self::der::{CONTEXT_0, CONTEXT_0_OCTETS, Der, OCTETS, OID, SEQUENCE, SET};

/// The largest file, in bytes. Key Vault's secrets have 25 KB at most.
pub const BYTES_MAX: usize = 64 << 10;

const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const ENCRYPTED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06";
const KEY_BAG: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x01";
const SHROUDED_KEY_BAG: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02";
const CERTIFICATE_BAG: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x03";
const X509: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01";
const LOCAL_KEY_ID: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x15";

/// Tells why a file was not read. Never contains a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs12Error {
    /// The bytes are not what the format has in a place.
    #[error("read a PKCS #12 file: {what} is not as in DER, or was cut")]
    Malformed {
        /// The place.
        what: &'static str,
    },
    /// The file is larger than [`BYTES_MAX`].
    #[error("read a PKCS #12 file: it is larger than 64 KiB")]
    TooLarge,
    /// The file uses what is not known here.
    #[error("read a PKCS #12 file: {what} is of a kind that is not known")]
    Unknown {
        /// What.
        what: &'static str,
    },
    /// The file has a password, or was changed.
    #[error("read a PKCS #12 file: it has a password, or was changed")]
    Password,
    /// Something is not in the file.
    #[error("read a PKCS #12 file: {what} is not in it")]
    Missing {
        /// What.
        what: &'static str,
    },
}

/// What is in a file.
pub struct Archive {
    /// The certificate of the key, if there is a key, then those above it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: Option<PrivateKeyDer<'static>>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// What has been found so far.
#[derive(Default)]
struct Bags {
    certificates: Vec<Found>,
    key: Option<Key>,
}

struct Key {
    der: Zeroizing<Vec<u8>>,
    id: Option<Vec<u8>>,
}

/// Reads a file that has no password.
///
/// # Errors
/// Returns [`Pkcs12Error`].
pub fn open(bytes: &[u8]) -> Result<Archive, Pkcs12Error> {
    if bytes.len() > BYTES_MAX {
        return Err(Pkcs12Error::TooLarge);
    }
    let mut file = Der(bytes).sequence("the file")?;
    if file.number("its version")? != 3 {
        return Err(Pkcs12Error::Unknown { what: "its version" });
    }
    let mut content = file.sequence("its content")?;
    if content.take(OID, "its content")? != DATA {
        // Signed by a key in the place of a MAC: nobody does.
        return Err(Pkcs12Error::Unknown { what: "its content" });
    }
    let data = octets(&mut content)?;
    let password = match file.next()? {
        Some(mac) if mac.tag == SEQUENCE => cipher::verified(Der(mac.content), data)?,
        Some(_other) => return Err(Pkcs12Error::Malformed { what: "its MAC" }),
        None => cipher::NO_PASSWORDS[0],
    };
    let mut bags = Bags::default();
    let mut parts = Der(data).sequence("its content")?;
    while !parts.0.is_empty() {
        part(&mut bags, parts.sequence("a part of it")?, password)?;
    }
    let Bags { certificates, key } = bags;
    let id = key.as_ref().and_then(|key| key.id.as_deref());
    let chain = chain::order(certificates, id)?;
    let key = key.map(|mut key| PrivatePkcs8KeyDer::from(std::mem::take(&mut *key.der)).into());
    Ok(Archive { chain, key })
}

/// Takes `[0]` around an OCTET STRING.
fn octets<'a>(der: &mut Der<'a>) -> Result<&'a [u8], Pkcs12Error> {
    Der(der.take(CONTEXT_0, "a content")?).take(OCTETS, "a content")
}

/// Reads one of the parts, each of which is sealed by itself or not at all.
fn part(bags: &mut Bags, mut part: Der<'_>, password: &[u8]) -> Result<(), Pkcs12Error> {
    match part.take(OID, "a part of it")? {
        DATA => contents(bags, octets(&mut part)?, password),
        ENCRYPTED_DATA => {
            let mut sealed =
                Der(part.take(CONTEXT_0, "a sealed part")?).sequence("a sealed part")?;
            let _version = sealed.number("a sealed part's version")?;
            let mut sealed = sealed.sequence("a sealed part")?;
            let _kind = sealed.take(OID, "a sealed part")?;
            let algorithm = sealed.sequence("a cipher")?;
            let content = sealed.take(CONTEXT_0_OCTETS, "a sealed part")?;
            contents(bags, &cipher::decrypt(algorithm, password, content)?, password)
        }
        _ => Err(Pkcs12Error::Unknown { what: "a part of it" }),
    }
}

fn contents(bags: &mut Bags, contents: &[u8], password: &[u8]) -> Result<(), Pkcs12Error> {
    // What does not open with this password is no DER either.
    let mut contents = Der(contents).sequence("what was sealed")?;
    while !contents.0.is_empty() {
        let mut bag = contents.sequence("a bag")?;
        let kind = bag.take(OID, "a bag")?;
        let value = bag.take(CONTEXT_0, "a bag")?;
        let id = match bag.next()? {
            Some(attributes) if attributes.tag == SET => key_id(Der(attributes.content))?,
            _ => None,
        };
        match kind {
            CERTIFICATE_BAG => bags.certificates.extend(certificate(value, id)?),
            KEY_BAG => {
                let der = Zeroizing::new(value.to_vec());
                bags.key.get_or_insert(Key { der, id });
            }
            SHROUDED_KEY_BAG => {
                let mut sealed = Der(value).sequence("a key")?;
                let algorithm = sealed.sequence("a cipher")?;
                let content = sealed.take(OCTETS, "a key")?;
                let der = cipher::decrypt(algorithm, password, content)?;
                bags.key.get_or_insert(Key { der, id });
            }
            // Revocation lists, secrets of other programs.
            _ => {}
        }
    }
    Ok(())
}

fn certificate(bag: &[u8], id: Option<Vec<u8>>) -> Result<Option<Found>, Pkcs12Error> {
    let mut bag = Der(bag).sequence("a certificate")?;
    if bag.take(OID, "a certificate")? != X509 {
        return Ok(None);
    }
    Found::new(octets(&mut bag)?, id).map(Some)
}

/// Finds the attribute by which a key and its certificate are known to belong together.
fn key_id(mut attributes: Der<'_>) -> Result<Option<Vec<u8>>, Pkcs12Error> {
    while !attributes.0.is_empty() {
        let mut attribute = attributes.sequence("an attribute")?;
        if attribute.take(OID, "an attribute")? == LOCAL_KEY_ID {
            let values = attribute.take(SET, "an attribute")?;
            return Der(values).take(OCTETS, "an attribute").map(|id| Some(id.to_vec()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
