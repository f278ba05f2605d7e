//! From the text of a secrets template to checked profiles.

use protocol::id::ProfileName;
use protocol::password::PASSWORD_BYTES_MAX;
use protocol::status::DeviceRole;

use super::policy::{CharacterClass, PasswordPolicy, PolicyError};
use super::{Privilege, Scope, SecretType, SecretsTemplate, UserProfile};
use crate::document::{self, DocumentError, Spot, Table, Value, quoted};

const PROFILE_KEYS: [&str; 8] =
    ["name", "user", "secret-type", "roles", "privilege", "feature-flag", "scope", "policy"];
const POLICY_KEYS: [&str; 4] = ["length", "require", "letter-first", "exclude"];

const NAME: &str = "a user profile's name: 1 to 32 letters, digits, `_` and `-`, a letter first";
const USER: &str = "an account's name: 1 to 32 letters, digits, `_`, `-` and `.`, \
                    a letter or `_` first";
const TEXT: &str = "1 to 128 printable characters without a space at either end";

/// A profile and where it stands.
struct Placed {
    profile: UserProfile,
    at_name: Spot,
    at_user: Spot,
    at_type: Spot,
    at_roles: Spot,
}

/// The policy of all profiles that do not say otherwise, and where the template has it.
struct Defaults {
    policy: PasswordPolicy,
    at_policy: Option<Spot>,
}

/// Reads a template.
pub(super) fn template(file: &str, text: &str) -> Result<SecretsTemplate, DocumentError> {
    let mut top =
        document::parse(file, text)?.table("a secrets template", &["policy", "profiles"])?;
    let value = top.optional("policy");
    let at_policy = value.as_ref().map(Value::spot);
    let usual = PasswordPolicy::default();
    let usual = value.map(|value| policy(value, &usual)).transpose()?.unwrap_or(usual);
    let defaults = Defaults { policy: usual, at_policy };
    let list = top.required("profiles", "at least one profile: [[profiles]]")?;
    let spot = list.spot();
    let mut placed: Vec<Placed> = Vec::new();
    for value in list.list("a list of profiles: [[profiles]]")? {
        let next = profile(value, &defaults)?;
        check_distinct(&next, &placed)?;
        placed.push(next);
    }
    if placed.is_empty() {
        return Err(spot.wrong("at least one profile: [[profiles]]", "an empty list"));
    }
    check_privileged(&placed)?;
    Ok(SecretsTemplate { profiles: placed.into_iter().map(|placed| placed.profile).collect() })
}

fn profile(value: Value, defaults: &Defaults) -> Result<Placed, DocumentError> {
    let mut table = value.table("a user profile", &PROFILE_KEYS)?;
    let value = table.required("name", NAME)?;
    let at_name = value.spot();
    let name: ProfileName = value.parsed(NAME)?;
    let (user, at_user) = text(&mut table, "user", USER, user, &at_name)?;
    let (secret_type, at_type) = text(&mut table, "secret-type", TEXT, plain, &at_name)?;
    let (feature_flag, _) = text(&mut table, "feature-flag", TEXT, plain, &at_name)?;
    let value = table.required("roles", "the roles of the devices that have the account")?;
    let at_roles = value.spot();
    let profile = UserProfile {
        user: user.unwrap_or_else(|| name.to_string()),
        secret_type: SecretType(secret_type.unwrap_or_else(|| format!("{name} user password"))),
        roles: roles(value)?,
        privilege: privilege(&mut table)?,
        feature_flag,
        scope: scope(&mut table)?,
        policy: own_policy(&mut table, &name, defaults)?,
        name,
    };
    Ok(Placed { profile, at_name, at_user, at_type, at_roles })
}

/// Reads a key that may be left out; without it, errors point to `otherwise`.
fn text(
    table: &mut Table,
    key: &str,
    expected: &str,
    reader: fn(&str) -> Option<String>,
    otherwise: &Spot,
) -> Result<(Option<String>, Spot), DocumentError> {
    match table.optional(key) {
        Some(value) => {
            let spot = value.spot();
            Ok((Some(value.read(expected, reader)?), spot))
        }
        None => Ok((None, otherwise.clone())),
    }
}

fn privilege(table: &mut Table) -> Result<Privilege, DocumentError> {
    let choices = Privilege::ALL.map(|privilege| (privilege.as_str(), privilege));
    table
        .required("privilege", "what the account may do: admin, read-write or read-only")?
        .choice("a privilege", &choices)
}

fn scope(table: &mut Table) -> Result<Scope, DocumentError> {
    let choices = [("fabric", Scope::Fabric), ("device", Scope::Device)];
    let scope = table.optional("scope").map(|value| value.choice("a scope", &choices));
    Ok(scope.transpose()?.unwrap_or_default())
}

/// Reads the profile's policy, which says only where it differs from the template's, and refuses it
/// if its passwords could be guessed.
fn own_policy(
    table: &mut Table,
    name: &ProfileName,
    defaults: &Defaults,
) -> Result<PasswordPolicy, DocumentError> {
    let value = table.optional("policy");
    let own_spot = value.as_ref().map(Value::spot);
    let spot = own_spot.or_else(|| defaults.at_policy.clone());
    let spot = spot.unwrap_or_else(|| table.spot().clone());
    let own = value.map(|value| policy(value, &defaults.policy)).transpose()?;
    let policy = own.unwrap_or_else(|| defaults.policy.clone());
    policy.fit(name, &[]).map_err(|error| too_weak(&spot, &error))?;
    Ok(policy)
}

fn policy(value: Value, defaults: &PasswordPolicy) -> Result<PasswordPolicy, DocumentError> {
    let mut policy = defaults.clone();
    let mut table = value.table("a password policy", &POLICY_KEYS)?;
    if let Some(value) = table.optional("length") {
        let most = u32::try_from(PASSWORD_BYTES_MAX).unwrap_or(u32::MAX);
        policy.length = value.number("a length in characters", 1, most)? as usize;
    }
    if let Some(value) = table.optional("require") {
        let classes = CharacterClass::ALL.map(|class| (class.as_str(), class));
        policy.required = distinct(value, "a list of character classes", |value| {
            value.choice("a character class", &classes)
        })?;
    }
    if let Some(value) = table.optional("letter-first") {
        policy.letter_first = value.boolean()?;
    }
    if let Some(value) = table.optional("exclude") {
        policy.excluded = value.text("the characters to be left out, as one text")?.to_string();
    }
    Ok(policy)
}

fn roles(value: Value) -> Result<Vec<DeviceRole>, DocumentError> {
    let names = DeviceRole::ALL.map(|role| (role.as_str(), role));
    let spot = value.spot();
    let roles =
        distinct(value, "a list of device roles", |value| value.choice("a device role", &names))?;
    if roles.is_empty() {
        return Err(spot.wrong("at least one device role", "an empty list"));
    }
    Ok(roles)
}

/// Reads a list whose items may occur once each.
fn distinct<T: PartialEq>(
    value: Value,
    expected: &str,
    read: impl Fn(Value) -> Result<T, DocumentError>,
) -> Result<Vec<T>, DocumentError> {
    let mut items = Vec::new();
    for value in value.list(expected)? {
        let twice = value.unexpected(format_args!("{expected}, each once"));
        let item = read(value)?;
        if items.contains(&item) {
            return Err(twice);
        }
        items.push(item);
    }
    Ok(items)
}

/// Checks that a profile cannot be taken for an earlier one: by name anywhere, by account or secret
/// type on a device that has both.
fn check_distinct(new: &Placed, earlier: &[Placed]) -> Result<(), DocumentError> {
    for old in earlier {
        let (one, other) = (&new.profile, &old.profile);
        let clash = |spot: &Spot, what: &str, given: &str| {
            let got = format!("{}, as of profile {}", quoted(given), quoted(other.name.as_str()));
            Err(spot.wrong(format_args!("{what} that no other profile has"), got))
        };
        if one.name == other.name {
            return clash(&new.at_name, "a name", one.name.as_str());
        }
        if !one.roles.iter().any(|role| other.roles.contains(role)) {
            continue;
        }
        if one.user.eq_ignore_ascii_case(&other.user) {
            return clash(&new.at_user, "an account on these roles", &one.user);
        }
        if one.secret_type == other.secret_type {
            return clash(&new.at_type, "a secret type on these roles", &one.secret_type.0);
        }
    }
    Ok(())
}

/// Checks that every role has an account, under no feature flag, that can change the others.
fn check_privileged(all: &[Placed]) -> Result<(), DocumentError> {
    for placed in all {
        for role in &placed.profile.roles {
            let leads = |other: &Placed| {
                let other = &other.profile;
                let is_fixed = other.privileged() && other.feature_flag.is_none();
                is_fixed && other.roles.contains(role)
            };
            if !all.iter().any(leads) {
                let expected = format!(
                    "a profile for role `{}` of privilege `admin` or `read-write` and without a \
                     feature flag",
                    role.as_str()
                );
                return Err(placed.at_roles.wrong(expected, "none in the whole template"));
            }
        }
    }
    Ok(())
}

fn too_weak(spot: &Spot, error: &PolicyError) -> DocumentError {
    let got = match error {
        PolicyError::Entropy { length, left, bits, .. } => {
            format!("{bits:.1} bits: {length} characters out of {left}")
        }
        PolicyError::Class { class, left, .. } => {
            format!("none of class `{}` among {left} characters", class.as_str())
        }
        PolicyError::FirstLetter { left, .. } => format!("no letter among {left} characters"),
        PolicyError::Length { length, .. } => format!("{length} characters"),
    };
    let expected = format!("a policy with {} bits of entropy or more", super::ENTROPY_BITS_MIN);
    spot.wrong(expected, got).with_hint(error.hint())
}

fn user(text: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let leads = |c: char| c.is_ascii_alphabetic() || c == '_';
    let fits = (1..=32).contains(&text.len()) && text.chars().all(legal) && text.starts_with(leads);
    fits.then(|| text.to_owned())
}

fn plain(text: &str) -> Option<String> {
    let fits = (1..=128).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
        && text.trim() == text;
    fits.then(|| text.to_owned())
}
