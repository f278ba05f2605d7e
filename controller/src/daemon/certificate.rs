//! The server's certificate: made at each start, renewed long before its end, never on the disk.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use time::{Duration, OffsetDateTime};

use super::DaemonError;
use super::authority::{Authority, BACKDATED};

/// How long a certificate is valid: less than the 398 days that some clients take at most.
const VALID: Duration = Duration::days(365);

/// A certificate is renewed this long before its end.
const RENEWED_BEFORE: Duration = Duration::days(30);

/// The certificate that is served now.
#[derive(Debug)]
pub(super) struct ServerCertificate {
    authority: Authority,
    names: Vec<SanType>,
    now: RwLock<Issued>,
    /// The one that the configuration refers to, if it was fetched.
    brought: RwLock<Option<Arc<CertifiedKey>>>,
}

#[derive(Clone, Debug)]
struct Issued {
    key: Arc<CertifiedKey>,
    ends: OffsetDateTime,
}

impl ServerCertificate {
    /// Makes a certificate for this host, for the address that is served, and for another name or
    /// address by which it is known.
    pub(super) fn issue(
        authority: Authority,
        address: IpAddr,
        alias: Option<&str>,
    ) -> Result<Arc<Self>, DaemonError> {
        let mut names = names(address)?;
        if let Some(alias) = alias {
            names.push(match alias.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_name) => alias.try_into().map(SanType::DnsName).map_err(failed)?,
            });
        }
        let issued = issue(&authority, &names, OffsetDateTime::now_utc())?;
        let (now, brought) = (RwLock::new(issued), RwLock::new(None));
        Ok(Arc::new(Self { authority, names, now, brought }))
    }

    /// Makes a new certificate if the one that is served ends soon.
    pub(super) fn renew_if_due(&self, now: OffsetDateTime) -> Result<bool, DaemonError> {
        let ends = self.now.read().unwrap_or_else(PoisonError::into_inner).ends;
        if now + RENEWED_BEFORE < ends {
            return Ok(false);
        }
        let issued = issue(&self.authority, &self.names, now)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = issued;
        Ok(true)
    }

    /// Serves another certificate from now on, and tells whether it is another one. Handshakes
    /// that are under way end with the one that they began with.
    pub(super) fn bring(&self, key: CertifiedKey) -> bool {
        let mut brought = self.brought.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = brought.as_ref().is_none_or(|before| before.cert != key.cert);
        *brought = Some(Arc::new(key));
        is_other
    }

    /// Checks that a client which trusts the authority's certificate in `ca` takes this one.
    pub(super) fn check(&self, ca: &Path) -> Result<(), DaemonError> {
        let mismatch = |source| DaemonError::AuthorityMismatch { file: ca.to_owned(), source };
        let mut roots = RootCertStore::empty();
        let bad = || rustls::Error::General("it holds no certificate".to_owned());
        for root in CertificateDer::pem_file_iter(ca).map_err(|_source| mismatch(bad()))? {
            roots.add(root.map_err(|_source| mismatch(bad()))?).map_err(mismatch)?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = verifier.build().map_err(|_source| mismatch(bad()))?;
        let issued = self.now.read().unwrap_or_else(PoisonError::into_inner).key.clone();
        let end_entity = issued.end_entity_cert().map_err(mismatch)?;
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        verifier
            .verify_server_cert(end_entity, &[], &name, &[], UnixTime::now())
            .map(|_verified| ())
            .map_err(mismatch)
    }
}

impl ResolvesServerCert for ServerCertificate {
    /// Whoever asks by a name gets the certificate that was brought. Clients of this host, which ask
    /// by an address or for `localhost`, trust the authority in the data directory.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let by_name = hello.server_name().is_some_and(|name| name != "localhost");
        let brought = self.brought.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(brought) = brought.filter(|_brought| by_name) {
            return Some(brought);
        }
        Some(self.now.read().unwrap_or_else(PoisonError::into_inner).key.clone())
    }
}

/// Returns the cryptography that TLS here is made of.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn names(address: IpAddr) -> Result<Vec<SanType>, DaemonError> {
    let dns = |name: &str| name.try_into().map(SanType::DnsName);
    let mut names = vec![
        dns("localhost").map_err(failed)?,
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    if !address.is_loopback() && !address.is_unspecified() {
        names.push(SanType::IpAddress(address));
    }
    let uname = rustix::system::uname();
    // A host whose name is no name in DNS is reached by one of the others.
    let host = uname.nodename().to_str().ok().filter(|name| is_dns_name(name));
    names.extend(host.and_then(|name| dns(name).ok()));
    Ok(names)
}

fn is_dns_name(name: &str) -> bool {
    name != "localhost"
        && ServerName::try_from(name).is_ok_and(|name| matches!(name, ServerName::DnsName(_)))
}

fn issue(
    authority: &Authority,
    names: &[SanType],
    now: OffsetDateTime,
) -> Result<Issued, DaemonError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Keyturn");
    parameters.distinguished_name = name;
    parameters.subject_alt_names = names.to_vec();
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters.not_before = now - BACKDATED;
    parameters.not_after = now + VALID;
    let ends = parameters.not_after;
    let certificate = authority.sign(&parameters, &pair).map_err(failed)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let chain = vec![certificate.der().clone()];
    let key = CertifiedKey::from_der(chain, key, &provider())
        .map_err(|source| DaemonError::Tls { source })?;
    Ok(Issued { key: Arc::new(key), ends })
}

fn failed(source: rcgen::Error) -> DaemonError {
    DaemonError::Certificate { whom: "the server", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::{CA_FILE, CA_KEY_FILE};

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn an_authority_that_was_made_once_signs_for_all_later_starts() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join(CA_FILE);
        let first = Authority::open(dir.path()).unwrap();
        let text = std::fs::read(&ca).unwrap();
        ServerCertificate::issue(first, LOOPBACK, None).unwrap().check(&ca).unwrap();
        let second = Authority::open(dir.path()).unwrap();
        ServerCertificate::issue(second, LOOPBACK, None).unwrap().check(&ca).unwrap();
        assert_eq!(std::fs::read(&ca).unwrap(), text);
    }

    #[test]
    fn a_key_without_its_certificate_makes_one_that_old_clients_trust() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join(CA_FILE);
        Authority::open(dir.path()).unwrap();
        let old = dir.path().join("old.pem");
        std::fs::rename(&ca, &old).unwrap();
        let again = Authority::open(dir.path()).unwrap();
        ServerCertificate::issue(again, LOOPBACK, None).unwrap().check(&old).unwrap();
    }

    #[test]
    fn a_certificate_without_its_key_or_with_another_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path()).unwrap();
        let key = dir.path().join(CA_KEY_FILE);
        std::fs::remove_file(&key).unwrap();
        let error = Authority::open(dir.path()).unwrap_err();
        assert!(matches!(error, DaemonError::AuthorityKey { .. }), "{error}");
        let other = tempfile::tempdir().unwrap();
        let strange = Authority::open(other.path()).unwrap();
        let certificate = ServerCertificate::issue(strange, LOOPBACK, None).unwrap();
        let error = certificate.check(&dir.path().join(CA_FILE)).unwrap_err();
        assert!(matches!(error, DaemonError::AuthorityMismatch { .. }), "{error}");
    }

    #[test]
    fn a_certificate_is_renewed_a_month_before_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let certificate = ServerCertificate::issue(authority, LOOPBACK, None).unwrap();
        let now = OffsetDateTime::now_utc();
        assert!(!certificate.renew_if_due(now + Duration::days(300)).unwrap());
        assert!(certificate.renew_if_due(now + Duration::days(340)).unwrap());
        assert!(!certificate.renew_if_due(now + Duration::days(600)).unwrap());
    }
}
