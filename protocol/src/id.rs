//! Typed names of things: ARM ids, device and profile names, numbers that must not be mixed up.
//!
//! ARM compares ids without case and keeps the case that the caller gave
//! (Azure Resource Manager, rules for resource ids), so every name here does the same: `Eq`,
//! `Ord` and `Hash` ignore ASCII case, `Display` prints what was given.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The resource provider's namespace in every id.
pub const PROVIDER: &str = "Microsoft.ManagedNetworkFabric";

/// Tells why a text is not the id or name that it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// The text does not have the shape of an ARM id of this type.
    #[error("read `{given}` as an id: expected `{expected}`")]
    Shape {
        /// What was given.
        given: String,
        /// The shape that an id of this type has.
        expected: &'static str,
    },
    /// A name has a character or a length that is not allowed.
    #[error("read `{given}` as {what}: {rule}")]
    Name {
        /// What was given.
        given: String,
        /// What kind of name it should be.
        what: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// A name that compares without ASCII case and keeps the case it was given in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Caseless(std::sync::Arc<str>);

impl Caseless {
    fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Caseless {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Caseless {}

impl Ord for Caseless {
    fn cmp(&self, other: &Self) -> Ordering {
        // Most names that are compared are the same subscription in the same case.
        if self.0 == other.0 {
            return Ordering::Equal;
        }
        let lower = |text: &Self| -> Vec<u8> { text.0.to_ascii_lowercase().into_bytes() };
        let ours = self.0.bytes().map(|byte| byte.to_ascii_lowercase());
        let theirs = other.0.bytes().map(|byte| byte.to_ascii_lowercase());
        debug_assert_eq!(lower(self).cmp(&lower(other)), ours.clone().cmp(theirs.clone()));
        ours.cmp(theirs)
    }
}

impl PartialOrd for Caseless {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Caseless {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Caseless);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// Returns [`IdError::Name`] with the rule that the text breaks.
            pub fn new(text: &str) -> Result<Self, IdError> {
                match $check(text) {
                    Some(rule) => Err(IdError::Name { given: clip(text), what: $what, rule }),
                    None => Ok(Self(Caseless::new(text))),
                }
            }

            /// Returns the name in the case that it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

name! {
    /// The name of a fabric or a device: 3 to 128 characters, a letter first, then letters, digits,
    /// `-` and `_` (ARM: `^[a-zA-Z]{1}[a-zA-Z0-9-_]{2,127}$`).
    ResourceName, "a resource name", resource_name_rule
}

name! {
    /// The name of a user profile, which is also its account's name on a device unless the template
    /// says otherwise: 1 to 32 letters, digits, `_`, `-`, a letter first.
    ProfileName, "a user profile's name", profile_name_rule
}

name! {
    /// The name of a resource group: 1 to 90 letters, digits and `_-.()`, not ending in `.`.
    ResourceGroup, "a resource group's name", resource_group_rule
}

fn resource_name_rule(text: &str) -> Option<&'static str> {
    let length_is_right = (3..=128).contains(&text.len());
    let letter_first = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let legal = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    (!(length_is_right && letter_first && legal)).then_some(
        "expected 3 to 128 characters, a letter first, then letters, digits, `-` and `_`",
    )
}

fn profile_name_rule(text: &str) -> Option<&'static str> {
    let length_is_right = (1..=32).contains(&text.len());
    let letter_first = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let legal = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    (!(length_is_right && letter_first && legal))
        .then_some("expected 1 to 32 characters, a letter first, then letters, digits, `-` and `_`")
}

fn resource_group_rule(text: &str) -> Option<&'static str> {
    let count = text.chars().count();
    let legal = text.chars().all(|c| c.is_alphanumeric() || "_-.()".contains(c));
    (!((1..=90).contains(&count) && legal && !text.ends_with('.')))
        .then_some("expected 1 to 90 letters, digits and `_-.()`, not ending in `.`")
}

/// Cuts a text that goes into an error, and takes control characters out of it.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The part that the ids of fabrics and devices have in common: subscription, group and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Resource {
    subscription: Caseless,
    group: ResourceGroup,
    name: ResourceName,
}

impl Resource {
    fn parse(text: &str, kind: &str, expected: &'static str) -> Result<Self, IdError> {
        let shape = || IdError::Shape { given: clip(text), expected };
        let parts: Vec<&str> = text.split('/').collect();
        let [
            empty,
            subscriptions,
            subscription,
            groups,
            group,
            providers,
            provider,
            kind_given,
            name,
        ] = parts.as_slice()
        else {
            return Err(shape());
        };
        let fixed = [
            (*empty, ""),
            (*subscriptions, "subscriptions"),
            (*groups, "resourceGroups"),
            (*providers, "providers"),
            (*provider, PROVIDER),
            (*kind_given, kind),
        ];
        let fits = fixed.iter().all(|(given, wanted)| given.eq_ignore_ascii_case(wanted));
        if !fits || uuid::Uuid::try_parse(subscription).is_err() || subscription.len() != 36 {
            return Err(shape());
        }
        Ok(Self {
            subscription: Caseless::new(subscription),
            group: ResourceGroup::new(group)?,
            name: ResourceName::new(name)?,
        })
    }

    fn render(&self, kind: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "/subscriptions/{}/resourceGroups/{}/providers/{PROVIDER}/{kind}/{}",
            self.subscription.0, self.group, self.name
        )
    }
}

macro_rules! arm_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Cow<'_, str>", into = "String")]
        pub struct $name(std::sync::Arc<Resource>);

        impl $name {
            /// The resource type in the id's path.
            pub const KIND: &'static str = $kind;

            /// Builds an id from its parts.
            ///
            /// # Errors
            /// Returns [`IdError`] where a part breaks ARM's rules.
            pub fn new(subscription: &str, group: &str, name: &str) -> Result<Self, IdError> {
                format!(
                    "/subscriptions/{subscription}/resourceGroups/{group}/providers/{PROVIDER}/{}/{name}",
                    $kind
                )
                .parse()
            }

            /// Returns the subscription's id, 36 characters, in the case given.
            #[must_use]
            pub fn subscription(&self) -> &str {
                &self.0.subscription.0
            }

            /// Returns the resource group.
            #[must_use]
            pub fn group(&self) -> &ResourceGroup {
                &self.0.group
            }

            /// Returns the last part of the id.
            #[must_use]
            pub fn name(&self) -> &ResourceName {
                &self.0.name
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                const EXPECTED: &str = concat!(
                    "/subscriptions/<guid>/resourceGroups/<group>/providers/",
                    "Microsoft.ManagedNetworkFabric/",
                    $kind,
                    "/<name>"
                );
                Resource::parse(text, $kind, EXPECTED).map(|id| Self(std::sync::Arc::new(id)))
            }
        }

        impl TryFrom<Cow<'_, str>> for $name {
            type Error = IdError;
            fn try_from(text: Cow<'_, str>) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.render($kind, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.name())
            }
        }
    };
}

arm_id! {
    /// The ARM id of a fabric: the devices that are rotated as one.
    FabricId, "networkFabrics"
}

arm_id! {
    /// The ARM id of a device: switch, router, packet broker or terminal server.
    DeviceId, "networkDevices"
}

impl FabricId {
    /// Returns the id of the device `name` in this fabric's subscription and resource group.
    #[must_use]
    pub fn device(&self, name: &ResourceName) -> DeviceId {
        DeviceId(std::sync::Arc::new(Resource {
            subscription: self.0.subscription.clone(),
            group: self.0.group.clone(),
            name: name.clone(),
        }))
    }
}

/// The id of one operation (a rotation, a resync, an adoption); unique for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub uuid::Uuid);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OperationId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::try_parse(text).map(Self).map_err(|_source| IdError::Shape {
            given: clip(text),
            expected: "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
        })
    }
}

/// Our own order of password sets in one fabric: higher is newer. 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordSet(pub u32);

impl fmt::Display for PasswordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fence: raised whenever a controller starts or takes over. Agents refuse lower ones.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The vault's own id of one value (Key Vault: 32 lower-case hex digits).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretVersion(pub std::sync::Arc<str>);

impl fmt::Display for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FABRIC: &str = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/Lab/\
                          providers/Microsoft.ManagedNetworkFabric/networkFabrics/East";

    #[test]
    fn ids_compare_without_case_and_keep_their_case() {
        let id: FabricId = FABRIC.parse().unwrap();
        let upper: FabricId = FABRIC.to_uppercase().parse().unwrap();
        assert_eq!(id, upper);
        assert_eq!(id.to_string(), FABRIC);
        assert_eq!(upper.name().as_str(), "EAST");
        let set = std::collections::HashSet::from([id.clone(), upper]);
        assert_eq!(set.len(), 1);
        assert_eq!(id.device(&ResourceName::new("ce-01").unwrap()).name().as_str(), "ce-01");
    }

    #[test]
    fn ids_of_another_shape_are_refused_with_the_shape_expected() {
        let cases = [
            "",
            "East",
            "/subscriptions/x/resourceGroups/Lab/providers/Microsoft.ManagedNetworkFabric/networkFabrics/East",
            &FABRIC.replace("networkFabrics", "networkDevices"),
            &format!("{FABRIC}/extra"),
            &FABRIC.replace("East", "a b"),
            &FABRIC.replace("Lab", "Lab."),
        ];
        for given in cases {
            let error = given.parse::<FabricId>().unwrap_err().to_string();
            assert!(error.contains("expected"), "{given}: {error}");
        }
    }

    #[test]
    fn ids_round_trip_through_json() {
        let id: FabricId = FABRIC.parse().unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<FabricId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<FabricId>("\"nonsense\"").is_err());
    }
}
