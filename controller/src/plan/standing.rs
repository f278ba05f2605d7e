//! What each version of a secret is to it: on its way to the devices, in place, or past. For those
//! who look into a vault; nothing depends on it.
//!
//! It is decided for each name by itself. The *arrived* set of a name is the newest one that some
//! device is proven to have its password of, not counting the set that a rotation is bringing just
//! now; sets that a rotation made go before those that were adopted. Versions of that set are
//! current, those of newer sets pending, all others previous. So the version of a rotation is
//! pending until the rotation ends, and current afterwards if one device has it: that is what a
//! resync brings to the rest. In a split-key fabric a device that lags behind has a previous one.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{PasswordSet, ProfileName, ResourceName, SecretVersion};

use crate::model::{
    Fabric, Located, OperationKind, OperationState, Origin, Secret, SetRecord, Standing,
};
use crate::naming::SecretName;

/// Which of two sets is the newer one: whatever a rotation made is newer than what was adopted, as
/// a device that joins a fabric comes with a password that the fabric is about to replace.
type Rank = (bool, PasswordSet);

/// Returns the versions whose standing is not what it should be, those of the newest sets first.
/// `known` says of a version what it is said to be; `None` if nothing is ever said of it.
#[must_use]
pub fn due(
    fabric: &Fabric,
    known: impl Fn(&SecretVersion) -> Option<Option<Standing>>,
) -> Vec<(Located, Standing)> {
    let arrivals = Arrivals::of(fabric, |_secret| true);
    let oldest = arrivals.oldest();
    let is_past = |set: PasswordSet, record: &SetRecord| {
        let own = record.own.values().flat_map(BTreeMap::values);
        let mut versions = record.shared.values().chain(own).filter_map(&known);
        oldest.is_some_and(|oldest| rank(fabric, set) < oldest)
            && versions.all(|standing| standing == Some(Standing::Previous))
    };
    let sets = fabric.sets.iter().rev().filter(|(set, record)| !is_past(**set, record));
    let values = sets.flat_map(|(set, record)| fabric.values_of(*set, record));
    let mut seen = BTreeSet::new();
    let due = values.filter_map(|value| {
        let said = known(&value.located.1)?;
        let standing = arrivals.standing(&value.located.0, &value.profile, rank(fabric, value.set));
        let is_due = said != Some(standing) && seen.insert(value.located.clone());
        is_due.then_some((value.located, standing))
    });
    due.collect()
}

/// Returns what the versions of one secret are. Costs a look at every secret of the fabric, and no
/// more than that where the secret is one that devices have now.
#[must_use]
pub fn of_name(fabric: &Fabric, name: &SecretName) -> BTreeMap<SecretVersion, Standing> {
    let has_older = fabric.sets.values().any(|record| !record.older_names.is_empty());
    let holders: Vec<Holder<'_>> =
        secrets(fabric).filter(|(_name, _profile, secret)| secret.name == *name).collect();
    let Some((_device, profile, _secret)) = holders.first().filter(|_first| !has_older) else {
        let arrivals = Arrivals::of(fabric, |_secret| true);
        let values = fabric.values().into_iter().filter(|value| value.located.0 == *name);
        return values
            .map(|value| {
                let rank = rank(fabric, value.set);
                (value.located.1, arrivals.standing(name, &value.profile, rank))
            })
            .collect();
    };
    let arrivals = Arrivals::of(fabric, |secret| secret.name == *name);
    let versions = fabric.sets.iter().flat_map(|(set, record)| {
        let own = holders.iter().filter_map(|(device, profile, _secret)| {
            if record.own.is_empty() { None } else { record.own.get(*device)?.get(*profile) }
        });
        record.shared.get(*profile).into_iter().chain(own).map(|version| (*set, version.clone()))
    });
    versions
        .map(|(set, version)| (version, arrivals.standing(name, profile, rank(fabric, set))))
        .collect()
}

type Holder<'f> = (&'f ResourceName, &'f ProfileName, &'f Secret);

fn secrets(fabric: &Fabric) -> impl Iterator<Item = Holder<'_>> {
    fabric.devices.iter().flat_map(|(name, device)| {
        device.secrets.iter().map(move |(profile, secret)| (name, profile, secret))
    })
}

fn rank(fabric: &Fabric, set: PasswordSet) -> Rank {
    (fabric.sets.get(&set).is_some_and(|record| record.origin == Origin::Rotated), set)
}

/// The newest sets that have arrived.
#[derive(Default)]
struct Arrivals {
    by_name: BTreeMap<SecretName, Rank>,
    /// For names that no secret has any more.
    by_profile: BTreeMap<ProfileName, Rank>,
    present: BTreeSet<SecretName>,
}

impl Arrivals {
    fn of(fabric: &Fabric, wanted: impl Fn(&Secret) -> bool) -> Self {
        let mut arrivals = Self::default();
        let is_rotation = |operation: &&crate::model::Operation| {
            operation.kind == OperationKind::Rotate && operation.state == OperationState::Running
        };
        let coming = fabric.running_operation().filter(is_rotation).map(|operation| operation.set);
        for (device, profile, secret) in secrets(fabric).filter(|(.., secret)| wanted(secret)) {
            if !arrivals.present.contains(&secret.name) {
                arrivals.present.insert(secret.name.clone());
            }
            let current = secret.credential.current.filter(|set| Some(*set) != coming);
            let Some(set) = current else { continue };
            let Some((name, _version)) = fabric.place(device, profile, &secret.name, set) else {
                continue;
            };
            let rank = rank(fabric, set);
            raise(&mut arrivals.by_name, &name, rank);
            raise(&mut arrivals.by_profile, profile, rank);
        }
        arrivals
    }

    fn standing(&self, name: &SecretName, profile: &ProfileName, rank: Rank) -> Standing {
        let arrived = match self.by_name.get(name) {
            None if self.present.contains(name) => None,
            None => self.by_profile.get(profile),
            arrived => arrived,
        };
        match arrived.map(|arrived| rank.cmp(arrived)) {
            None | Some(std::cmp::Ordering::Greater) => Standing::Pending,
            Some(std::cmp::Ordering::Equal) => Standing::Current,
            Some(std::cmp::Ordering::Less) => Standing::Previous,
        }
    }

    /// The one that is behind the most; `None` while the passwords of some secret have not arrived.
    fn oldest(&self) -> Option<Rank> {
        let all_arrived = self.present.iter().all(|name| self.by_name.contains_key(name));
        self.by_name.values().min().filter(|_rank| all_arrived).copied()
    }
}

fn raise<K: Clone + Ord>(ranks: &mut BTreeMap<K, Rank>, key: &K, rank: Rank) {
    match ranks.get_mut(key) {
        Some(known) => *known = rank.max(*known),
        None => {
            ranks.insert(key.clone(), rank);
        }
    }
}

#[cfg(test)]
mod tests;
