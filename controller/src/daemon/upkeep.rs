//! What the configuration refers to is fetched on start and again and again; a certificate is served
//! as soon as it has changed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::certificate::{ServerCertificate, provider};
use crate::config::{Config, TlsConfig};
use crate::reference::{Reference, ReferenceError, Resolver};

/// The pause after something could not be fetched, if it is not asked for more often anyway.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long a start waits for what it refers to: for a token, the vault, and a second attempt.
const START_MAX: Duration = Duration::from_secs(20);

/// The key of the configuration, for logs and states.
const PLACE: &str = "tls.certificate";

/// What is fetched again and again.
pub(super) trait Upkeep: Send + Sync + 'static {
    /// Fetches it once, and tells whether all of it is there. What cannot be had is noted, and what
    /// was there before stays.
    fn renew(&self) -> impl Future<Output = bool> + Send;
}

/// Fetches something, and goes on with it until what is returned is dropped. A daemon starts without
/// it after a while: operations that were under way must not wait for a vault of others.
pub(super) async fn begin(poll: Duration, upkeep: impl Upkeep) -> AbortOnDropHandle<()> {
    let is_there = timeout(START_MAX, upkeep.renew()).await.unwrap_or(false);
    AbortOnDropHandle::new(tokio::spawn(go_on(poll, upkeep, is_there)))
}

async fn go_on(poll: Duration, upkeep: impl Upkeep, mut is_there: bool) {
    loop {
        tokio::time::sleep(if is_there { poll } else { poll.min(PAUSE_MAX) }).await;
        is_there = upkeep.renew().await;
    }
}

/// Brings a certificate to the server; until there is one the server's own is served.
#[derive(Debug)]
pub(super) struct CertificateUpkeep {
    resolver: Arc<Resolver>,
    certificate: Reference,
    ca_chain: Option<Reference>,
    server: Arc<ServerCertificate>,
}

impl CertificateUpkeep {
    /// Returns what the configuration refers to, if it does.
    pub(super) fn of(
        config: &Config,
        resolver: &Arc<Resolver>,
        server: &Arc<ServerCertificate>,
    ) -> Option<Self> {
        let TlsConfig { certificate, ca_chain } = config.tls.clone();
        let (resolver, server) = (Arc::clone(resolver), Arc::clone(server));
        Some(Self { resolver, certificate: certificate?, ca_chain, server })
    }
}

impl Upkeep for CertificateUpkeep {
    async fn renew(&self) -> bool {
        let fetched = fetch(&self.resolver, &self.certificate, self.ca_chain.as_ref()).await;
        self.resolver.note(PLACE, &self.certificate, fetched.as_ref().err());
        match fetched {
            Ok(key) => {
                if self.server.bring(key) {
                    tracing::info!(certificate = %self.certificate, "the certificate is served");
                }
                true
            }
            Err(_noted) => false,
        }
    }
}

/// Fetches a certificate and makes it ready to be served.
pub(super) async fn fetch(
    resolver: &Resolver,
    certificate: &Reference,
    ca_chain: Option<&Reference>,
) -> Result<CertifiedKey, ReferenceError> {
    let mut found = resolver.certificate(certificate).await?;
    if let Some(chain) = ca_chain {
        let chain = resolver.chain(chain).await?;
        let missing = chain.into_iter().filter(|above| !found.chain.contains(above));
        found.chain.extend(missing.collect::<Vec<_>>());
    }
    let key = CertifiedKey::from_der(found.chain, found.key, &provider());
    key.map_err(|error| ReferenceError::Content {
        reference: certificate.to_string(),
        expected: "a certificate and the key that belongs to it",
        got: error.to_string(),
    })
}
