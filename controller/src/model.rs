//! What is known of a fabric: the fold of its journal. Pure: no clock, no I/O, no passwords.
//!
//! [`Fabric::apply`] is the only way in which a fabric changes. It takes events that were decided
//! before and never fails: a decision that could be refused is refused before its event is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use protocol::id::{
    DeviceId, Epoch, FabricId, OperationId, PasswordSet, ProfileName, ResourceName, SecretVersion,
};
use protocol::status::{AdministrativeState, ConfigurationState, ProvisioningState};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::inventory::FabricSpec;

mod copies;
mod device;
pub mod event;
mod fold;
mod gone;
pub mod operation;
mod sets;
mod standing;
mod values;

pub use self::copies::Copy;
pub use self::device::{Device, Evidence, Proof, Secret};
pub use self::event::Event;
pub use self::gone::Gone;
pub use self::operation::{
    Operation, OperationKind, OperationState, Outcome, Reboot, RebootProgress, Skipped,
};
pub use self::sets::{Origin, SetRecord};
pub use self::standing::Standing;
pub use self::values::{Located, Value};

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

/// Reads what [`fmt::Display`] writes.
impl std::str::FromStr for Timestamp {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = OffsetDateTime::parse(text, &Rfc3339)?;
        let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
        // A calendar's years fit.
        Ok(Self(i64::try_from(milliseconds).unwrap_or_default()))
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
    /// The fabric was deleted. Values that devices may still have are kept.
    #[serde(default)]
    pub deleted: bool,
    /// Nothing of it is left in the vault: what lies under those names now is somebody else's.
    #[serde(default)]
    pub purged: bool,
    /// Devices that were deleted or replaced, whose hardware may still have passwords of ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
    /// The newest set of the time in which it was not yet remembered which devices are gone: what
    /// was made up to it may be on hardware that nobody knows of.
    #[serde(default = "gone::before_memory")]
    pub unremembered: Option<PasswordSet>,
    /// Deleted fabrics that had this one's name before it, as far as values of theirs are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Self>,
    /// Versions that were given up, and of which it is not certain yet that the vault has purged
    /// them. Nothing else refers to them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub purging: BTreeSet<Located>,
    /// Versions that the customer's vault has, too, by what the own vault calls them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub copies: BTreeMap<SecretVersion, Copy>,
    /// What the own vault says of its versions, if it says such things.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labelled: BTreeMap<SecretVersion, Standing>,
    /// The first password set that is copied to the customer's vault; `None`: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_from: Option<PasswordSet>,
    /// The latest time that any event has told: a clock that is set back shortens no retention.
    #[serde(default)]
    pub latest: Timestamp,
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
            gone: Vec::new(),
            unremembered: None,
            former: Vec::new(),
            purging: BTreeSet::new(),
            copies: BTreeMap::new(),
            labelled: BTreeMap::new(),
            archived_from: None,
            latest: at,
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

    /// Has all devices share what they have word for word as the first one has it, as devices do
    /// that were declared one after the other. For a fabric that was read from a snapshot.
    pub fn share(&mut self) {
        let Some(first) = self.devices.values().next().cloned() else { return };
        for (profile, secret) in self.devices.values_mut().flat_map(|d| d.secrets.iter_mut()) {
            if let Some(like) = first.secrets.get(profile) {
                secret.share(like);
            }
        }
    }

    /// Takes one event of the journal.
    pub fn apply(&mut self, event: &Event) {
        self.active_set_count.take();
        fold::apply(self, event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::credential::Credential;

    use super::*;

    #[test]
    fn times_have_milliseconds_and_are_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_754_715_101_251, "2025-08-09T04:51:41.251Z"),
            (i64::MAX, "1970-01-01T00:00:00.000Z"),
        ];
        for (at, wanted) in cases {
            assert_eq!(Timestamp(at).to_string(), wanted);
        }
    }

    fn declared(device: &str, wanted: &[(&str, &str)]) -> Event {
        let fabric = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/\
                      providers/Microsoft.ManagedNetworkFabric/networkFabrics/lab";
        let secrets = wanted.iter().map(|(profile, user)| {
            let profile = ProfileName::new(profile).unwrap();
            let name = crate::naming::name(&fabric.parse().unwrap(), &profile, None);
            let (user, secret_type) = ((*user).to_owned(), format!("{profile} user password"));
            let adopted = PasswordSet(1);
            event::SecretSpec { profile, user, secret_type, privileged: false, name, adopted }
        });
        let spec = crate::inventory::DeviceSpec {
            name: ResourceName::new(device).unwrap(),
            role: protocol::status::DeviceRole::CE,
            platform: "arista-eos".to_owned(),
            serial_number: String::new(),
            redundancy_group: None,
            ssh: None,
            serial: None,
            console: None,
            paths: Vec::new(),
            lockout: None,
            bootstrap: false,
        };
        Event::DeviceDeclared { spec, secrets: secrets.collect(), at: Timestamp(0) }
    }

    /// Tells of two devices' secrets what is the same memory: user and kind, name, record.
    fn shared(fabric: &Fabric, profile: &str) -> (bool, bool, bool) {
        let of = |device: &str| {
            let device = &fabric.devices[&ResourceName::new(device).unwrap()];
            &device.secrets[&ProfileName::new(profile).unwrap()]
        };
        let (one, other) = (of("ce-01"), of("ce-02"));
        let texts = Arc::ptr_eq(&one.user, &other.user)
            && Arc::ptr_eq(&one.secret_type, &other.secret_type);
        let name = std::ptr::eq(one.name.as_str(), other.name.as_str());
        (texts, name, Arc::ptr_eq(&one.credential, &other.credential))
    }

    #[test]
    fn devices_share_what_they_have_in_common_and_nothing_else() {
        let id: FabricId = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/\
                            lab/providers/Microsoft.ManagedNetworkFabric/networkFabrics/lab"
            .parse()
            .unwrap();
        let (location, none) = ("local".to_owned(), Default::default());
        let spec = FabricSpec {
            id: id.clone(),
            location,
            feature_flags: none,
            older_names: [].into(),
            secret_archive: None,
        };
        let mut fabric = Fabric::new(id, spec, Timestamp(0));
        fabric.apply(&declared("ce-01", &[("admin", "admin"), ("TelcoRO", "telco")]));
        fabric.apply(&declared("ce-02", &[("admin", "admin"), ("TelcoRO", "TELCO")]));
        assert_eq!(shared(&fabric, "admin"), (true, true, true));
        assert_eq!(shared(&fabric, "TelcoRO"), (false, true, true));
        let text = serde_json::to_string(&fabric).unwrap();
        let mut loaded: Fabric = serde_json::from_str(&text).unwrap();
        assert_eq!(shared(&loaded, "admin"), (false, false, false));
        loaded.share();
        assert_eq!(shared(&loaded, "admin"), (true, true, true));
        assert_eq!(shared(&loaded, "TelcoRO"), (false, true, true));
        assert_eq!(serde_json::to_string(&loaded).unwrap(), text);

        let admin = ProfileName::new("admin").unwrap();
        let device = ResourceName::new("ce-02").unwrap();
        let before = Arc::clone(&fabric.devices[&device].secrets[&admin].credential);
        let credential = Arc::new(Credential::adopted(PasswordSet(2), Epoch(1)));
        fabric.apply(&Event::Moved {
            device: device.clone(),
            profiles: vec![admin.clone()],
            credential: Arc::clone(&credential),
            evidence: None,
            at: Timestamp(0),
        });
        assert!(Arc::ptr_eq(&fabric.devices[&device].secrets[&admin].credential, &credential));
        let other = &fabric.devices[&ResourceName::new("ce-01").unwrap()].secrets[&admin];
        assert_eq!(other.credential, before, "the other device stays where it was");
    }
}
