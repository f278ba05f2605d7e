//! What the claims of a token say: who it is, and what they may.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::token::Claims;
use super::{IssuerSettings, RoleMapping};
use crate::access::{Grant, Principal, Rejected};

/// The longest `sub`, in bytes (OpenID Connect Core, section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// The longest name that is shown, in characters.
const NAME_CHARACTERS_MAX: usize = 64;

/// The most mappings that an error lists.
const LISTED_MAX: usize = 20;

/// Claims that have several values in one text, with spaces between (RFC 8693, section 4.2).
const WITH_SPACES: [&str; 2] = ["scope", "scp"];

/// Returns who has these claims.
pub(super) fn principal(
    claims: &Claims,
    settings: &IssuerSettings,
    origin: &Arc<str>,
) -> Result<Principal, Rejected> {
    let subject = claims.get("sub").and_then(Value::as_str);
    let subject = subject.filter(|sub| !sub.is_empty() && sub.len() <= SUBJECT_BYTES_MAX);
    let subject = escaped(subject.ok_or(Rejected::Claim("sub"))?);
    let issuer = &settings.issuer;
    // No local token's name ends like this, and neither part can look like the other one.
    let name = match find(claims, &settings.name_claim).and_then(Value::as_str).map(plain) {
        Some(name) if settings.name_claim != "sub" && !name.is_empty() => {
            format!("{name} (subject {subject}, issuer {issuer})")
        }
        _ => format!("{subject} (issuer {issuer})"),
    };
    let key = format!("{subject} {issuer}");
    Ok(Principal::with_grants(name, key, grants(claims, &settings.roles), Arc::clone(origin)))
}

/// Says where the rights of an issuer's people come from.
pub(super) fn origin(settings: &IssuerSettings) -> Arc<str> {
    let mut text = String::new();
    for RoleMapping { claim, value, role, fabric, secret_prefix } in
        settings.roles.iter().take(LISTED_MAX)
    {
        let joint = if text.is_empty() { "" } else { ", " };
        // Writing to a text cannot fail.
        let _written = write!(text, "{joint}`{claim}` = `{value}` ({}", role.as_str());
        if let Some(fabric) = fabric {
            let _written = write!(text, " of {fabric}");
        }
        if let Some(prefix) = secret_prefix {
            let _written = write!(text, " of secrets `{prefix}…`");
        }
        text.push(')');
    }
    let more = settings.roles.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        let _written = write!(text, " and {more} more");
    }
    text.into()
}

fn grants(claims: &Claims, roles: &[RoleMapping]) -> Vec<Grant> {
    let given = roles.iter().filter(|mapping| has(claims, mapping));
    let grant = |mapping: &RoleMapping| Grant {
        role: mapping.role,
        fabric: mapping.fabric.clone(),
        secret_prefix: mapping.secret_prefix.clone(),
    };
    given.map(grant).collect()
}

fn has(claims: &Claims, RoleMapping { claim, value, .. }: &RoleMapping) -> bool {
    match find(claims, claim) {
        Some(Value::String(text)) if WITH_SPACES.contains(&claim.as_str()) => {
            text.split(' ').any(|one| one == value)
        }
        Some(Value::String(text)) => text == value,
        Some(Value::Array(values)) => values.iter().any(|one| one.as_str() == Some(value)),
        _ => false,
    }
}

/// Finds a claim by its name, which may have dots in it, or by its path.
fn find<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(at, _dot)| {
        let below = claims.get(path.get(..at)?)?.as_object()?;
        find(below, path.get(at + 1..)?)
    })
}

/// A name for people: letters, digits and a few marks. It tells nobody apart.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " ._-@+'".contains(c);
    let plain = name.chars().map(|c| if is_plain(c) { c } else { '?' });
    plain.take(NAME_CHARACTERS_MAX).collect::<String>().trim().to_owned()
}

/// A subject as one word: two different ones stay different.
fn escaped(subject: &str) -> String {
    let mut word = String::new();
    for byte in subject.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-@+:/|=~#".contains(&byte) {
            word.push(char::from(byte));
        } else {
            let _written = write!(word, "%{byte:02x}");
        }
    }
    word
}
