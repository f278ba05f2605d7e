//! States as the public API names them (Microsoft.ManagedNetworkFabric 2025-07-15).

use serde::{Deserialize, Serialize};

/// Tells whether a device has the latest version of a secret, as far as has been proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SynchronizationStatus {
    /// Proven: a fresh login or a hash read-back, and the startup configuration read back.
    InSync,
    /// The archive reference may not match what is configured on the device.
    Synchronizing,
    /// The device works on another version than the wanted one, or its state is not known.
    OutOfSync,
}

/// What a device does in its fabric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeviceRole {
    /// Customer edge router.
    CE,
    /// Top-of-rack switch.
    ToR,
    /// Network packet broker.
    NPB,
    /// Management switch.
    Management,
    /// Terminal server: gives serial consoles to others.
    TS,
}

impl DeviceRole {
    /// All roles, in the order of the API's documentation.
    pub const ALL: [Self; 5] = [Self::CE, Self::ToR, Self::NPB, Self::Management, Self::TS];

    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CE => "CE",
            Self::ToR => "ToR",
            Self::NPB => "NPB",
            Self::Management => "Management",
            Self::TS => "TS",
        }
    }
}

/// Whether operators let a resource take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AdministrativeState {
    /// In service.
    Enabled,
    /// Out of service on an operator's word.
    Disabled,
    /// Being replaced.
    RMA,
    /// A rotation, resync or upgrade is running.
    UnderMaintenance,
    /// (fabric) In service, but some device is not enabled.
    EnabledDegraded,
}

/// How far the configuration of a resource has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConfigurationState {
    /// The last action succeeded.
    Succeeded,
    /// The last action failed.
    Failed,
    /// A commit is in progress.
    Accepted,
    /// Provisioned, and nothing was done since.
    Provisioned,
    /// (device) A rotation failed here; a resync brings it back.
    DeferredControl,
}

/// How far the resource itself has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProvisioningState {
    /// Taken, not yet done.
    Accepted,
    /// Done.
    Succeeded,
    /// Being changed.
    Updating,
    /// Being deleted.
    Deleting,
    /// Failed.
    Failed,
}
