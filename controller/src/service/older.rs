//! Fabrics whose passwords lie in the vault under the names that secrets had before names had a
//! format of their own: they are adopted with a map of those names, and keep them until a rotation
//! gives them names of that format.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{ProfileName, ResourceName, SecretVersion};
use protocol::password::Password;

use super::{Service, ServiceError};
use crate::audit::Entry as Record;
use crate::execute::Values;
use crate::inventory::Inventory;
use crate::model::Fabric;
use crate::naming::{NameCollision, OlderName, SecretName};
use crate::template::Scope;

/// Tells whether what is adopted with this inventory lies under older names.
pub(super) fn adopts_older(before: &Fabric, inventory: &Inventory) -> bool {
    !inventory.fabric.older_names.is_empty() && !before.is_migrated()
}

/// Returns a profile's older name, if what is adopted lies under it.
pub(super) fn older_name<'i>(
    before: &Fabric,
    inventory: &'i Inventory,
    profile: &ProfileName,
) -> Option<&'i OlderName> {
    let older = inventory.fabric.older_names.get(profile)?;
    adopts_older(before, inventory).then_some(older)
}

/// The names that a fabric's secrets have, had in any set, or will have.
pub(super) fn claimed(fabric: &Fabric) -> BTreeSet<SecretName> {
    let maps = fabric.sets.values().map(|set| &set.older_names);
    let older: Vec<&OlderName> =
        maps.chain([&fabric.spec.older_names]).flat_map(BTreeMap::values).collect();
    let mut names: BTreeSet<SecretName> = older.iter().filter_map(|name| name.shared()).collect();
    let gone = fabric.sets.values().flat_map(|set| set.own.keys());
    for device in fabric.devices.keys().chain(gone) {
        names.extend(older.iter().filter_map(|name| name.of(device)));
    }
    for device in fabric.devices.values() {
        names.extend(device.secrets.values().map(|secret| secret.name.clone()));
    }
    names
}

/// Whoever declares something: what lies under older names may be somebody else's.
#[derive(Clone, Copy)]
pub struct Declarer<'a> {
    who: &'a str,
    /// `None`: all of it.
    may_open: Option<MayOpen<'a>>,
}

type MayOpen<'a> = &'a (dyn Fn(&SecretName) -> bool + Send + Sync);

impl std::fmt::Debug for Declarer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Declarer").field("who", &self.who).finish_non_exhaustive()
    }
}

impl<'a> Declarer<'a> {
    /// Keyturn itself, and whoever else may open every secret or let others do so.
    #[must_use]
    pub fn of_everything(who: &'a str) -> Self {
        Self { who, may_open: None }
    }

    /// Somebody who may open some secrets.
    #[must_use]
    pub fn of_some(who: &'a str, may_open: MayOpen<'a>) -> Self {
        Self { who, may_open: Some(may_open) }
    }
}

/// The names that secrets of these devices have by an inventory's older names.
fn older_places(before: &Fabric, inventory: &Inventory) -> BTreeSet<SecretName> {
    let declared = inventory.devices.iter().map(|device| &device.name);
    let devices: BTreeSet<&ResourceName> = declared.chain(before.devices.keys()).collect();
    let names = inventory.fabric.older_names.values();
    names.flat_map(|older| devices.iter().filter_map(|device| older.of(device))).collect()
}

impl Service {
    /// Checks that whoever declares a fabric may open what its older names lead to: it becomes the
    /// fabric's, which reveals it, types it into devices and puts new versions beside it. What the
    /// fabric has under such a name already is its own.
    pub(super) async fn check_declarer(
        &self,
        before: &Fabric,
        inventory: &Inventory,
        by: &Declarer<'_>,
    ) -> Result<(), ServiceError> {
        let Some(may_open) = by.may_open.filter(|_some| adopts_older(before, inventory)) else {
            return Ok(());
        };
        let own = before.eras().flat_map(Fabric::values).map(|value| value.located.0);
        let own: BTreeSet<SecretName> = own.collect();
        for name in older_places(before, inventory).difference(&own) {
            let versions = self.parts.vault.versions(name).await;
            let versions = versions.map_err(|source| ServiceError::Vault { source })?;
            if !versions.is_empty() && !may_open(name) {
                return Err(ServiceError::SecretOfOthers { name: name.clone() });
            }
        }
        Ok(())
    }

    /// Records what lay under older names and becomes the fabric's.
    pub(super) async fn record_found<'p>(
        &self,
        inventory: &Inventory,
        found: impl Iterator<Item = &'p ProfileName>,
        by: &Declarer<'_>,
    ) -> Result<(), ServiceError> {
        for profile in found.collect::<BTreeSet<_>>() {
            let Some(older) = inventory.fabric.older_names.get(profile) else { continue };
            let on = format!("{}?secret={}", inventory.fabric.id, older.as_str());
            let action = "Keyturn/secrets/adopt/action";
            let record = Record::requested(by.who, action, &on, (self.parts.clock)());
            let written = self.parts.auditor.write(record).await;
            written.map_err(|source| ServiceError::Audit { source })?;
        }
        Ok(())
    }

    /// Returns the newest version under an older name that can be read, unless an operator tells
    /// another password.
    pub(super) async fn newest(
        &self,
        place: &SecretName,
        told: Option<&Password>,
        values: &Values,
    ) -> Result<Option<SecretVersion>, ServiceError> {
        let failed = |source| ServiceError::Vault { source };
        let versions = self.parts.vault.versions(place).await.map_err(failed)?;
        let newest = versions.into_iter().rev().find(|version| version.enabled);
        let Some(version) = newest.map(|newest| newest.version) else { return Ok(None) };
        let Some(told) = told else { return Ok(Some(version)) };
        let opened = values.open(&[(place.clone(), version.clone())]).await.map_err(failed)?;
        Ok(opened.iter().flatten().any(|value| value.matches(told)).then_some(version))
    }

    /// Checks that an inventory's older names are of known profiles, and of no other fabric: when a
    /// fabric is deleted, its secrets are purged.
    pub(super) fn check_older_names(&self, inventory: &Inventory) -> Result<(), ServiceError> {
        let profiles: Vec<&str> =
            self.parts.template.profiles.iter().map(|profile| profile.name.as_str()).collect();
        let checked = inventory.check_profiles(&profiles);
        checked.map_err(|source| ServiceError::Inventory { source })?;
        for profile in &self.parts.template.profiles {
            let older = inventory.fabric.older_names.get(&profile.name);
            if profile.scope == Scope::Device && older.is_some_and(|older| !older.is_own()) {
                let (first, second) = ("one device".to_owned(), "another device".to_owned());
                let shared = older.and_then(OlderName::shared);
                if let Some(name) = shared {
                    let source = NameCollision { first, second, name };
                    return Err(ServiceError::Names { source });
                }
            }
        }
        let names = |devices: Vec<_>, older: &OlderName| -> Vec<SecretName> {
            match older.shared() {
                Some(name) => vec![name],
                None => devices.iter().filter_map(|device| older.of(device)).collect(),
            }
        };
        for other in self.fabrics().into_iter().filter(|id| *id != inventory.fabric.id) {
            let taken = self.read(&other, claimed)?;
            for (profile, older) in &inventory.fabric.older_names {
                let devices = inventory.devices.iter().map(|device| device.name.clone()).collect();
                for name in names(devices, older) {
                    if taken.contains(&name) {
                        let second = format!("a secret of fabric {}", other.name());
                        let source = NameCollision { first: profile.to_string(), second, name };
                        return Err(ServiceError::Names { source });
                    }
                }
            }
        }
        Ok(())
    }
}
