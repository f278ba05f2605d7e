//! The order of a start: the directory is ours, then what is in it, then the agent, then the door.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::OptionFuture;
use protocol::id::Epoch;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::archives::RemoteArchives;
use super::authority::Authority;
use super::certificate::ServerCertificate;
use super::key_vault::KeyVault;
use super::server::Server;
use super::tokens::TokenUpkeep;
use super::upkeep::{self, CertificateUpkeep};
use super::{Daemon, DaemonError, Hands, Served, ServedVault, World, files};
use crate::access::oidc::Prepared;
use crate::access::{Admission, Tokens};
use crate::agents::Agent;
use crate::audit::Entry;
use crate::auditor::{self, Auditor};
use crate::clock;
use crate::config::{Config, KeyVaultConfig};
use crate::data_dir;
use crate::execute::{Clock, Settings};
use crate::key_source;
use crate::plan::Policy;
use crate::reference::Resolver;
use crate::remote::Pace;
use crate::remote_vault;
use crate::rollback::RollbackGuard;
use crate::service::{Desk, Parts, Service};
use crate::store::{DataDirLock, SqliteStore, Store};
use crate::template::{PlatformLimits, SecretsTemplate};
use crate::vault::embedded::{Place, Settled};
use crate::vault::secrets::Secrets;
use crate::vault::{EmbeddedVault, Vault};

pub(super) async fn start(config: &Config, world: &impl World) -> Result<Daemon, DaemonError> {
    let dir = std::path::absolute(&config.data_dir)
        .map_err(|source| DaemonError::directory(&config.data_dir, source))?;
    files::make_directory(&dir)?;
    let lock = DataDirLock::acquire(&dir).map_err(|source| DaemonError::Store { source })?;
    let authority = Authority::open(&dir)?;
    let tokens = Arc::new(open_tokens(config, &dir)?);
    let oidc = Prepared::open(&config.oidc).map_err(|source| DaemonError::Oidc { source })?;
    let alias = config.key_vault.as_ref().and_then(KeyVaultConfig::host);
    let certificate = ServerCertificate::issue(authority, config.listen.ip(), alias.as_deref())?;
    certificate.check(&dir.join(data_dir::CA_FILE))?;
    // The vault's own URI may depend on the port.
    let door = match &config.key_vault {
        Some(api) => Some((api, listen(api.listen).await?)),
        None => None,
    };
    let place = place(door.as_ref().map(|(api, listener)| (*api, listener)));
    let (store, Kept { vault: kept, secrets }) = open_archives(config, &dir, &place).await?;
    let rollback = guard(&dir, &store, &kept).await?;
    let auditor = open_audit(&dir).await?;
    let hands = world.agent(config).await.map_err(|source| DaemonError::Agent { source })?;
    let listener = listen(config.listen).await?;
    let template = Arc::new(template(config, &hands.platforms)?);
    let platforms = hands.platforms.iter().map(|limits| limits.platform.clone()).collect();
    let profiles = template.profiles.iter().map(|profile| profile.name.to_string()).collect();
    let archives = Archives { store, vault: kept, rollback };
    let service = open_service(config, hands, template, archives, auditor).await?;
    let admission = Admission::new(Arc::clone(&tokens), oidc.start());
    let resolver = resolver(config);
    let references = Arc::clone(&resolver);
    let served =
        Served { service: &service, admission: &admission, platforms, profiles, references };
    let router = world.routes(served);
    let upkeep = begin_upkeep(config, &resolver, &certificate, &tokens).await;
    let key_vault = match (door, secrets) {
        (Some((api, listener)), Some(secrets)) => {
            let desk = Arc::new(Desk::new(Arc::clone(&service), secrets));
            let served = ServedVault { desk: &desk, admission: &admission, config: api };
            let router = world.key_vault(served);
            Some(KeyVault::start(listener, router, Arc::clone(&certificate), desk)?)
        }
        // A configuration that serves a vault which others run was refused.
        (None, _) | (Some(_), None) => None,
    };
    let server = Server::start(listener, router, certificate)
        .map_err(|source| DaemonError::Listen { address: config.listen, source })?;
    let url = url(server.address());
    files::replace(&dir.join(data_dir::URL_FILE), format!("{url}\n").as_bytes())?;
    tell(config, &dir, &url);
    Ok(Daemon { server, key_vault, service, dir, _upkeep: upkeep, _lock: lock })
}

/// Opens the tokens that were made here, with the owner's, which is made on the first start unless it
/// is elsewhere.
fn open_tokens(config: &Config, dir: &Path) -> Result<Tokens, DaemonError> {
    let owner = match &config.tokens.admin {
        Some(_elsewhere) => None,
        None => Some(files::admin_token(dir)?),
    };
    Tokens::open(&dir.join(data_dir::TOKENS_FILE), owner.as_ref().map(|owner| owner.as_str()))
        .map_err(|source| DaemonError::Tokens { source })
}

/// Begins to fetch what the configuration refers to, all at once.
async fn begin_upkeep(
    config: &Config,
    resolver: &Arc<Resolver>,
    certificate: &Arc<ServerCertificate>,
    tokens: &Arc<Tokens>,
) -> Vec<AbortOnDropHandle<()>> {
    let poll = config.secrets.poll;
    let certificate = CertificateUpkeep::of(config, resolver, certificate);
    let certificate = OptionFuture::from(certificate.map(|upkeep| upkeep::begin(poll, upkeep)));
    let tokens = TokenUpkeep::of(config, resolver, tokens);
    let tokens = OptionFuture::from(tokens.map(|upkeep| upkeep::begin(poll, upkeep)));
    let (certificate, tokens) = tokio::join!(certificate, tokens);
    certificate.into_iter().chain(tokens).collect()
}

/// Makes what follows references.
pub(super) fn resolver(config: &Config) -> Arc<Resolver> {
    let clock = Arc::new(|| clock::since_1970().as_secs());
    Arc::new(Resolver::new(config.secrets.clone(), Pace::default(), clock))
}

/// Reads the secrets template and checks it against every platform.
pub(super) fn template(
    config: &Config,
    platforms: &[PlatformLimits],
) -> Result<SecretsTemplate, DaemonError> {
    let template = match &config.secrets_template {
        None => SecretsTemplate::builtin(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| DaemonError::Read { file: path.clone(), source })?;
            SecretsTemplate::parse(&path.display().to_string(), &text)
        }
    };
    let template = template.map_err(|source| DaemonError::Template { source })?;
    template.check_platforms(platforms).map_err(|source| DaemonError::Policy { source })?;
    Ok(template)
}

/// What a service keeps, and what notices an older copy of it.
struct Archives {
    store: Arc<dyn Store>,
    vault: Arc<dyn Vault>,
    rollback: RollbackGuard,
}

async fn guard(
    dir: &Path,
    store: &Arc<dyn Store>,
    vault: &Arc<dyn Vault>,
) -> Result<RollbackGuard, DaemonError> {
    let guard = RollbackGuard::open(dir, Arc::clone(vault), Arc::clone(store)).await;
    let guard = guard.map_err(|source| DaemonError::Rollback { source })?;
    if let Err(error) = guard.check() {
        tracing::error!(error = %error, hint = error.hint(), "passwords can be shown, no more");
    }
    Ok(guard)
}

/// The vault with the passwords.
struct Kept {
    vault: Arc<dyn Vault>,
    /// The same one, where it is Keyturn's to serve.
    secrets: Option<Arc<dyn Secrets>>,
}

async fn open_archives(
    config: &Config,
    dir: &Path,
    place: &Place,
) -> Result<(Arc<dyn Store>, Kept), DaemonError> {
    let Some(remote) = &config.vault.remote else {
        let (store, vault) = open_embedded(config, dir, place).await?;
        return Ok((store, Kept { vault: Arc::clone(&vault) as _, secrets: Some(vault) }));
    };
    let store = SqliteStore::open(&config.store.path)
        .await
        .map_err(|source| DaemonError::Store { source })?;
    let vault = remote_vault::open(remote).await;
    let vault = vault.map_err(|source| DaemonError::Vault { source })?;
    tracing::info!(vault = vault.uri(), "passwords are in a vault that others run");
    Ok((Arc::new(store), Kept { vault, secrets: None }))
}

async fn open_embedded(
    config: &Config,
    dir: &Path,
    place: &Place,
) -> Result<(Arc<dyn Store>, Arc<EmbeddedVault>), DaemonError> {
    let store_was_there = is_there(&config.store.path)?;
    let vault_was_there = is_there(&config.vault.path)?;
    // One without the other was lost, unless there is nothing in it: going on would make passwords
    // that nobody can relate to devices, or show devices whose passwords nobody has. Nothing is
    // made in the place of what was lost, so that every later start finds out the same.
    let lost = |lost: &Path, kept: &Path| DaemonError::Lost {
        lost: lost.to_owned(),
        kept: kept.to_owned(),
    };
    if vault_was_there && !store_was_there {
        let vault = open_vault(config, dir, place).await?;
        let values = vault.verify().await.map_err(|source| DaemonError::Vault { source })?;
        if values > 0 {
            return Err(lost(&config.store.path, &config.vault.path));
        }
    }
    let store = SqliteStore::open(&config.store.path)
        .await
        .map_err(|source| DaemonError::Store { source })?;
    if store_was_there && !vault_was_there {
        let fabrics = store.fabrics().await.map_err(|source| DaemonError::Store { source })?;
        if !fabrics.is_empty() {
            return Err(lost(&config.vault.path, &config.store.path));
        }
    }
    let vault = open_vault(config, dir, place).await?;
    Ok((Arc::new(store), Arc::new(vault)))
}

fn is_there(path: &Path) -> Result<bool, DaemonError> {
    let there = path.try_exists();
    there.map_err(|source| DaemonError::Read { file: path.to_owned(), source })
}

/// Returns what archive references say of where the vault is.
fn place(served: Option<(&KeyVaultConfig, &TcpListener)>) -> Place {
    let usual = Place::default();
    let Some((config, listener)) = served else { return usual };
    let port = listener.local_addr().map_or(config.listen.port(), |address| address.port());
    Place { uri: config.uri(port), ..usual }
}

async fn open_vault(
    config: &Config,
    dir: &Path,
    place: &Place,
) -> Result<EmbeddedVault, DaemonError> {
    let key = key_source::find(config, dir).await;
    let key = key.map_err(|source| DaemonError::Reference { source })?;
    let clock: crate::vault::Clock = Arc::new(|| clock::since_1970().as_secs());
    let vault = EmbeddedVault::open_with(&config.vault.path, &key, place.clone(), clock).await;
    let vault = vault.map_err(|source| DaemonError::Vault { source })?;
    if key.lies_open() {
        tracing::warn!(
            file = %key.path().display(),
            "the vault's key lies open in its file; `keyturn vault rekey` with `--new-wrapped` or \
             `--new-passphrase-file` makes one that does not"
        );
    }
    match vault.settled() {
        None => {}
        Some(Settled::OldKey) => {
            tracing::warn!("a change of the vault's key was interrupted: it has the old key");
        }
        Some(Settled::NewKey) => {
            tracing::warn!("a change of the vault's key was interrupted: it has the new key");
        }
    }
    Ok(vault)
}

/// What starts and stops.
pub(super) const PROGRAM: &str = concat!("keyturn/", env!("CARGO_PKG_VERSION"));

/// Opens the audit, and records the start in it.
async fn open_audit(dir: &Path) -> Result<Auditor, DaemonError> {
    let failed = |source| DaemonError::Audit { source };
    let auditor = auditor::open(dir).await.map_err(failed)?;
    let entry = Entry::requested("keyturn", "Keyturn/daemon/start/action", PROGRAM, clock::now());
    auditor.write(entry).await.map_err(failed)?;
    Ok(auditor)
}

async fn open_service(
    config: &Config,
    hands: Hands,
    template: Arc<SecretsTemplate>,
    archives: Archives,
    auditor: Auditor,
) -> Result<Arc<Service>, DaemonError> {
    // Each fabric has a fence of its own, which its jobs carry; the link itself needs none.
    let agent = Agent::attach(hands.to, hands.from, Epoch::default())
        .await
        .map_err(|source| DaemonError::Agent { source: source.into() })?;
    let customers = RemoteArchives::open(&config.archive).await;
    let customers = customers.map_err(|source| DaemonError::Vault { source })?;
    let clock: Clock = Arc::new(clock::now);
    let parts = Parts {
        store: archives.store,
        vault: archives.vault,
        rollback: archives.rollback,
        archives: Arc::new(customers),
        auditor,
        agent,
        template,
        platforms: hands.platforms,
        policy: policy(config),
        retention: config.vault.retention,
        settings: settings(config),
        clock,
    };
    let started = Service::start(parts).await;
    let service = started.map_err(|source| DaemonError::Service { source })?;
    service.keep_sweeping();
    Ok(service)
}

fn policy(config: &Config) -> Policy {
    let rotation = &config.rotation;
    Policy {
        password_sets_max: rotation.password_sets_max,
        canary: rotation.canary,
        wave_growth: rotation.wave_growth,
        wave_max: rotation.wave_max,
    }
}

fn settings(config: &Config) -> Settings {
    let rotation = &config.rotation;
    Settings {
        quiet_time: rotation.quiet_time,
        device_time_max: rotation.device_timeout,
        commit_timer: rotation.commit_timer,
        verification: rotation.verification,
        retries_max: rotation.retries_max,
        retry_backoff: rotation.retry_backoff,
        halt_failures_min: rotation.halt_failures_min,
        halt_failures_percent: rotation.halt_failures_percent,
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, DaemonError> {
    TcpListener::bind(address).await.map_err(|source| DaemonError::Listen { address, source })
}

/// Returns the URL for clients on this host: one that listens everywhere is reached on loopback.
fn url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("https://{address}")
}

fn tell(config: &Config, dir: &Path, url: &str) {
    let file = |name: &str| dir.join(name).display().to_string();
    let token = match &config.tokens.admin {
        Some(elsewhere) => elsewhere.to_string(),
        None => file(data_dir::TOKEN_FILE),
    };
    tracing::info!(
        url,
        data_dir = %dir.display(),
        ca = file(data_dir::CA_FILE),
        token_file = token,
        "serving"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    #[test]
    fn without_a_configuration_the_executor_has_its_own_defaults() {
        let config = Config::without_file(&Flags::default());
        assert_eq!(settings(&config), Settings::default());
    }

    #[test]
    fn a_daemon_that_listens_everywhere_is_told_to_clients_on_loopback() {
        let cases = [
            ("127.0.0.1:7443", "https://127.0.0.1:7443"),
            ("0.0.0.0:7443", "https://127.0.0.1:7443"),
            ("[::]:1", "https://[::1]:1"),
            ("192.0.2.1:7443", "https://192.0.2.1:7443"),
        ];
        for (address, wanted) in cases {
            assert_eq!(url(address.parse().unwrap()), wanted);
        }
    }
}
