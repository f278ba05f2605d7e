//! Why each version stays.

use super::*;
use crate::model::Located;

const DAY: i64 = 24 * 3600 * 1000;

fn verdict(fabric: &Fabric, set: u32, day: i64) -> Vec<Stay> {
    let (retention, now) = (Retention::default(), Timestamp(day * DAY));
    let verdicts = Case { fabric, retention, now, elsewhere: &|_| None }.review();
    let is_meant = |verdict: &&Verdict| verdict.located.1 == version(set);
    verdicts.iter().find(is_meant).unwrap().stays.clone()
}

/// A fabric with one device, on the newest of twelve sets since day 100.
fn old() -> Fabric {
    let mut fabric = numbered(1..=12);
    fabric.devices.retain(|device, _known| *device == name("ce-01"));
    let mut on = device("ce-01", None, 1);
    on.secrets.get_mut(&profile()).unwrap().credential =
        super::super::super::tests::settled(1).into();
    fabric.devices.insert(name("ce-01"), on);
    settle(&mut fabric, "ce-01", 12, 100 * DAY);
    fabric
}

#[test]
fn a_version_goes_when_ten_are_newer_and_ninety_days_are_over() {
    let fabric = old();
    assert_eq!(verdict(&fabric, 1, 190), []);
    assert_eq!(verdict(&fabric, 1, 189), [Stay::Recent { until: Timestamp(190 * DAY) }]);
    assert_eq!(verdict(&fabric, 3, 190), [Stay::Few { newer: 9 }]);
}

#[test]
fn what_is_used_and_what_a_resync_brings_stays_for_ever() {
    let stays = verdict(&old(), 12, 10_000);
    assert_eq!(stays[..2], [Stay::Newest, Stay::Few { newer: 0 }]);
    assert!(matches!(&stays[2..], [Stay::Held(holder)] if holder.hold == Hold::InUse));
}

#[test]
fn nothing_goes_while_something_is_under_way() {
    for event in [
        Event::LockSet { lock: crate::model::Lock::Administrative, locked: true },
        Event::CommitSet { in_progress: true, committed: false },
        Event::UpgradeSet { upgrade: crate::model::Upgrade::Failed, version: None },
        Event::OperationStarted { operation: Box::new(crate::plan::tests::running()) },
    ] {
        let mut fabric = old();
        fabric.apply(&event);
        assert_eq!(verdict(&fabric, 1, 10_000), [Stay::Busy], "{event:?}");
    }
}

#[test]
fn a_device_that_is_disabled_deferred_or_in_doubt_holds_back_what_it_ever_had() {
    let changes: [fn(&mut Fabric); 3] = [
        |fabric| {
            feed(fabric, "ce-01", Taken::Hold, 100 * DAY);
            fabric.devices.get_mut(&name("ce-01")).unwrap().administrative_state =
                AdministrativeState::RMA;
        },
        |fabric| {
            fabric.devices.get_mut(&name("ce-01")).unwrap().configuration_state =
                ConfigurationState::DeferredControl;
        },
        |fabric| feed(fabric, "ce-01", Taken::Rebooted, 100 * DAY),
    ];
    for change in changes {
        let mut fabric = old();
        change(&mut fabric);
        let stays = verdict(&fabric, 1, 10_000);
        let is_kept = |stay: &Stay| matches!(stay, Stay::Held(it) if it.hold == Hold::Candidate);
        assert!(stays.len() == 1 && stays.iter().all(is_kept), "{stays:?}");
    }
}

#[test]
fn what_hardware_took_along_stays_until_an_administrator_releases_it() {
    let mut fabric = old();
    let device = name("ce-01");
    fabric.apply(&Event::DeviceDeleted { device: device.clone(), at: Timestamp(200 * DAY) });
    let deleted = Hold::Deleted(Timestamp(200 * DAY));
    let is_held = |stays: &[Stay]| {
        stays.iter().any(|stay| matches!(stay, Stay::Held(it) if it.hold == deleted))
    };
    assert!(is_held(&verdict(&fabric, 12, 10_000)));
    assert_eq!(verdict(&fabric, 1, 10_000), []);
    fabric.apply(&Event::GoneReleased { device, gone_at: None, at: Timestamp(201 * DAY) });
    assert!(!is_held(&verdict(&fabric, 12, 10_000)));
}

#[test]
fn a_deleted_fabric_keeps_nothing_where_nothing_is_left_on_any_device() {
    let mut fabric = old();
    let mut wiped = fabric.clone();
    wiped.devices.get_mut(&name("ce-01")).unwrap().wiped = true;
    for fabric in [&mut fabric, &mut wiped] {
        let (device, at) = (name("ce-01"), Timestamp(200 * DAY));
        fabric.apply(&Event::DeviceDeleted { device, at });
        fabric.apply(&Event::FabricDeleted { at });
    }
    assert!((1..=12).all(|set| verdict(&wiped, set, 200).is_empty()));
    assert_eq!(verdict(&fabric, 11, 200), [Stay::Recent { until: Timestamp(290 * DAY) }]);
    assert_eq!(verdict(&fabric, 11, 290), []);
    assert_eq!(verdict(&fabric, 12, 10_000).len(), 1);
}

#[test]
fn a_state_of_before_gone_devices_were_remembered_keeps_what_it_had() {
    let mut text = serde_json::to_value(old()).unwrap();
    text.as_object_mut().unwrap().remove("unremembered");
    let mut fabric: Fabric = serde_json::from_value(text).unwrap();
    assert_eq!(verdict(&fabric, 1, 10_000), [Stay::Unremembered]);
    fabric.apply(&Event::EpochRaised { epoch: protocol::id::Epoch(9) });
    assert_eq!(fabric.unremembered, Some(PasswordSet(12)));
    assert_eq!(verdict(&fabric, 1, 10_000), [Stay::Unremembered]);
}

#[test]
fn a_version_that_another_fabric_refers_to_stays() {
    let (fabric, other) = (old(), old().id);
    let elsewhere = |_: &Located| Some(other.clone());
    let (retention, now) = (Retention::default(), Timestamp(10_000 * DAY));
    let case = Case { fabric: &fabric, retention, now, elsewhere: &elsewhere };
    assert_eq!(case.due(), []);
    assert!(case.review().iter().all(|it| it.stays.contains(&Stay::Elsewhere(other.clone()))));
}
