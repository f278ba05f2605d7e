//! Decides what an operation does, and refuses what must not be done. Pure and total: no clock, no
//! randomness, no passwords; a plan may be logged, compared, shown and stored.
//!
//! The executor that carries a plan out has no choices left, but for what only the world can tell:
//! [`next::next`] says for every state of a device what comes next.

use std::collections::BTreeSet;

use protocol::id::{PasswordSet, ProfileName, ResourceName};
use protocol::status::{AdministrativeState, DeviceRole};
use serde::Serialize;

use crate::model::{Device, Fabric, Skipped};

pub mod audit;
pub mod guard;
pub mod next;
pub mod retention;
pub mod standing;
mod wave;

pub use self::guard::{Refusal, Request};

/// The limits and policies that a plan keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Password sets that devices may use at once.
    pub password_sets_max: u32,
    /// Whether one device of each platform goes first, alone.
    pub canary: bool,
    /// How many times larger a wave is than the one before.
    pub wave_growth: usize,
    /// Devices in one wave at most; `usize::MAX` for no limit but the redundancy groups.
    pub wave_max: usize,
}

/// What will be done, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use = "an unread plan is not carried out"]
pub struct Plan {
    /// The set that is brought to the devices or verified on them.
    pub set: PasswordSet,
    /// Whether the set is made by this plan.
    pub makes_set: bool,
    /// Whether devices are changed, or only looked at.
    pub changes_devices: bool,
    /// Whether the devices are wiped. Those must be out of service, all others in service.
    pub wipes: bool,
    /// The steps.
    pub steps: Vec<Step>,
    /// What is left out, why, and what mends it.
    pub skipped: Vec<Skipped>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Step {
    /// The fabric goes under maintenance: no commit, upgrade, RMA or disablement from here on.
    Hold,
    /// The passwords of the new set are made and are durable in the vault.
    MakeSet,
    /// These devices are brought to the set, all at once.
    Wave {
        /// The devices, by name.
        devices: Vec<ResourceName>,
    },
    /// The fabric leaves maintenance.
    Release,
}

impl Plan {
    /// Returns the waves, in order.
    #[must_use]
    pub fn waves(&self) -> Vec<Vec<ResourceName>> {
        let wave = |step: &Step| match step {
            Step::Wave { devices } => Some(devices.clone()),
            Step::Hold | Step::MakeSet | Step::Release => None,
        };
        self.steps.iter().filter_map(wave).collect()
    }
}

/// Plans a request, or refuses it.
///
/// # Errors
/// Returns the first [`Refusal`] of the documents' table of blocked scenarios that applies.
pub fn plan(fabric: &Fabric, policy: &Policy, request: &Request) -> Result<Plan, Refusal> {
    guard::admit(fabric, policy, request)?;
    let newest = fabric.newest_set().unwrap_or(PasswordSet(0));
    let (set, makes_set) = match request {
        Request::Rotate | Request::RotateOlder => (PasswordSet(newest.0.saturating_add(1)), true),
        _ => (fabric.wanted_set().unwrap_or(newest), false),
    };
    let mut skipped = Vec::new();
    let mut chosen = Vec::new();
    for (name, device) in &fabric.devices {
        match choose(fabric, request, name, device, set) {
            Choice::Take => chosen.push(name.clone()),
            Choice::Skip(reason) => skipped.push(reason),
            Choice::Leave => {}
        }
    }
    let mut steps = vec![Step::Hold];
    if makes_set {
        steps.push(Step::MakeSet);
    }
    let waves = match request {
        Request::Verify(_) | Request::Reboot(..) => vec![chosen],
        _ => wave::waves(fabric, policy, &chosen),
    };
    let wanted = waves.into_iter().filter(|devices| !devices.is_empty());
    steps.extend(wanted.map(|devices| Step::Wave { devices }));
    steps.push(Step::Release);
    let changes_devices = !matches!(request, Request::Verify(_));
    let wipes = matches!(request, Request::Reboot(_, reboot) if reboot.ztp);
    Ok(Plan { set, makes_set, changes_devices, wipes, steps, skipped })
}

enum Choice {
    Take,
    Skip(Skipped),
    Leave,
}

fn choose(
    fabric: &Fabric,
    request: &Request,
    name: &ResourceName,
    device: &Device,
    set: PasswordSet,
) -> Choice {
    let needs_it = match request {
        // Its first password set is brought to a device by itself.
        Request::Rotate | Request::RotateOlder | Request::Resync if device.spec.bootstrap => false,
        Request::Rotate | Request::RotateOlder => !device.secrets.is_empty(),
        Request::Resync => !is_done(fabric, device, set),
        Request::ResyncDevice(wanted) => wanted == name && !is_done(fabric, device, set),
        Request::Verify(wanted) => wanted.contains(name),
        Request::Reboot(wanted, reboot) if wanted == name && reboot.ztp => return Choice::Take,
        Request::Reboot(wanted, _) => wanted == name,
        _ => false,
    };
    if !needs_it {
        return Choice::Leave;
    }
    match device.administrative_state {
        AdministrativeState::Enabled => {}
        state => return Choice::Skip(out_of_service(name, state)),
    }
    match request {
        Request::Resync => match guard::profile_not_in_set(fabric, name) {
            Some((set, profile)) => Choice::Skip(not_in_set(name, set, profile)),
            None => Choice::Take,
        },
        _ => Choice::Take,
    }
}

/// Before the first rotation there is no set to bring: what is not in sync is verified again.
fn is_done(fabric: &Fabric, device: &Device, set: PasswordSet) -> bool {
    match fabric.wanted_set() {
        Some(_) => device.is_on(set),
        None => device.synchronization_status() == protocol::status::SynchronizationStatus::InSync,
    }
}

fn out_of_service(device: &ResourceName, state: AdministrativeState) -> Skipped {
    let (code, state) = match state {
        AdministrativeState::RMA => ("DeviceInRma", "RMA"),
        _ => ("DeviceDisabled", "disabled"),
    };
    Skipped {
        device: device.clone(),
        code: code.to_owned(),
        message: format!(
            "The Network Device is in {state} administrative state. Please perform a resync \
             operation once it is enabled."
        ),
    }
}

fn not_in_set(device: &ResourceName, set: PasswordSet, profile: &ProfileName) -> Skipped {
    Skipped {
        device: device.clone(),
        code: guard::SET_INCOMPLETE.to_owned(),
        message: format!(
            "Password set {set} was made before the fabric had this device, and has no password \
             for `{profile}` on it. Please perform a rotation."
        ),
    }
}

/// Returns the devices with this role, of those given.
fn with_role(
    fabric: &Fabric,
    devices: &[ResourceName],
    role: DeviceRole,
) -> BTreeSet<ResourceName> {
    let has = |name: &&ResourceName| {
        fabric.devices.get(*name).is_some_and(|device| device.spec.role == role)
    };
    devices.iter().filter(has).cloned().collect()
}

#[cfg(test)]
mod tests;
