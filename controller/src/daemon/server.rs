//! HTTPS: TLS 1.2 or later, HTTP/1.1, and no place for slow callers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::certificate::{ServerCertificate, provider};

/// Connections at once; more callers than these wait in the system's queue.
const CONNECTIONS_MAX: usize = 512;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How long requests that are under way may take when the server stops.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The pause after the system could not give a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the certificate's end is looked at.
const RENEWAL_LOOK: Duration = Duration::from_secs(3600);

/// A server that takes connections until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
    places: Arc<Semaphore>,
}

impl Server {
    /// Starts to take connections.
    pub(super) fn start(
        listener: TcpListener,
        router: Router,
        certificate: Arc<ServerCertificate>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let acceptor = acceptor(Arc::clone(&certificate))?;
        let (stop, stopping) = watch::channel(false);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let door = Door { acceptor, router, stopping, places: Arc::clone(&places) };
        let tasks = [tokio::spawn(door.open(listener)), tokio::spawn(renew(certificate))];
        Ok(Self { address, stop, tasks, places })
    }

    /// Returns where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and lets the requests that are under way end for a while.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        if timeout(STOP_MAX, self.places.acquire_many(all)).await.is_err() {
            tracing::warn!("some requests did not end and are cut off");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn acceptor(certificate: Arc<ServerCertificate>) -> io::Result<TlsAcceptor> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = config.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn renew(certificate: Arc<ServerCertificate>) {
    let mut look = tokio::time::interval(RENEWAL_LOOK);
    loop {
        look.tick().await;
        match certificate.renew_if_due(OffsetDateTime::now_utc()) {
            Ok(true) => tracing::info!("the server's certificate was renewed"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the server's certificate was not renewed"),
        }
    }
}

struct Door {
    acceptor: TlsAcceptor,
    router: Router,
    stopping: watch::Receiver<bool>,
    places: Arc<Semaphore>,
}

impl Door {
    async fn open(mut self, listener: TcpListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stopping.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((stream, _caller)) => {
                    tokio::spawn(self.talk(stream, place));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn talk(
        &self,
        stream: TcpStream,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (acceptor, router) = (self.acceptor.clone(), self.router.clone());
        let mut stopping = self.stopping.clone();
        async move {
            let _place = place;
            // What callers do wrong is theirs: it is told at the lowest level only.
            if let Err(error) = converse(stream, &acceptor, router, &mut stopping).await {
                tracing::trace!(%error, "a connection ended early");
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    router: Router,
    stopping: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await??;
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(io::Error::other)
}
