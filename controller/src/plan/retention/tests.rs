//! Who may have a value, case by case.

mod histories;
mod verdicts;

use protocol::credential::Event as Taken;
use protocol::report::Match;

use super::super::tests::{device, fabric, name};
use super::*;
use crate::model::{Event, Origin, SetRecord};

const DEVICES: usize = 7;

fn profile() -> ProfileName {
    ProfileName::new("admin").unwrap()
}

fn version(set: u32) -> SecretVersion {
    SecretVersion(format!("{set:032}").into())
}

/// A fabric whose set `n` has the version `n`.
fn numbered(sets: impl IntoIterator<Item = u32>) -> Fabric {
    let mut fabric = fabric();
    let record = fabric.sets.remove(&PasswordSet(4)).unwrap();
    fabric.sets.clear();
    for set in sets {
        let shared = [(profile(), version(set))].into();
        let record = SetRecord { shared, origin: Origin::Rotated, ..record.clone() };
        fabric.sets.insert(PasswordSet(set), record);
    }
    fabric
}

fn who(fabric: &Fabric, set: u32) -> Vec<(String, Hold)> {
    let secret = crate::naming::name(&fabric.id, &profile(), None);
    let holders = holders(fabric, &secret, &version(set));
    assert!(holders.iter().all(|holder| holder.set == PasswordSet(set)), "{holders:?}");
    holders.into_iter().map(|it| (it.device.name().to_string(), it.hold)).collect()
}

fn on(device: &str, hold: Hold) -> Vec<(String, Hold)> {
    vec![(device.to_owned(), hold)]
}

/// Feeds an event to the one secret of a device, as the executor does.
fn feed(fabric: &mut Fabric, device: &str, event: Taken, at: i64) {
    let device = name(device);
    let credential = &fabric.devices[&device].secrets[&profile()].credential;
    let credential = credential.step(event).unwrap().next;
    let (profiles, at) = (vec![profile()], Timestamp(at));
    fabric.apply(&Event::Moved {
        device,
        profiles,
        credential: credential.into(),
        evidence: None,
        at,
    });
}

/// Brings a device of the fabric to a set.
fn settle(fabric: &mut Fabric, device: &str, set: u32, at: i64) {
    let (set, proven) = (PasswordSet(set), Match::Set(PasswordSet(set)));
    let read = Taken::ReadBack { running: proven, startup: proven };
    for event in [Taken::Begin { set, retries: 1 }, Taken::Expose, Taken::Send, Taken::Applied] {
        feed(fabric, device, event, at);
    }
    feed(fabric, device, read, at);
}

#[test]
fn what_a_device_uses_is_held_by_it_and_what_was_disproved_is_not() {
    let mut fabric = numbered([3, 4, 5]);
    assert_eq!(who(&fabric, 4).len(), DEVICES);
    assert_eq!(who(&fabric, 3), []);
    settle(&mut fabric, "ce-01", 5, 10);
    assert_eq!(who(&fabric, 4).len(), DEVICES - 1);
    assert_eq!(who(&fabric, 5), on("ce-01", Hold::InUse));
}

#[test]
fn what_is_about_to_be_brought_to_a_device_is_wanted_by_it() {
    let mut fabric = numbered([4, 5]);
    feed(&mut fabric, "ce-01", Taken::Begin { set: PasswordSet(5), retries: 1 }, 10);
    assert_eq!(who(&fabric, 5), on("ce-01", Hold::Wanted));
    feed(&mut fabric, "ce-01", Taken::Expose, 11);
    assert_eq!(who(&fabric, 5), on("ce-01", Hold::InUse));
    assert_eq!(who(&fabric, 4).len(), DEVICES);
}

#[test]
fn what_was_disproved_is_held_again_while_the_device_is_in_doubt() {
    let mut fabric = numbered([4, 5]);
    settle(&mut fabric, "ce-01", 5, 10);
    let ce_02_to_ts_01 = who(&fabric, 4);
    feed(&mut fabric, "ce-01", Taken::Rebooted, 11);
    let found = who(&fabric, 4);
    assert_eq!(found.first(), Some(&("ce-01".to_owned(), Hold::Candidate)));
    assert_eq!(found[1..], ce_02_to_ts_01);
    let state = AdministrativeState::Disabled;
    let mut fabric = numbered([4, 5]);
    settle(&mut fabric, "ce-01", 5, 10);
    fabric.apply(&Event::AdministrativeStateSet { device: name("ce-01"), state });
    assert_eq!(who(&fabric, 4).first(), Some(&("ce-01".to_owned(), Hold::Candidate)));
}

#[test]
fn hardware_that_is_gone_has_what_it_had_unless_it_was_wiped() {
    let mut fabric = numbered([4, 5]);
    fabric.devices.retain(|device, _known| *device == name("ce-01"));
    settle(&mut fabric, "ce-01", 5, 10);
    let mut wiped = fabric.clone();
    wiped.devices.get_mut(&name("ce-01")).unwrap().wiped = true;
    let deleted = Event::DeviceDeleted { device: name("ce-01"), at: Timestamp(20) };
    fabric.apply(&deleted);
    assert_eq!(who(&fabric, 5), on("ce-01", Hold::Deleted(Timestamp(20))));
    assert_eq!(who(&fabric, 4), []);
    wiped.apply(&deleted);
    assert_eq!(who(&wiped, 5), []);
}

#[test]
fn a_replaced_device_has_what_it_had_and_the_new_one_does_not() {
    let mut fabric = numbered([3, 4, 5]);
    fabric.devices.retain(|device, _known| *device == name("ce-01"));
    feed(&mut fabric, "ce-01", Taken::Hold, 10);
    let (bootstrap, set) = (PasswordSet(3), PasswordSet(5));
    feed(&mut fabric, "ce-01", Taken::Replaced { bootstrap, set }, 20);
    assert_eq!(who(&fabric, 4), on("ce-01", Hold::Replaced(Timestamp(20))));
    assert_eq!(who(&fabric, 3), on("ce-01", Hold::InUse));
    assert_eq!(who(&fabric, 5), on("ce-01", Hold::Wanted));
}

#[test]
fn a_fabric_that_is_declared_under_a_deleted_ones_name_keeps_what_is_left_of_it() {
    let mut fabric = numbered([4, 5]);
    let devices: Vec<_> = fabric.devices.keys().cloned().collect();
    for device in devices {
        fabric.apply(&Event::DeviceDeleted { device, at: Timestamp(20) });
    }
    let spec = fabric.spec.clone();
    fabric.apply(&Event::FabricDeleted { at: Timestamp(21) });
    fabric.apply(&Event::FabricDeclared { spec, at: Timestamp(22) });
    assert!(fabric.devices.is_empty() && fabric.sets.is_empty());
    assert_eq!(who(&fabric, 4).len(), DEVICES);
    assert_eq!(who(&fabric, 5), []);
}

#[test]
fn a_version_of_another_name_or_of_nobody_is_held_by_nobody() {
    let mut fabric = numbered([4]);
    fabric.devices.insert(name("ce-07"), device("ce-07", None, 4));
    let other = crate::naming::name(&fabric.id, &ProfileName::new("other").unwrap(), None);
    assert_eq!(holders(&fabric, &other, &version(4)), []);
    assert_eq!(who(&fabric, 9), []);
}
