//! What each event of the journal makes of a fabric.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::credential::{Credential, Label, Phase};
use protocol::id::{Epoch, OperationId, PasswordSet, ProfileName, ResourceName, SecretVersion};
use protocol::status::{AdministrativeState, ConfigurationState};

use super::event::{Event, SecretSpec};
use super::operation::{Operation, OperationKind, OperationState, Outcome, RebootProgress};
use super::{
    Copy, Device, Evidence, Fabric, Lock, Notes, Origin, Proof, Secret, SetRecord, Timestamp,
    Upgrade, gone, standing,
};
use crate::inventory::{DeviceSpec, FabricSpec};

pub(super) fn apply(fabric: &mut Fabric, event: &Event) {
    gone::begin_to_remember(fabric);
    fabric.latest = fabric.latest.max(event.at().unwrap_or_default());
    match event {
        Event::FabricDeclared { spec, at } => declare_fabric(fabric, spec, *at),
        Event::DeviceDeclared { spec, secrets, at } => declare(fabric, spec, secrets, *at),
        Event::SetStored { set, operation, origin, shared, own, older_names } => {
            let (shared, own, older_names) = (shared.clone(), own.clone(), older_names.clone());
            let (operation, origin, at) = (*operation, *origin, fabric.latest);
            let record = SetRecord { operation, origin, shared, own, older_names, stored: at };
            stored(fabric, *set, record);
        }
        Event::Foretold { profile, set } => {
            fabric.foretold.insert(profile.clone(), *set);
        }
        Event::Moved { device, profiles, credential, evidence, at } => {
            let latest = fabric.latest;
            if let Some(device) = fabric.devices.get_mut(device) {
                let before = device.is_replaced_by(credential).then(|| device.clone());
                device_moved(device, profiles, credential, *evidence, *at);
                device.note_retired(profiles, latest);
                fabric.gone.extend(before.and_then(|before| gone::replaced(&before, device, *at)));
            }
        }
        Event::Noted { device, notes, serial_number, at } => {
            noted(fabric, device.as_ref(), notes, serial_number.as_ref());
            fabric.modified = *at;
        }
        Event::DeviceDeleted { device, at } => {
            if let Some(device) = fabric.devices.remove(device) {
                gone::deleted(fabric, device, *at);
            }
            fabric.modified = *at;
        }
        Event::FabricDeleted { at } => {
            fabric.deleted = true;
            fabric.modified = *at;
        }
        Event::FabricPurged { at: _ } => gone::purged(fabric),
        Event::PurgeDecided { versions, at: _ } => {
            fabric.give_up(versions);
            for (_name, version) in versions {
                fabric.copies.remove(version);
                fabric.labelled.remove(version);
            }
        }
        Event::Copied { versions, vault_uri, at } => copied(fabric, versions, vault_uri, *at),
        Event::Labelled { vault_uri, versions } => {
            standing::labelled(fabric, vault_uri.as_deref(), versions);
        }
        Event::Purged { versions, at: _ } => {
            versions.iter().for_each(|version| {
                fabric.purging.remove(version);
            });
        }
        Event::GoneReleased { device, gone_at, at: _ } => gone::released(fabric, device, *gone_at),
        Event::OperationStarted { operation } => start(fabric, operation),
        Event::Rebooting { operation, device, progress } => {
            rebooting(fabric, *operation, device, *progress);
        }
        Event::DeviceEnded { operation, device, outcome } => {
            device_ended(fabric, *operation, device, outcome);
        }
        Event::OperationEnded { operation, state, at } => end(fabric, *operation, *state, *at),
        Event::AdministrativeStateSet { .. }
        | Event::LockSet { .. }
        | Event::CommitSet { .. }
        | Event::UpgradeSet { .. }
        | Event::DeviceUpgraded { .. }
        | Event::EpochRaised { .. } => set_state(fabric, event),
    }
}

/// What has become of a fabric and its devices besides their passwords.
fn set_state(fabric: &mut Fabric, event: &Event) {
    match event {
        Event::AdministrativeStateSet { device, state } => {
            if let Some(device) = fabric.devices.get_mut(device) {
                device.administrative_state = *state;
                if *state == AdministrativeState::Enabled {
                    device.former_serial_number = None;
                    device.wiped = false;
                }
            }
        }
        Event::LockSet { lock: Lock::Administrative, locked } => {
            fabric.administrative_lock = *locked;
        }
        Event::LockSet { lock: Lock::Configuration, locked } => fabric.configuration_lock = *locked,
        Event::CommitSet { in_progress, committed } => {
            fabric.commit_in_progress = *in_progress;
            if *committed {
                fabric.configuration_state = ConfigurationState::Provisioned;
            }
        }
        Event::UpgradeSet { upgrade, version } => upgraded(fabric, *upgrade, version.as_ref()),
        Event::DeviceUpgraded { device, version } => {
            if let Some(device) = fabric.devices.get_mut(device) {
                device.version = Some(version.clone());
            }
        }
        Event::EpochRaised { epoch } => fabric.epoch = *epoch,
        // The others do not come here: `apply` names every event.
        _ => {}
    }
}

/// A device that waits for its first password set takes no part in a rotation; what it misses is
/// known all the same.
fn stored(fabric: &mut Fabric, set: PasswordSet, record: SetRecord) {
    let is_rotated = record.origin == Origin::Rotated;
    fabric.sets.insert(set, record);
    if !is_rotated {
        return;
    }
    let waiting = fabric.devices.values_mut().filter(|device| device.spec.bootstrap);
    for secret in waiting.flat_map(|device| device.secrets.values_mut()) {
        want(Arc::make_mut(&mut secret.credential), set);
    }
}

fn declare_fabric(fabric: &mut Fabric, spec: &FabricSpec, at: Timestamp) {
    if fabric.deleted {
        let next = Fabric::new(fabric.id.clone(), spec.clone(), at);
        gone::begin_again(fabric, next);
    }
    let before = std::mem::replace(&mut fabric.spec, spec.clone());
    let before = before.secret_archive.as_ref().and_then(|archive| archive.target());
    fabric.archive_from(before);
    fabric.modified = at;
}

fn copied(
    fabric: &mut Fabric,
    versions: &[(SecretVersion, SecretVersion)],
    vault_uri: &str,
    at: Timestamp,
) {
    for (own, version) in versions {
        let copy =
            Copy { version: version.clone(), vault_uri: vault_uri.to_owned(), at, standing: None };
        fabric.copies.insert(own.clone(), copy);
    }
}

fn noted(
    fabric: &mut Fabric,
    device: Option<&ResourceName>,
    notes: &Notes,
    serial_number: Option<&String>,
) {
    let Some(device) = device else {
        fabric.notes = notes.clone();
        return;
    };
    if let Some(device) = fabric.devices.get_mut(device) {
        device.notes = notes.clone();
        if let Some(serial_number) = serial_number {
            let former = std::mem::replace(&mut device.spec.serial_number, serial_number.clone());
            if device.administrative_state != AdministrativeState::Enabled {
                device.former_serial_number.get_or_insert(former);
            }
        }
    }
}

fn upgraded(fabric: &mut Fabric, upgrade: Upgrade, version: Option<&String>) {
    fabric.upgrade = upgrade;
    match upgrade {
        Upgrade::Running => fabric.upgrade_version = version.cloned(),
        Upgrade::Failed => {}
        Upgrade::None => {
            let reached = fabric.upgrade_version.take();
            fabric.version = reached.or(fabric.version.take());
        }
    }
}

fn declare(fabric: &mut Fabric, spec: &DeviceSpec, secrets: &[SecretSpec], at: Timestamp) {
    let new: Vec<_> = secrets.iter().map(|secret| declared(fabric, secret)).collect();
    let device = fabric.devices.entry(spec.name.clone()).or_insert_with(|| Device {
        spec: spec.clone(),
        administrative_state: AdministrativeState::Enabled,
        configuration_state: ConfigurationState::Succeeded,
        secrets: BTreeMap::new(),
        last_outcome: None,
        former_serial_number: None,
        wiped: false,
        notes: Notes::default(),
        version: None,
    });
    device.spec = spec.clone();
    device.former_serial_number = None;
    for (profile, secret) in new {
        device.secrets.entry(profile).or_insert(secret);
    }
    fabric.modified = at;
}

/// Makes a secret that was declared. What the fabric's first device has word for word is shared with
/// it.
fn declared(fabric: &Fabric, spec: &SecretSpec) -> (ProfileName, Secret) {
    let credential = adopted(spec.adopted, fabric.wanted_set(), fabric.epoch);
    let mut secret = Secret {
        user: spec.user.as_str().into(),
        secret_type: spec.secret_type.as_str().into(),
        privileged: spec.privileged,
        name: spec.name.clone(),
        credential: Arc::new(credential),
        proof: None,
        last_attempt: None,
        settled_on: None,
        last_rotation: None,
        retired: BTreeMap::new(),
    };
    let first = fabric.devices.values().next();
    let like = first.and_then(|device| device.secrets.get_key_value(&spec.profile));
    let Some((profile, like)) = like else { return (spec.profile.clone(), secret) };
    secret.share(like);
    let same = profile.as_str() == spec.profile.as_str();
    (if same { profile } else { &spec.profile }.clone(), secret)
}

/// A device that joins a fabric which has been rotated misses the fabric's newest set until a
/// resync brings it.
fn adopted(set: PasswordSet, wanted: Option<PasswordSet>, epoch: Epoch) -> Credential {
    let mut credential = Credential::adopted(set, epoch);
    if let Some(wanted) = wanted {
        want(&mut credential, wanted);
    }
    credential
}

fn want(credential: &mut Credential, set: PasswordSet) {
    credential.desired = set;
    credential.labels.entry(set).or_insert(Label::Staged);
}

fn device_moved(
    device: &mut Device,
    profiles: &[ProfileName],
    credential: &Arc<Credential>,
    evidence: Option<Evidence>,
    at: Timestamp,
) {
    // Something is brought to a device out of service only once it was told what it has instead.
    device.wiped &= credential.pending.is_none();
    for profile in profiles {
        if let Some(secret) = device.secrets.get_mut(profile) {
            moved(secret, credential, evidence, at);
        }
    }
}

fn moved(
    secret: &mut Secret,
    credential: &Arc<Credential>,
    evidence: Option<Evidence>,
    at: Timestamp,
) {
    if let (Some(evidence), Some(set)) = (evidence, credential.current) {
        secret.proof = Some(Proof { set, at, evidence });
    }
    if credential.attempts > secret.credential.attempts {
        secret.last_attempt = Some(at);
    }
    let settled = credential.current.filter(|_set| credential.phase == Phase::Settled);
    if settled.is_some() && secret.settled_on != settled {
        secret.settled_on = settled;
        secret.last_rotation = Some(at);
    }
    secret.credential = Arc::clone(credential);
}

fn start(fabric: &mut Fabric, operation: &Operation) {
    let surplus = fabric.surplus().len();
    fabric.operations.drain(..surplus);
    fabric.operations.push(operation.clone());
}

fn rebooting(
    fabric: &mut Fabric,
    operation: OperationId,
    device: &ResourceName,
    progress: RebootProgress,
) {
    let record = fabric.operations.iter_mut().rev().find(|o| o.id == operation);
    let Some(reboot) = record.and_then(|record| record.reboot.as_mut()) else { return };
    reboot.progress = progress;
    let wiped = reboot.ztp && progress == RebootProgress::Seen;
    if let Some(device) = fabric.devices.get_mut(device).filter(|_device| wiped) {
        device.wiped = true;
    }
}

fn device_ended(
    fabric: &mut Fabric,
    operation: OperationId,
    device: &ResourceName,
    outcome: &Outcome,
) {
    let kind = fabric.operation(operation).map(|operation| operation.kind);
    if let Some(record) = fabric.operations.iter_mut().rev().find(|o| o.id == operation) {
        record.outcomes.insert(device.clone(), outcome.clone());
    }
    let Some(record) = fabric.devices.get_mut(device) else { return };
    record.last_outcome = Some(outcome.clone());
    // A reboot brings no configuration, and takes none away that was in place.
    if kind == Some(OperationKind::Reboot) {
        return;
    }
    record.configuration_state = match outcome {
        Outcome::Succeeded => ConfigurationState::Succeeded,
        // A device that was only looked at has no rotation to come back from.
        Outcome::Failed(_) if kind == Some(OperationKind::Verify) => record.configuration_state,
        Outcome::Failed(_) => ConfigurationState::DeferredControl,
    };
}

fn end(fabric: &mut Fabric, operation: OperationId, state: OperationState, at: Timestamp) {
    let Some(record) = fabric.operations.iter_mut().rev().find(|o| o.id == operation) else {
        return;
    };
    record.state = state;
    record.ended = Some(at);
    if record.kind.is_maintenance() {
        fabric.configuration_state = ConfigurationState::Succeeded;
    }
}
