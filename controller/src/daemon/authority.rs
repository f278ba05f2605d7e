//! The private certificate authority, made on the first start.
//!
//! Its name is made of its key, so that the certificate can be made again from the key alone and
//! two authorities are never mistaken for each other.

use std::path::Path;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::{DaemonError, files};
use crate::data_dir::{CA_FILE, CA_KEY_FILE};
use crate::disk::file::create_private;

/// How long the authority's certificate is valid.
const VALID: Duration = Duration::days(3_652);

/// Certificates begin this long before they are made: the clocks of clients differ.
pub(super) const BACKDATED: Duration = Duration::hours(1);

/// The authority, able to sign.
#[derive(Debug)]
pub(super) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Opens the authority in `dir`, after making it if there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, DaemonError> {
        let (certificate, key) = (dir.join(CA_FILE), dir.join(CA_KEY_FILE));
        let damaged = |what| DaemonError::AuthorityKey { file: key.clone(), what };
        let pair = match files::read_private(&key)? {
            Some(text) => KeyPair::from_pem(&text).map_err(|_source| damaged("it is no key"))?,
            None if certificate.exists() => return Err(damaged("it is missing")),
            None => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
                let text = Zeroizing::new(pair.serialize_pem());
                create_private(&key, text.as_bytes())
                    .map_err(|source| DaemonError::Disk { source })?;
                pair
            }
        };
        let parameters = parameters(&pair);
        if !certificate.exists() {
            let made = parameters.self_signed(&pair).map_err(failed)?;
            files::replace(&certificate, made.pem().as_bytes())?;
        }
        Ok(Self(Issuer::new(parameters, pair)))
    }

    /// Signs a certificate for `pair`.
    pub(super) fn sign(
        &self,
        parameters: &CertificateParams,
        pair: &KeyPair,
    ) -> Result<Certificate, rcgen::Error> {
        parameters.signed_by(pair, &self.0)
    }
}

fn parameters(pair: &KeyPair) -> CertificateParams {
    let digest: [u8; 32] = Sha256::digest(pair.public_key_raw()).into();
    let [a, b, c, d, ..] = digest;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("Keyturn CA {}", hex::encode([a, b, c, d])));
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::now_utc();
    parameters.not_before = now - BACKDATED;
    parameters.not_after = now + VALID;
    parameters
}

fn failed(source: rcgen::Error) -> DaemonError {
    DaemonError::Certificate { whom: "the private certificate authority", source }
}
