//! The passwords that devices have before Keyturn knows them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use protocol::id::{ProfileName, ResourceName};
use protocol::password::{PASSWORD_BYTES_MAX, Password, PasswordError};

use super::{DocumentError, Inventory, InventoryError, Objection, read};
use crate::document::{self, Entry, quoted};

/// What standard input is called in errors.
const STANDARD_INPUT: &str = "standard input";

/// The current passwords of a fabric's devices. Its `Debug` shows no value.
#[derive(Default)]
pub struct CurrentPasswords {
    profiles: BTreeMap<ProfileName, Password>,
    devices: BTreeMap<ResourceName, BTreeMap<ProfileName, Password>>,
}

impl CurrentPasswords {
    /// Reads a file of passwords that only its owner may use. `profiles` are the template's
    /// profiles; with `None` any name is taken.
    ///
    /// # Errors
    /// Returns [`InventoryError::Exposed`] for a file that others may read or write, and otherwise
    /// as [`CurrentPasswords::parse`].
    pub fn load(
        path: &Path,
        inventory: &Inventory,
        profiles: Option<&[&str]>,
    ) -> Result<Self, InventoryError> {
        let text = read::private_text(path)?;
        Ok(Self::parse(&path.display().to_string(), &text, inventory, profiles)?)
    }

    /// Reads passwords from standard input, in the same form.
    ///
    /// # Errors
    /// As [`CurrentPasswords::load`], permissions apart.
    pub fn read(
        mut from: impl Read,
        inventory: &Inventory,
        profiles: Option<&[&str]>,
    ) -> Result<Self, InventoryError> {
        let text = read::stream_text(STANDARD_INPUT, &mut from)?;
        Ok(Self::parse(STANDARD_INPUT, &text, inventory, profiles)?)
    }

    /// Reads the text of a file of passwords; `file` is what errors call it. The caller overwrites
    /// the text.
    ///
    /// # Errors
    /// Returns [`DocumentError`], which never shows a value, for unknown keys, devices and profiles
    /// (with the nearest right name), and for texts that cannot be passwords.
    pub fn parse(
        file: &str,
        text: &str,
        inventory: &Inventory,
        profiles: Option<&[&str]>,
    ) -> Result<Self, DocumentError> {
        let top = document::parse_secret(file, text)?;
        let mut top = top.table("a file of passwords", &["profiles", "devices"])?;
        let mut passwords = Self::default();
        if let Some(value) = top.optional("profiles") {
            passwords.profiles = by_profile(value.entries("profiles and passwords")?, profiles)?;
        }
        let devices = top.optional("devices").map(|value| value.entries("devices")).transpose()?;
        for entry in devices.unwrap_or_default() {
            let device = device(&entry, inventory)?;
            let spot = entry.spot;
            let own = by_profile(entry.value.entries("profiles and passwords")?, profiles)?;
            if passwords.devices.insert(device, own).is_some() {
                return Err(spot.wrong("each device once", "the same name in another case"));
            }
        }
        Ok(passwords)
    }

    /// Takes the passwords of one device; `known` are the template's profiles.
    ///
    /// # Errors
    /// Returns an [`Objection`] to a name that is no profile.
    pub fn of_device(
        device: &ResourceName,
        given: BTreeMap<String, Password>,
        known: &[&str],
    ) -> Result<Self, Objection> {
        let mut own = BTreeMap::new();
        for (name, password) in given {
            let found = known.iter().find(|known| known.eq_ignore_ascii_case(&name));
            let profile =
                found.and_then(|_known| ProfileName::new(&name).ok()).ok_or_else(|| {
                    let expected = "a user profile of the secrets template";
                    Objection::name("current-passwords", expected, &name, known)
                })?;
            if own.insert(profile, password).is_some() {
                let got = format!("{} in another case, too", quoted(&name));
                return Err(Objection::new("current-passwords", "each profile once", got));
            }
        }
        Ok(Self { devices: BTreeMap::from([(device.clone(), own)]), ..Self::default() })
    }

    /// Takes the password that one profile has on all devices.
    #[must_use]
    pub fn of_profile(profile: ProfileName, password: Password) -> Self {
        Self { profiles: BTreeMap::from([(profile, password)]), ..Self::default() }
    }

    /// Returns the password of a profile on a device: the device's own, else the one that the
    /// profile has on all devices.
    #[must_use]
    pub fn get(&self, device: &ResourceName, profile: &ProfileName) -> Option<&Password> {
        let own = self.devices.get(device).and_then(|own| own.get(profile));
        own.or_else(|| self.profiles.get(profile))
    }

    /// Tells whether there is no password at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty() && self.devices.values().all(BTreeMap::is_empty)
    }
}

impl fmt::Debug for CurrentPasswords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentPasswords")
            .field("profiles", &self.profiles.keys())
            .field("devices", &self.devices.keys())
            .finish()
    }
}

fn device(entry: &Entry, inventory: &Inventory) -> Result<ResourceName, DocumentError> {
    let names = || inventory.devices.iter().map(|device| &device.name);
    let found = ResourceName::new(&entry.name).ok();
    let found = found.filter(|name| names().any(|known| known == name));
    found.ok_or_else(|| {
        let right = names().map(ResourceName::as_str);
        entry.spot.wrong_name("a device of the inventory", &entry.name, right)
    })
}

fn by_profile(
    entries: Vec<Entry>,
    known: Option<&[&str]>,
) -> Result<BTreeMap<ProfileName, Password>, DocumentError> {
    let mut passwords = BTreeMap::new();
    for entry in entries {
        let spot = entry.spot.clone();
        let profile = profile(&entry, known)?;
        if passwords.insert(profile, password(entry)?).is_some() {
            return Err(spot.wrong("each profile once", "the same name in another case"));
        }
    }
    Ok(passwords)
}

fn profile(entry: &Entry, known: Option<&[&str]>) -> Result<ProfileName, DocumentError> {
    let is_known = |name: &ProfileName| {
        known.is_none_or(|known| known.iter().any(|k| k.eq_ignore_ascii_case(name.as_str())))
    };
    let found = ProfileName::new(&entry.name).ok().filter(is_known);
    found.ok_or_else(|| {
        let right = known.unwrap_or_default().iter().copied();
        entry.spot.wrong_name("a user profile of the secrets template", &entry.name, right)
    })
}

fn password(entry: Entry) -> Result<Password, DocumentError> {
    let expected =
        format!("a password: 1 to {PASSWORD_BYTES_MAX} bytes without control characters");
    let spot = entry.value.spot();
    let mut text = entry.value.text(&expected)?;
    Password::new(std::mem::take(&mut *text)).map_err(|error| {
        let got = match error {
            PasswordError::Empty => "an empty text",
            PasswordError::TooLong => "a longer text",
            PasswordError::ControlCharacter => "a text with a control character in it",
        };
        spot.wrong(expected, got)
    })
}
