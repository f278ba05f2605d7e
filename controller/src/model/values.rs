//! The values of a fabric in the vault: all that any of its password sets refers to.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{PasswordSet, ProfileName, ResourceName, SecretVersion};

use super::{Device, Fabric, Secret, SetRecord};
use crate::naming::{self, SecretName};

/// Where a value is in the vault: its secret's name, and the version.
pub type Located = (SecretName, SecretVersion);

/// One value that a password set refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// The set.
    pub set: PasswordSet,
    /// The profile whose password it is.
    pub profile: ProfileName,
    /// The one device that it was made for; `None`: the devices share it.
    pub owner: Option<ResourceName>,
    /// Where it is.
    pub located: Located,
}

impl Fabric {
    /// Returns this fabric and the deleted ones that had its name before and left values.
    pub fn eras(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.former)
    }

    /// Returns every value of this fabric's own sets, former ones not included. One version may be
    /// that of several devices; each is named then.
    #[must_use]
    pub fn values(&self) -> BTreeSet<Value> {
        self.sets.iter().flat_map(|(set, record)| self.values_of(*set, record)).collect()
    }

    /// Returns the values of one of its sets.
    #[must_use]
    pub fn values_of(&self, set: PasswordSet, record: &SetRecord) -> Vec<Value> {
        let value = |profile: &ProfileName, owner: Option<&ResourceName>, name, version: &_| {
            let (profile, owner) = (profile.clone(), owner.cloned());
            Value { set, profile, owner, located: (name, SecretVersion::clone(version)) }
        };
        let mut all = Vec::new();
        for (profile, version) in &record.shared {
            let name = match record.older_names.get(profile) {
                Some(older) => older.shared(),
                None => Some(naming::name(&self.id, profile, None)),
            };
            all.extend(name.map(|name| value(profile, None, name, version)));
        }
        for (device, profiles) in &record.own {
            for (profile, version) in profiles {
                let names = self.own_names(device, profile, record).into_iter();
                all.extend(names.map(|name| value(profile, Some(device), name, version)));
            }
        }
        all
    }

    /// Returns the names that [`naming`] has given to secrets of its sets: nobody else has them.
    #[must_use]
    pub fn own_secret_names(&self) -> BTreeSet<SecretName> {
        let shared = self.sets.values().flat_map(|set| set.shared.keys()).map(|it| (it, None));
        let own = self.sets.values().flat_map(|set| &set.own);
        let own = own.flat_map(|(device, own)| own.keys().map(move |it| (it, Some(device))));
        let all = own.flat_map(|(profile, device)| [(profile, device), (profile, None)]);
        all.chain(shared).map(|(profile, device)| naming::name(&self.id, profile, device)).collect()
    }

    /// Returns the values that are this version: more than one only where devices that were told
    /// the same password have it each for themselves.
    #[must_use]
    pub fn values_at(&self, name: &SecretName, version: &SecretVersion) -> Vec<Value> {
        let has = |record: &SetRecord| {
            let own = record.own.values().flat_map(BTreeMap::values);
            record.shared.values().chain(own).any(|known| known == version)
        };
        let sets = self.sets.iter().filter(|(_set, record)| has(record));
        let values = sets.flat_map(|(set, record)| self.values_of(*set, record));
        values.filter(|value| value.located.0 == *name && value.located.1 == *version).collect()
    }

    /// Returns the secret of a device whose password in the value's set is this value.
    #[must_use]
    pub fn secret_with<'d>(&self, device: &'d Device, value: &Value) -> Option<&'d Secret> {
        if value.owner.as_ref().is_some_and(|owner| *owner != device.spec.name) {
            return None;
        }
        let secret = device.secrets.get(&value.profile)?;
        let place = self.place(&device.spec.name, &value.profile, &secret.name, value.set)?;
        (place == value.located).then_some(secret)
    }

    /// Forgets versions, in whatever set they are, and remembers that they are to be purged.
    pub(super) fn give_up(&mut self, versions: &[Located]) {
        let meant: BTreeSet<&Located> = versions.iter().collect();
        self.forget(&meant);
        for era in &mut self.former {
            era.forget(&meant);
        }
        self.former.retain(|era| !era.sets.is_empty());
        self.purging.extend(versions.iter().cloned());
    }

    /// Sets and gone devices of which nothing is left are forgotten with their last version.
    fn forget(&mut self, versions: &BTreeSet<&Located>) {
        let is_meant = |value: &Value| versions.contains(&value.located);
        for value in self.values().into_iter().filter(is_meant) {
            let Some(record) = self.sets.get_mut(&value.set) else { continue };
            match &value.owner {
                None => record.shared.remove(&value.profile),
                Some(device) => {
                    record.own.get_mut(device).and_then(|own| own.remove(&value.profile))
                }
            };
            record.own.retain(|_device, own| !own.is_empty());
            if record.shared.is_empty() && record.own.is_empty() {
                self.sets.remove(&value.set);
            }
        }
        let gone = std::mem::take(&mut self.gone);
        self.gone = gone.into_iter().filter(|gone| self.has_any_of(&gone.device)).collect();
    }

    fn has_any_of(&self, device: &Device) -> bool {
        device.secrets.iter().any(|(profile, secret)| {
            let mut sets = secret.credential.labels.keys();
            sets.any(|set| self.version(&device.spec.name, profile, *set).is_some())
        })
    }

    /// The names that a secret of one device has or had in a set. More than one only where the
    /// device is not remembered.
    fn own_names(
        &self,
        device: &ResourceName,
        profile: &ProfileName,
        record: &SetRecord,
    ) -> BTreeSet<SecretName> {
        if let Some(older) = record.older_names.get(profile) {
            return older.of(device).into_iter().collect();
        }
        let present = self.devices.get(device);
        let gone = self.gone.iter().map(|gone| &gone.device);
        let known = present.into_iter().chain(gone.filter(|gone| gone.spec.name == *device));
        let mut names: BTreeSet<SecretName> =
            known.filter_map(|known| Some(known.secrets.get(profile)?.name.clone())).collect();
        if names.is_empty() {
            names.insert(naming::name(&self.id, profile, None));
            names.insert(naming::name(&self.id, profile, Some(device)));
        }
        names
    }
}
