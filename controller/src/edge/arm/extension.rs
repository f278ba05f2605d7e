//! `properties.keyturn`: what an inventory says of a device and ARM has no words for. The published
//! clients' typed models drop it; their calls take a dictionary all the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::id::ResourceName;
use protocol::password::{PASSWORD_BYTES_MAX, Password};
use protocol::status::DeviceRole;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::action::{invalid, unsupported};
use crate::edge::answer::ApiError;
use crate::edge::body;
use crate::inventory::{ConsolePath, DeviceSpec, Lockout, PathKind, SerialPath, SshPath};

/// Where the extension stands.
pub(super) const AT: &str = "properties.keyturn";

/// The port of SSH, and the speed of a line, where none is said: those of inventories.
const SSH_PORT: u16 = 22;
const BAUD: u32 = 9600;

/// What an inventory says of a device, as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Extension {
    platform: String,
    #[serde(default, deserialize_with = "body::object_or_null")]
    ssh: Option<Ssh>,
    #[serde(default, deserialize_with = "body::object_or_null")]
    serial: Option<Serial>,
    #[serde(default, deserialize_with = "body::object_or_null")]
    console: Option<Console>,
    #[serde(default)]
    redundancy_group: Option<String>,
    #[serde(default)]
    paths: Vec<PathKind>,
    #[serde(default, deserialize_with = "body::object_or_null")]
    lockout: Option<LockoutPolicy>,
    /// By user profile.
    #[serde(default)]
    current_passwords: BTreeMap<String, Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ssh {
    /// The device's management address, if not given.
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    port: Option<u16>,
    host_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Serial {
    path: PathBuf,
    #[serde(default)]
    baud: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Console {
    terminal_server: String,
    port: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LockoutPolicy {
    failures_max: u32,
    window: String,
}

/// A text that is overwritten when it is dropped.
pub(super) struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// What ARM itself says of a device.
pub(super) struct Described {
    /// The device's name.
    pub(super) name: ResourceName,
    /// What it does.
    pub(super) role: DeviceRole,
    /// `Make;Model;HardwareRevisionId;SerialNumber`.
    pub(super) serial_number: String,
    /// Where its management interface is.
    pub(super) address: Option<String>,
}

impl Extension {
    /// Takes the passwords that the device has now, by user profile.
    pub(super) fn take_passwords(&mut self) -> Result<BTreeMap<String, Password>, ApiError> {
        let given = std::mem::take(&mut self.current_passwords);
        given.into_iter().map(|(profile, secret)| Ok((profile, secret.password()?))).collect()
    }

    /// Returns the device as an inventory would describe it. The inventory's rules are not checked
    /// here.
    pub(super) fn spec(self, described: Described) -> Result<DeviceSpec, ApiError> {
        let Described { name, role, serial_number, address } = described;
        Ok(DeviceSpec {
            name,
            role,
            platform: self.platform,
            serial_number,
            redundancy_group: self.redundancy_group,
            ssh: self.ssh.map(|ssh| ssh.path(address)).transpose()?,
            serial: self.serial.map(Serial::path).transpose()?,
            console: self.console.map(Console::path).transpose()?,
            paths: self.paths,
            lockout: self.lockout.map(LockoutPolicy::read).transpose()?,
            bootstrap: false,
        })
    }
}

impl Ssh {
    fn path(self, otherwise: Option<String>) -> Result<SshPath, ApiError> {
        let address = self.address.or(otherwise).ok_or_else(|| {
            invalid("The device has no address.")
                .target(format!("{AT}.ssh.address"))
                .hint("give it here or as properties.managementIpv4Address")
        })?;
        // A comment after the key says nothing about the device.
        let key: Vec<&str> = self.host_key.split_whitespace().take(2).collect();
        Ok(SshPath { address, port: self.port.unwrap_or(SSH_PORT), host_key: key.join(" ") })
    }
}

impl Serial {
    fn path(self) -> Result<SerialPath, ApiError> {
        if !self.path.is_absolute() {
            let message = "The line's device file must have an absolute path on the agent's host.";
            return Err(invalid(message).target(format!("{AT}.serial.path")));
        }
        Ok(SerialPath { path: self.path, baud: self.baud.unwrap_or(BAUD) })
    }
}

impl Console {
    fn path(self) -> Result<ConsolePath, ApiError> {
        let server = ResourceName::new(&self.terminal_server).map_err(|error| {
            invalid(format!("Failed to {error}.")).target(format!("{AT}.console.terminalServer"))
        })?;
        Ok(ConsolePath { terminal_server: server, port: self.port })
    }
}

impl LockoutPolicy {
    fn read(self) -> Result<Lockout, ApiError> {
        Lockout::read(self.failures_max, &self.window).map_err(|objection| {
            invalid(format!("Failed to {}.", objection.alone()))
                .target(format!("{AT}.lockout.window"))
        })
    }
}

impl Secret {
    /// Takes the text as a password. Errors never show it.
    pub(super) fn password(mut self) -> Result<Password, ApiError> {
        Password::new(std::mem::take(&mut *self.0)).map_err(|_error| {
            invalid(format!(
                "A password has 1 to {PASSWORD_BYTES_MAX} bytes without control characters."
            ))
        })
    }
}

/// Reads a device's role.
pub(super) fn role(given: &str) -> Result<DeviceRole, ApiError> {
    let found = DeviceRole::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(given));
    let names = DeviceRole::ALL.map(DeviceRole::as_str);
    found.ok_or_else(|| unsupported("networkDeviceRole", given, &names))
}

/// Returns the name in the extension of what an inventory calls `host-key`.
pub(super) fn spelled(key: &str) -> String {
    let mut spelled = String::new();
    let mut after_hyphen = false;
    for c in key.chars() {
        match c {
            '-' => after_hyphen = true,
            c if std::mem::take(&mut after_hyphen) => spelled.push(c.to_ascii_uppercase()),
            c => spelled.push(c),
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Described {
        Described {
            name: ResourceName::new("ce-09").unwrap(),
            role: DeviceRole::CE,
            serial_number: "Make;Model;1;S9".to_owned(),
            address: Some("10.0.0.9".to_owned()),
        }
    }

    fn read(text: &str) -> Extension {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_extension_says_what_an_inventory_says() {
        let mut extension = read(
            r#"{"platform":"arista-eos","ssh":{"hostKey":"ssh-ed25519 AAAA a comment"},
                "serial":{"path":"/dev/ttyS1"},"paths":["serial","ssh"],"redundancyGroup":"a",
                "console":{"terminalServer":"ts-01","port":"port01"},
                "lockout":{"failuresMax":3,"window":"15m"},"currentPasswords":{"admin":"x"}}"#,
        );
        assert_eq!(extension.take_passwords().unwrap()["admin"].expose(), "x");
        let spec = extension.spec(described()).unwrap();
        let ssh = spec.ssh.unwrap();
        assert_eq!((ssh.address.as_str(), ssh.port), ("10.0.0.9", 22));
        assert_eq!(ssh.host_key, "ssh-ed25519 AAAA");
        assert_eq!(spec.serial.unwrap().baud, 9600);
        assert_eq!(spec.paths, [PathKind::Serial, PathKind::Ssh]);
        assert_eq!(spec.lockout.unwrap().window.as_secs(), 900);
        assert_eq!(spec.console.unwrap().terminal_server.as_str(), "ts-01");
    }

    #[test]
    fn what_an_inventory_could_not_say_is_refused() {
        for text in [
            r#"{"platform":"x","ssh":{"hostKey":"a b","address":null,"prot":22}}"#,
            r#"{"ssh":{"hostKey":"a b"}}"#,
            r#"{"platform":"x","currentPasswords":{"admin":7}}"#,
            r#"{"platform":"x","paths":["telnet"]}"#,
        ] {
            assert!(serde_json::from_str::<Extension>(text).is_err(), "{text}");
        }
        for text in [
            r#"{"platform":"x","serial":{"path":"dev/ttyS1"}}"#,
            r#"{"platform":"x","lockout":{"failuresMax":3,"window":"15"}}"#,
            r#"{"platform":"x","console":{"terminalServer":"","port":"a"}}"#,
        ] {
            assert!(read(text).spec(described()).is_err(), "{text}");
        }
        let mut extension = read(r#"{"platform":"x","currentPasswords":{"admin":"a\nb"}}"#);
        let error = extension.take_passwords().unwrap_err();
        assert!(!format!("{error:?}").contains("a\\nb"));
    }

    #[test]
    fn names_are_spelled_as_json_spells_them() {
        assert_eq!(spelled("ssh.host-key"), "ssh.hostKey");
        assert_eq!(spelled("console.terminal-server"), "console.terminalServer");
        assert_eq!(spelled(""), "");
    }
}
