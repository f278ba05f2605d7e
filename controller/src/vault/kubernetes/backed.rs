//! The vault itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::id::SecretVersion;
use protocol::password::Password;
use serde_json::{Value, json};

use super::put::Item;
use super::record::{self, Known};
use crate::kubernetes::{Changed, Kubernetes, KubernetesError};
use crate::naming::SecretName;
use crate::vault::line::Line;
use crate::vault::{Clock, Label, Mark, Tag, Vault, VaultError, VersionInfo};

/// Requests at once: a rotation of 22 secrets takes six rounds, and an API server lets several
/// hundred be under way before it makes anybody wait.
pub(super) const AT_ONCE: usize = 8;

/// How often a change is tried that others get ahead of.
pub(super) const TRIES_MAX: u32 = 10;

/// No subscription of Azure's: an id in this form is what archive references have.
const ID_BEFORE_NAMESPACE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/\
                                   resourceGroups/keyturn/providers/Microsoft.KeyVault/vaults/";

/// The Secrets of one namespace as a vault. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KubernetesVault(Arc<Shared>);

pub(super) struct Shared {
    pub(super) client: Kubernetes,
    clock: Clock,
    /// The last order that was given.
    order: AtomicU64,
    /// Puts of one name that are under way.
    line: Line,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("client", &self.client).finish_non_exhaustive()
    }
}

/// What a version is found to be, and what is to be done about it.
enum Wanted {
    /// Nothing: it is so already.
    Nothing,
    /// A merge patch, without the state.
    Patch(Value),
}

impl KubernetesVault {
    /// Uses a namespace.
    #[must_use]
    pub fn new(client: Kubernetes, clock: Clock) -> Self {
        let (order, line) = (AtomicU64::new(0), Line::default());
        Self(Arc::new(Shared { client, clock, order, line }))
    }
}

pub(super) fn purged(name: &SecretName, version: &SecretVersion) -> VaultError {
    VaultError::Purged { name: name.clone(), version: version.clone() }
}

fn missing(name: &SecretName, version: &SecretVersion) -> VaultError {
    VaultError::NotFound { name: name.clone(), version: version.clone() }
}

impl Shared {
    /// Returns a number that is greater than all before, also before a restart.
    pub(super) fn next_order(&self) -> u64 {
        let seconds = (self.clock)();
        let next = |last| Some(record::next_order(last, seconds));
        let last = self.order.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        record::next_order(last.unwrap_or_else(|last| last), seconds)
    }

    async fn open(&self, name: SecretName, version: SecretVersion) -> Result<Password, VaultError> {
        let Some(object) = record::object_of(&version) else {
            return Err(missing(&name, &version));
        };
        let secret = self.client.read(&object).await?;
        let known = secret.as_ref().and_then(|secret| Known::of(&secret.properties));
        let is_it = |known: &Known| known.is_of(&name) && known.version == version;
        match (known.filter(is_it), secret) {
            (Some(known), _) if known.is_purged() => Err(purged(&name, &version)),
            (Some(known), _) if known.is_disabled() => Err(VaultError::Disabled { name, version }),
            (Some(known), Some(secret)) => record::open(&known, &secret).ok_or_else(|| {
                let server = self.client.server().to_owned();
                KubernetesError::Damaged { object, server }.into()
            }),
            _ => Err(missing(&name, &version)),
        }
    }

    /// Changes what is noted of a version, as often as others have changed it in between.
    async fn change(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        wanted: impl Fn(&Known) -> Result<Wanted, VaultError> + Send + Sync,
    ) -> Result<(), VaultError> {
        let object = record::object_of(version).ok_or_else(|| missing(name, version))?;
        for _try in 0..TRIES_MAX {
            let known = self.client.look(&object).await?.as_ref().and_then(Known::of);
            let is_it = |known: &Known| known.is_of(name) && known.version == *version;
            let known = known.filter(is_it).ok_or_else(|| missing(name, version))?;
            let Wanted::Patch(mut patch) = wanted(&known)? else { return Ok(()) };
            if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("resourceVersion".to_owned(), json!(known.state));
            }
            if self.client.change(&object, &patch).await? == Changed::Made {
                return Ok(());
            }
        }
        Err(self.contended(format!("change the Secret `{object}`")).into())
    }

    pub(super) fn contended(&self, doing: String) -> KubernetesError {
        let server = self.client.server().to_owned();
        KubernetesError::Contended { doing, server, tries: TRIES_MAX }
    }

    fn now(&self) -> String {
        (self.clock)().to_string()
    }
}

#[async_trait]
impl Vault for KubernetesVault {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let shared = Arc::clone(&self.0);
        let mut turn = shared.line.enter(items.iter().map(|(name, ..)| name));
        let own = |(name, tag, value): &(SecretName, Tag, &Password)| Item {
            name: name.clone(),
            tag: tag.clone(),
            value: value.duplicate(),
        };
        let items = items.iter().map(own).collect();
        let putting = tokio::spawn(async move {
            turn.come().await;
            let put = shared.put(items).await;
            drop(turn);
            put
        });
        let ended = putting.await;
        ended.unwrap_or_else(|error| Err(VaultError::Unreachable { reason: error.to_string() }))
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        let opening = stream::iter(items.to_vec()).map(|(name, version)| {
            let shared = Arc::clone(&self.0);
            async move { shared.open(name, version).await }
        });
        opening.buffered(AT_ONCE).try_collect().await
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        self.0.line.pass(name).await;
        let listed = self.0.client.list(&record::selector(name)).await?;
        let mut versions: Vec<Known> = listed.iter().filter_map(Known::of).collect();
        versions.retain(|known| known.is_of(name) && !known.is_purged());
        versions.sort_by(|one, other| one.order().cmp(&other.order()));
        Ok(versions.iter().map(Known::info).collect())
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let note = json!({ record::DISABLED: self.0.now() });
        let wanted = |known: &Known| match (known.is_purged(), known.is_disabled()) {
            (true, _) => Err(purged(name, version)),
            (_, true) => Ok(Wanted::Nothing),
            _ => Ok(Wanted::Patch(json!({ "metadata": { "annotations": note } }))),
        };
        self.0.change(name, version, wanted).await
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        let note = json!({ record::PURGED: self.0.now() });
        let wanted = |known: &Known| match known.is_purged() {
            true => Ok(Wanted::Nothing),
            // All at once: there is no instant at which the value is gone and the number unknown.
            false => Ok(Wanted::Patch(json!({
                "metadata": { "annotations": note, "labels": { Label::TAG: null } },
                "data": null,
                "immutable": true,
            }))),
        };
        self.0.change(name, version, wanted).await
    }

    async fn mark(&self) -> Result<Option<Mark>, VaultError> {
        Ok(Some(self.0.mark().await?))
    }

    async fn raise_mark(&self, serial: u64, note: &str) -> Result<(), VaultError> {
        Ok(self.0.raise_mark(serial, note).await?)
    }

    fn has_labels(&self) -> bool {
        true
    }

    /// In the label of the same name.
    async fn label(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        label: Label,
    ) -> Result<(), VaultError> {
        let patch = json!({ "metadata": { "labels": { Label::TAG: label.as_str() } } });
        let wanted = |known: &Known| match known.is_purged() {
            true => Err(purged(name, version)),
            false => Ok(Wanted::Patch(patch.clone())),
        };
        self.0.change(name, version, wanted).await
    }

    fn uri(&self) -> String {
        self.0.client.uri()
    }

    fn id(&self) -> String {
        format!("{ID_BEFORE_NAMESPACE}{}", self.0.client.namespace())
    }
}
