//! One device and its secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::credential::{Credential, Label, Phase};
use protocol::id::{PasswordSet, ProfileName};
use protocol::report::Reason;
use protocol::status::{AdministrativeState, ConfigurationState, SynchronizationStatus};
use serde::{Deserialize, Serialize};

use super::{Notes, Outcome, Timestamp};
use crate::inventory::DeviceSpec;
use crate::naming::SecretName;

/// A device and its secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Device {
    /// What the inventory says of the device.
    pub spec: DeviceSpec,
    /// Whether it is in service.
    pub administrative_state: AdministrativeState,
    /// [`ConfigurationState::DeferredControl`] after a failed rotation.
    pub configuration_state: ConfigurationState,
    /// The secrets by user profile.
    pub secrets: BTreeMap<ProfileName, Secret>,
    /// How the last operation ended here.
    pub last_outcome: Option<Outcome>,
    /// What others noted on the device.
    #[serde(default)]
    pub notes: Notes,
    /// Whether the device was wiped while it was out of service: no password that is known of it
    /// opens it any more.
    #[serde(default)]
    pub wiped: bool,
    /// The version that the device was last upgraded to, if anybody said so.
    #[serde(default)]
    pub version: Option<String>,
    /// The serial number of the device whose passwords these are, where that of the one which is to
    /// take its place was noted before it was declared.
    #[serde(default)]
    pub former_serial_number: Option<String>,
}

/// One profile's password on one device. Most of it is the same for many: a fabric of thousands of
/// devices has each text once, and secrets that were moved together have one record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Secret {
    /// The account's name on the device.
    pub user: Arc<str>,
    /// The kind of secret, as the API spells it.
    pub secret_type: Arc<str>,
    /// Whether the account may change and read the others' secrets.
    pub privileged: bool,
    /// The secret's name in the vault.
    pub name: SecretName,
    /// The state machine's record.
    pub credential: Arc<Credential>,
    /// The last proof of what the device holds.
    pub proof: Option<Proof>,
    /// When a login that may have been refused was last counted.
    pub last_attempt: Option<Timestamp>,
    /// The version that the secret was last settled on.
    pub settled_on: Option<PasswordSet>,
    /// When the device first proved that version.
    pub last_rotation: Option<Timestamp>,
    /// When each version that is disproved was found so: from then on it is kept for the retention.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retired: BTreeMap<PasswordSet, Timestamp>,
}

/// How and when a version was proven on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The version.
    pub set: PasswordSet,
    /// When.
    pub at: Timestamp,
    /// How.
    pub evidence: Evidence,
}

/// The kinds of proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The stored hashes of both configurations, read in a freshly opened session.
    ReadBack,
    /// A fresh login as this account, and both stored hashes.
    Login,
}

impl Secret {
    /// Shares with another secret what both have word for word.
    pub(super) fn share(&mut self, like: &Self) {
        fn share<T: PartialEq + ?Sized>(own: &mut Arc<T>, other: &Arc<T>) {
            if own == other {
                own.clone_from(other);
            }
        }
        share(&mut self.user, &like.user);
        share(&mut self.secret_type, &like.secret_type);
        share(&mut self.credential, &like.credential);
        // Names are equal in any case, and each is kept in its own.
        if self.name.as_str() == like.name.as_str() {
            self.name.clone_from(&like.name);
        }
    }
}

impl Device {
    /// Returns the records of all secrets.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.secrets.values().map(|secret| &*secret.credential)
    }

    /// Returns the worst status of all secrets: `InSync` only if all are.
    #[must_use]
    pub fn synchronization_status(&self) -> SynchronizationStatus {
        let worst = self.credentials().map(Credential::status).max();
        worst.unwrap_or(SynchronizationStatus::OutOfSync)
    }

    /// Tells whether any secret of the device is in doubt.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.credentials().any(Credential::is_in_doubt)
    }

    /// Tells whether every secret is proven on `set`.
    #[must_use]
    pub fn is_on(&self, set: PasswordSet) -> bool {
        self.credentials()
            .all(|credential| credential.phase == Phase::Settled && credential.current == Some(set))
    }

    /// Tells whether a record of one of its secrets says that another device has taken its place.
    pub(super) fn is_replaced_by(&self, now: &Credential) -> bool {
        let is_new = |set: &PasswordSet| {
            self.credentials().any(|credential| {
                let then = credential.labels.get(set).copied();
                then.is_some_and(|then| then != Label::OtherDevice)
            })
        };
        now.labels.iter().any(|(set, label)| *label == Label::OtherDevice && is_new(set))
    }

    /// Remembers since when versions of these secrets are disproved, and forgets it of others.
    pub(super) fn note_retired(&mut self, profiles: &[ProfileName], latest: Timestamp) {
        for profile in profiles {
            let Some(secret) = self.secrets.get_mut(profile) else { continue };
            let labels = &secret.credential.labels;
            secret.retired.retain(|set, _at| labels.get(set) == Some(&Label::Retired));
            let retired = labels.iter().filter(|(_set, label)| **label == Label::Retired);
            for (set, _label) in retired {
                secret.retired.entry(*set).or_insert(latest);
            }
        }
    }

    /// Returns the first reason why a secret is not what is wanted.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.credentials()
            .filter(|credential| credential.status() != SynchronizationStatus::InSync)
            .find_map(|credential| credential.reason)
    }
}
