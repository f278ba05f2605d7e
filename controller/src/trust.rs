//! Certificate authorities that a client trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt;

/// Reads a file of certificates (PEM) as the only authorities to be trusted.
///
/// # Errors
/// Returns what is wrong with the file.
pub(crate) fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(roots)
}

/// Makes what a client of TLS needs: it trusts the authorities in a file of certificates (PEM) and no
/// others, or those of the system.
///
/// # Errors
/// Returns what is wrong with the file or with the system's authorities.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    tls_as(ca_file.map(authorities).transpose()?, None)
}

/// What a client shows a server that asks for a certificate.
pub(crate) struct Shown {
    /// The certificate and those above it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// As [`tls`], with authorities that were read, and what is shown to the server.
///
/// # Errors
/// Returns what is wrong with the certificate or with the system's authorities.
pub(crate) fn tls_as(
    roots: Option<RootCertStore>,
    shown: Option<Shown>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match roots {
        Some(roots) => builder.with_root_certificates(roots),
        None => builder.with_platform_verifier().map_err(|error| error.to_string())?,
    };
    match shown {
        Some(Shown { chain, key }) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
        }
        None => Ok(builder.with_no_client_auth()),
    }
}
