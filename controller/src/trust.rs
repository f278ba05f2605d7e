//! Certificate authorities that a client trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;

/// Reads a file of certificates (PEM) as the only authorities to be trusted.
///
/// # Errors
/// Returns what is wrong with the file.
fn authorities(file: &Path) -> Result<RootCertStore, String> {
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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    match ca_file {
        Some(file) => Ok(builder.with_root_certificates(authorities(file)?).with_no_client_auth()),
        None => {
            let builder = builder.with_platform_verifier().map_err(|error| error.to_string())?;
            Ok(builder.with_no_client_auth())
        }
    }
}
