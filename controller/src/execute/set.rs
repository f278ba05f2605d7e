//! Makes a password set: generated, durable in the vault, and only then in the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use protocol::id::{ProfileName, ResourceName, SecretVersion};
use protocol::password::Password;
use protocol::status::DeviceRole;

use crate::generate::{self, GenerateError};
use crate::model::{Device, Event, Fabric, Operation, Origin};
use crate::naming::{self, NameCollision, OlderName, SecretName};
use crate::template::{PlatformLimits, PolicyError, Scope, SecretsTemplate};
use crate::vault::{Tag, Vault, VaultError};

/// Tells why no password set was made. Nothing has left the vault then.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The vault did not take the values.
    #[error("store the new password set in the vault")]
    Vault {
        /// What the vault said.
        #[source]
        source: VaultError,
    },
    /// No password satisfies a profile's policy and all platforms.
    #[error("make passwords that all platforms take")]
    Policy {
        /// Which profile and platform.
        #[source]
        source: PolicyError,
    },
    /// The system's generator failed.
    #[error("generate a password")]
    Generate {
        /// Why.
        #[source]
        source: GenerateError,
    },
    /// No agent drives a device's platform, so that nobody knows which passwords it takes.
    #[error("make a password for `{device}`: no agent has the platform `{platform}`")]
    Platform {
        /// The device.
        device: ResourceName,
        /// Its platform.
        platform: String,
    },
    /// Two secrets would have one name in the vault.
    #[error("name the secrets")]
    Name {
        /// Which.
        #[source]
        source: NameCollision,
    },
}

/// Makes password sets.
#[async_trait]
pub trait MakeSet: Send + Sync + std::fmt::Debug {
    /// Makes the set of a rotation and returns the event that records it. Idempotent: called again
    /// for the same operation it finds the values that the first call stored.
    ///
    /// # Errors
    /// Returns [`SetError`]; values that were stored stay unused.
    async fn make(&self, fabric: &Fabric, operation: &Operation) -> Result<Event, SetError>;
}

/// Makes password sets from a secrets template.
#[derive(Debug)]
pub struct TemplateSets {
    template: Arc<SecretsTemplate>,
    platforms: Vec<PlatformLimits>,
    vault: Arc<dyn Vault>,
}

/// One password to be made: whose, and for which device alone if not for all.
struct Wanted {
    profile: ProfileName,
    device: Option<ResourceName>,
    name: SecretName,
    tag: Tag,
    value: Password,
}

impl TemplateSets {
    /// Makes sets from `template`, within the limits of `platforms`.
    #[must_use]
    pub fn new(
        template: Arc<SecretsTemplate>,
        platforms: Vec<PlatformLimits>,
        vault: Arc<dyn Vault>,
    ) -> Self {
        Self { template, platforms, vault }
    }

    fn wanted(&self, fabric: &Fabric, operation: &Operation) -> Result<Vec<Wanted>, SetError> {
        let mut wanted = Vec::new();
        for profile in &self.template.profiles {
            let holders: Vec<&ResourceName> = fabric
                .devices
                .iter()
                .filter(|(_name, device)| device.secrets.contains_key(&profile.name))
                .map(|(name, _device)| name)
                .collect();
            if holders.is_empty() {
                continue;
            }
            let rules = profile
                .rules(self.limits(fabric, &holders)?)
                .map_err(|source| SetError::Policy { source })?;
            let older = fabric.spec.older_names.get(&profile.name);
            let older = older.filter(|_older| operation.older_names);
            let is_own = profile.scope == Scope::Device || older.is_some_and(OlderName::is_own);
            let owners: Vec<Option<&ResourceName>> = match is_own {
                false => vec![None],
                true => holders.into_iter().map(Some).collect(),
            };
            for device in owners {
                let value =
                    generate::password(&rules).map_err(|source| SetError::Generate { source })?;
                let older = older.and_then(|older| match device {
                    Some(device) => older.of(device),
                    None => older.shared(),
                });
                let scope = device.filter(|_device| profile.scope == Scope::Device);
                let name = || naming::name(&fabric.id, &profile.name, scope);
                wanted.push(Wanted {
                    name: older.unwrap_or_else(name),
                    tag: tag(operation, &profile.name, device),
                    profile: profile.name.clone(),
                    device: device.cloned(),
                    value,
                });
            }
        }
        Ok(wanted)
    }

    fn limits<'a>(
        &'a self,
        fabric: &'a Fabric,
        holders: &[&ResourceName],
    ) -> Result<Vec<(DeviceRole, &'a PlatformLimits)>, SetError> {
        let devices = holders.iter().filter_map(|name| fabric.devices.get(*name));
        let limits = devices.map(|Device { spec, .. }| {
            let known = self.platforms.iter().find(|limits| limits.platform == spec.platform);
            let limits = known.ok_or_else(|| SetError::Platform {
                device: spec.name.clone(),
                platform: spec.platform.clone(),
            });
            Ok((spec.role, limits?))
        });
        limits.collect()
    }
}

#[async_trait]
impl MakeSet for TemplateSets {
    async fn make(&self, fabric: &Fabric, operation: &Operation) -> Result<Event, SetError> {
        let wanted = self.wanted(fabric, operation)?;
        let names = wanted.iter().map(|w| ((&w.profile, w.device.as_ref()), w.name.clone()));
        naming::check_names(names).map_err(|source| SetError::Name { source })?;
        let items: Vec<(SecretName, Tag, &Password)> =
            wanted.iter().map(|w| (w.name.clone(), w.tag.clone(), &w.value)).collect();
        let versions =
            self.vault.put_all(&items).await.map_err(|source| SetError::Vault { source })?;
        let mut shared: BTreeMap<ProfileName, SecretVersion> = BTreeMap::new();
        let mut own: BTreeMap<ResourceName, BTreeMap<ProfileName, SecretVersion>> = BTreeMap::new();
        for (wanted, version) in wanted.iter().zip(versions) {
            let profile = wanted.profile.clone();
            match &wanted.device {
                None => shared.insert(profile, version),
                Some(device) => own.entry(device.clone()).or_default().insert(profile, version),
            };
        }
        let mut older_names = BTreeMap::new();
        if operation.older_names {
            older_names.clone_from(&fabric.spec.older_names);
        }
        let (set, operation, origin) = (operation.set, operation.id, Origin::Rotated);
        Ok(Event::SetStored { set, operation, origin, shared, own, older_names })
    }
}

/// The same for every try of one operation, so that a crash between the vault and the journal does
/// not lead to a second value.
fn tag(operation: &Operation, profile: &ProfileName, device: Option<&ResourceName>) -> Tag {
    let device = device.map(|name| format!("/{name}")).unwrap_or_default();
    Tag::new(&format!("{}/{}/{profile}{device}", operation.id, operation.set))
}
