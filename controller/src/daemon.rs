//! `keyturn serve`: the service, its store and vault, and HTTPS before them, in one process.
//!
//! On its first start the daemon makes what it needs in its data directory and says where that is.
//! What drives the devices, and which APIs are served, is handed in: this module knows no agent and
//! no edge.

mod archives;
mod authority;
mod certificate;
mod error;
mod files;
mod key_vault;
mod log;
mod process;
mod server;
mod start;
mod tokens;
mod upkeep;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use protocol::frame::{FromAgent, ToAgent};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::access::oidc::Prepared;
use crate::access::{Admission, Tokens};
use crate::audit::Entry;
use crate::config::{Config, Flags, KeyVaultConfig};
use crate::key_source;
use crate::reference::Resolver;
use crate::service::{Desk, Service};
use crate::template::PlatformLimits;
use crate::{data_dir, store};

pub use self::error::DaemonError;
pub use self::log::start as start_log;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--data-dir`; before the configuration.
    pub data_dir: Option<PathBuf>,
    /// `--listen`; before the configuration.
    pub listen: Option<SocketAddr>,
}

/// What drives the devices: two channels to an agent, and what its platforms take as passwords.
#[derive(Debug)]
pub struct Hands {
    /// To the agent.
    pub to: mpsc::Sender<ToAgent>,
    /// From the agent.
    pub from: mpsc::Receiver<FromAgent>,
    /// The platforms' limits.
    pub platforms: Vec<PlatformLimits>,
}

/// An error of what was handed in.
pub type OtherError = Box<dyn std::error::Error + Send + Sync>;

/// What is handed in.
pub trait World {
    /// Returns what the agent's platforms take, without starting anything.
    ///
    /// # Errors
    /// Returns why the platforms cannot be read.
    fn platforms(&self, config: &Config) -> Result<Vec<PlatformLimits>, OtherError>;

    /// Starts the agent. The data directory is this process's alone by then.
    ///
    /// # Errors
    /// Returns why there is no agent.
    fn agent(&self, config: &Config) -> impl Future<Output = Result<Hands, OtherError>> + Send;

    /// Returns the APIs to be served.
    fn routes(&self, served: Served<'_>) -> Router;

    /// Returns the API of the vault, to be served on a listener of its own.
    fn key_vault(&self, served: ServedVault<'_>) -> Router;
}

/// What the APIs are made of.
#[derive(Debug)]
pub struct Served<'a> {
    /// What they ask.
    pub service: &'a Arc<Service>,
    /// Whom they let in.
    pub admission: &'a Admission,
    /// The names of the agent's platforms.
    pub platforms: Vec<String>,
    /// The names of the template's user profiles.
    pub profiles: Vec<String>,
    /// What follows references to credentials.
    pub references: Arc<Resolver>,
}

/// What the API of the vault is made of.
#[derive(Debug)]
pub struct ServedVault<'a> {
    /// What it asks.
    pub desk: &'a Arc<Desk>,
    /// Whom it lets in.
    pub admission: &'a Admission,
    /// How it is served.
    pub config: &'a KeyVaultConfig,
}

/// A daemon that serves. Dropping it ends the serving at once; operations go on with the next
/// start.
#[derive(Debug)]
pub struct Daemon {
    server: server::Server,
    key_vault: Option<key_vault::KeyVault>,
    service: Arc<Service>,
    dir: PathBuf,
    _upkeep: Vec<AbortOnDropHandle<()>>,
    _lock: store::DataDirLock,
}

impl Daemon {
    /// Starts everything, and returns when requests are taken.
    ///
    /// # Errors
    /// Returns [`DaemonError`] with what cannot be opened or made; nothing was exposed and no
    /// device was touched.
    pub async fn start(config: &Config, world: &impl World) -> Result<Self, DaemonError> {
        start::start(config, world).await
    }

    /// Returns where the daemon serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns where the daemon serves the Key Vault API, if it does.
    #[must_use]
    pub fn key_vault_address(&self) -> Option<SocketAddr> {
        self.key_vault.as_ref().map(key_vault::KeyVault::address)
    }

    /// Returns what the daemon serves.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Returns the data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes no more requests, lets the ones that are under way end, for a few seconds, and
    /// returns. Running operations are durable: they go on with the next start.
    pub async fn stop(self) {
        if let Some(key_vault) = self.key_vault {
            key_vault.stop().await;
        }
        self.server.stop().await;
        // Behind all that is still queued.
        let service = &self.service;
        let (action, object) = ("Keyturn/daemon/stop/action", start::PROGRAM);
        let entry = Entry::requested("keyturn", action, object, service.now());
        service.auditor().write_after(entry).await;
        // The file says where a daemon serves; this one no longer does.
        let _absent = std::fs::remove_file(self.dir.join(data_dir::URL_FILE));
    }
}

impl Options {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Returns [`DaemonError::Config`].
    pub fn config(&self) -> Result<Config, DaemonError> {
        let flags = Flags { data_dir: self.data_dir.clone(), listen: self.listen };
        let config = Config::find(self.config.as_deref(), &flags);
        config.map_err(|source| DaemonError::Config { source })
    }
}

/// Checks the configuration with everything that it names, changes nothing, and returns the whole
/// of it, defaults filled in.
///
/// # Errors
/// Returns [`DaemonError`] with the first thing that is wrong.
pub async fn check(options: &Options, world: &impl World) -> Result<String, DaemonError> {
    let config = options.config()?;
    let platforms = world.platforms(&config).map_err(|source| DaemonError::Agent { source })?;
    start::template(&config, &platforms)?;
    Prepared::open(&config.oidc).map_err(|source| DaemonError::Oidc { source })?;
    if let Some(certificate) = &config.tls.certificate {
        let resolver = start::resolver(&config);
        let fetched = upkeep::fetch(&resolver, certificate, config.tls.ca_chain.as_ref()).await;
        fetched.map_err(|source| DaemonError::Reference { source })?;
    }
    let key = key_source::find(&config, &config.data_dir).await;
    key.map_err(|source| DaemonError::Reference { source })?;
    let nobodys = Arc::new(Tokens::in_memory(""));
    if let Some(tokens) = tokens::TokenUpkeep::of(&config, &start::resolver(&config), &nobodys) {
        tokens.check().await.map_err(|source| DaemonError::Reference { source })?;
    }
    let here = std::env::current_dir().unwrap_or_else(|_source| PathBuf::from("/"));
    Ok(config.effective(&here))
}

/// Serves until the process is told to end (SIGINT or SIGTERM). `ready` is called once, with the
/// URL, when requests are taken.
///
/// # Errors
/// Returns [`DaemonError`] where the daemon cannot start.
pub async fn serve(
    options: &Options,
    world: &impl World,
    ready: impl FnOnce(&str),
) -> Result<(), DaemonError> {
    let config = options.config()?;
    process::harden();
    let stop = process::stop_signal().map_err(|source| DaemonError::Signals { source })?;
    let daemon = Daemon::start(&config, world).await?;
    ready(&format!("https://{}", daemon.address()));
    let signal = stop.await;
    tracing::info!(signal, "stopping; running operations go on with the next start");
    daemon.stop().await;
    Ok(())
}
