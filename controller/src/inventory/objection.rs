//! What is wrong with an inventory, before it is known where in a file that stands.

use std::fmt;

use protocol::id::ResourceName;

use super::DeviceSpec;
use crate::document::{nearest, quoted};
use crate::error::Fault;

/// Something in an inventory that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Objection {
    /// The device, by its place in the list; `None` for the fabric itself.
    pub(super) device: Option<usize>,
    /// The key below the device or the fabric, for example `console.port`; empty for all of it.
    pub(super) key: &'static str,
    /// The device's name.
    pub(super) name: Option<ResourceName>,
    /// What was expected.
    pub(super) expected: Box<str>,
    /// What was got.
    pub(super) got: Box<str>,
    /// The right names, where a name was got that is none of them.
    pub(super) right: Vec<String>,
    /// The name that was got.
    pub(super) given: Box<str>,
}

impl Objection {
    /// Says what was expected and got at a key of the fabric or of a device.
    pub(super) fn new(
        key: &'static str,
        expected: impl Into<Box<str>>,
        got: impl Into<Box<str>>,
    ) -> Self {
        Self {
            device: None,
            key,
            name: None,
            expected: expected.into(),
            got: got.into(),
            right: Vec::new(),
            given: Box::default(),
        }
    }

    /// Says that a name is none of the right ones.
    pub(super) fn name<N: AsRef<str>>(
        key: &'static str,
        expected: &str,
        given: &str,
        right: impl IntoIterator<Item = N>,
    ) -> Self {
        let right = right.into_iter().map(|name| name.as_ref().to_owned()).collect();
        Self { right, given: given.into(), ..Self::new(key, expected, quoted(given)) }
    }

    /// Says which device it is about.
    pub(super) fn of(self, index: usize, device: &DeviceSpec) -> Self {
        Self { device: Some(index), name: Some(device.name.clone()), ..self }
    }

    /// Forgets the place in the list, for a device that was declared by itself.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { device: None, ..self }
    }

    /// Returns the key below the device or the fabric, for example `console.port`; empty for all
    /// of it.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// Returns the path of the key, for example `devices[3].console.port`; of a device that was
    /// declared by itself, the key alone.
    #[must_use]
    pub fn path(&self) -> String {
        let above = match (self.device, &self.name) {
            (Some(index), _) => format!("devices[{index}]"),
            (None, Some(_)) => return self.key.to_owned(),
            (None, None) => "fabric".to_owned(),
        };
        if self.key.is_empty() { above } else { format!("{above}.{}", self.key) }
    }

    /// Returns the nearest right name, if one is near.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        nearest(&self.given, self.right.iter().map(String::as_str))
    }

    /// Returns what mends it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        (!self.right.is_empty()).then(|| format!("use one of {}", self.right.join(", ")))
    }

    /// Returns who has to act: whoever wrote the inventory.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path(), &self.name) {
            (path, None) => write!(f, "accept `{path}`")?,
            (path, Some(name)) if path.is_empty() => write!(f, "accept device `{name}`")?,
            (path, Some(name)) => write!(f, "accept `{path}` of device `{name}`")?,
        }
        write!(f, ": expected {}, got {}", self.expected, self.got)?;
        match self.nearest() {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}
