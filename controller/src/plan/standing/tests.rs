//! What versions are, from the first password on to a split key and back.

use std::collections::BTreeMap;

use protocol::id::SecretVersion;

use super::super::tests::{device, fabric, running};
use super::*;
use crate::model::{Operation, Timestamp};

const DEVICES: usize = 7;

fn profile() -> ProfileName {
    ProfileName::new("admin").unwrap()
}

fn version(set: u32) -> SecretVersion {
    SecretVersion(format!("{set:032}").into())
}

/// A fabric whose set `n` has the version `n`; all devices are on set 4.
fn numbered(sets: &[(u32, Origin)]) -> Fabric {
    let mut fabric = fabric();
    let record = fabric.sets.remove(&PasswordSet(4)).unwrap();
    fabric.sets.clear();
    for (set, origin) in sets {
        let shared = [(profile(), version(*set))].into();
        let record = SetRecord { shared, origin: *origin, ..record.clone() };
        fabric.sets.insert(PasswordSet(*set), record);
    }
    fabric
}

fn rotated(sets: &[u32]) -> Fabric {
    numbered(&sets.iter().map(|set| (*set, Origin::Rotated)).collect::<Vec<_>>())
}

/// Puts some of the devices onto a set.
fn settle(fabric: &mut Fabric, count: usize, set: u32) {
    let names: Vec<ResourceName> = fabric.devices.keys().take(count).cloned().collect();
    for name in names {
        let group = fabric.devices[&name].spec.redundancy_group.clone();
        let settled = device(name.as_str(), group.as_deref(), set);
        fabric.devices.insert(name, settled);
    }
}

/// What is said of the versions, by their sets.
fn said(fabric: &Fabric) -> BTreeMap<u32, Standing> {
    let secret = crate::naming::name(&fabric.id, &profile(), None);
    let number = |version: &SecretVersion| version.0.parse::<u32>().unwrap();
    let of_name = of_name(fabric, &secret);
    let of_name: BTreeMap<_, _> = of_name.iter().map(|(v, s)| (number(v), *s)).collect();
    let due = due(fabric, |_version| Some(None));
    let due: BTreeMap<_, _> = due.iter().map(|((_name, v), s)| (number(v), *s)).collect();
    assert_eq!(of_name, due, "one secret and all of them");
    due
}

fn is(fabric: &Fabric, expected: &[(u32, Standing)]) {
    assert_eq!(said(fabric), expected.iter().copied().collect());
}

use Standing::{Current, Pending, Previous};

#[test]
fn a_rotations_version_is_pending_until_the_rotation_ends_and_current_once_a_device_has_it() {
    let mut fabric = rotated(&[3, 4, 5]);
    is(&fabric, &[(3, Previous), (4, Current), (5, Pending)]);
    fabric.operations.push(Operation { set: PasswordSet(5), ..running() });
    settle(&mut fabric, 6, 5);
    is(&fabric, &[(3, Previous), (4, Current), (5, Pending)]);
    fabric.operations.clear();
    is(&fabric, &[(3, Previous), (4, Previous), (5, Current)]);
}

#[test]
fn a_device_that_lags_behind_has_a_previous_version_and_a_resync_changes_nothing() {
    let mut fabric = rotated(&[3, 4, 5]);
    settle(&mut fabric, DEVICES - 1, 5);
    let split = [(3, Previous), (4, Previous), (5, Current)];
    is(&fabric, &split);
    let resync = Operation { set: PasswordSet(5), kind: OperationKind::Resync, ..running() };
    fabric.operations.push(resync);
    is(&fabric, &split);
    settle(&mut fabric, DEVICES, 5);
    is(&fabric, &split);
}

#[test]
fn a_rotation_that_reached_no_device_leaves_its_version_pending() {
    let fabric = rotated(&[4, 5, 6]);
    is(&fabric, &[(4, Current), (5, Pending), (6, Pending)]);
    let mut fabric = fabric;
    settle(&mut fabric, 1, 6);
    is(&fabric, &[(4, Previous), (5, Previous), (6, Current)]);
}

#[test]
fn what_a_joining_device_was_told_to_have_is_not_current_in_a_rotated_fabric() {
    let mut fabric = numbered(&[(4, Origin::Rotated), (5, Origin::Adopted)]);
    settle(&mut fabric, 1, 5);
    is(&fabric, &[(4, Current), (5, Previous)]);
    // Before the first rotation it is what the devices have.
    let fabric = numbered(&[(3, Origin::Adopted), (4, Origin::Adopted), (5, Origin::Adopted)]);
    is(&fabric, &[(3, Previous), (4, Current), (5, Pending)]);
}

#[test]
fn what_nobody_has_proven_is_pending() {
    let mut fabric = numbered(&[(4, Origin::Adopted)]);
    for device in fabric.devices.values_mut() {
        for secret in device.secrets.values_mut() {
            std::sync::Arc::make_mut(&mut secret.credential).current = None;
        }
    }
    is(&fabric, &[(4, Pending)]);
    fabric.devices.clear();
    assert_eq!(due(&fabric, |_version| Some(None)).len(), 1);
}

#[test]
fn only_what_is_said_otherwise_is_due_the_newest_first() {
    let mut fabric = rotated(&[2, 3, 4]);
    let event = |versions: &[(u32, Standing)]| crate::model::Event::Labelled {
        vault_uri: None,
        versions: versions.iter().map(|(set, it)| (version(*set), *it)).collect(),
    };
    let sets = |fabric: &Fabric| -> Vec<(SecretVersion, Standing)> {
        let known = |version: &_| Some(fabric.labelled.get(version).copied());
        due(fabric, known).into_iter().map(|((_name, version), it)| (version, it)).collect()
    };
    let all = [(version(4), Current), (version(3), Previous), (version(2), Previous)];
    assert_eq!(sets(&fabric), all);
    fabric.apply(&event(&[(4, Pending), (2, Previous)]));
    assert_eq!(sets(&fabric), all[..2]);
    fabric.apply(&event(&[(4, Current), (3, Previous)]));
    assert_eq!(sets(&fabric), []);
    // A set that every device is past, and of which all is said, is not looked at again; one of
    // which something is missing is.
    let purged = crate::model::Event::PurgeDecided { versions: Vec::new(), at: Timestamp(0) };
    fabric.apply(&purged);
    fabric.labelled.remove(&version(2));
    assert_eq!(sets(&fabric), all[2..]);
}

#[test]
fn nothing_is_due_where_nothing_is_ever_said() {
    assert_eq!(due(&rotated(&[3, 4]), |_version| None), []);
    let other = crate::naming::name(&fabric().id, &ProfileName::new("other").unwrap(), None);
    assert!(of_name(&rotated(&[3, 4]), &other).is_empty());
}
