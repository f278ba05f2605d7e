//! A web server that publishes an issuer's keys over HTTPS, and misbehaves as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// What is answered on a path.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// This, as JSON.
    Keys(String),
    /// Another status.
    Status(u16),
    /// Look there.
    Redirect(String),
    /// Bytes without an end.
    Endless,
    /// Nothing: the line is cut.
    HangUp,
    /// Nothing, for ever.
    Silence,
}

/// The server. It ends when it is dropped.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

struct Shared {
    says: Mutex<HashMap<String, Says>>,
    /// How often each path was asked for.
    hits: watch::Sender<HashMap<String, usize>>,
}

impl Provider {
    /// Starts the server, and puts the certificate of its authority into a file.
    pub(crate) async fn start(ca: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls(ca)));
        let hits = watch::Sender::new(HashMap::new());
        let shared = Arc::new(Shared { says: Mutex::default(), hits });
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Self { address, shared, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(crate) fn say(&self, path: &str, says: Says) {
        self.shared.says.lock().unwrap().insert(path.to_owned(), says);
    }

    pub(crate) fn hits(&self, path: &str) -> usize {
        self.shared.hits.borrow().get(path).copied().unwrap_or(0)
    }

    /// Waits until a path has been asked for.
    pub(crate) async fn asked(&self, path: &str) {
        let mut hits = self.shared.hits.subscribe();
        hits.wait_for(|hits| hits.contains_key(path)).await.unwrap();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((stream, _caller)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        // A caller that does not trust us is the caller's affair.
        tokio::spawn(async move { drop(answer(stream, acceptor, shared).await) });
    }
}

async fn answer(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let says = shared.says.lock().unwrap().get(&path).cloned().unwrap_or(Says::Status(404));
    shared.hits.send_modify(|hits| *hits.entry(path).or_default() += 1);
    let mut text = match says {
        Says::Keys(text) => format!("200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()),
        Says::Status(status) => format!("{status} No\r\ncontent-length: 0\r\n\r\n"),
        Says::Redirect(to) => format!("302 No\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
        Says::Endless => "200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        Says::HangUp => return Ok(()),
        Says::Silence => std::future::pending().await,
    };
    text.insert_str(0, "HTTP/1.1 ");
    stream.write_all(text.as_bytes()).await?;
    while text.contains("chunked") {
        stream.write_all(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes()).await?;
    }
    stream.flush().await?;
    stream.shutdown().await
}

fn tls(ca: &Path) -> ServerConfig {
    let pair = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, format!("authority of {}", ca.display()));
    parameters.distinguished_name = name;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = parameters.self_signed(&pair).unwrap();
    std::fs::write(ca, certificate.pem()).unwrap();
    let authority = Issuer::new(parameters, pair);
    let pair = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let chain = vec![own.signed_by(&pair, &authority).unwrap().der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}
