//! What must hold of an inventory beyond its types. Pure; used for files and for JSON alike.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::id::ProfileName;
use protocol::status::DeviceRole;

use super::{DeviceSpec, FabricSpec, Lockout, Objection, SshPath};
use crate::document::quoted;

/// TCP ports.
pub(super) const PORT: RangeInclusive<u32> = 1..=65_535;
/// Bits per second of a serial line: from the slowest modem to the fastest USB converter.
pub(super) const BAUD: RangeInclusive<u32> = 300..=4_000_000;
/// Refused logins until the lock: EOS's own range.
pub(super) const FAILURES: RangeInclusive<u32> = 1..=255;
/// The longest lockout window; a longer one is a mistyped unit.
pub(super) const WINDOW_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The kinds of SSH host keys that can be pinned.
const HOST_KEYS: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// Checks a fabric and its devices; `platforms` are the known ones, `None` takes any.
pub(super) fn check(
    fabric: &FabricSpec,
    devices: &[DeviceSpec],
    platforms: Option<&[&str]>,
) -> Result<(), Objection> {
    check_fabric(fabric)?;
    for (index, device) in devices.iter().enumerate() {
        check_values(device, platforms)
            .and_then(|()| check_paths(device))
            .and_then(|()| check_console(device, devices))
            .map_err(|objection| objection.of(index, device))?;
    }
    check_unique(devices)?;
    check_older_names(fabric, devices)
}

/// Checks that a fabric's older names are of profiles that there are.
pub(super) fn check_profiles(fabric: &FabricSpec, profiles: &[&str]) -> Result<(), Objection> {
    let is_known = |name: &&ProfileName| {
        profiles.iter().any(|known| known.eq_ignore_ascii_case(name.as_str()))
    };
    match fabric.older_names.keys().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(unknown) => {
            let expected = "a user profile of the secrets template";
            Err(Objection::name("older-names", expected, unknown.as_str(), profiles))
        }
    }
}

/// Two secrets of one name would each have the other one's password as their newest version.
fn check_older_names(fabric: &FabricSpec, devices: &[DeviceSpec]) -> Result<(), Objection> {
    let mut seen = BTreeMap::new();
    for (profile, older) in &fabric.older_names {
        let names = match older.shared() {
            Some(name) => vec![((profile, None), Some(name))],
            None => {
                let of = |device: &DeviceSpec| older.of(&device.name);
                devices.iter().map(|d| ((profile, Some(d.name.clone())), of(d))).collect()
            }
        };
        for (owner, name) in names {
            let Some(name) = name else {
                let got = format!("{} with a device's name in it", quoted(older.as_str()));
                let expected = "names of at most 127 characters";
                return Err(Objection::new("older-names", expected, got));
            };
            let other: Option<(&ProfileName, _)> = seen.insert(name, owner);
            if let Some((other, _device)) = other {
                let got = format!("{} for `{other}` and `{profile}`", quoted(older.as_str()));
                let expected = "a name of its own for each secret";
                return Err(Objection::new("older-names", expected, got));
            }
        }
    }
    Ok(())
}

/// Checks the last device, and what it is to the others, which were checked when they were declared.
pub(super) fn check_last(
    fabric: &FabricSpec,
    devices: &[DeviceSpec],
    platforms: Option<&[&str]>,
) -> Result<(), Objection> {
    if let Some((index, device)) = devices.iter().enumerate().next_back() {
        check_values(device, platforms)
            .and_then(|()| check_paths(device))
            .map_err(|objection| objection.of(index, device))?;
    }
    // The others may reach their consoles through it.
    let last = devices.last().map(|device| &device.name);
    let concerns = |device: &DeviceSpec| {
        let server = device.console.as_ref().map(|console| &console.terminal_server);
        Some(&device.name) == last || server == last
    };
    for (index, device) in devices.iter().enumerate().filter(|(_index, device)| concerns(device)) {
        check_console(device, devices).map_err(|objection| objection.of(index, device))?;
    }
    check_unique(devices)?;
    check_older_names(fabric, devices)
}

fn check_fabric(fabric: &FabricSpec) -> Result<(), Objection> {
    if !is_plain(&fabric.location, 64) {
        let got = quoted(&fabric.location);
        return Err(Objection::new("location", "a location of 1 to 64 characters", got));
    }
    let mut seen = BTreeSet::new();
    for name in fabric.feature_flags.keys() {
        if !is_plain(name, 128) {
            let expected = "flag names of 1 to 128 characters";
            return Err(Objection::new("feature-flags", expected, quoted(name)));
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            let got = format!("{} twice", quoted(name));
            let expected = "flag names that differ in more than case";
            return Err(Objection::new("feature-flags", expected, got));
        }
    }
    Ok(())
}

fn check_values(device: &DeviceSpec, platforms: Option<&[&str]>) -> Result<(), Objection> {
    if let Some(known) = platforms
        && !known.contains(&device.platform.as_str())
    {
        return Err(Objection::name("platform", "a known platform", &device.platform, known));
    }
    if !is_serial_number(&device.serial_number) {
        let expected = "`Make;Model;HardwareRevisionId;SerialNumber`";
        return Err(Objection::new("serial-number", expected, quoted(&device.serial_number)));
    }
    if let Some(group) = &device.redundancy_group
        && !is_plain(group, 64)
    {
        let expected = "a group's name of 1 to 64 characters";
        return Err(Objection::new("redundancy-group", expected, quoted(group)));
    }
    if let Some(ssh) = &device.ssh {
        check_ssh(ssh)?;
    }
    if let Some(serial) = &device.serial {
        if serial.path.as_os_str().is_empty() {
            return Err(Objection::new("serial.path", "a device file", "an empty text"));
        }
        in_range("serial.baud", "bits per second", serial.baud, &BAUD)?;
    }
    device.lockout.as_ref().map_or(Ok(()), check_lockout)
}

fn check_ssh(ssh: &SshPath) -> Result<(), Objection> {
    if !is_address(&ssh.address) {
        let got = quoted(&ssh.address);
        return Err(Objection::new("ssh.address", "a host name or an IP address", got));
    }
    in_range("ssh.port", "a TCP port", u32::from(ssh.port), &PORT)?;
    host_key_flaw(&ssh.host_key).map_or(Ok(()), Err)
}

fn check_lockout(lockout: &Lockout) -> Result<(), Objection> {
    in_range("lockout.failures-max", "refused logins", lockout.failures_max, &FAILURES)?;
    if lockout.window.is_zero() || lockout.window > WINDOW_MAX {
        let got = format!("`{}`", crate::duration::render(lockout.window));
        return Err(Objection::new("lockout.window", "more than 0s, at most 30d", got));
    }
    Ok(())
}

fn in_range(
    key: &'static str,
    what: &str,
    value: u32,
    range: &RangeInclusive<u32>,
) -> Result<(), Objection> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("{what}, {} to {}", range.start(), range.end());
    Err(Objection::new(key, expected, value.to_string()))
}

fn check_paths(device: &DeviceSpec) -> Result<(), Objection> {
    for (index, kind) in device.paths.iter().enumerate() {
        if !device.has_path(*kind) {
            let expected = format!("ways that the device has: the key `{}`", kind.as_str());
            return Err(Objection::new("paths", expected, "nothing: the key is missing"));
        }
        if device.paths.iter().take(index).any(|other| other == kind) {
            let got = format!("`{}` twice", kind.as_str());
            return Err(Objection::new("paths", "each way once", got));
        }
    }
    if device.path_order().next().is_none() {
        let expected = "at least one way to the device: `ssh`, `serial` or `console`";
        return Err(Objection::new("", expected, "none"));
    }
    if device.role == DeviceRole::TS && device.ssh.is_none() && device.serial.is_none() {
        let expected = "a way to the terminal server that needs no other: `ssh` or `serial`";
        return Err(Objection::new("", expected, "`console` only"));
    }
    Ok(())
}

fn check_console(device: &DeviceSpec, devices: &[DeviceSpec]) -> Result<(), Objection> {
    const SERVER: &str = "console.terminal-server";
    let Some(console) = &device.console else {
        return Ok(());
    };
    if !is_port_name(&console.port) {
        let expected = "the line's name on the terminal server: 1 to 32 letters, digits, `_`, `-` \
                        and `.`";
        return Err(Objection::new("console.port", expected, quoted(&console.port)));
    }
    let given = console.terminal_server.as_str();
    let servers = || devices.iter().filter(|other| other.role == DeviceRole::TS);
    let Some(server) = servers().find(|server| server.name == console.terminal_server) else {
        let names = servers().map(|server| server.name.as_str());
        let expected = "a device of this inventory with role TS";
        return Err(Objection::name(SERVER, expected, given, names));
    };
    if server.name == device.name {
        let got = format!("{}, the device itself", quoted(given));
        return Err(Objection::new(SERVER, "another device with role TS", got));
    }
    if server.ssh.is_none() {
        let got = format!("{}, which has none", quoted(given));
        return Err(Objection::new(SERVER, "a terminal server with an `ssh` path", got));
    }
    Ok(())
}

/// Checks that no two devices have the same name, address or line.
fn check_unique(devices: &[DeviceSpec]) -> Result<(), Objection> {
    let lower = |text: &str| text.to_ascii_lowercase();
    unique(devices, "name", "a name that no other device has", |device| {
        Some(lower(device.name.as_str()))
    })?;
    unique(devices, "ssh.address", "an address and port that no other device has", |device| {
        let ssh = device.ssh.as_ref()?;
        // Other spellings of one IPv6 address are the same address.
        let address = ssh.address.parse::<IpAddr>().map(|ip| ip.to_canonical().to_string());
        Some(format!("{} port {}", address.unwrap_or_else(|_| lower(&ssh.address)), ssh.port))
    })?;
    unique(devices, "serial.path", "a line that no other device has", |device| {
        device.serial.as_ref().map(|serial| serial.path.display().to_string())
    })?;
    unique(devices, "console.port", "a line that no other device has", |device| {
        let console = device.console.as_ref()?;
        Some(format!("{} of {}", lower(&console.port), lower(console.terminal_server.as_str())))
    })
}

fn unique(
    devices: &[DeviceSpec],
    key: &'static str,
    expected: &str,
    value: impl Fn(&DeviceSpec) -> Option<String>,
) -> Result<(), Objection> {
    let mut seen = BTreeMap::new();
    for (index, device) in devices.iter().enumerate() {
        let Some(value) = value(device) else { continue };
        let shown = quoted(&value);
        if let Some((at, other)) = seen.insert(value, (index, &device.name)) {
            let got = format!("{shown}, as devices[{at}] (`{other}`)");
            return Err(Objection::new(key, expected, got).of(index, device));
        }
    }
    Ok(())
}

/// Says what is wrong with a host key in OpenSSH's one-line form.
fn host_key_flaw(line: &str) -> Option<Objection> {
    let expected = "a host key in one line, as `ssh-keyscan` prints it after the address: its kind \
                    and base64";
    let flaw = |got: String| Some(Objection::new("ssh.host-key", expected, got));
    let mut words = line.split(' ');
    let (Some(kind), Some(encoded), None) = (words.next(), words.next(), words.next()) else {
        return flaw(quoted(line));
    };
    if !HOST_KEYS.contains(&kind) {
        let expected = "a known kind of host key";
        return Some(Objection::name("ssh.host-key", expected, kind, HOST_KEYS));
    }
    let Ok(blob) = STANDARD.decode(encoded) else {
        return flaw("something else than base64 after the kind".to_owned());
    };
    // The key starts with its own kind: 4 bytes of length, then the name.
    let inner = blob.split_at_checked(4).and_then(|(length, rest)| {
        let length = length.try_into().map(u32::from_be_bytes).ok()?;
        rest.split_at_checked(length as usize)
    });
    match inner {
        Some((inner, key)) if inner == kind.as_bytes() && !key.is_empty() => None,
        Some((inner, _)) if inner != kind.as_bytes() => {
            flaw(format!("a key of kind {}", quoted(&String::from_utf8_lossy(inner))))
        }
        _ => flaw("a key that is cut off".to_owned()),
    }
}

fn is_address(text: &str) -> bool {
    let is_label = |label: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len()) && label.chars().all(legal) && !label.starts_with('-')
    };
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    // What looks like an IPv4 address must be one: `10.0.0.256` is no host's name.
    let numbers = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse::<IpAddr>().is_ok() || (is_name && !numbers)
}

fn is_serial_number(text: &str) -> bool {
    let parts: Vec<&str> = text.split(';').collect();
    parts.len() == 4 && parts.iter().all(|part| is_plain(part, 64))
}

fn is_port_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=32).contains(&text.len()) && text.chars().all(legal)
}

fn is_plain(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && text.trim() == text
}
