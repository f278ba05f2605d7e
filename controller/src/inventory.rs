//! The inventory: what an operator says of a fabric and its devices, and, apart from it, the
//! passwords that the devices have now.
//!
//! Both are TOML files (`fabric.toml`, `passwords.toml`). A file is taken as a whole or not at all:
//! the first thing that is wrong is reported with its place, and nothing is changed.

mod archive;
mod objection;
mod parse;
mod passwords;
mod read;
mod rules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::id::{FabricId, ProfileName, ResourceName};
use protocol::status::DeviceRole;
use serde::{Deserialize, Serialize};

pub use self::archive::{
    ArchiveChange, ArchiveIdentity, ArchiveSettings, DeprecatedArchive, DeprecatedChange,
    SecretArchive, SettingsChange, ToldArchive,
};
pub use self::objection::Objection;
pub use self::passwords::CurrentPasswords;
pub use self::read::{FILE_BYTES_MAX, InventoryError, private_text, stream_text};
pub use crate::document::DocumentError;
use crate::naming::OlderName;
use crate::reference::Reference;

/// The ways to a device in the order in which they are tried, if the inventory does not say: SSH is
/// the fastest, a line of the agent's own needs no other device, a console needs a working terminal
/// server.
pub const PATHS_DEFAULT: [PathKind; 3] = [PathKind::Ssh, PathKind::Serial, PathKind::Console];

/// A fabric and its devices, as an inventory file describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The fabric.
    pub fabric: FabricSpec,
    /// The devices in the order of the file; names differ in more than case.
    pub devices: Vec<DeviceSpec>,
    /// The file with the passwords that the devices have now, if the inventory names one.
    pub passwords: Option<PathBuf>,
    /// Where a text of that form is instead, for the daemon to fetch.
    pub passwords_reference: Option<Reference>,
}

/// What an inventory says of a fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FabricSpec {
    /// The ARM id.
    pub id: FabricId,
    /// The location, as the API shows it.
    pub location: String,
    /// The feature flags and their values.
    #[serde(default)]
    pub feature_flags: BTreeMap<String, String>,
    /// What profiles' secrets were called before names had a format of their own; until the first
    /// rotation that makes names of that format they still are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub older_names: BTreeMap<ProfileName, OlderName>,
    /// The customer's own vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_archive: Option<SecretArchive>,
}

/// What an inventory says of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceSpec {
    /// The name, unique in the fabric without case.
    pub name: ResourceName,
    /// What the device does.
    pub role: DeviceRole,
    /// The name of the platform that drives it.
    pub platform: String,
    /// `Make;Model;HardwareRevisionId;SerialNumber`.
    pub serial_number: String,
    /// Devices of one group are never uncertain at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy_group: Option<String>,
    /// The way over SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshPath>,
    /// The way over a serial line of the agent's own host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<SerialPath>,
    /// The way over a terminal server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<ConsolePath>,
    /// The order in which the ways are tried; empty: [`PATHS_DEFAULT`]. A way that is not named
    /// here is not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathKind>,
    /// The device's lockout policy, where it differs from its platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockout: Option<Lockout>,
    /// The device has the credentials that it was delivered with, and waits outside the fabric for
    /// its first password set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bootstrap: bool,
}

/// A kind of way to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// [`SshPath`].
    Ssh,
    /// [`SerialPath`].
    Serial,
    /// [`ConsolePath`].
    Console,
}

/// SSH to the device itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SshPath {
    /// Host name, IPv4 or IPv6 address (without brackets).
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// The pinned host key in OpenSSH's one-line form, without a comment.
    pub host_key: String,
}

/// A serial line attached to the agent's host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SerialPath {
    /// The line's device file.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
}

/// The device's serial console, reached through a terminal server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConsolePath {
    /// The terminal server: a device of the same fabric with role TS and an SSH path.
    pub terminal_server: ResourceName,
    /// The terminal server's name for the line, for example `port01`: the SSH user is
    /// `<account>:<port>`.
    pub port: String,
}

/// After how many refused logins a device locks an account, or bans the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lockout {
    /// Refused logins that lead to the lock, 1 or more.
    pub failures_max: u32,
    /// The window in which they are counted.
    #[serde(with = "crate::duration")]
    pub window: Duration,
}

impl Lockout {
    /// Makes a policy of a number and a length of time as people write it, for example `15m`.
    ///
    /// # Errors
    /// Returns an [`Objection`] to a text that is no length of time.
    pub fn read(failures_max: u32, window: &str) -> Result<Self, Objection> {
        let read = crate::duration::parse(window).map_err(|_error| {
            let expected = crate::duration::EXPECTED;
            Objection::new("lockout.window", expected, crate::document::quoted(window))
        });
        Ok(Self { failures_max, window: read? })
    }
}

impl Inventory {
    /// Reads an inventory file. Relative paths in it are relative to the file. `platforms` are the
    /// known platforms' names; with `None` any name is taken.
    ///
    /// # Errors
    /// Returns [`InventoryError`] for a file that cannot be read, and otherwise as
    /// [`Inventory::parse`].
    pub fn load(path: &Path, platforms: Option<&[&str]>) -> Result<Self, InventoryError> {
        let (text, base) = read::inventory(path)?;
        Ok(Self::parse(&path.display().to_string(), &base, &text, platforms)?)
    }

    /// Reads the text of an inventory; `file` is what errors call it, `base` the folder that
    /// relative paths start from.
    ///
    /// # Errors
    /// Returns [`DocumentError`] with place, key, what was expected and got, and the nearest right
    /// name: for unknown keys, wrong values, and everything that [`Inventory::check`] objects to.
    pub fn parse(
        file: &str,
        base: &Path,
        text: &str,
        platforms: Option<&[&str]>,
    ) -> Result<Self, DocumentError> {
        parse::inventory(file, base, text, platforms)
    }

    /// Checks what the types do not: names that are used twice, dangling references, values that
    /// are no addresses or keys. [`Inventory::parse`] has done this; it is for an inventory that
    /// came as JSON.
    ///
    /// # Errors
    /// Returns the first [`Objection`].
    pub fn check(&self, platforms: Option<&[&str]>) -> Result<(), Objection> {
        rules::check(&self.fabric, &self.devices, platforms)
    }

    /// Checks what is said of user profiles against the secrets template's.
    ///
    /// # Errors
    /// Returns the first [`Objection`].
    pub fn check_profiles(&self, profiles: &[&str]) -> Result<(), Objection> {
        rules::check_profiles(&self.fabric, profiles)
    }

    /// Checks the last device, and what it is to the others: for a device that is declared by
    /// itself, beside those of the fabric that were checked before.
    ///
    /// # Errors
    /// Returns the first [`Objection`].
    pub fn check_last(&self, platforms: Option<&[&str]>) -> Result<(), Objection> {
        rules::check_last(&self.fabric, &self.devices, platforms)
    }
}

impl DeviceSpec {
    /// Returns the ways to the device in the order in which they are tried; at least one in an
    /// inventory that was checked.
    pub fn path_order(&self) -> impl Iterator<Item = PathKind> {
        let order: &[PathKind] = if self.paths.is_empty() { &PATHS_DEFAULT } else { &self.paths };
        order.iter().copied().filter(|kind| self.has_path(*kind))
    }

    /// Tells whether the inventory describes this way.
    #[must_use]
    pub fn has_path(&self, kind: PathKind) -> bool {
        match kind {
            PathKind::Ssh => self.ssh.is_some(),
            PathKind::Serial => self.serial.is_some(),
            PathKind::Console => self.console.is_some(),
        }
    }
}

impl PathKind {
    /// Returns the inventory's spelling, which is also the key that describes the way.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Serial => "serial",
            Self::Console => "console",
        }
    }
}

#[cfg(test)]
mod tests;
