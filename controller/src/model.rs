//! What is known of a fabric: the fold of its journal. Pure: no clock, no I/O, no passwords.
//!
//! [`Fabric::apply`] is the only way in which a fabric changes. It takes events that were decided
//! before and never fails: a decision that could be refused is refused before its event is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use protocol::credential::{Credential, Phase};
use protocol::id::{
    DeviceId, Epoch, FabricId, OperationId, PasswordSet, ProfileName, ResourceName, SecretVersion,
};
use protocol::report::Reason;
use protocol::status::{
    AdministrativeState, ConfigurationState, ProvisioningState, SynchronizationStatus,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::inventory::{DeviceSpec, FabricSpec};
use crate::naming::{OlderName, SecretName};

pub mod event;
pub mod operation;

pub use self::event::Event;
pub use self::operation::{
    Operation, OperationKind, OperationState, Outcome, Reboot, RebootProgress, Skipped,
};

/// Operations that are kept in the fabric's state; older ones are forgotten, oldest first. At ten
/// a day this is three months, far over the 24 hours that clients may resume within.
pub const OPERATIONS_MAX: usize = 1000;

/// How times are written.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// RFC 3339, milliseconds, UTC: `2025-08-09T04:51:41.251Z`. A time that no calendar has is written
/// as the beginning of 1970.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = i128::from(self.0) * 1_000_000;
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds);
        let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        f.write_str(&time.format(TIME).map_err(|_impossible| fmt::Error)?)
    }
}

/// A fabric and all that is known of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fabric {
    /// The fabric's ARM id.
    pub id: FabricId,
    /// What the inventory says of the fabric.
    pub spec: FabricSpec,
    /// The devices by name.
    pub devices: BTreeMap<ResourceName, Device>,
    /// All password sets that were ever made or adopted.
    pub sets: BTreeMap<PasswordSet, SetRecord>,
    /// The sets with passwords that were told before there was a device that has them.
    #[serde(default)]
    pub foretold: BTreeMap<ProfileName, PasswordSet>,
    /// The fence: raised by every controller that takes the fabric over.
    pub epoch: Epoch,
    /// Whether an administrator has locked the fabric.
    pub administrative_lock: bool,
    /// Whether an administrator has locked the fabric's configuration. It keeps no password from
    /// being rotated; whoever changes configurations asks for it.
    #[serde(default)]
    pub configuration_lock: bool,
    /// Whether a commit of the fabric's configuration is in progress.
    pub commit_in_progress: bool,
    /// How far an upgrade of the fabric is.
    pub upgrade: Upgrade,
    /// The version that an upgrade has brought the fabric to, if one was ever completed.
    #[serde(default)]
    pub version: Option<String>,
    /// The version that an upgrade is under way to, or has failed to reach.
    #[serde(default)]
    pub upgrade_version: Option<String>,
    /// How far the fabric itself has got.
    pub provisioning_state: ProvisioningState,
    /// How far the fabric's configuration has got, as long as no commit is in progress.
    pub configuration_state: ConfigurationState,
    /// The operations, oldest first.
    pub operations: Vec<Operation>,
    /// What others noted on the fabric.
    #[serde(default)]
    pub notes: Notes,
    /// The fabric was deleted. Only the purge of its secrets may be left to do.
    #[serde(default)]
    pub deleted: bool,
    /// The purge is done, too: whatever lies under those names now is somebody else's.
    #[serde(default)]
    pub purged: bool,
    /// When the fabric was first and last written.
    pub created: Timestamp,
    /// When the fabric was last written by an operator.
    pub modified: Timestamp,
    /// How many sets are in use, once somebody has asked. Every event takes it away: nothing else
    /// changes a fabric that others see.
    #[serde(skip)]
    active_set_count: OnceLock<usize>,
}

/// What a lock keeps from being changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lock {
    /// Everything, passwords too.
    #[default]
    Administrative,
    /// The configuration.
    Configuration,
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upgrade {
    /// None, or completed.
    #[default]
    None,
    /// Running.
    Running,
    /// Failed and not resolved.
    Failed,
}

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

/// What the API's users note on a resource. Nothing here depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notes {
    /// Names and values.
    pub tags: BTreeMap<String, String>,
    /// A description.
    pub annotation: Option<String>,
    /// What else a fabric was declared with, by the API's names: shown again, and nothing more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
}

/// A value that is kept as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// One profile's password on one device.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Secret {
    /// The account's name on the device.
    pub user: String,
    /// The kind of secret, as the API spells it.
    pub secret_type: String,
    /// Whether the account may change and read the others' secrets.
    pub privileged: bool,
    /// The secret's name in the vault.
    pub name: SecretName,
    /// The state machine's record.
    pub credential: Credential,
    /// The last proof of what the device holds.
    pub proof: Option<Proof>,
    /// When a login that may have been refused was last counted.
    pub last_attempt: Option<Timestamp>,
    /// The version that the secret was last settled on.
    pub settled_on: Option<PasswordSet>,
    /// When the device first proved that version.
    pub last_rotation: Option<Timestamp>,
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
    /// Makes a fabric that has just been declared.
    #[must_use]
    pub fn new(id: FabricId, spec: FabricSpec, at: Timestamp) -> Self {
        Self {
            id,
            spec,
            devices: BTreeMap::new(),
            sets: BTreeMap::new(),
            foretold: BTreeMap::new(),
            epoch: Epoch::default(),
            administrative_lock: false,
            configuration_lock: false,
            commit_in_progress: false,
            upgrade: Upgrade::None,
            version: None,
            upgrade_version: None,
            provisioning_state: ProvisioningState::Succeeded,
            configuration_state: ConfigurationState::Provisioned,
            operations: Vec::new(),
            notes: Notes::default(),
            deleted: false,
            purged: false,
            created: at,
            modified: at,
            active_set_count: OnceLock::new(),
        }
    }

    /// Returns the ARM id of one of the fabric's devices.
    #[must_use]
    pub fn device_id(&self, device: &ResourceName) -> DeviceId {
        self.id.device(device)
    }

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
            let secret = device.and_then(|device| device.secrets.get(profile));
            own || secret.is_some_and(|secret| secret.credential.labels.contains_key(newest))
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
    ) -> Option<(SecretName, SecretVersion)> {
        let version = self.version(device, profile, set)?;
        let name = match self.sets.get(&set)?.older_names.get(profile) {
            Some(older) => older.of(device)?,
            None => self.devices.get(device)?.secrets.get(profile)?.name.clone(),
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

    /// Returns an operation by its id.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.iter().rev().find(|operation| operation.id == id)
    }

    /// Returns the oldest operations, which are forgotten when one more begins.
    #[must_use]
    pub fn surplus(&self) -> &[Operation] {
        let count = (self.operations.len() + 1).saturating_sub(OPERATIONS_MAX);
        self.operations.get(..count).unwrap_or_default()
    }

    /// Returns the operation that is running, if any. There is at most one.
    #[must_use]
    pub fn running_operation(&self) -> Option<&Operation> {
        self.operations.iter().rev().find(|operation| operation.state == OperationState::Running)
    }

    /// Returns the administrative state as the API shows it.
    #[must_use]
    pub fn administrative_state(&self) -> AdministrativeState {
        let maintained = |operation: &Operation| operation.kind.is_maintenance();
        if self.running_operation().is_some_and(maintained) || self.upgrade == Upgrade::Running {
            return AdministrativeState::UnderMaintenance;
        }
        let enabled = |device: &Device| device.administrative_state == AdministrativeState::Enabled;
        if self.members().all(|(_name, device)| enabled(device)) {
            AdministrativeState::Enabled
        } else {
            AdministrativeState::EnabledDegraded
        }
    }

    /// Returns the configuration state as the API shows it.
    #[must_use]
    pub fn configuration_state(&self) -> ConfigurationState {
        if self.commit_in_progress {
            ConfigurationState::Accepted
        } else {
            self.configuration_state
        }
    }

    /// Takes one event of the journal.
    pub fn apply(&mut self, event: &Event) {
        self.active_set_count.take();
        event::apply(self, event);
    }
}

impl Device {
    /// Returns the records of all secrets.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.secrets.values().map(|secret| &secret.credential)
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

    /// Returns the first reason why a secret is not what is wanted.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.credentials()
            .filter(|credential| credential.status() != SynchronizationStatus::InSync)
            .find_map(|credential| credential.reason)
    }
}
