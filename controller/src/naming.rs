//! Names of secrets in a vault. Nobody else builds or parses one.
//!
//! A name is `<subscription ID>-<resource group>-<fabric>-<username>-devicePassword-<hash>`, as in
//! `00000000-0000-0000-0000-000000000000-exampleRG-exampleFabric-admin-devicePassword-4418bf71`.
//!
//! # The hash
//! The first 8 hex digits (lower case) of SHA-256 over subscription, resource group, fabric and
//! user profile, and the device where each device has its own password. Each input is preceded by
//! its length in bytes as 8 bytes, the most significant first, so that (`a-b`, `c`) and (`a`,
//! `b-c`) differ although their names read the same. Inputs are whole, never shortened, and
//! lower-cased **in ASCII only**; other characters go in as their UTF-8 bytes, neither lower-cased
//! nor normalized. Ids compare by the same rule, so two ids are equal exactly if their inputs are;
//! and a rule that knew more of Unicode would give other names after an update of its tables.
//!
//! # What Key Vault does not allow
//! It takes 1 to 127 characters of `[0-9a-zA-Z-]` and compares them without case. Every other
//! character, however many bytes it has, becomes one `-`. A name that is too long loses the ends of
//! its resource group and its fabric: the two share the room that the fixed parts leave. A part
//! that is not longer than its half is kept whole and the other one gets what is left; if both are
//! longer, each is cut to its half, and an odd character goes to the fabric. The hash keeps names
//! apart that become the same in this way.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use protocol::id::{FabricId, ProfileName, ResourceName};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Fault;

/// The longest name that Key Vault takes.
pub const NAME_CHARACTERS_MAX: usize = 127;

/// How many bytes of the digest the hash shows: two hex digits each.
const HASH_BYTES: usize = 4;

/// The part of every name that says what kind of secret it is.
const KIND: &str = "devicePassword";

/// Returns the name of the secret that holds a user profile's password in a fabric. `device` is
/// given exactly where the profile's scope is the device: then each device has a secret of its own.
///
/// The same inputs, in whatever ASCII case, always give the same name.
#[must_use]
pub fn name(fabric: &FabricId, profile: &ProfileName, device: Option<&ResourceName>) -> SecretName {
    let hash = hash(fabric, profile.as_str(), device);
    joined(fabric, profile.as_str(), &hash)
}

/// Returns the name of the secret by which it is tried out, this `once`, whether a vault takes
/// secrets of a fabric. No user profile has it: their names have no `/`.
#[must_use]
pub fn probe(fabric: &FabricId, once: &str) -> SecretName {
    const PROBE: &str = "keyturn/probe";
    joined(fabric, PROBE, &hash(fabric, &format!("{PROBE}/{once}"), None))
}

fn joined(fabric: &FabricId, user: &str, hash: &str) -> SecretName {
    let subscription = legal(fabric.subscription());
    let group = legal(fabric.group().as_str());
    let place = legal(fabric.name().as_str());
    let user = legal(user);
    let fixed = [&subscription, &user, KIND, hash].map(str::len).iter().sum::<usize>() + 5;
    let room = NAME_CHARACTERS_MAX.saturating_sub(fixed);
    let (group_length, place_length) = shares(group.len(), place.len(), room);
    let group: String = group.chars().take(group_length).collect();
    let place: String = place.chars().take(place_length).collect();
    SecretName(format!("{subscription}-{group}-{place}-{user}-{KIND}-{hash}").into())
}

/// How many characters of resource group and fabric fit into `room`.
fn shares(group: usize, fabric: usize, room: usize) -> (usize, usize) {
    let half = room / 2;
    if group + fabric <= room {
        (group, fabric)
    } else if group <= half {
        (group, room - group)
    } else if fabric <= room - half {
        (room - fabric, fabric)
    } else {
        (half, room - half)
    }
}

fn hash(fabric: &FabricId, profile: &str, device: Option<&ResourceName>) -> String {
    let inputs = [fabric.subscription(), fabric.group().as_str(), fabric.name().as_str(), profile];
    let mut digest = Sha256::new();
    for input in inputs.into_iter().chain(device.map(ResourceName::as_str)) {
        digest.update((input.len() as u64).to_be_bytes());
        digest.update(input.to_ascii_lowercase());
    }
    digest.finalize().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

fn legal(text: &str) -> String {
    text.chars().map(|c| if is_legal(c) { c } else { '-' }).collect()
}

fn is_legal(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// The name of one secret in a vault: 1 to 127 characters of `[0-9a-zA-Z-]`, compared without
/// case, kept in the case that it was made in. Made by [`name`] alone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(Arc<str>);

/// Tells that a stored text is no secret's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a secret's name: expected 1 to 127 characters of `[0-9a-zA-Z-]`")]
pub struct NameError;

/// Tells that two secrets would have one name, which would lose one of the two passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name the secrets of `{first}` and `{second}`: both would be `{name}`")]
pub struct NameCollision {
    /// One secret, as `profile` or `profile of device`.
    pub first: String,
    /// The other one.
    pub second: String,
    /// The name of both.
    pub name: SecretName,
}

impl NameCollision {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "give the device or the user profile another name, or another one in `older-names`"
    }

    /// Returns who has to act: whoever chose the names.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

/// The name that a secret had before names had a format of their own, with `{device}` in the place
/// of the device's name where each device has a secret of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OlderName(String);

/// What [`OlderName`] stands for a device's name by.
const DEVICE: &str = "{device}";

impl OlderName {
    /// Tells whether each device has a secret of its own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.contains(DEVICE)
    }

    /// Returns the name of the secret of `device`; `None` if it would be too long.
    #[must_use]
    pub fn of(&self, device: &ResourceName) -> Option<SecretName> {
        SecretName::try_from(self.0.replace(DEVICE, &legal(device.as_str()))).ok()
    }

    /// Returns the name of the secret that all devices share, if they do.
    #[must_use]
    pub fn shared(&self) -> Option<SecretName> {
        SecretName::try_from(self.0.clone()).ok().filter(|_name| !self.is_own())
    }

    /// Returns the name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OlderName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        // The shortest that a device's name can be, so that nothing that is never right is taken.
        SecretName::try_from(text.replace(DEVICE, "abc")).map(|_name| Self(text))
    }
}

impl From<OlderName> for String {
    fn from(name: OlderName) -> Self {
        name.0
    }
}

/// Checks that the secrets of one fabric have names of their own. A hash of 32 bits lets two of
/// 1,000 secrets meet once in some 10,000 fabrics: to be asked before a fabric's devices and
/// profiles are accepted.
///
/// # Errors
/// Returns [`NameCollision`] with the first two that meet.
pub fn check_distinct<'n>(
    fabric: &FabricId,
    secrets: impl IntoIterator<Item = (&'n ProfileName, Option<&'n ResourceName>)>,
) -> Result<(), NameCollision> {
    let named = |(profile, device)| ((profile, device), name(fabric, profile, device));
    check_names(secrets.into_iter().map(named))
}

/// The same of secrets whose names are known already.
///
/// # Errors
/// As [`check_distinct`].
pub fn check_names<'n>(
    secrets: impl IntoIterator<Item = ((&'n ProfileName, Option<&'n ResourceName>), SecretName)>,
) -> Result<(), NameCollision> {
    let mut seen = BTreeMap::new();
    for ((profile, device), name) in secrets {
        match seen.insert(name.clone(), (profile, device)) {
            Some(other) if other != (profile, device) => {
                let (first, second) = (shown(other), shown((profile, device)));
                return Err(NameCollision { first, second, name });
            }
            _ => {}
        }
    }
    Ok(())
}

fn shown((profile, device): (&ProfileName, Option<&ResourceName>)) -> String {
    match device {
        Some(device) => format!("{profile} of {device}"),
        None => profile.to_string(),
    }
}

impl SecretName {
    /// Returns the name as the vault knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes any text as a name.
    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self(text.into())
    }

    fn lower(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for SecretName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for SecretName {}

impl Ord for SecretName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lower().cmp(other.lower())
    }
}

impl PartialOrd for SecretName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for SecretName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lower().for_each(|byte| state.write_u8(byte));
        // No UTF-8 text has this byte: it marks the end.
        state.write_u8(0xff);
    }
}

impl TryFrom<String> for SecretName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        let length_is_right = (1..=NAME_CHARACTERS_MAX).contains(&text.len());
        if length_is_right && text.chars().all(is_legal) {
            Ok(Self(text.into()))
        } else {
            Err(NameError)
        }
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests;
