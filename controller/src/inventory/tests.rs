mod errors;
mod passwords;

use super::*;

const BASE: &str = "/lab";
const PLATFORMS: [&str; 3] = ["arista-eos", "opengear", "linux"];
const ID: &str = concat!(
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/",
    "Microsoft.ManagedNetworkFabric/networkFabrics/lab"
);
const KEY: &str = "ssh-ed25519 \
                   AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn good() -> String {
    format!(
        r#"
[fabric]
id = "{ID}"
location = "local"
feature-flags = {{ "MethodDv1.5" = "true" }}
current-passwords-file = "passwords.toml"

[[devices]]
name = "ce-01"
role = "CE"
platform = "arista-eos"
serial-number = "Arista;DCS-7280PR3-24;12.05;SIM0001"
redundancy-group = "ce-a"
ssh = {{ address = "127.0.0.1", port = 40001, host-key = "{KEY} a comment" }}
console = {{ terminal-server = "TS-01", port = "port01" }}

[[devices]]
name = "ce-02"
role = "CE"
platform = "arista-eos"
serial-number = "Arista;DCS-7280PR3-24;12.05;SIM0002"
ssh = {{ address = "ce-02.lab.example", host-key = "{KEY}" }}
console = {{ terminal-server = "ts-01", port = "port02" }}

[[devices]]
name = "ts-01"
role = "TS"
platform = "opengear"
serial-number = "Opengear;OM2216;1;SIM0003"
ssh = {{ address = "::1", port = 40003, host-key = "{KEY}" }}
serial = {{ path = "serial/ts-01", baud = 115200 }}
paths = ["serial", "ssh"]
lockout = {{ failures-max = 3, window = "15m" }}
bootstrap = true
"#
    )
}

fn parse(text: &str) -> Result<Inventory, DocumentError> {
    Inventory::parse("fabric.toml", Path::new(BASE), text, Some(&PLATFORMS))
}

/// Replaces one text of the good inventory by another and expects an error; returns it.
fn check(from: &str, to: &str, expect: &str) -> DocumentError {
    let good = good();
    assert!(good.contains(from), "{from}");
    let error = parse(&good.replacen(from, to, 1)).unwrap_err();
    assert_eq!(error.to_string(), format!("read fabric.toml, {expect}"));
    error
}

#[test]
fn older_names_are_read_and_one_that_two_profiles_share_is_refused() {
    let with = |names: &str| good().replacen("[[devices]]", &format!("{names}\n[[devices]]"), 1);
    let names = "[fabric.older-names]\nadmin = \"x-{device}\"\nTelcoRO = \"x-ro\"\n";
    let inventory = parse(&with(names)).unwrap();
    let profile = |text: &str| ProfileName::new(text).unwrap();
    let admin = &inventory.fabric.older_names[&profile("admin")];
    assert_eq!(admin.of(&name("ce_01")).unwrap().as_str(), "x-ce-01");
    assert!(admin.is_own() && admin.shared().is_none());
    let ro = &inventory.fabric.older_names[&profile("TelcoRO")];
    assert_eq!(ro.shared(), ro.of(&name("ce-01")));
    for (names, says) in [
        ("[fabric.older-names]\nadmin = \"a b\"\n", "the name of a secret"),
        ("[fabric.older-names]\nadmin = 7\n", "the name of a secret"),
        ("[fabric.older-names]\n\"\" = \"a\"\n", "a user profile's name"),
        ("[fabric.older-names]\na = \"x\"\nb = \"X\"\n", "a name of its own"),
        ("[fabric.older-names]\na = \"x-ce-01\"\nb = \"x-{device}\"\n", "a name of its own"),
    ] {
        let error = parse(&with(names)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let long = "x".repeat(122);
    let error = parse(&with(&format!("[fabric.older-names]\na = \"{long}-{{device}}\"\n")));
    assert!(error.unwrap_err().to_string().contains("at most 127"));
}

fn name(text: &str) -> ResourceName {
    ResourceName::new(text).unwrap()
}

#[test]
fn an_inventory_is_read_whole() {
    let inventory = parse(&good()).unwrap();
    assert_eq!(inventory.fabric.id.name().as_str(), "lab");
    assert_eq!(inventory.fabric.location, "local");
    assert_eq!(inventory.fabric.feature_flags["MethodDv1.5"], "true");
    assert_eq!(inventory.passwords.as_deref(), Some(Path::new("/lab/passwords.toml")));
    let [first, second, server] = inventory.devices.as_slice() else { panic!("three devices") };
    assert_eq!((first.role, first.platform.as_str()), (DeviceRole::CE, "arista-eos"));
    assert_eq!(first.redundancy_group.as_deref(), Some("ce-a"));
    assert_eq!((first.bootstrap, server.bootstrap), (false, true));
    assert_eq!(first.ssh.as_ref().unwrap().host_key, KEY);
    assert_eq!(second.ssh.as_ref().unwrap().port, 22);
    assert_eq!(second.console.as_ref().unwrap().terminal_server, server.name);
    assert_eq!(second.path_order().collect::<Vec<_>>(), [PathKind::Ssh, PathKind::Console]);
    let serial = server.serial.as_ref().unwrap();
    assert_eq!((serial.path.as_path(), serial.baud), (Path::new("/lab/serial/ts-01"), 115_200));
    assert_eq!(server.path_order().collect::<Vec<_>>(), [PathKind::Serial, PathKind::Ssh]);
    let lockout = Lockout { failures_max: 3, window: Duration::from_secs(900) };
    assert_eq!(server.lockout, Some(lockout));
    assert_eq!(inventory.check(Some(&PLATFORMS)), Ok(()));
    assert!(parse(&good().replace("arista-eos", "other")).is_err());
    let any = Inventory::parse("f", Path::new(BASE), &good().replace("arista-eos", "other"), None);
    assert!(any.is_ok());
}

#[test]
fn specs_go_through_json_unchanged() {
    let inventory = parse(&good()).unwrap();
    for device in &inventory.devices {
        let json = serde_json::to_value(device).unwrap();
        assert_eq!(serde_json::from_value::<DeviceSpec>(json).unwrap(), *device);
    }
    let json = serde_json::to_value(&inventory.fabric).unwrap();
    assert_eq!(serde_json::from_value::<FabricSpec>(json).unwrap(), inventory.fabric);
    let server = serde_json::to_value(&inventory.devices[2]).unwrap();
    assert_eq!(server["lockout"]["window"], "15m");
    assert_eq!(server["paths"], serde_json::json!(["serial", "ssh"]));
    assert_eq!(server["serial-number"], "Opengear;OM2216;1;SIM0003");
}

#[test]
fn what_came_as_json_is_checked_by_the_same_rules() {
    let mut inventory = parse(&good()).unwrap();
    inventory.devices[1].console.as_mut().unwrap().terminal_server = name("ts-1");
    let objection = inventory.check(None).unwrap_err();
    assert_eq!(
        objection.to_string(),
        "accept `devices[1].console.terminal-server` of device `ce-02`: expected a device of this \
         inventory with role TS, got `ts-1`; did you mean `ts-01`?"
    );
    assert_eq!(objection.hint().as_deref(), Some("use one of ts-01"));
    inventory.fabric.location = "\u{1b}[2J".to_owned();
    let objection = inventory.check(None).unwrap_err().to_string();
    assert_eq!(
        objection,
        "accept `fabric.location`: expected a location of 1 to 64 characters, got `[2J`"
    );
}

#[test]
fn a_file_is_loaded_with_paths_relative_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fabric.toml");
    let error = Inventory::load(&path, None).unwrap_err();
    assert_eq!(error.to_string(), format!("read {}", path.display()));
    std::fs::write(&path, good()).unwrap();
    let inventory = Inventory::load(&path, Some(&PLATFORMS)).unwrap();
    assert_eq!(inventory.passwords, Some(dir.path().join("passwords.toml")));
    std::fs::write(&path, b"a = 1\nb = \"\xff\"").unwrap();
    let error = Inventory::load(&path, None).unwrap_err().to_string();
    assert!(error.ends_with("expected UTF-8 text, got other bytes at line 2"), "{error}");
    std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
    let error = Inventory::load(&path, None).unwrap_err().to_string();
    assert!(error.ends_with("it has more than 16777216 bytes"), "{error}");
}

#[test]
fn passwords_may_be_in_a_vault_or_a_local_secret_in_place_of_a_file() {
    let file = "current-passwords-file = \"passwords.toml\"";
    let inventory = parse(&good().replace(
        file,
        "current-passwords = { key-vault = { vault = { name = \"kv-lab\", directory-id = \
         \"72f988bf-86f1-41af-91ab-2d7cd011db47\", credentials = { managed-identity = {} } }, \
         vault-secret = { name = \"passwords\" } } }",
    ));
    let inventory = inventory.unwrap();
    let shown = inventory.passwords_reference.map(|reference| reference.to_string());
    let expect = "`vault-secret` `passwords` (latest) in the key vault `kv-lab`";
    assert_eq!((inventory.passwords, shown.as_deref()), (None, Some(expect)));
    let local = "current-passwords = { secret-name = \"lab\" }";
    assert!(parse(&good().replace(file, local)).unwrap().passwords_reference.is_some());
    check(
        file,
        &format!("{file}\n{local}"),
        "line 7, column 21, key `fabric.current-passwords`: expected either `current-passwords` or \
         `current-passwords-file`, got both",
    );
}
