//! Connections by the HTTP client of the house, which follows no proxy and no redirect and has a limit to
//! every request, as whoever Keyturn is.

use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Response;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::place::{Place, Roots};
use crate::remote::{self, Pace};
use crate::trust::{self, Shown};

/// The longest token, in bytes: headers of an API server are 1 MiB at most, a token is 1 to 2 kB.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Why there is no identity to show. Never contains it.
#[derive(Debug)]
pub(super) struct NoIdentity(pub(super) String);

/// A client, and who it is.
pub(super) struct Connection {
    http: reqwest::Client,
    server: String,
    bearer: Bearer,
}

/// Why a request has no answer.
pub(super) enum Unanswered {
    /// It was not made.
    NoIdentity(NoIdentity),
    /// It got lost.
    Lost(reqwest::Error),
}

/// Who Keyturn is in the header of a request.
enum Bearer {
    /// Nobody: the certificate tells.
    Nobody,
    Inline(SecretString),
    /// Read for each request: tokens rotate.
    File(PathBuf),
}

fn unreadable(file: &Path, error: &std::io::Error) -> NoIdentity {
    NoIdentity(format!("`{}` cannot be read: {error}", file.display()))
}

impl Connection {
    /// Gets ready: reads keys and authorities, and asks nobody.
    pub(super) fn new(place: &Place, pace: &Pace) -> Result<Self, NoIdentity> {
        let tls = trust::tls_as(roots(&place.roots)?, shown(place)?).map_err(NoIdentity)?;
        let made = remote::client_by(tls, pace);
        let http = made.map_err(|error| NoIdentity(error.to_string()))?;
        Ok(Self { http, server: place.server.clone(), bearer: bearer(place) })
    }

    /// Makes a request, whose URI has no host.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response, Unanswered> {
        let (head, body) = request.into_parts();
        let bearer = self.bearer.header().map_err(Unanswered::NoIdentity)?;
        let url = format!("{}{}", self.server, head.uri);
        let mut request = self.http.request(head.method, url).headers(head.headers).body(body);
        if let Some(header) = bearer {
            request = request.header(AUTHORIZATION, header);
        }
        // The server is named by whoever asked.
        request.send().await.map_err(|error| Unanswered::Lost(error.without_url()))
    }
}

fn roots(from: &Roots) -> Result<Option<RootCertStore>, NoIdentity> {
    match from {
        Roots::System => Ok(None),
        Roots::File(file) => {
            let failed = |what: String| NoIdentity(format!("`{}`: {what}", file.display()));
            trust::authorities(file).map(Some).map_err(failed)
        }
        Roots::Inline(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                let added = roots.add(CertificateDer::from_slice(certificate));
                added
                    .map_err(|error| NoIdentity(format!("an authority of the cluster: {error}")))?;
            }
            Ok(Some(roots))
        }
    }
}

/// Returns what is shown to a server that asks for a certificate.
fn shown(place: &Place) -> Result<Option<Shown>, NoIdentity> {
    let user = &place.user;
    let key = user.client_key_data.as_ref().map(|data| data.expose_secret());
    let certificate =
        text(user.client_certificate_data.as_deref(), user.client_certificate.as_deref())?;
    let Some((certificate, key)) = certificate.zip(text(key, user.client_key.as_deref())?) else {
        return Ok(None);
    };
    let wrong = |what: &str| NoIdentity(format!("the user's {what} is no PEM"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.map_err(|_source| wrong("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_source| wrong("key"))?;
    Ok(Some(Shown { chain, key }))
}

/// Returns what a kubeconfig has in base64, or in a file.
fn text(data: Option<&str>, file: Option<&str>) -> Result<Option<Zeroizing<Vec<u8>>>, NoIdentity> {
    match (data, file) {
        (Some(data), _) => {
            let mut bytes = Zeroizing::new(Vec::with_capacity(data.len()));
            let decoded = STANDARD.decode_vec(data.trim(), &mut bytes);
            decoded.map_err(|_source| NoIdentity("what is in base64 is none".to_owned()))?;
            Ok(Some(bytes))
        }
        (None, Some(file)) => {
            let read = fs::read(file).map_err(|error| unreadable(Path::new(file), &error))?;
            Ok(Some(Zeroizing::new(read)))
        }
        (None, None) => Ok(None),
    }
}

fn bearer(place: &Place) -> Bearer {
    match (&place.user.token, &place.user.token_file) {
        (Some(token), _) => Bearer::Inline(token.clone()),
        (None, Some(file)) => Bearer::File(PathBuf::from(file)),
        (None, None) => Bearer::Nobody,
    }
}

impl Bearer {
    fn header(&self) -> Result<Option<HeaderValue>, NoIdentity> {
        match self {
            Self::Nobody => Ok(None),
            Self::Inline(token) => header(token.expose_secret()).map(Some),
            Self::File(file) => {
                let failed = |error: std::io::Error| unreadable(file, &error);
                if fs::metadata(file).map_err(failed)?.len() > TOKEN_BYTES_MAX {
                    return Err(NoIdentity(format!("`{}` is no token", file.display())));
                }
                header(&Zeroizing::new(fs::read_to_string(file).map_err(failed)?)).map(Some)
            }
        }
    }
}

fn header(token: &str) -> Result<HeaderValue, NoIdentity> {
    let text = Zeroizing::new(format!("Bearer {}", token.trim()));
    let wrong = |_source| NoIdentity("the token has characters that none has".to_owned());
    let mut header = HeaderValue::from_str(&text).map_err(wrong)?;
    header.set_sensitive(true);
    Ok(header)
}
