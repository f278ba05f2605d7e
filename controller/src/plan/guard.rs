//! The documents' tables of blocked scenarios, one row per line.

mod about;

use std::collections::BTreeSet;

use protocol::id::{PasswordSet, ProfileName, ResourceName};
use protocol::status::{AdministrativeState, ConfigurationState};
use serde::Serialize;

use self::about::{
    any, brings_passwords, deletes_device, deletes_fabric, ends_commit, ends_upgrade,
    excludes_changes, needs_service, replaces, resyncs_device, rotates, rotates_older,
    takes_device_out, touches_device, upgrades, wipes,
};
use super::Policy;
use crate::model::{Fabric, OperationKind, Reboot, Upgrade};

/// What an operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Make a password set and bring it to every device.
    Rotate,
    /// The same, with the secrets under their older names.
    RotateOlder,
    /// Bring the newest password set to the devices that miss it.
    Resync,
    /// The same for one device.
    ResyncDevice(ResourceName),
    /// Verify what these devices hold, changing nothing.
    Verify(BTreeSet<ResourceName>),
    /// Begin to commit the fabric's configuration.
    Commit,
    /// End the commit that was begun.
    EndCommit,
    /// Begin to upgrade the fabric.
    Upgrade,
    /// End the upgrade that was begun.
    EndUpgrade,
    /// Note that a device has been upgraded.
    UpgradeDevice(ResourceName),
    /// Reboot a device.
    Reboot(ResourceName, Reboot),
    /// Take a device out of service.
    Disable(ResourceName),
    /// Replace a device.
    Rma(ResourceName),
    /// Put a device into service.
    Enable(ResourceName),
    /// Forget a device.
    DeleteDevice(ResourceName),
    /// Forget the fabric.
    DeleteFabric,
}

/// Why a request is refused: a stable code, the object and its state in words, what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The stable code, for example `FabricLocked`.
    pub code: &'static str,
    /// What was asked, on which object, and why it is not done.
    pub message: String,
    /// What mends it.
    pub hint: String,
    /// The devices that it is about.
    pub devices: Vec<ResourceName>,
}

/// Devices that are gone may still have passwords of a deleted fabric.
pub const MAY_BE_HELD: &str = "DevicesMayHoldPasswords";

/// Several devices of one name are gone, and it is not said which one is meant.
pub const SEVERAL_GONE: &str = "SeveralDevicesGone";

/// The newest set has no password for some profile of a device.
pub(super) const SET_INCOMPLETE: &str = "PasswordSetIncomplete";

type Row = (&'static str, fn(&Request) -> bool, fn(&Case<'_>) -> Option<Blocked>);

struct Case<'a> {
    fabric: &'a Fabric,
    policy: &'a Policy,
    request: &'a Request,
}

struct Blocked {
    because: String,
    hint: String,
    devices: Vec<ResourceName>,
}

/// Code, the requests that it is about, and when it blocks them. The first that applies is told.
const TABLE: &[Row] = &[
    ("DeviceNotFound", any, unknown_device),
    ("FabricNotProvisioned", brings_passwords, not_provisioned),
    ("FabricEmpty", brings_passwords, empty),
    ("OlderNamesNotGiven", rotates_older, no_older_names),
    ("FabricMigrated", rotates_older, migrated),
    ("FabricLocked", brings_passwords, locked),
    ("CommitInProgress", excludes_changes, commit_in_progress),
    ("CommitInProgress", touches_device, commit_in_progress),
    ("UpgradeInProgress", excludes_changes, upgrade_running),
    ("UpgradeFailed", rotates, upgrade_failed),
    ("OperationInProgress", any, operation_running),
    ("DeviceDisabled", needs_service, device_disabled),
    ("DeviceInRma", needs_service, device_in_rma),
    (SET_INCOMPLETE, resyncs_device, set_lacks_profile),
    ("DeferredControl", takes_device_out, device_deferred),
    ("BootstrapDevice", replaces, waits_for_first_set),
    ("CommitNotInProgress", ends_commit, no_commit),
    ("UpgradeNotInProgress", ends_upgrade, no_upgrade),
    ("DeviceInService", deletes_device, in_service),
    ("TerminalServerInUse", deletes_device, leads_to_consoles),
    ("DeviceInService", wipes, in_service_to_be_wiped),
    ("FabricNotEmpty", deletes_fabric, not_empty),
    ("PasswordSetsDiffer", upgrades, split_key),
    ("PasswordSetsMax", rotates, too_many_sets),
];

/// Admits a request or refuses it.
///
/// # Errors
/// Returns the first row of the table that blocks the request.
pub fn admit(fabric: &Fabric, policy: &Policy, request: &Request) -> Result<(), Refusal> {
    let case = Case { fabric, policy, request };
    for (code, is_about, blocks) in TABLE {
        if !is_about(request) {
            continue;
        }
        if let Some(blocked) = blocks(&case) {
            let asked = describe(request, fabric);
            return Err(Refusal {
                code,
                message: format!("{asked} is refused: {}", blocked.because),
                hint: blocked.hint,
                devices: blocked.devices,
            });
        }
    }
    Ok(())
}

fn describe(request: &Request, fabric: &Fabric) -> String {
    let name = fabric.id.name();
    match request {
        Request::Rotate => format!("password rotation of fabric `{name}`"),
        Request::RotateOlder => {
            format!("password rotation of fabric `{name}` under older names")
        }
        Request::Resync => format!("password resync of fabric `{name}`"),
        Request::ResyncDevice(device) => format!("password resync of device `{device}`"),
        Request::Verify(devices) => format!("verification of {} device(s)", devices.len()),
        Request::Commit => format!("commit of fabric `{name}`"),
        Request::EndCommit => format!("ending the commit of fabric `{name}`"),
        Request::Upgrade => format!("upgrade of fabric `{name}`"),
        Request::EndUpgrade => format!("ending the upgrade of fabric `{name}`"),
        Request::UpgradeDevice(device) => format!("upgrade of device `{device}`"),
        Request::Reboot(device, reboot) if reboot.ztp => {
            format!("reboot of device `{device}` with ZTP")
        }
        Request::Reboot(device, _) => format!("reboot of device `{device}`"),
        Request::Disable(device) => format!("disabling of device `{device}`"),
        Request::Rma(device) => format!("RMA of device `{device}`"),
        Request::Enable(device) => format!("enabling of device `{device}`"),
        Request::DeleteDevice(device) => format!("deletion of device `{device}`"),
        Request::DeleteFabric => format!("deletion of fabric `{name}`"),
    }
}

fn blocked(because: String, hint: &str) -> Option<Blocked> {
    Some(Blocked { because, hint: hint.to_owned(), devices: Vec::new() })
}

fn unknown_device(case: &Case<'_>) -> Option<Blocked> {
    let devices = &case.fabric.devices;
    let unknown = match case.request {
        Request::ResyncDevice(device)
        | Request::UpgradeDevice(device)
        | Request::Reboot(device, _)
        | Request::Disable(device)
        | Request::Rma(device)
        | Request::Enable(device)
        | Request::DeleteDevice(device) => (!devices.contains_key(device)).then_some(device),
        Request::Verify(wanted) => wanted.iter().find(|device| !devices.contains_key(*device)),
        _ => None,
    }?;
    blocked(format!("the fabric has no device `{unknown}`"), "list the devices for their names")
}

fn leads_to_consoles(case: &Case<'_>) -> Option<Blocked> {
    let Request::DeleteDevice(server) = case.request else { return None };
    let devices: Vec<ResourceName> = case
        .fabric
        .devices
        .iter()
        .filter(|(_name, device)| {
            device.spec.console.as_ref().is_some_and(|console| console.terminal_server == *server)
        })
        .map(|(name, _device)| name.clone())
        .collect();
    if devices.is_empty() {
        return None;
    }
    Some(Blocked {
        because: format!("the consoles of {} device(s) are reached through it", devices.len()),
        hint: "declare these devices without that console, or delete them first".to_owned(),
        devices,
    })
}

fn no_older_names(case: &Case<'_>) -> Option<Blocked> {
    if !case.fabric.spec.older_names.is_empty() {
        return None;
    }
    blocked(
        "the inventory gives its secrets no older names, so that they have names of the current \
         format"
            .to_owned(),
        "rotate the fabric with `keyturn fabric rotate-password`",
    )
}

fn migrated(case: &Case<'_>) -> Option<Blocked> {
    if !case.fabric.is_migrated() {
        return None;
    }
    blocked(
        "a rotation has given its secrets names of the current format; older names are given no \
         more"
            .to_owned(),
        "rotate the fabric with `keyturn fabric rotate-password`",
    )
}

fn not_provisioned(case: &Case<'_>) -> Option<Blocked> {
    use protocol::status::ProvisioningState::Succeeded;
    if case.fabric.provisioning_state == Succeeded {
        return None;
    }
    blocked(
        format!("its provisioning state is {:?}, not Succeeded", case.fabric.provisioning_state),
        "wait until the fabric is provisioned, then retry",
    )
}

fn empty(case: &Case<'_>) -> Option<Blocked> {
    let members = match case.request {
        Request::ResyncDevice(_) => case.fabric.devices.len(),
        _ => case.fabric.members().count(),
    };
    if members > 0 {
        return None;
    }
    blocked("it has no devices".to_owned(), "apply an inventory with the fabric's devices first")
}

fn locked(case: &Case<'_>) -> Option<Blocked> {
    if !case.fabric.administrative_lock {
        return None;
    }
    blocked("the fabric is administratively locked".to_owned(), "unlock the fabric, then retry")
}

fn commit_in_progress(case: &Case<'_>) -> Option<Blocked> {
    if !case.fabric.commit_in_progress {
        return None;
    }
    blocked(
        "a commit is in progress (configuration state Accepted)".to_owned(),
        "wait until the commit has succeeded or failed, then retry",
    )
}

fn upgrade_running(case: &Case<'_>) -> Option<Blocked> {
    if case.fabric.upgrade != Upgrade::Running {
        return None;
    }
    blocked("an upgrade is running".to_owned(), "wait until the upgrade is complete, then retry")
}

fn no_commit(case: &Case<'_>) -> Option<Blocked> {
    if case.fabric.commit_in_progress {
        return None;
    }
    blocked("none is in progress".to_owned(), "begin one first (commit stage Start)")
}

fn no_upgrade(case: &Case<'_>) -> Option<Blocked> {
    if case.fabric.upgrade != Upgrade::None {
        return None;
    }
    blocked("none is in progress".to_owned(), "begin one first (upgrade action Start)")
}

fn upgrade_failed(case: &Case<'_>) -> Option<Blocked> {
    if case.fabric.upgrade != Upgrade::Failed {
        return None;
    }
    blocked("the last upgrade failed".to_owned(), "bring the upgrade to its end, then retry")
}

fn operation_running(case: &Case<'_>) -> Option<Blocked> {
    let operation = case.fabric.running_operation()?;
    let kind = match operation.kind {
        OperationKind::Verify => "a verification",
        OperationKind::Rotate => "a rotation",
        OperationKind::Resync => "a resync",
        OperationKind::Reboot => "a reboot",
    };
    blocked(
        format!("{kind} is running (operation {})", operation.id),
        "wait for it (`keyturn operation wait`), then retry",
    )
}

fn device_state(case: &Case<'_>) -> Option<(ResourceName, AdministrativeState)> {
    let (Request::ResyncDevice(name) | Request::Reboot(name, _)) = case.request else {
        return None;
    };
    Some((name.clone(), case.fabric.devices.get(name)?.administrative_state))
}

fn device_disabled(case: &Case<'_>) -> Option<Blocked> {
    let (name, state) = device_state(case)?;
    if state != AdministrativeState::Disabled {
        return None;
    }
    let because = "its administrative state is Disabled".to_owned();
    let hint = "enable the device (`keyturn device update-admin-state --state Enable`)".to_owned();
    Some(Blocked { because, hint, devices: vec![name] })
}

fn device_in_rma(case: &Case<'_>) -> Option<Blocked> {
    let (name, state) = device_state(case)?;
    if state != AdministrativeState::RMA {
        return None;
    }
    let because = "its administrative state is RMA".to_owned();
    let hint = "finish the replacement and enable the device".to_owned();
    Some(Blocked { because, hint, devices: vec![name] })
}

/// Returns the newest set, and a profile of the device that it has no password for: it holds what
/// those devices needed that were there when it was made, and a resync makes nothing.
pub(super) fn profile_not_in_set<'f>(
    fabric: &'f Fabric,
    name: &ResourceName,
) -> Option<(PasswordSet, &'f ProfileName)> {
    let set = fabric.wanted_set()?;
    let mut profiles = fabric.devices.get(name)?.secrets.keys();
    let missing = profiles.find(|profile| fabric.version(name, profile, set).is_none())?;
    Some((set, missing))
}

fn set_lacks_profile(case: &Case<'_>) -> Option<Blocked> {
    let Request::ResyncDevice(name) = case.request else { return None };
    let (set, missing) = profile_not_in_set(case.fabric, name)?;
    let because = format!("password set {set} was made without a password for `{missing}` on it");
    let hint = "rotate the fabric's passwords: the next set has one".to_owned();
    Some(Blocked { because, hint, devices: vec![name.clone()] })
}

fn in_service(case: &Case<'_>) -> Option<Blocked> {
    let Request::DeleteDevice(name) = case.request else { return None };
    let device = case.fabric.devices.get(name)?;
    let state = device.administrative_state;
    let is_out = matches!(state, AdministrativeState::Disabled | AdministrativeState::RMA);
    if is_out || device.spec.bootstrap {
        return None;
    }
    let because = format!("its administrative state is {state:?}");
    let hint = "disable the device first; note its passwords if you will need them".to_owned();
    Some(Blocked { because, hint, devices: vec![name.clone()] })
}

/// A reboot with ZTP takes the device's configuration away.
fn in_service_to_be_wiped(case: &Case<'_>) -> Option<Blocked> {
    let (name, state) = device_state(case)?;
    if matches!(state, AdministrativeState::Disabled | AdministrativeState::RMA) {
        return None;
    }
    let because = format!("its administrative state is {state:?}, and ZTP wipes its configuration");
    let hint = "disable the device first, or reboot it without ZTP".to_owned();
    Some(Blocked { because, hint, devices: vec![name] })
}

/// Whoever deletes a fabric has decided about each of its devices before.
fn not_empty(case: &Case<'_>) -> Option<Blocked> {
    let devices: Vec<ResourceName> = case.fabric.devices.keys().cloned().collect();
    if devices.is_empty() {
        return None;
    }
    let because = format!("it has {} device(s) ({})", devices.len(), list(&devices));
    let hint = "disable and delete its devices first; what they may still have is kept".to_owned();
    Some(Blocked { because, hint, devices })
}

fn device_deferred(case: &Case<'_>) -> Option<Blocked> {
    let (Request::Disable(name) | Request::Rma(name)) = case.request else { return None };
    let device = case.fabric.devices.get(name)?;
    if device.configuration_state != ConfigurationState::DeferredControl {
        return None;
    }
    let because = "its configuration state is DeferredControl after a failed rotation".to_owned();
    let hint = format!("resync the device first (`keyturn device resync-password {name}`)");
    Some(Blocked { because, hint, devices: vec![name.clone()] })
}

/// What is not in service yet has nothing that a replacement would have to take over.
fn waits_for_first_set(case: &Case<'_>) -> Option<Blocked> {
    let Request::Rma(name) = case.request else { return None };
    if !case.fabric.devices.get(name)?.spec.bootstrap {
        return None;
    }
    let because = "it waits for its first password set".to_owned();
    let hint = "delete it, and declare the device that came in its place".to_owned();
    Some(Blocked { because, hint, devices: vec![name.clone()] })
}

fn split_key(case: &Case<'_>) -> Option<Blocked> {
    let active = case.fabric.active_sets().len();
    if active <= 1 {
        return None;
    }
    let devices = behind(case.fabric);
    let because = format!("its devices use {active} password sets ({})", list(&devices));
    let hint = "resync the fabric until one password set is in use, then retry".to_owned();
    Some(Blocked { because, hint, devices })
}

fn too_many_sets(case: &Case<'_>) -> Option<Blocked> {
    let active = case.fabric.active_sets().len();
    let max = case.policy.password_sets_max;
    if u32::try_from(active).unwrap_or(u32::MAX) < max {
        return None;
    }
    let devices = behind(case.fabric);
    let because = format!(
        "its devices already use {active} password sets of at most {max}; held back by {}",
        list(&devices)
    );
    let hint = "resync the fabric (`keyturn fabric resync-password`) first".to_owned();
    Some(Blocked { because, hint, devices })
}

/// Returns the devices that use, or may use, another set than the newest in use.
fn behind(fabric: &Fabric) -> Vec<ResourceName> {
    let Some(newest) = fabric.active_sets().last().copied() else { return Vec::new() };
    let is_behind = |device: &crate::model::Device| {
        device.credentials().any(|credential| credential.in_use().any(|set| set != newest))
    };
    let devices = fabric.members().filter(|(_name, device)| is_behind(device));
    devices.map(|(name, _device)| name.clone()).collect()
}

fn list(devices: &[ResourceName]) -> String {
    const SHOWN_MAX: usize = 10;
    let mut names: Vec<String> =
        devices.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    if devices.len() > SHOWN_MAX {
        names.push(format!("{} more", devices.len() - SHOWN_MAX));
    }
    names.join(", ")
}
