//! The secrets template: which user profiles exist, on which devices, and how their passwords are
//! made.
//!
//! Pure: the text comes from the caller. A template is taken as a whole or not at all.

mod parse;
mod policy;

use std::collections::BTreeMap;
use std::fmt;

use protocol::id::ProfileName;
use protocol::status::DeviceRole;

pub use self::policy::{
    CharacterClass, ENTROPY_BITS_MIN, PasswordPolicy, PasswordRules, PlatformLimits, PolicyError,
};
pub use crate::document::DocumentError;

/// The template that ships with Keyturn.
const DEFAULT: &str = include_str!("../templates/default.toml");

/// The user profiles of a fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsTemplate {
    /// The profiles in the order of the file; names differ in more than case.
    pub profiles: Vec<UserProfile>,
}

/// A local account that every device of certain roles has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserProfile {
    /// The profile's name, which is a part of its secret's name.
    pub name: ProfileName,
    /// The account's name on the device: 1 to 32 letters, digits, `.`, `_`, `-`.
    pub user: String,
    /// What the API calls the secret.
    pub secret_type: SecretType,
    /// The roles of the devices that have the account; at least one, each once.
    pub roles: Vec<DeviceRole>,
    /// What the account may do on the device.
    pub privilege: Privilege,
    /// The fabric's flag without which the account does not exist.
    pub feature_flag: Option<String>,
    /// Who shares the password.
    pub scope: Scope,
    /// How passwords are made.
    pub policy: PasswordPolicy,
}

/// The kind of a secret as the API names it, for example `Admin user password`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretType(String);

/// What an account may do on its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// Everything.
    Admin,
    /// Change the configuration, the other accounts' passwords among it.
    ReadWrite,
    /// Look only; on some platforms not even at password hashes.
    ReadOnly,
}

/// Who shares a profile's password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All devices of the fabric, as the documents describe it.
    #[default]
    Fabric,
    /// Nobody: each device has a password of its own.
    Device,
}

impl SecretsTemplate {
    /// Reads a template. `file` is what errors call it.
    ///
    /// # Errors
    /// Returns [`DocumentError`] with place, key, what was expected and the nearest right name, for
    /// unknown keys, wrong values, a name, user or secret type that is used twice, a role without a
    /// privileged profile, and a policy below [`ENTROPY_BITS_MIN`].
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentError> {
        parse::template(file, text)
    }

    /// Returns the template that ships with Keyturn: the profiles of the documents.
    ///
    /// # Errors
    /// Returns [`DocumentError`] only if the program was built with a broken template.
    pub fn builtin() -> Result<Self, DocumentError> {
        Self::parse("the built-in secrets template", DEFAULT)
    }

    /// Returns the profile of this name, compared without case.
    #[must_use]
    pub fn profile(&self, name: &ProfileName) -> Option<&UserProfile> {
        self.profiles.iter().find(|profile| profile.name == *name)
    }

    /// Returns the profiles that a device of this role has in a fabric with these feature flags.
    pub fn applicable<'t>(
        &'t self,
        role: DeviceRole,
        flags: &'t BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'t UserProfile> {
        self.profiles.iter().filter(move |profile| profile.applies(role, flags))
    }

    /// Checks every profile against every platform, each by itself: to be asked at start, so that
    /// nothing is found out in the middle of a rotation.
    ///
    /// # Errors
    /// Returns [`PolicyError`] with the first profile and platform that do not go together.
    pub fn check_platforms(&self, platforms: &[PlatformLimits]) -> Result<(), PolicyError> {
        for profile in &self.profiles {
            for platform in platforms {
                profile.policy.fit(&profile.name, &[platform])?;
            }
        }
        Ok(())
    }
}

impl UserProfile {
    /// Tells whether a device of this role has the profile in a fabric with these feature flags.
    #[must_use]
    pub fn applies(&self, role: DeviceRole, flags: &BTreeMap<String, String>) -> bool {
        let flag_is_on = self.feature_flag.as_ref().is_none_or(|flag| is_on(flag, flags));
        flag_is_on && self.roles.contains(&role)
    }

    /// Tells whether the account can change and read the others' secrets, so that a session may
    /// log in as it.
    #[must_use]
    pub fn privileged(&self) -> bool {
        self.privilege != Privilege::ReadOnly
    }

    /// Returns the rules by which a password is made that all of `devices` take; the devices are
    /// given by role and platform, and those of a role without this profile do not count.
    ///
    /// # Errors
    /// Returns [`PolicyError`] where a platform, or all of them together, leave nothing.
    pub fn rules<'p>(
        &self,
        devices: impl IntoIterator<Item = (DeviceRole, &'p PlatformLimits)>,
    ) -> Result<PasswordRules, PolicyError> {
        let mut platforms: Vec<&PlatformLimits> = devices
            .into_iter()
            .filter(|(role, _)| self.roles.contains(role))
            .map(|(_, limits)| limits)
            .collect();
        platforms.sort_by(|one, other| one.platform.cmp(&other.platform));
        platforms.dedup();
        self.policy.fit(&self.name, &platforms)
    }
}

/// Flag names compare without case, as all names in ARM; the values are the documents' and the
/// usual other spellings of yes.
fn is_on(flag: &str, flags: &BTreeMap<String, String>) -> bool {
    flags.iter().any(|(name, value)| {
        let value = value.trim();
        let yes = ["true", "1", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
        yes && name.eq_ignore_ascii_case(flag)
    })
}

impl SecretType {
    /// Returns the API's spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Privilege {
    /// All privileges, the highest first.
    pub const ALL: [Self; 3] = [Self::Admin, Self::ReadWrite, Self::ReadOnly];

    /// Returns the template's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
        }
    }
}

#[cfg(test)]
mod tests;
