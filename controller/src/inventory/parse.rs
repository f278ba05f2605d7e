//! From the text of an inventory to its devices.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use protocol::id::{FabricId, ProfileName, ResourceName};
use protocol::status::DeviceRole;

use super::{
    ConsolePath, DeviceSpec, DocumentError, FabricSpec, Inventory, Lockout, Objection,
    PATHS_DEFAULT, PathKind, SerialPath, SshPath, archive, rules,
};
use crate::document::{self, Spot, Table, Value, quoted};
use crate::duration;
use crate::naming::OlderName;
use crate::reference::{Kind, Reference};

const FABRIC_KEYS: [&str; 7] = [
    "id",
    "location",
    "feature-flags",
    "older-names",
    "current-passwords-file",
    "current-passwords",
    "secret-archive",
];
const DEVICE_KEYS: [&str; 11] = [
    "name",
    "role",
    "platform",
    "serial-number",
    "redundancy-group",
    "ssh",
    "console",
    "serial",
    "paths",
    "lockout",
    "bootstrap",
];

/// The port of SSH where the inventory names none.
const SSH_PORT: u32 = 22;
/// What terminal servers and switches use where nobody changed it.
const BAUD: u32 = 9600;

const NAME: &str = "a device's name: 3 to 128 letters, digits, `-` and `_`, a letter first";
const OLDER_NAME: &str = "the name of a secret: 1 to 127 letters, digits and `-`, with `{device}` \
                          where each device has a secret of its own";
const ID: &str = "the fabric's ARM id: /subscriptions/<guid>/resourceGroups/<group>/providers/\
                  Microsoft.ManagedNetworkFabric/networkFabrics/<name>";

/// Where the keys of one device stand, by their paths below it.
struct Spots {
    whole: Spot,
    keys: BTreeMap<&'static str, Spot>,
}

impl Spots {
    /// Notes where a key stands.
    fn note(&mut self, path: &'static str, value: &Value) {
        self.keys.insert(path, value.spot());
    }

    fn find(&self, path: &str) -> &Spot {
        self.keys.get(path).unwrap_or(&self.whole)
    }
}

/// Reads an inventory.
pub(super) fn inventory(
    file: &str,
    base: &Path,
    text: &str,
    platforms: Option<&[&str]>,
) -> Result<Inventory, DocumentError> {
    let mut top = document::parse(file, text)?.table("an inventory", &["fabric", "devices"])?;
    let table = top.required("fabric", "the fabric: [fabric]")?;
    let (fabric, fabric_spots, told) = fabric(table)?;
    let (passwords, passwords_reference) = match told {
        Some(Told::File(path)) => (Some(base.join(path)), None),
        Some(Told::Elsewhere(reference)) => (None, Some(reference)),
        None => (None, None),
    };
    let list = top.required("devices", "at least one device: [[devices]]")?;
    let at_list = list.spot();
    let mut devices = Vec::new();
    let mut spots = Vec::new();
    for value in list.list("a list of devices: [[devices]]")? {
        let (device, places) = device(value, base)?;
        devices.push(device);
        spots.push(places);
    }
    if devices.is_empty() {
        return Err(at_list.wrong("at least one device: [[devices]]", "an empty list"));
    }
    rules::check(&fabric, &devices, platforms).map_err(|objection| {
        let places = objection.device.and_then(|index| spots.get(index));
        placed(&objection, places.unwrap_or(&fabric_spots))
    })?;
    Ok(Inventory { fabric, devices, passwords, passwords_reference })
}

fn placed(objection: &Objection, spots: &Spots) -> DocumentError {
    let spot = spots.find(objection.key);
    if objection.right.is_empty() {
        spot.wrong(&objection.expected, &objection.got)
    } else {
        let right = objection.right.iter().map(String::as_str);
        spot.wrong_name(&objection.expected, &objection.given, right)
    }
}

/// Where the passwords are that the devices have now.
enum Told {
    File(String),
    Elsewhere(Reference),
}

fn fabric(value: Value) -> Result<(FabricSpec, Spots, Option<Told>), DocumentError> {
    let mut table = value.table("a fabric", &FABRIC_KEYS)?;
    let mut spots = Spots { whole: table.spot().clone(), keys: BTreeMap::new() };
    let id = table.required("id", ID)?.parsed::<FabricId>(ID)?;
    let location = text(&mut table, &mut spots, "location", "location", "a location")?;
    let mut feature_flags = BTreeMap::new();
    if let Some(value) = table.optional("feature-flags") {
        spots.note("feature-flags", &value);
        for flag in value.entries("flags and their values")? {
            let text = flag.value.text("a flag's value in quotes, as in \"true\"")?;
            feature_flags.insert(flag.name, text.to_string());
        }
    }
    let mut older_names = BTreeMap::new();
    if let Some(value) = table.optional("older-names") {
        spots.note("older-names", &value);
        for entry in value.entries("user profiles and the names of their secrets")? {
            let wrong = || entry.spot.wrong("a user profile's name", quoted(&entry.name));
            let profile = ProfileName::new(&entry.name).map_err(|_error| wrong())?;
            let older = |text: &str| OlderName::try_from(text.to_owned()).ok();
            older_names.insert(profile, entry.value.read(OLDER_NAME, older)?);
        }
    }
    let told = told(&mut table)?;
    let secret_archive = table.optional("secret-archive").map(archive::parse).transpose()?;
    let spec = FabricSpec { id, location, feature_flags, older_names, secret_archive };
    Ok((spec, spots, told))
}

fn told(table: &mut Table) -> Result<Option<Told>, DocumentError> {
    let elsewhere = table.optional("current-passwords");
    match (table.optional("current-passwords-file"), elsewhere) {
        (None, None) => Ok(None),
        (Some(file), None) => file.read("the path of a file", path).map(Told::File).map(Some),
        (None, Some(value)) => {
            let reference = Reference::parse(value, "`current-passwords`", Kind::Secret)?;
            Ok(Some(Told::Elsewhere(reference)))
        }
        (Some(_file), Some(value)) => {
            let expected = "either `current-passwords` or `current-passwords-file`";
            Err(value.spot().wrong(expected, "both"))
        }
    }
}

fn device(value: Value, base: &Path) -> Result<(DeviceSpec, Spots), DocumentError> {
    let mut table = value.table("a device", &DEVICE_KEYS)?;
    let mut spots = Spots { whole: table.spot().clone(), keys: BTreeMap::new() };
    let name = table.required("name", NAME)?;
    spots.note("name", &name);
    let roles = DeviceRole::ALL.map(|role| (role.as_str(), role));
    let role = table.required("role", "the device's role: CE, ToR, NPB, Management or TS")?;
    let serial = "the device's serial number: `Make;Model;HardwareRevisionId;SerialNumber`";
    let device = DeviceSpec {
        name: name.parsed::<ResourceName>(NAME)?,
        role: role.choice("a device role", &roles)?,
        platform: text(&mut table, &mut spots, "platform", "platform", "a platform's name")?,
        serial_number: text(&mut table, &mut spots, "serial-number", "serial-number", serial)?,
        redundancy_group: group(&mut table, &mut spots)?,
        ssh: table.optional("ssh").map(|value| ssh(value, &mut spots)).transpose()?,
        serial: table.optional("serial").map(|v| serial_line(v, base, &mut spots)).transpose()?,
        console: table.optional("console").map(|v| console(v, &mut spots)).transpose()?,
        paths: table
            .optional("paths")
            .map(|v| paths(v, &mut spots))
            .transpose()?
            .unwrap_or_default(),
        lockout: table.optional("lockout").map(|v| lockout(v, &mut spots)).transpose()?,
        bootstrap: table.optional("bootstrap").map(Value::boolean).transpose()?.unwrap_or(false),
    };
    Ok((device, spots))
}

/// Reads a text that must be there; `path` is what the rules call the key.
fn text(
    table: &mut Table,
    spots: &mut Spots,
    key: &str,
    path: &'static str,
    expected: &str,
) -> Result<String, DocumentError> {
    let value = table.required(key, expected)?;
    spots.note(path, &value);
    Ok(value.text(expected)?.to_string())
}

/// Reads a number that may be left out.
fn number(
    table: &mut Table,
    spots: &mut Spots,
    (key, path): (&str, &'static str),
    (expected, range): (&str, &RangeInclusive<u32>),
    otherwise: u32,
) -> Result<u32, DocumentError> {
    let Some(value) = table.optional(key) else {
        return Ok(otherwise);
    };
    spots.note(path, &value);
    value.number(expected, *range.start(), *range.end())
}

fn group(table: &mut Table, spots: &mut Spots) -> Result<Option<String>, DocumentError> {
    let Some(value) = table.optional("redundancy-group") else {
        return Ok(None);
    };
    spots.note("redundancy-group", &value);
    Ok(Some(value.text("the name of a redundancy group")?.to_string()))
}

fn ssh(value: Value, spots: &mut Spots) -> Result<SshPath, DocumentError> {
    spots.note("ssh", &value);
    let mut table = value.table("an SSH path", &["address", "port", "host-key"])?;
    let expected = "a host name or an IP address";
    let address = text(&mut table, spots, "address", "ssh.address", expected)?;
    let names = ("port", "ssh.port");
    let port = number(&mut table, spots, names, ("a TCP port", &rules::PORT), SSH_PORT)?;
    let expected = "the host key in one line, as `ssh-keyscan` prints it after the address";
    let line = text(&mut table, spots, "host-key", "ssh.host-key", expected)?;
    // A comment after the key says nothing about the device.
    let host_key = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    // `number` has checked the range.
    Ok(SshPath { address, port: u16::try_from(port).unwrap_or_default(), host_key })
}

fn serial_line(value: Value, base: &Path, spots: &mut Spots) -> Result<SerialPath, DocumentError> {
    spots.note("serial", &value);
    let mut table = value.table("a serial path", &["path", "baud"])?;
    let value = table.required("path", "the line's device file")?;
    spots.note("serial.path", &value);
    let path = base.join(value.read("the line's device file", path)?);
    let names = ("baud", "serial.baud");
    let baud = number(&mut table, spots, names, ("bits per second", &rules::BAUD), BAUD)?;
    Ok(SerialPath { path, baud })
}

fn console(value: Value, spots: &mut Spots) -> Result<ConsolePath, DocumentError> {
    spots.note("console", &value);
    let mut table = value.table("a console path", &["terminal-server", "port"])?;
    let expected = "the name of a device with role TS";
    let value = table.required("terminal-server", expected)?;
    spots.note("console.terminal-server", &value);
    let terminal_server = value.parsed::<ResourceName>(expected)?;
    let expected = "the line's name on the terminal server, as in \"port01\"";
    let port = text(&mut table, spots, "port", "console.port", expected)?;
    Ok(ConsolePath { terminal_server, port })
}

fn paths(value: Value, spots: &mut Spots) -> Result<Vec<PathKind>, DocumentError> {
    spots.note("paths", &value);
    let kinds = PATHS_DEFAULT.map(|kind| (kind.as_str(), kind));
    let empty = value.unexpected("at least one way: ssh, serial or console");
    let list = value.list("a list of ways: ssh, serial, console")?;
    if list.is_empty() {
        return Err(empty);
    }
    list.into_iter().map(|value| value.choice("a way to the device", &kinds)).collect()
}

fn lockout(value: Value, spots: &mut Spots) -> Result<Lockout, DocumentError> {
    spots.note("lockout", &value);
    let mut table = value.table("a lockout policy", &["failures-max", "window"])?;
    let expected = "after how many refused logins the device locks an account";
    let value = table.required("failures-max", expected)?;
    let (least, most) = rules::FAILURES.into_inner();
    let failures_max = value.number("refused logins", least, most)?;
    let value = table.required("window", duration::EXPECTED)?;
    spots.note("lockout.window", &value);
    let window = value.read(duration::EXPECTED, |text| duration::parse(text).ok())?;
    Ok(Lockout { failures_max, window })
}

fn path(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}
