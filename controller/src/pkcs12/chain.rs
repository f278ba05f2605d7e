//! The order of certificates: the one with the key first, then whoever vouches for it, and so on.

use rustls_pki_types::CertificateDer;

use super::Pkcs12Error;
use super::der::{CONTEXT_0, Der, SEQUENCE};

/// A certificate as it lies in the file.
pub(super) struct Found {
    pub(super) der: CertificateDer<'static>,
    pub(super) key_id: Option<Vec<u8>>,
    names: Names,
}

/// Whose a certificate is, and who vouches for it, as they are written.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    issuer: Vec<u8>,
    subject: Vec<u8>,
}

impl Found {
    pub(super) fn new(der: &[u8], key_id: Option<Vec<u8>>) -> Result<Self, Pkcs12Error> {
        let names = names(der)?;
        Ok(Self { der: CertificateDer::from(der.to_vec()), key_id, names })
    }

    fn vouches_for(&self, other: &Self) -> bool {
        self.names.subject == other.names.issuer && self.der != other.der
    }
}

/// RFC 5280, 4.1: the names are fields of the signed part.
fn names(der: &[u8]) -> Result<Names, Pkcs12Error> {
    const WHAT: &str = "a certificate";
    let mut signed = Der(der).sequence(WHAT)?.sequence(WHAT)?;
    let first = signed.next()?;
    if first.is_some_and(|value| value.tag == CONTEXT_0) {
        // The version was there; the serial number follows.
        let _serial = signed.next()?;
    }
    let _algorithm = signed.sequence(WHAT)?;
    let issuer = signed.take(SEQUENCE, WHAT)?.to_vec();
    let _validity = signed.sequence(WHAT)?;
    Ok(Names { issuer, subject: signed.take(SEQUENCE, WHAT)?.to_vec() })
}

/// Puts certificates into order. What does not lead up from the first one is left out.
pub(super) fn order(
    mut found: Vec<Found>,
    key_id: Option<&[u8]>,
) -> Result<Vec<CertificateDer<'static>>, Pkcs12Error> {
    let marked =
        found.iter().position(|one| one.key_id.is_some() && one.key_id.as_deref() == key_id);
    // A file without marks: the one that vouches for nobody.
    let vouches = |one: &Found| found.iter().any(|other| one.vouches_for(other));
    let first = marked.or_else(|| found.iter().position(|one| !vouches(one))).unwrap_or(0);
    if found.is_empty() {
        return Err(Pkcs12Error::Missing { what: "a certificate" });
    }
    let mut last = found.swap_remove(first);
    let mut chain = Vec::with_capacity(found.len() + 1);
    while let Some(above) = found.iter().position(|other| other.vouches_for(&last)) {
        let above = found.swap_remove(above);
        chain.push(std::mem::replace(&mut last, above).der);
    }
    chain.push(last.der);
    Ok(chain)
}
