//! Devices that cannot be reached, or are not who they should be: each is named with the reason and
//! what mends it, and the others go on.

use harness::simulated::{Accepts, Simulated};
use harness::site::{IMPATIENT, Site};

use super::{adopt, expect_unsaid, file};

/// A host key that no device has.
const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFz5Xm1Gz0mYb3l2mJ7v8kKq3e1u2w4x6y8z0A2C4E6G";

/// Changes lines of one device in an inventory.
fn change(inventory: &str, device: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let mut here = false;
    let lines = inventory.lines().filter_map(|line| {
        if let Some(name) = line.strip_prefix("name = ") {
            here = name.trim_matches('"') == device;
        }
        if here { change(line) } else { Some(line.to_owned()) }
    });
    lines.map(|line| line + "\n").collect()
}

/// Puts another text between what begins and what ends it in a line about SSH.
fn spoiled(line: &str, begins: &str, ends: char, text: &str) -> String {
    let at = line.find(begins).filter(|_at| line.starts_with("ssh = "));
    let Some(at) = at.map(|at| at + begins.len()) else { return line.to_owned() };
    let rest = line[at..].find(ends).map_or("", |end| &line[at + end..]);
    format!("{}{text}{rest}", &line[..at])
}

/// Has SSH lead to where nothing listens: to the first port of all.
fn nowhere(line: &str) -> String {
    spoiled(line, "port = ", ',', "1")
}

/// Spoils the first switches of a lab: the host key of one, the address of another; these two, and
/// one whose password is to be wrong, have no console to fall back to.
fn spoil(lab: &Simulated) -> String {
    let alone = |line: &str| (!line.starts_with("console")).then(|| line.to_owned());
    let other_key = |line: &str| spoiled(line, "host-key = \"", '"', OTHER_KEY);
    let inventory = change(&lab.inventory(), "ce-01", |line| alone(&other_key(line)));
    let inventory = change(&inventory, "ce-02", alone);
    change(&inventory, "tor-01", |line| alone(&nowhere(line)))
}

#[test]
fn bad_devices_are_named_with_reason_and_mend_and_the_others_go_on() {
    let site = Site::new(IMPATIENT);
    let lab = Simulated::up(&site, 5, &[]);
    let devices = lab.devices();
    let good: Vec<&String> = devices
        .iter()
        .filter(|name| !["ce-01", "ce-02", "tor-01"].contains(&name.as_str()))
        .collect();
    assert!(good.len() >= 2, "a switch and the terminal server are left: {devices:?}");
    std::fs::write(lab.path("spoiled.toml"), spoil(&lab)).expect("the lab's directory is ours");
    let passwords = std::fs::read_to_string(lab.path("passwords.toml")).expect("the lab wrote it");
    let profiles = lab.born_with();
    let wrong: String = profiles.keys().map(|name| format!("{name} = \"Not.The-One\"\n")).collect();
    let passwords = format!("{passwords}\n[devices.ce-02]\n{wrong}");
    let _server = site.serve();

    let spoiled = file(&lab, "spoiled.toml");
    let args = ["fabric", "apply", "-f", &spoiled, "--passwords-stdin"];
    let said = site.keyturn_with(&args, &passwords).expect(1);

    let line = |device: &str, says: &[&str]| {
        let line = said.err.lines().find(|line| line.trim_start().starts_with(device));
        let line = line.unwrap_or_else(|| panic!("{device} is not named in\n{}", said.err));
        assert!(says.iter().all(|text| line.contains(text)), "{line}");
    };
    line("ce-01", &["HostKeyMismatch", "no password was sent", "apply its new host key"]);
    line("ce-02", &["AuthenticationFailed", "Apply the password that it has now"]);
    line("tor-01", &["CouldNotConnect", "Check that it is reachable"]);
    for device in &good {
        assert_eq!(site.statuses(device), ["InSync"], "{device} went on");
        assert!(said.err.contains(&format!("{device}: done")), "{device} in {}", said.err);
    }

    // Mended by the inventory and the passwords as they are.
    adopt(&site, &lab);
    expect_unsaid(&site, &lab);
    site.expect_unsaid(["Not.The-One"]);
}

#[test]
fn a_rotation_goes_on_without_a_device_that_cannot_be_reached_and_a_resync_brings_it_back() {
    let site = Site::new(IMPATIENT);
    let lab = Simulated::up(&site, 3, &[]);
    let _server = site.serve();
    adopt(&site, &lab);
    lab.fault("ce-02", "refuse-connection");
    let said = site.keyturn(&["fabric", "rotate-password", "lab"]).expect(1);
    // Cut before or after the first bytes: it is the same to the device.
    let said = said.says(&["ce-02: Co", "Connection reset", "resync"]);
    assert!(said.err.contains("ce-01: done"), "{}", said.err);
    assert_eq!(site.statuses("ce-01"), ["InSync"]);
    assert_eq!(site.statuses("ce-02"), ["OutOfSync"]);
    lab.heal("ce-02");
    let _resynced = site.keyturn(&["device", "resync-password", "ce-02"]).expect(0);
    assert_eq!(site.statuses("ce-02"), ["InSync"]);
    expect_unsaid(&site, &lab);
}

#[test]
fn a_device_that_ssh_does_not_reach_is_rotated_over_its_console() {
    let site = Site::new(IMPATIENT);
    let lab = Simulated::up(&site, 3, &[]);
    let inventory = change(&lab.inventory(), "ce-01", |line| Some(nowhere(line)));
    std::fs::write(lab.path("fabric.toml"), inventory).expect("the lab's directory is ours");
    let _server = site.serve();
    adopt(&site, &lab);
    let _rotated = site.keyturn(&["fabric", "rotate-password", "lab"]).expect(0);
    let revealed = site.reveal("ce-01", "TelcoRW").value;
    assert_eq!(lab.check("ce-01", "TelcoRW", &revealed), Accepts::BOTH);
    site.expect_unsaid([revealed.as_str()]);
    expect_unsaid(&site, &lab);
}
