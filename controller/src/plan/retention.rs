//! Says which values may go from the vault, and why each of the others stays. Pure: the time is an
//! input.
//!
//! A value goes only if no device may hold it, none will be brought to it, and its retention is
//! over. What a device may hold follows from its secrets' labels alone (the rotation protocol in
//! `ARCHITECTURE.md`): a version that was exposed is held until another one was proven in both of
//! the device's configurations. Hardware that is gone can be asked no more, so that it holds what it
//! had when it went until an administrator says otherwise.
//!
//! Whoever else takes versions away (an edge with a vault's API, for example) asks for the
//! [`holders`] of a version in every fabric first, as `Service::holders` does: names do not say
//! whose a version is. An answer that is not empty is a refusal (409) that names the devices.

mod verdict;

use std::fmt;

use protocol::credential::{Credential, Label, Phase};
use protocol::id::{DeviceId, PasswordSet, ProfileName, SecretVersion};
use protocol::status::{AdministrativeState, ConfigurationState};

pub use self::verdict::{Case, Retention, Stay, Verdict};
use crate::model::{Device, Fabric, Secret, Timestamp, Value};
use crate::naming::SecretName;

/// A device that needs a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The device.
    pub device: DeviceId,
    /// The profile whose password it is.
    pub profile: ProfileName,
    /// The password set that the version belongs to.
    pub set: PasswordSet,
    /// Why the device needs it.
    pub hold: Hold,
}

/// Why a device needs a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// It may be in the running or the startup configuration.
    InUse,
    /// It will be brought there, by an operation or the next resync.
    Wanted,
    /// It was disproved once, but what the device holds is not known now: it may be tried again.
    Candidate,
    /// The device was deleted with it, at this time, and may have it for ever.
    Deleted(Timestamp),
    /// The device that had it was replaced, at this time, and may have it for ever.
    Replaced(Timestamp),
}

/// Completes "device `ce-01` …".
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("may have it"),
            Self::Wanted => f.write_str("is to be brought to it"),
            Self::Candidate => f.write_str("is not settled, and may be found to have it"),
            Self::Deleted(at) => write!(f, "was deleted at {at}, and its hardware may have it"),
            Self::Replaced(at) => write!(f, "was replaced at {at}, and its hardware may have it"),
        }
    }
}

/// Returns the devices of this fabric, and of deleted ones that had its name before, that need a
/// version; each once for every secret. While there is one, the version must not be disabled,
/// deleted or purged. None also for a version that the fabric does not refer to at all.
///
/// In the order of devices; takes as long as the fabric has sets and devices together.
#[must_use]
pub fn holders(fabric: &Fabric, name: &SecretName, version: &SecretVersion) -> Vec<Holder> {
    let mut found: Vec<Holder> = fabric
        .eras()
        .flat_map(|era| era.values_at(name, version).into_iter().map(move |value| (era, value)))
        .flat_map(|(era, value)| of_value(era, &value))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Returns the devices that need one value of a fabric's own sets.
fn of_value(era: &Fabric, value: &Value) -> Vec<Holder> {
    let mut found = Vec::new();
    let holder = |device: &Device, hold| Holder {
        device: era.device_id(&device.spec.name),
        profile: value.profile.clone(),
        set: value.set,
        hold,
    };
    for device in era.devices.values() {
        let secret = era.secret_with(device, value);
        let hold = secret.and_then(|secret| held(device, secret, value.set));
        found.extend(hold.map(|hold| holder(device, hold)));
    }
    for gone in era.gone.iter().filter(|gone| !gone.device.wiped) {
        let secret = era.secret_with(&gone.device, value);
        if secret.is_some_and(|secret| took_along(&secret.credential, value.set)) {
            let hold = match gone.replaced {
                true => Hold::Replaced(gone.at),
                false => Hold::Deleted(gone.at),
            };
            found.push(holder(&gone.device, hold));
        }
    }
    found
}

/// Why a device that is there needs a set's version of a secret.
fn held(device: &Device, secret: &Secret, set: PasswordSet) -> Option<Hold> {
    let credential = &secret.credential;
    match credential.labels.get(&set)? {
        Label::Exposed | Label::Saved => Some(Hold::InUse),
        _ if credential.pending == Some(set) || credential.desired == set => Some(Hold::Wanted),
        Label::Retired => (!is_certain(device, credential)).then_some(Hold::Candidate),
        // Remembered with the hardware that had it, and never on this one.
        Label::Staged | Label::OtherDevice => None,
    }
}

/// Whether what a device holds is known: it is in service, was not left behind by an operation, and
/// was proven.
fn is_certain(device: &Device, credential: &Credential) -> bool {
    device.administrative_state == AdministrativeState::Enabled
        && device.configuration_state != ConfigurationState::DeferredControl
        && credential.phase == Phase::Settled
}

/// Whether hardware that is gone may have a version. Where it went with one version alone that was
/// read in its startup configuration, the others are disproved; else it may have any candidate.
fn took_along(credential: &Credential, set: PasswordSet) -> bool {
    let in_use: Vec<PasswordSet> = credential.in_use().collect();
    let was_settled = match in_use.as_slice() {
        [only] => credential.labels.get(only) == Some(&Label::Saved),
        _ => false,
    };
    in_use.contains(&set) || (!was_settled && credential.candidates().contains(&set))
}

#[cfg(test)]
mod tests;
