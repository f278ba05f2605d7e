//! Password sets: which there are, where their values lie, and who uses them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::credential::Credential;
use protocol::id::{OperationId, PasswordSet, ProfileName, ResourceName, SecretVersion};
use serde::{Deserialize, Serialize};

use super::{Device, Fabric, Gone, Located, Timestamp};
use crate::naming::{OlderName, SecretName};

/// One password set: which version of each secret belongs to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SetRecord {
    /// The operation that made or adopted it.
    pub operation: OperationId,
    /// Where its passwords come from.
    pub origin: Origin,
    /// Versions of the secrets that all devices share, by profile.
    pub shared: BTreeMap<ProfileName, SecretVersion>,
    /// Versions that belong to one device alone, by device and profile.
    pub own: BTreeMap<ResourceName, BTreeMap<ProfileName, SecretVersion>>,
    /// The names of those profiles' secrets that have older ones in this set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub older_names: BTreeMap<ProfileName, OlderName>,
    /// When it was durable in the vault; the beginning of 1970 if nobody remembers.
    #[serde(default)]
    pub stored: Timestamp,
}

/// Where a set's passwords come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An operator told them.
    Adopted,
    /// A rotation made them.
    Rotated,
}

impl Fabric {
    /// Returns the newest password set that a rotation or adoption made.
    #[must_use]
    pub fn newest_set(&self) -> Option<PasswordSet> {
        self.sets.keys().next_back().copied()
    }

    /// Returns the newest password set that a rotation made: what a resync brings. `None` before
    /// the first rotation.
    #[must_use]
    pub fn wanted_set(&self) -> Option<PasswordSet> {
        let mut newest_first = self.sets.iter().rev();
        let rotated = newest_first.find(|(_set, record)| record.origin == Origin::Rotated);
        rotated.map(|(set, _record)| *set)
    }

    /// Returns the set that passwords of these secrets are adopted into: the newest, as long as it
    /// was adopted itself, under the same older names, and holds nothing of theirs, else the next
    /// one. So devices that are declared one after the other use one set, as those of one inventory
    /// do.
    pub fn adopting_set<'a>(
        &self,
        secrets: impl IntoIterator<Item = (&'a ResourceName, &'a ProfileName)>,
        older_names: &BTreeMap<ProfileName, OlderName>,
    ) -> PasswordSet {
        let Some((newest, record)) = self.sets.last_key_value() else { return self.next_set() };
        let is_taken = |(name, profile): (&ResourceName, &ProfileName)| {
            let own = record.own.get(name).is_some_and(|own| own.contains_key(profile));
            let device = self.devices.get(name);
            let is_gone = |gone: &&Gone| gone.device.spec.name == *name;
            // Hardware that went under this name may have what the set says of it.
            let gone = self.gone.iter().filter(is_gone).map(|gone| &gone.device);
            let mut secrets =
                device.into_iter().chain(gone).filter_map(|known| known.secrets.get(profile));
            own || secrets.any(|secret| secret.credential.labels.contains_key(newest))
        };
        let is_alike = record.origin == Origin::Adopted && record.older_names == *older_names;
        if is_alike && !secrets.into_iter().any(is_taken) { *newest } else { self.next_set() }
    }

    /// Returns the set that will be the next one.
    #[must_use]
    pub fn next_set(&self) -> PasswordSet {
        PasswordSet(self.newest_set().map_or(1, |set| set.0.saturating_add(1)))
    }

    /// Returns the vault's version of a secret in a set.
    #[must_use]
    pub fn version(
        &self,
        device: &ResourceName,
        profile: &ProfileName,
        set: PasswordSet,
    ) -> Option<&SecretVersion> {
        let record = self.sets.get(&set)?;
        let own = record.own.get(device).and_then(|profiles| profiles.get(profile));
        own.or_else(|| record.shared.get(profile))
    }

    /// Returns where a secret's value in a set is: its name in the vault, and the version.
    #[must_use]
    pub fn located(
        &self,
        device: &ResourceName,
        profile: &ProfileName,
        set: PasswordSet,
    ) -> Option<Located> {
        let secret = self.devices.get(device)?.secrets.get(profile)?;
        self.place(device, profile, &secret.name, set)
    }

    /// The same of a secret with this name in the vault, of a device that may be gone.
    #[must_use]
    pub fn place(
        &self,
        device: &ResourceName,
        profile: &ProfileName,
        name: &SecretName,
        set: PasswordSet,
    ) -> Option<Located> {
        let version = self.version(device, profile, set)?;
        let name = match self.sets.get(&set)?.older_names.get(profile) {
            Some(older) => older.of(device)?,
            None => name.clone(),
        };
        Some((name, version.clone()))
    }

    /// Tells whether a rotation has given the fabric's secrets names of the format that
    /// [`crate::naming`] makes, after which older ones are given no more.
    #[must_use]
    pub fn is_migrated(&self) -> bool {
        let gives_names =
            |set: &SetRecord| set.origin == Origin::Rotated && set.older_names.is_empty();
        self.sets.values().any(gives_names)
    }

    /// Returns the devices that depend on values under older names.
    #[must_use]
    pub fn on_older_names(&self) -> Vec<ResourceName> {
        let is_older = |profile: &ProfileName, set: PasswordSet| {
            self.sets.get(&set).is_some_and(|record| record.older_names.contains_key(profile))
        };
        let depends = |device: &Device| {
            device.secrets.iter().any(|(profile, secret)| {
                secret.credential.in_use().any(|set| is_older(profile, set))
            })
        };
        let devices = self.devices.iter().filter(|(_name, device)| depends(device));
        devices.map(|(name, _device)| name.clone()).collect()
    }

    /// Returns the devices that are rotated as one: all but those that wait for their first
    /// password set.
    pub fn members(&self) -> impl Iterator<Item = (&ResourceName, &Device)> {
        self.devices.iter().filter(|(_name, device)| !device.spec.bootstrap)
    }

    /// Returns the password sets that the members use or may use, oldest first.
    #[must_use]
    pub fn active_sets(&self) -> BTreeSet<PasswordSet> {
        let credentials = self.members().flat_map(|(_name, device)| device.credentials());
        credentials.flat_map(Credential::in_use).collect()
    }

    /// Returns how many password sets devices use or may use. Looks through all secrets only once
    /// after each change: everybody who shows a fabric asks.
    #[must_use]
    pub fn active_set_count(&self) -> usize {
        let count = *self.active_set_count.get_or_init(|| self.active_sets().len());
        debug_assert_eq!(count, self.active_sets().len(), "changed otherwise than by an event");
        count
    }
}
