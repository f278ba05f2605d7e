//! The vault served to its own clients, and what it lets go when its time is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::DaemonError;
use super::certificate::ServerCertificate;
use super::server::Server;
use crate::clock;
use crate::service::Desk;

/// How often it is looked for deleted secrets whose time is over: their times are in days.
const SWEEP: Duration = Duration::from_secs(3_600);

/// The listener of the Key Vault API.
#[derive(Debug)]
pub(super) struct KeyVault {
    server: Server,
    _sweeping: AbortOnDropHandle<()>,
}

impl KeyVault {
    /// Starts to serve.
    pub(super) fn start(
        listener: TcpListener,
        router: Router,
        certificate: Arc<ServerCertificate>,
        desk: Arc<Desk>,
    ) -> Result<Self, DaemonError> {
        let address = listener.local_addr();
        let server = Server::start(listener, router, certificate).map_err(|source| {
            let address = address.unwrap_or_else(|_source| SocketAddr::from(([0, 0, 0, 0], 0)));
            DaemonError::Listen { address, source }
        })?;
        let url = desk.uri();
        tracing::info!(url, "serving the vault");
        Ok(Self { server, _sweeping: AbortOnDropHandle::new(tokio::spawn(sweep(desk))) })
    }

    /// Returns where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes no more connections, and lets the requests that are under way end for a while.
    pub(super) async fn stop(self) {
        self.server.stop().await;
    }
}

/// Purges deleted secrets when their time is over, for as long as the daemon runs.
async fn sweep(desk: Arc<Desk>) {
    let mut look = tokio::time::interval(SWEEP);
    loop {
        look.tick().await;
        match desk.sweep(clock::since_1970().as_secs()).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "deleted secrets were purged: their time is over"),
            Err(error) => tracing::error!(%error, "deleted secrets were not purged"),
        }
    }
}
