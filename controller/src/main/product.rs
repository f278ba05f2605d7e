//! The parts that make a daemon the product: the built-in agent, and the APIs.

use axum::Router;
use controller::config::Config;
use controller::daemon::{DaemonError, Hands, OtherError, Served, ServedVault, World};
use controller::edge::{self, KnownNames, key_vault};
use controller::template::PlatformLimits;

/// The product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product;

impl World for Product {
    fn platforms(&self, config: &Config) -> Result<Vec<PlatformLimits>, OtherError> {
        hands::platforms(config)
    }

    async fn agent(&self, config: &Config) -> Result<Hands, OtherError> {
        hands::start(config)
    }

    fn routes(&self, served: Served<'_>) -> Router {
        let names = KnownNames {
            platforms: served.platforms,
            profiles: served.profiles,
            references: Some(served.references),
        };
        edge::routes(served.service, served.admission, names)
    }

    fn key_vault(&self, served: ServedVault<'_>) -> Router {
        let ServedVault { desk, admission, config } = served;
        let uri = desk.uri();
        let issuer = admission.issuers().next();
        let authorization = config.authorization.as_deref().or(issuer).unwrap_or(&uri);
        let settings = key_vault::Settings {
            authorization: authorization.to_owned(),
            resource: config.resource(&uri),
            retention: config.retention,
            reads_max: config.reads_max,
            writes_max: config.writes_max,
        };
        key_vault::routes(desk, admission, &settings)
    }
}

/// Returns what mends an error of the agent's, which the library does not know.
pub(crate) fn hint(error: &DaemonError) -> Option<String> {
    match error {
        DaemonError::Agent { source } => hands::hint(source),
        _ => None,
    }
}

/// The built-in agent: it runs in the daemon's process, and speaks the same messages as a remote
/// one.
#[cfg(feature = "builtin-agent")]
mod hands {
    use std::sync::Arc;

    use agent::driver::Kit;
    use agent::hash::Hashes;
    use agent::ledger::{Ledger, SystemClock};
    use agent::platform::Platform;
    use agent::site;
    use agent::transport::Transports;
    use agent::worker::{Agent, Settings};
    use controller::config::Config;
    use controller::daemon::{Hands, OtherError};
    use controller::data_dir::AGENT_DIR;
    use controller::template::PlatformLimits;
    use protocol::seal::Opener;
    use zeroize::Zeroizing;

    /// The agent's journal in its folder.
    const LEDGER_FILE: &str = "ledger.jsonl";

    pub(super) fn platforms(config: &Config) -> Result<Vec<PlatformLimits>, OtherError> {
        let platforms = site::load(config.agent.platforms_dir.as_deref())?;
        Ok(platforms.iter().map(|platform| limits(platform)).collect())
    }

    pub(super) fn start(config: &Config) -> Result<Hands, OtherError> {
        let platforms = site::load(config.agent.platforms_dir.as_deref())?;
        let limits = platforms.iter().map(|platform| limits(platform)).collect();
        let dir = config.data_dir.join(AGENT_DIR);
        std::fs::create_dir_all(&dir)?;
        let kit = Kit {
            platforms,
            ledger: Ledger::open(&dir.join(LEDGER_FILE), Arc::new(SystemClock))?,
            hashes: Arc::new(Hashes::new()?),
            transports: Transports::real(),
        };
        // A new key at each start: what was sealed to an earlier one was never to outlive it.
        let mut seed = Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(seed.as_mut_slice())
            .map_err(|_unspecified| "the operating system gave no random bytes")?;
        let settings = Settings { sessions_max: config.agent.sessions_max };
        let agent = Agent::new("built-in", kit, Opener::from_seed(&seed)?, settings);
        let link = agent.attach();
        Ok(Hands { to: link.to_agent, from: link.from_agent, platforms: limits })
    }

    pub(super) fn hint(error: &OtherError) -> Option<String> {
        error.downcast_ref::<site::SiteError>()?.hint()
    }

    fn limits(platform: &Platform) -> PlatformLimits {
        let limits = &platform.limits;
        PlatformLimits {
            platform: platform.name.clone(),
            length_min: limits.password_length_min,
            length_max: limits.password_length_max,
            allowed: PlatformLimits::all_but(&limits.password_forbidden),
            first_letter_only: false,
            hash_kinds: limits.hash_kinds.clone(),
        }
    }
}

/// A build without an agent of its own has nothing to drive devices with.
#[cfg(not(feature = "builtin-agent"))]
mod hands {
    use controller::config::Config;
    use controller::daemon::{Hands, OtherError};
    use controller::template::PlatformLimits;

    const NONE: &str = "this build has no built-in agent (feature `builtin-agent`)";

    pub(super) fn platforms(_config: &Config) -> Result<Vec<PlatformLimits>, OtherError> {
        Err(NONE.into())
    }

    pub(super) fn start(_config: &Config) -> Result<Hands, OtherError> {
        Err(NONE.into())
    }

    pub(super) fn hint(_error: &OtherError) -> Option<String> {
        None
    }
}
