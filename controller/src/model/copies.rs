//! Copies of a fabric's secrets in the customer's own vault.

use std::collections::BTreeMap;

use protocol::id::SecretVersion;
use serde::{Deserialize, Serialize};

use super::{Fabric, Origin, Standing, Timestamp, Value};

/// A version that the customer's vault has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Copy {
    /// What that vault calls it.
    pub version: SecretVersion,
    /// That vault's URI.
    pub vault_uri: String,
    /// When it was confirmed.
    pub at: Timestamp,
    /// What that vault says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

impl Fabric {
    /// Returns the copy of a version in the vault that secrets are copied to now.
    #[must_use]
    pub fn copy_of(&self, version: &SecretVersion) -> Option<&Copy> {
        let target = self.spec.secret_archive.as_ref()?.target()?;
        self.copies.get(version).filter(|copy| copy.vault_uri == target)
    }

    /// Returns what is still to be copied, in the order of password sets: what rotations have made
    /// since that vault is used.
    #[must_use]
    pub fn to_copy(&self) -> Vec<Value> {
        let mut left = self.not_copied();
        left.retain(|value| !self.is_overtaken(value));
        left
    }

    /// Returns how many versions were left out and stay so: they could not be read when it was their
    /// turn, and after a newer one of their secret they would be taken for the newest.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.not_copied().iter().filter(|value| self.is_overtaken(value)).count()
    }

    fn is_overtaken(&self, value: &Value) -> bool {
        let profile = &value.profile;
        let Some(record) = self.sets.get(&value.set) else { return false };
        self.sets.range(value.set..).skip(1).any(|(_set, later)| {
            let version = match &value.owner {
                None => later.shared.get(profile),
                Some(owner) => later.own.get(owner).and_then(|own| own.get(profile)),
            };
            let is_copied = version.is_some_and(|version| self.copy_of(version).is_some());
            is_copied && later.older_names.get(profile) == record.older_names.get(profile)
        })
    }

    fn not_copied(&self) -> Vec<Value> {
        let Some(from) = self.archived_from else { return Vec::new() };
        let sets = self.sets.range(from..);
        let sets = sets.filter(|(_set, record)| record.origin == Origin::Rotated);
        // What is copied as a whole needs no names made.
        let sets = sets.filter(|(_set, record)| {
            let own = record.own.values().flat_map(BTreeMap::values);
            record.shared.values().chain(own).any(|version| self.copy_of(version).is_none())
        });
        let mut left: Vec<Value> =
            sets.flat_map(|(set, record)| self.values_of(*set, record)).collect();
        left.retain(|value| self.copy_of(&value.located.1).is_none());
        left.dedup_by(|one, other| one.located == other.located);
        left
    }

    /// Notes from which set on secrets are copied, when the vault that they are copied to changes:
    /// from the next one on, as what devices have now was never meant for it.
    pub(super) fn archive_from(&mut self, before: Option<&str>) {
        let target = self.spec.secret_archive.as_ref().and_then(|archive| archive.target());
        match target {
            None => self.archived_from = None,
            Some(now) if before == Some(now) && self.archived_from.is_some() => {}
            Some(_other) => self.archived_from = Some(self.next_set()),
        }
    }
}
