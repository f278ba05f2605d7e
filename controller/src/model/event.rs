//! The journal's events: what was decided or proven, never what is wished, never a password.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::credential::Credential;
use protocol::id::{Epoch, OperationId, PasswordSet, ProfileName, ResourceName, SecretVersion};
use protocol::status::AdministrativeState;
use serde::{Deserialize, Serialize};

use super::operation::{Operation, OperationState, Outcome, RebootProgress};
use super::{Evidence, Located, Lock, Notes, Origin, Standing, Timestamp, Upgrade};
use crate::inventory::{DeviceSpec, FabricSpec};
use crate::naming::{OlderName, SecretName};

/// One thing that happened to a fabric.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// An operator has declared the fabric anew.
    FabricDeclared {
        /// What the inventory says.
        spec: FabricSpec,
        /// When.
        at: Timestamp,
    },
    /// An operator has declared a device anew; secrets that it had are kept.
    DeviceDeclared {
        /// What the inventory says.
        spec: DeviceSpec,
        /// The secrets that the template gives it.
        secrets: Vec<SecretSpec>,
        /// When.
        at: Timestamp,
    },
    /// The values of a password set are durable in the vault: all that it holds, also where it is
    /// one that others were adopted into before.
    SetStored {
        /// The set.
        set: PasswordSet,
        /// The operation that made or adopted it.
        operation: OperationId,
        /// Where its passwords come from.
        origin: Origin,
        /// Versions that all devices share.
        shared: BTreeMap<ProfileName, SecretVersion>,
        /// Versions of one device alone.
        own: BTreeMap<ResourceName, BTreeMap<ProfileName, SecretVersion>>,
        /// Those profiles' names in the vault that have older ones.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        older_names: BTreeMap<ProfileName, OlderName>,
    },
    /// A profile's password was told before there was a device that has it.
    Foretold {
        /// The profile.
        profile: ProfileName,
        /// The set that holds its password.
        set: PasswordSet,
    },
    /// Secrets of one device, which are all in the same state, have moved.
    Moved {
        /// The device.
        device: ResourceName,
        /// The profiles.
        profiles: Vec<ProfileName>,
        /// Their record now.
        credential: Arc<Credential>,
        /// The evidence, if the record rests on a new one.
        evidence: Option<Evidence>,
        /// When.
        at: Timestamp,
    },
    /// Somebody has noted something on the fabric or on one of its devices.
    Noted {
        /// The device; `None`: the fabric itself.
        device: Option<ResourceName>,
        /// All notes now.
        notes: Notes,
        /// The device's serial number, if it changes: another one takes its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serial_number: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A device was deleted; it is this fabric's no more.
    DeviceDeleted {
        /// The device.
        device: ResourceName,
        /// When.
        at: Timestamp,
    },
    /// The fabric was deleted. Declared again, it is another one with its name.
    FabricDeleted {
        /// When.
        at: Timestamp,
    },
    /// Nothing of the deleted fabric is left in the vault.
    FabricPurged {
        /// When.
        at: Timestamp,
    },
    /// Versions are given up: no device may have them, or an administrator has said so. Nothing
    /// refers to them from here on, whatever becomes of their values.
    PurgeDecided {
        /// Where they are.
        versions: Vec<Located>,
        /// When.
        at: Timestamp,
    },
    /// The vault has purged versions that were given up.
    Purged {
        /// Where they were.
        versions: Vec<Located>,
        /// When.
        at: Timestamp,
    },
    /// An administrator says that hardware which is gone has no password of this fabric any more.
    GoneReleased {
        /// The device that it was.
        device: ResourceName,
        /// When it went; without it all that went under the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gone_at: Option<Timestamp>,
        /// When.
        at: Timestamp,
    },
    /// A device goes into or out of service.
    AdministrativeStateSet {
        /// The device.
        device: ResourceName,
        /// The state.
        state: AdministrativeState,
    },
    /// An administrator has locked or unlocked the fabric.
    LockSet {
        /// What is locked.
        #[serde(default)]
        lock: Lock,
        /// Whether it is locked.
        locked: bool,
    },
    /// A commit of the fabric's configuration has begun or ended.
    CommitSet {
        /// Whether it is in progress.
        in_progress: bool,
        /// Whether it has ended with the configuration on the devices.
        #[serde(default)]
        committed: bool,
    },
    /// An upgrade has begun, ended or failed.
    UpgradeSet {
        /// How far it is.
        upgrade: Upgrade,
        /// The version that it leads to, where it begins.
        #[serde(default)]
        version: Option<String>,
    },
    /// A device has been upgraded.
    DeviceUpgraded {
        /// The device.
        device: ResourceName,
        /// The version that it has now.
        version: String,
    },
    /// A controller has taken the fabric over.
    EpochRaised {
        /// The new fence.
        epoch: Epoch,
    },
    /// The customer's vault has confirmed copies of versions.
    Copied {
        /// What the own vault calls them, and what that one does.
        versions: Vec<(SecretVersion, SecretVersion)>,
        /// That vault's URI.
        vault_uri: String,
        /// When.
        at: Timestamp,
    },
    /// A vault says of versions from here on what they are to their secrets.
    Labelled {
        /// The customer's vault; `None`: the own one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vault_uri: Option<String>,
        /// What the own vault calls them, and what is said.
        versions: Vec<(SecretVersion, Standing)>,
    },
    /// An operation was admitted.
    OperationStarted {
        /// The operation.
        operation: Box<Operation>,
    },
    /// A device is about to be told to reboot, or was seen to go down.
    Rebooting {
        /// The operation.
        operation: OperationId,
        /// The device.
        device: ResourceName,
        /// How far it is.
        progress: RebootProgress,
    },
    /// An operation has ended on one device.
    DeviceEnded {
        /// The operation.
        operation: OperationId,
        /// The device.
        device: ResourceName,
        /// How.
        outcome: Outcome,
    },
    /// An operation has ended.
    OperationEnded {
        /// The operation.
        operation: OperationId,
        /// Succeeded or failed.
        state: OperationState,
        /// When.
        at: Timestamp,
    },
}

/// A secret as the template gives it to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecretSpec {
    /// The user profile.
    pub profile: ProfileName,
    /// The account's name on the device.
    pub user: String,
    /// The kind of secret.
    pub secret_type: String,
    /// Whether the account may change and read the others' secrets.
    pub privileged: bool,
    /// The secret's name in the vault.
    pub name: SecretName,
    /// The set that holds the password that the operator told us.
    pub adopted: PasswordSet,
}

impl Event {
    /// Returns when it happened, where it says so.
    pub(super) fn at(&self) -> Option<Timestamp> {
        match self {
            Self::FabricDeclared { at, .. }
            | Self::DeviceDeclared { at, .. }
            | Self::Moved { at, .. }
            | Self::Noted { at, .. }
            | Self::DeviceDeleted { at, .. }
            | Self::FabricDeleted { at }
            | Self::FabricPurged { at }
            | Self::PurgeDecided { at, .. }
            | Self::Purged { at, .. }
            | Self::Copied { at, .. }
            | Self::GoneReleased { at, .. }
            | Self::OperationEnded { at, .. } => Some(*at),
            Self::OperationStarted { operation } => Some(operation.started),
            _ => None,
        }
    }
}
