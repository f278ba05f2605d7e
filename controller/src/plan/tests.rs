//! The planner against its documents, and its auditor against wrong plans.

use std::collections::BTreeSet;

use protocol::credential::{Credential, Event as CredentialEvent, Label};
use protocol::id::{Epoch, OperationId, PasswordSet, ProfileName, ResourceName};
use protocol::report::Match;
use protocol::status::{AdministrativeState, ConfigurationState, DeviceRole, ProvisioningState};

use super::audit::{Fault, audit};
use super::{Plan, Policy, Request, Step, plan};
use crate::inventory::{DeviceSpec, FabricSpec};
use crate::model::{
    Device, Fabric, Notes, Operation, OperationKind, OperationState, Origin, Reboot, Secret,
    SetRecord, Timestamp, Upgrade,
};
use crate::naming::OlderName;

const POLICY: Policy =
    Policy { password_sets_max: 3, canary: true, wave_growth: 2, wave_max: usize::MAX };

pub(super) fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

/// A credential that is settled on `set`.
pub(super) fn settled(set: u32) -> Credential {
    let proven = Match::Set(PasswordSet(set));
    let mut credential = Credential::adopted(PasswordSet(set), Epoch(1));
    for event in [
        CredentialEvent::Retry { window_over: true },
        CredentialEvent::QuietOver,
        CredentialEvent::ReadBack { running: proven, startup: proven },
    ] {
        credential = credential.step(event).unwrap().next;
    }
    credential
}

pub(super) fn device(text: &str, group: Option<&str>, set: u32) -> Device {
    let terminal_server = text.starts_with("ts");
    let spec = DeviceSpec {
        name: name(text),
        role: if terminal_server { DeviceRole::TS } else { DeviceRole::CE },
        platform: if terminal_server { "opengear" } else { "arista-eos" }.to_owned(),
        serial_number: "Make;Model;1;S".to_owned(),
        redundancy_group: group.map(str::to_owned),
        ssh: None,
        serial: None,
        console: None,
        paths: Vec::new(),
        lockout: None,
        bootstrap: false,
    };
    let profile = ProfileName::new("admin").unwrap();
    let fabric = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/\
                  providers/Microsoft.ManagedNetworkFabric/networkFabrics/lab";
    let secret = Secret {
        user: "admin".into(),
        secret_type: "Admin user password".into(),
        privileged: true,
        name: crate::naming::name(&fabric.parse().unwrap(), &profile, None),
        credential: settled(set).into(),
        proof: None,
        last_attempt: None,
        settled_on: None,
        last_rotation: None,
        retired: [].into(),
    };
    Device {
        former_serial_number: None,
        spec,
        administrative_state: AdministrativeState::Enabled,
        configuration_state: ConfigurationState::Succeeded,
        secrets: [(profile, secret)].into(),
        last_outcome: None,
        notes: Notes::default(),
        wiped: false,
        version: None,
    }
}

/// A fabric of pairs and a terminal server, all on one rotated set.
pub(super) fn fabric() -> Fabric {
    let id: protocol::id::FabricId =
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
         Microsoft.ManagedNetworkFabric/networkFabrics/lab"
            .parse()
            .unwrap();
    let spec = FabricSpec {
        id: id.clone(),
        location: "local".to_owned(),
        feature_flags: [].into(),
        older_names: [].into(),
        secret_archive: None,
    };
    let mut fabric = Fabric::new(id, spec, Timestamp(0));
    for (text, group) in [
        ("ce-01", Some("a")),
        ("ce-02", Some("a")),
        ("ce-03", Some("b")),
        ("ce-04", Some("b")),
        ("ce-05", None),
        ("ce-06", None),
        ("ts-01", None),
    ] {
        fabric.devices.insert(name(text), device(text, group, 4));
    }
    let version = protocol::id::SecretVersion("0".repeat(32).into());
    let record = |origin| SetRecord {
        operation: OperationId(uuid::Uuid::nil()),
        origin,
        shared: [(ProfileName::new("admin").unwrap(), version.clone())].into(),
        own: [].into(),
        older_names: [].into(),
        stored: Timestamp(0),
    };
    fabric.sets.insert(PasswordSet(1), record(Origin::Adopted));
    fabric.sets.insert(PasswordSet(4), record(Origin::Rotated));
    fabric
}

pub(super) fn running() -> Operation {
    Operation {
        id: OperationId(uuid::Uuid::nil()),
        kind: OperationKind::Rotate,
        device: None,
        request_id: None,
        set: PasswordSet(4),
        older_names: false,
        reboot: None,
        waves: Vec::new(),
        skipped: Vec::new(),
        state: OperationState::Running,
        started: Timestamp(0),
        ended: None,
        outcomes: [].into(),
    }
}

fn waves(plan: &Plan) -> Vec<String> {
    let join = |wave: &Vec<ResourceName>| {
        wave.iter().map(ResourceName::as_str).collect::<Vec<_>>().join(" ")
    };
    plan.waves().iter().map(join).collect()
}

#[test]
fn a_rotation_goes_by_canary_and_growing_waves_and_ends_with_the_terminal_server() {
    let fabric = fabric();
    let plan = plan(&fabric, &POLICY, &Request::Rotate).unwrap();
    assert_eq!(waves(&plan), ["ce-01", "ce-02 ce-03", "ce-04 ce-05 ce-06", "ts-01"]);
    assert_eq!((plan.set, plan.makes_set), (PasswordSet(5), true));
    assert_eq!(plan.steps.first(), Some(&Step::Hold));
    assert_eq!(plan.steps.get(1), Some(&Step::MakeSet));
    assert_eq!(plan.steps.last(), Some(&Step::Release));
    audit(&fabric, &POLICY, &plan).unwrap();
}

#[test]
fn without_a_canary_only_redundancy_groups_and_the_limit_split_waves() {
    let policy = Policy { canary: false, ..POLICY };
    let plan = plan(&fabric(), &policy, &Request::Rotate).unwrap();
    assert_eq!(waves(&plan), ["ce-01 ce-03 ce-05 ce-06", "ce-02 ce-04", "ts-01"]);
}

#[test]
fn a_resync_takes_only_devices_that_miss_the_newest_set_and_makes_none() {
    let mut fabric = fabric();
    fabric.devices.insert(name("ce-03"), device("ce-03", Some("b"), 1));
    let plan = plan(&fabric, &POLICY, &Request::Resync).unwrap();
    assert_eq!(waves(&plan), ["ce-03"]);
    assert_eq!((plan.set, plan.makes_set), (PasswordSet(4), false));
}

#[test]
fn disabled_devices_are_left_out_and_named() {
    let mut fabric = fabric();
    let device = fabric.devices.get_mut(&name("ce-05")).unwrap();
    device.administrative_state = AdministrativeState::Disabled;
    let plan = plan(&fabric, &POLICY, &Request::Rotate).unwrap();
    assert_eq!(plan.skipped.len(), 1);
    assert_eq!(plan.skipped[0].code, "DeviceDisabled");
    assert!(plan.waves().iter().flatten().all(|device| *device != name("ce-05")));
    audit(&fabric, &POLICY, &plan).unwrap();
}

/// The documents' tables: what is changed in the fabric, what is asked, which code refuses it.
#[test]
fn every_row_of_the_table_of_blocked_scenarios_refuses() {
    type Change = fn(&mut Fabric);
    let one = || name("ce-01");
    let (resync_one, disable, rma) =
        (Request::ResyncDevice(one()), Request::Disable(one()), Request::Rma(one()));
    let upgrade_one = Request::UpgradeDevice(one());
    let reboot = Request::Reboot(one(), Reboot::new(true, false));
    let lock: Change = |fabric| fabric.administrative_lock = true;
    let commit: Change = |fabric| fabric.commit_in_progress = true;
    let upgrade: Change = |fabric| fabric.upgrade = Upgrade::Running;
    let failed_upgrade: Change = |fabric| fabric.upgrade = Upgrade::Failed;
    let operation: Change = |fabric| fabric.operations.push(running());
    let unprovisioned: Change = |f| f.provisioning_state = ProvisioningState::Updating;
    let disabled: Change = |fabric| {
        let device = fabric.devices.get_mut(&name("ce-01")).unwrap();
        device.administrative_state = AdministrativeState::Disabled;
    };
    let in_rma: Change = |fabric| {
        let device = fabric.devices.get_mut(&name("ce-01")).unwrap();
        device.administrative_state = AdministrativeState::RMA;
    };
    let deferred: Change = |fabric| {
        let device = fabric.devices.get_mut(&name("ce-01")).unwrap();
        device.configuration_state = ConfigurationState::DeferredControl;
    };
    let split: Change = |fabric| {
        fabric.devices.insert(name("ce-01"), device("ce-01", None, 1));
    };
    let three_sets: Change = |fabric| {
        fabric.devices.insert(name("ce-01"), device("ce-01", None, 1));
        fabric.devices.insert(name("ce-02"), device("ce-02", None, 2));
    };
    let cases: Vec<(&str, Change, Vec<Request>)> = vec![
        ("FabricNotProvisioned", unprovisioned, vec![Request::Rotate, Request::Resync]),
        ("FabricLocked", lock, vec![Request::Rotate, Request::Resync, resync_one.clone()]),
        ("CommitInProgress", commit, vec![Request::Rotate, Request::Resync, resync_one.clone()]),
        ("CommitInProgress", commit, vec![Request::Commit, Request::Upgrade, upgrade_one.clone()]),
        ("CommitInProgress", commit, vec![reboot.clone()]),
        ("UpgradeInProgress", upgrade, vec![Request::Rotate, Request::Resync, resync_one.clone()]),
        ("UpgradeInProgress", upgrade, vec![Request::Commit, Request::Upgrade]),
        ("UpgradeFailed", failed_upgrade, vec![Request::Rotate]),
        (
            "OperationInProgress",
            operation,
            vec![
                Request::Rotate,
                Request::Resync,
                Request::Commit,
                Request::Upgrade,
                upgrade_one,
                reboot.clone(),
                disable.clone(),
                rma.clone(),
            ],
        ),
        ("DeviceDisabled", disabled, vec![resync_one.clone(), reboot.clone()]),
        ("DeviceInRma", in_rma, vec![resync_one, reboot]),
        ("DeferredControl", deferred, vec![disable, rma]),
        ("PasswordSetsDiffer", split, vec![Request::Upgrade]),
        ("PasswordSetsMax", three_sets, vec![Request::Rotate]),
    ];
    check_refusals(cases);
}

/// Each request is planned for a healthy fabric, and refused with the code after the change.
fn check_refusals(cases: Vec<(&str, fn(&mut Fabric), Vec<Request>)>) {
    for (code, change, requests) in cases {
        for request in requests {
            let mut fabric = fabric();
            let _healthy = plan(&fabric, &POLICY, &request).unwrap_or_else(|refusal| {
                panic!("{request:?} is refused on a healthy fabric: {refusal}")
            });
            change(&mut fabric);
            let refusal = plan(&fabric, &POLICY, &request).unwrap_err();
            assert_eq!(refusal.code, code, "{request:?}: {refusal}");
            assert!(!refusal.hint.is_empty(), "{code} has no hint");
        }
    }
}

#[test]
fn a_device_is_wiped_only_while_it_is_out_of_service() {
    let mut fabric = fabric();
    let wipe = Request::Reboot(name("ce-01"), Reboot::new(true, true));
    let refusal = plan(&fabric, &POLICY, &wipe).unwrap_err();
    assert_eq!(refusal.code, "DeviceInService");
    let planned = |fabric: &Fabric| plan(fabric, &POLICY, &wipe).unwrap();
    for state in [AdministrativeState::Disabled, AdministrativeState::RMA] {
        fabric.devices.get_mut(&name("ce-01")).unwrap().administrative_state = state;
        let plan = planned(&fabric);
        assert_eq!(plan.waves(), [[name("ce-01")]]);
        assert_eq!(audit(&fabric, &POLICY, &plan), Ok(()));
        let healthy = Plan { wipes: false, ..plan };
        assert_eq!(audit(&fabric, &POLICY, &healthy), Err(Fault::OutOfService(name("ce-01"))));
    }
    let plan = planned(&fabric);
    let one = fabric.devices.get_mut(&name("ce-01")).unwrap();
    one.administrative_state = AdministrativeState::Enabled;
    assert_eq!(audit(&fabric, &POLICY, &plan), Err(Fault::InService(name("ce-01"))));
}

#[test]
fn a_device_that_waits_for_its_first_set_is_brought_it_by_itself_and_counts_for_nothing_else() {
    let mut fabric = fabric();
    let mut waiting = device("ce-03", Some("b"), 1);
    waiting.spec.bootstrap = true;
    waiting.administrative_state = AdministrativeState::Disabled;
    fabric.devices.insert(name("ce-03"), waiting);
    assert_eq!(fabric.active_sets(), [PasswordSet(4)].into());
    assert_eq!(fabric.administrative_state(), AdministrativeState::Enabled);
    for request in [Request::Rotate, Request::Resync] {
        let plan = plan(&fabric, &POLICY, &request).unwrap();
        assert_eq!(plan.skipped, []);
        assert!(plan.waves().iter().flatten().all(|device| *device != name("ce-03")));
    }
    let one = Request::ResyncDevice(name("ce-03"));
    assert_eq!(plan(&fabric, &POLICY, &one).unwrap_err().code, "DeviceDisabled");
    let waiting = fabric.devices.get_mut(&name("ce-03")).unwrap();
    waiting.administrative_state = AdministrativeState::Enabled;
    assert_eq!(waves(&plan(&fabric, &POLICY, &one).unwrap()), ["ce-03"]);
    let rma = Request::Rma(name("ce-03"));
    assert_eq!(plan(&fabric, &POLICY, &rma).unwrap_err().code, "BootstrapDevice");
    // What waits alone is no fabric to be rotated; one by one they can still be brought the set.
    fabric.devices.retain(|device, _| *device == name("ce-03"));
    assert_eq!(plan(&fabric, &POLICY, &Request::Rotate).unwrap_err().code, "FabricEmpty");
    assert_eq!(waves(&plan(&fabric, &POLICY, &one).unwrap()), ["ce-03"]);
}

#[test]
fn a_set_that_was_made_without_a_devices_profile_cannot_be_brought_to_it() {
    let mut fabric = fabric();
    fabric.sets.get_mut(&PasswordSet(4)).unwrap().shared.clear();
    let refusal = plan(&fabric, &POLICY, &Request::ResyncDevice(name("ce-01"))).unwrap_err();
    assert_eq!((refusal.code, refusal.devices), ("PasswordSetIncomplete", vec![name("ce-01")]));
    fabric.devices.insert(name("ce-01"), device("ce-01", Some("a"), 1));
    let resync = plan(&fabric, &POLICY, &Request::Resync).unwrap();
    assert_eq!(
        (waves(&resync).len(), resync.skipped[0].code.as_str()),
        (0, "PasswordSetIncomplete")
    );
    assert!(plan(&fabric, &POLICY, &Request::Rotate).is_ok());
}

#[test]
fn only_what_is_out_of_service_can_be_deleted() {
    let mut fabric = fabric();
    let one = name("ce-01");
    let code = |fabric: &Fabric, request| plan(fabric, &POLICY, &request).map_err(|r| r.code).err();
    assert_eq!(code(&fabric, Request::DeleteDevice(one.clone())), Some("DeviceInService"));
    assert_eq!(code(&fabric, Request::DeleteFabric), Some("FabricNotEmpty"));
    for state in [AdministrativeState::Disabled, AdministrativeState::RMA] {
        fabric.devices.get_mut(&one).unwrap().administrative_state = state;
        assert_eq!(code(&fabric, Request::DeleteDevice(one.clone())), None);
    }
    let waiting = fabric.devices.get_mut(&name("ce-02")).unwrap();
    waiting.spec.bootstrap = true;
    assert_eq!(code(&fabric, Request::DeleteDevice(name("ce-02"))), None);
    fabric.operations.push(running());
    assert_eq!(code(&fabric, Request::DeleteDevice(one)), Some("OperationInProgress"));
    fabric.devices.clear();
    assert_eq!(code(&fabric, Request::DeleteFabric), Some("OperationInProgress"));
    fabric.operations.clear();
    assert_eq!(code(&fabric, Request::DeleteFabric), None);
}

#[test]
fn only_what_has_older_names_is_rotated_under_them() {
    let mut fabric = fabric();
    let code = |fabric: &Fabric| plan(fabric, &POLICY, &Request::RotateOlder).map_err(|r| r.code);
    assert_eq!(code(&fabric).unwrap_err(), "OlderNamesNotGiven");
    let older = OlderName::try_from("older-admin".to_owned()).unwrap();
    fabric.spec.older_names.insert(ProfileName::new("admin").unwrap(), older);
    assert_eq!(code(&fabric).unwrap_err(), "FabricMigrated");
    fabric.sets.remove(&PasswordSet(4));
    assert!(code(&fabric).unwrap().makes_set);
    fabric.administrative_lock = true;
    assert_eq!(code(&fabric).unwrap_err(), "FabricLocked");
}

#[test]
fn only_what_was_begun_can_be_ended() {
    let mut fabric = fabric();
    let refused = |fabric: &Fabric, request| plan(fabric, &POLICY, &request).unwrap_err().code;
    assert_eq!(refused(&fabric, Request::EndCommit), "CommitNotInProgress");
    assert_eq!(refused(&fabric, Request::EndUpgrade), "UpgradeNotInProgress");
    fabric.commit_in_progress = true;
    assert!(plan(&fabric, &POLICY, &Request::EndCommit).is_ok());
    for upgrade in [Upgrade::Running, Upgrade::Failed] {
        fabric.upgrade = upgrade;
        assert!(plan(&fabric, &POLICY, &Request::EndUpgrade).is_ok());
    }
}

#[test]
fn a_device_is_upgraded_as_a_part_of_the_fabrics_upgrade() {
    let mut fabric = fabric();
    let one = Request::UpgradeDevice(name("ce-01"));
    for upgrade in [Upgrade::None, Upgrade::Running, Upgrade::Failed] {
        fabric.upgrade = upgrade;
        assert!(plan(&fabric, &POLICY, &one).is_ok());
    }
    let other = Request::UpgradeDevice(name("ce-99"));
    assert_eq!(plan(&fabric, &POLICY, &other).unwrap_err().code, "DeviceNotFound");
}

#[test]
fn a_resync_is_not_held_back_by_the_number_of_sets_or_a_failed_upgrade() {
    let mut fabric = fabric();
    fabric.devices.insert(name("ce-01"), device("ce-01", None, 1));
    fabric.devices.insert(name("ce-02"), device("ce-02", None, 2));
    fabric.upgrade = Upgrade::Failed;
    assert!(plan(&fabric, &POLICY, &Request::Resync).is_ok());
}

#[test]
fn too_many_sets_name_the_devices_that_hold_back() {
    let mut fabric = fabric();
    fabric.devices.insert(name("ce-01"), device("ce-01", None, 1));
    fabric.devices.insert(name("ce-02"), device("ce-02", None, 2));
    let refusal = plan(&fabric, &POLICY, &Request::Rotate).unwrap_err();
    assert_eq!(refusal.devices, [name("ce-01"), name("ce-02")]);
}

#[test]
fn an_unknown_device_is_refused_by_name() {
    let request = Request::ResyncDevice(name("ce-99"));
    assert_eq!(plan(&fabric(), &POLICY, &request).unwrap_err().code, "DeviceNotFound");
}

#[test]
fn the_auditor_finds_what_is_wrong_with_a_plan() {
    let fabric = fabric();
    let good = plan(&fabric, &POLICY, &Request::Rotate).unwrap();
    let wave = |names: &[&str]| Step::Wave { devices: names.iter().map(|n| name(n)).collect() };
    let with = |steps: Vec<Step>| Plan { steps, ..good.clone() };
    let around = |inner: Vec<Step>| {
        let mut steps = vec![Step::Hold, Step::MakeSet];
        steps.extend(inner);
        steps.push(Step::Release);
        with(steps)
    };
    let mut out_of_service = fabric.clone();
    out_of_service.devices.get_mut(&name("ce-05")).unwrap().administrative_state =
        AdministrativeState::Disabled;
    let cases: Vec<(&Fabric, Plan, Fault)> = vec![
        (&fabric, with(vec![Step::MakeSet, wave(&["ce-01"])]), Fault::Unguarded),
        (
            &fabric,
            with(vec![Step::Hold, wave(&["ce-01"]), Step::MakeSet, Step::Release]),
            Fault::NotDurable(name("ce-01")),
        ),
        (&fabric, around(vec![wave(&["ce-01"]), wave(&["ce-01"])]), Fault::Twice(name("ce-01"))),
        (&fabric, around(vec![wave(&["ce-99"])]), Fault::Unknown(name("ce-99"))),
        (
            &fabric,
            around(vec![wave(&["ce-01", "ce-02"])]),
            Fault::Together(name("ce-01"), name("ce-02")),
        ),
        (&fabric, around(vec![wave(&["ce-05", "ts-01"])]), Fault::TerminalServer(name("ts-01"))),
        (
            &fabric,
            around(vec![wave(&["ts-01"]), wave(&["ce-05"])]),
            Fault::TerminalServer(name("ce-05")),
        ),
        (&out_of_service, around(vec![wave(&["ce-05"])]), Fault::OutOfService(name("ce-05"))),
    ];
    for (fabric, plan, fault) in cases {
        assert_eq!(audit(fabric, &POLICY, &plan).unwrap_err(), fault);
    }
}

#[test]
fn a_device_that_was_never_reached_uses_only_its_proven_set() {
    let mut credential = settled(1);
    for event in [
        CredentialEvent::Begin { set: PasswordSet(5), retries: 2 },
        CredentialEvent::Expose,
        CredentialEvent::Send,
        CredentialEvent::NotSent(protocol::report::Reason::CouldNotConnect),
        CredentialEvent::Close,
    ] {
        credential = credential.step(event).unwrap().next;
    }
    assert_eq!(credential.in_use().collect::<Vec<_>>(), [PasswordSet(1)]);
    assert!(credential.labels.get(&PasswordSet(5)) != Some(&Label::Staged), "it is retained");
    assert!(credential.candidates().contains(&PasswordSet(5)));
}

#[test]
fn every_chosen_device_is_in_exactly_one_wave() {
    let fabric = fabric();
    for growth in 1..4 {
        for max in 1..5 {
            let policy = Policy { wave_growth: growth, wave_max: max, ..POLICY };
            let plan = plan(&fabric, &policy, &Request::Rotate).unwrap();
            let all: Vec<ResourceName> = plan.waves().into_iter().flatten().collect();
            let distinct: BTreeSet<&ResourceName> = all.iter().collect();
            assert_eq!((all.len(), distinct.len()), (7, 7));
            audit(&fabric, &policy, &plan).unwrap();
        }
    }
}
