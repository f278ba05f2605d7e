//! What a version is in Kubernetes: names, labels, annotations, data. Nobody else knows them.
//!
//! | where | what |
//! |---|---|
//! | `metadata.name` | `keyturn-` and the first 20 hexadecimal digits of the version |
//! | label `keyturn-secret` | 40 hexadecimal digits of SHA-256 over the secret's name in lower case |
//! | label `keyturn-label` | `PENDING`, `CURRENT` or `PREVIOUS` |
//! | annotation `keyturn-name`, `keyturn-tag`, `keyturn-version` | themselves |
//! | annotation `keyturn-order` | when it was put, in microseconds since 1970, made to grow: 20 digits |
//! | annotation `keyturn-disabled`, `keyturn-purged` | since when it is, in seconds since 1970 |
//! | data `password` | the value |
//! | data `digest` | SHA-256 over version and value: tells an edit by hand |
//!
//! The first 20 digits of a version are those of SHA-256 over the secret's name in lower case and the
//! tag, each after its length in 8 bytes; the other 12 are random.

use std::collections::BTreeMap;

use protocol::id::SecretVersion;
use protocol::password::Password;
use sha2::{Digest as _, Sha256};

use crate::kubernetes::{Data, New, Properties, Secret, Texts};
use crate::naming::SecretName;
use crate::vault::{Tag, VersionInfo};

/// What every Secret of ours begins with.
pub(super) const PREFIX: &str = "keyturn-";

/// The type of every Secret of ours.
pub(super) const KIND: &str = "keyturn/password";

/// What tools know the maker of an object by.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "keyturn");

pub(super) const DISABLED: &str = "keyturn-disabled";
pub(super) const PURGED: &str = "keyturn-purged";

const SECRET: &str = "keyturn-secret";
const NAME: &str = "keyturn-name";
const TAG: &str = "keyturn-tag";
const VERSION: &str = "keyturn-version";
const ORDER: &str = "keyturn-order";
const PASSWORD: &str = "password";
const DIGEST: &str = "digest";

/// How long a version is, and how much of it follows from name and tag, in hexadecimal digits.
const VERSION_DIGITS: usize = 32;
const FIXED_DIGITS: usize = 20;

/// How many digits of its hash stand for a name in a label, of 63 that there may be.
const NAME_DIGITS: usize = 40;

/// Microseconds in a second.
const MICROSECONDS: u64 = 1_000_000;

fn key(name: &SecretName) -> String {
    name.as_str().to_ascii_lowercase()
}

fn digits(hash: &Sha256, count: usize) -> String {
    let mut text = hex::encode(hash.clone().finalize());
    text.truncate(count);
    text
}

/// Returns the part of a version that follows from what it is for.
fn fixed(name: &SecretName, tag: &Tag) -> String {
    let mut hash = Sha256::new();
    for part in [key(name).as_str(), tag.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    digits(&hash, FIXED_DIGITS)
}

/// Returns the name of the Secret that a put under this name and tag makes.
pub(super) fn object_for(name: &SecretName, tag: &Tag) -> String {
    format!("{PREFIX}{}", fixed(name, tag))
}

/// Returns the name of a version's Secret; `None` for what is no version of ours.
pub(super) fn object_of(version: &SecretVersion) -> Option<String> {
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_version = version.0.len() == VERSION_DIGITS && version.0.bytes().all(hexadecimal);
    is_version.then(|| format!("{PREFIX}{}", version.0.get(..FIXED_DIGITS).unwrap_or_default()))
}

/// Makes the number of a new version.
pub(super) fn new_version(name: &SecretName, tag: &Tag) -> SecretVersion {
    let random = hex::encode(rand::random::<[u8; (VERSION_DIGITS - FIXED_DIGITS) / 2]>());
    SecretVersion(format!("{}{random}", fixed(name, tag)).into())
}

/// Returns what selects all versions of a name, and hardly ever one of another name.
pub(super) fn selector(name: &SecretName) -> String {
    format!("{SECRET}={}", name_label(name))
}

fn name_label(name: &SecretName) -> String {
    digits(&Sha256::new_with_prefix(key(name)), NAME_DIGITS)
}

fn digest(version: &SecretVersion, value: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(version.0.as_bytes()).chain_update(value).finalize().into()
}

/// A version as it is to be stored.
pub(super) fn new(
    name: &SecretName,
    tag: &Tag,
    version: &SecretVersion,
    order: u64,
    value: &[u8],
) -> New {
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let order = format!("{order:020}");
    let annotations = [
        (NAME, name.as_str()),
        (TAG, tag.as_str()),
        (VERSION, &version.0),
        (ORDER, order.as_str()),
    ];
    New {
        name: object_for(name, tag),
        kind: KIND,
        labels: Texts::from([MANAGED_BY, (SECRET, name_label(name).as_str())].map(text)),
        annotations: Texts::from(annotations.map(text)),
        data: BTreeMap::from([
            (PASSWORD, Data::new(value)),
            (DIGEST, Data::new(&digest(version, value))),
        ]),
    }
}

/// A version as it was found.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) version: SecretVersion,
    pub(super) tag: Tag,
    name: String,
    order: u64,
    is_disabled: bool,
    is_purged: bool,
    /// Names the state that it was found in.
    pub(super) state: String,
}

impl Known {
    /// Reads what is noted of a version; `None` if the Secret is none.
    pub(super) fn of(properties: &Properties) -> Option<Self> {
        let note = |key: &str| properties.annotations.get(key).map(String::as_str);
        Some(Self {
            version: SecretVersion(note(VERSION)?.into()),
            tag: Tag::new(note(TAG)?),
            name: note(NAME)?.to_owned(),
            order: note(ORDER)?.parse().ok()?,
            is_disabled: note(DISABLED).is_some(),
            is_purged: note(PURGED).is_some(),
            state: properties.resource_version.clone(),
        })
    }

    pub(super) fn is_of(&self, name: &SecretName) -> bool {
        self.name.eq_ignore_ascii_case(name.as_str())
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    pub(super) fn is_purged(&self) -> bool {
        self.is_purged
    }

    /// Returns what a list of versions is sorted by.
    pub(super) fn order(&self) -> (u64, &SecretVersion) {
        (self.order, &self.version)
    }

    pub(super) fn info(&self) -> VersionInfo {
        VersionInfo {
            version: self.version.clone(),
            created: self.order / MICROSECONDS,
            enabled: !self.is_disabled,
            tag: self.tag.clone(),
        }
    }
}

/// Opens a version; `None` if it does not hold what was put into it.
pub(super) fn open(known: &Known, secret: &Secret) -> Option<Password> {
    let (value, noted) = (secret.data.get(PASSWORD)?, secret.data.get(DIGEST)?);
    if noted.bytes() != digest(&known.version, value.bytes()) {
        return None;
    }
    Password::new(str::from_utf8(value.bytes()).ok()?.to_owned()).ok()
}

/// Returns a number for what is put now, by the clock and greater than the last one.
pub(super) fn next_order(last: u64, seconds: u64) -> u64 {
    seconds.saturating_mul(MICROSECONDS).max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_tag_give_one_object_and_every_put_another_version() {
        let (name, shouted) = (SecretName::for_tests("lab-a"), SecretName::for_tests("LAB-A"));
        let (tag, other) = (Tag::new("op-1"), Tag::new("op-2"));
        assert_eq!(object_for(&name, &tag), "keyturn-d2c8a649701f59c496c9");
        assert_eq!(object_for(&name, &tag), object_for(&shouted, &tag));
        assert_ne!(object_for(&name, &tag), object_for(&name, &other));
        let moved = object_for(&SecretName::for_tests("lab-ao"), &Tag::new("p-1"));
        assert_ne!(object_for(&name, &tag), moved);
        let (one, two) = (new_version(&name, &tag), new_version(&name, &tag));
        assert_ne!(one, two);
        assert_eq!(object_of(&one), Some(object_for(&name, &tag)));
        for wrong in ["", "../../pods/a", &"0".repeat(31), &"A".repeat(32)] {
            assert_eq!(object_of(&SecretVersion(wrong.into())), None, "{wrong}");
        }
    }

    #[test]
    fn orders_grow_also_within_a_second_and_when_the_clock_goes_back() {
        assert_eq!(next_order(0, 1_000), 1_000_000_000);
        assert_eq!(next_order(1_000_000_000, 1_000), 1_000_000_001);
        assert_eq!(next_order(1_000_000_000, 5), 1_000_000_001);
    }
}
