//! Operations: what an operator asked for, how far it is and how it ended on every device.

use std::collections::BTreeMap;

use protocol::id::{OperationId, PasswordSet, ResourceName};
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What was asked for.
    pub kind: OperationKind,
    /// The device, for an operation on one device alone.
    pub device: Option<ResourceName>,
    /// The caller's own id of the request: a repeated submission finds this operation.
    pub request_id: Option<String>,
    /// The password set that it brings or verifies.
    pub set: PasswordSet,
    /// Whether the set that it makes is put under the secrets' older names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub older_names: bool,
    /// (reboot) How, and how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<Reboot>,
    /// The waves, in order.
    pub waves: Vec<Vec<ResourceName>>,
    /// What is left out, and why.
    pub skipped: Vec<Skipped>,
    /// How far it is.
    pub state: OperationState,
    /// When it was admitted.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended on each device.
    pub outcomes: BTreeMap<ResourceName, Outcome>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Verifies what devices hold, changing nothing: adoption, and a device's return to service.
    Verify,
    /// Makes a password set and brings it to every device.
    Rotate,
    /// Brings the newest password set to the devices that miss it.
    Resync,
    /// Reboots a device.
    Reboot,
}

impl OperationKind {
    /// Tells whether the fabric is under maintenance while it runs.
    #[must_use]
    pub fn is_maintenance(self) -> bool {
        matches!(self, Self::Rotate | Self::Resync)
    }

    /// Returns the word for people and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "Verify",
            Self::Rotate => "RotatePasswords",
            Self::Resync => "ResyncPasswords",
            Self::Reboot => "Reboot",
        }
    }
}

/// How a device is rebooted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reboot {
    /// Whether what runs is saved first.
    pub graceful: bool,
    /// Whether what it boots with is wiped, so that it is provisioned anew.
    pub ztp: bool,
    /// How far it is.
    pub progress: RebootProgress,
}

impl Reboot {
    /// Makes one that has not begun.
    #[must_use]
    pub fn new(graceful: bool, ztp: bool) -> Self {
        Self { graceful, ztp, progress: RebootProgress::Admitted }
    }
}

/// How far a reboot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebootProgress {
    /// Nothing was sent.
    Admitted,
    /// The device may have been told to reboot.
    Sent,
    /// The device was seen to go down.
    Seen,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Admitted; survives restarts.
    Running,
    /// Every planned device succeeded and none was skipped.
    Succeeded,
    /// Some or all devices did not succeed, or were skipped.
    Failed,
}

/// How an operation ended on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every secret is proven.
    Succeeded,
    /// Some secret is not.
    Failed(Failure),
}

/// Why an operation failed on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The API's stable code, for example `CouldNotConnect`.
    pub code: String,
    /// For people: what was tried, expected and got, and what mends it.
    pub message: String,
}

/// A device that an operation leaves out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The device.
    pub device: ResourceName,
    /// Why, as a stable code, for example `DeviceDisabled`.
    pub code: String,
    /// Why, and what mends it.
    pub message: String,
}

impl Operation {
    /// Returns how much is done, 0 to 100: the share of devices that have ended.
    #[must_use]
    pub fn percent_complete(&self) -> f64 {
        if self.state != OperationState::Running {
            return 100.0;
        }
        let planned: usize = self.waves.iter().map(Vec::len).sum();
        if planned == 0 {
            return 0.0;
        }
        let share = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        (share(self.outcomes.len()) / share(planned) * 100.0).min(99.0)
    }

    /// Returns the failures by device, the skipped ones included.
    pub fn failures(&self) -> impl Iterator<Item = (&ResourceName, &str, &str)> {
        let failed = self.outcomes.iter().filter_map(|(device, outcome)| match outcome {
            Outcome::Failed(failure) => {
                Some((device, failure.code.as_str(), failure.message.as_str()))
            }
            Outcome::Succeeded => None,
        });
        let skipped = self
            .skipped
            .iter()
            .map(|skipped| (&skipped.device, skipped.code.as_str(), skipped.message.as_str()));
        failed.chain(skipped)
    }

    /// Counts the devices that succeeded.
    #[must_use]
    pub fn succeeded(&self) -> usize {
        self.outcomes.values().filter(|outcome| **outcome == Outcome::Succeeded).count()
    }
}
