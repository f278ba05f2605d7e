//! `[[access.oidc]]` of a configuration file: the issuers whose tokens are taken.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::{path, time};
use crate::access::oidc::{
    CLOCK_SKEW_DEFAULT, IssuerSettings, KeysFrom, NAME_CLAIM_DEFAULT, REFRESH_DEFAULT, RoleMapping,
};
use crate::access::{Grant, Role, check_prefix};
use crate::document::{DocumentError, Table, Value};

const ISSUER_KEYS: [&str; 9] = [
    "issuer",
    "audience",
    "jwks-file",
    "jwks-url",
    "ca-file",
    "refresh",
    "clock-skew-max",
    "name-claim",
    "roles",
];
const ROLE_KEYS: [&str; 5] = ["claim", "value", "role", "fabric", "secret-prefix"];

/// The claim that has roles if nothing is said: what Microsoft Entra ID calls it.
const CLAIM_DEFAULT: &str = "roles";

/// Less would be felt by the provider; more would let a withdrawn key live for too long.
const REFRESH: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(12 * 3_600);

/// More is no skew, but a token's second life.
const CLOCK_SKEW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// The longest name of a claim, and the longest value, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Reads the list of issuers.
pub(super) fn parse(issuers: Value) -> Result<Vec<IssuerSettings>, DocumentError> {
    let mut known: Vec<IssuerSettings> = Vec::new();
    for value in issuers.list("a list: [[access.oidc]]")? {
        let spot = value.spot();
        let issuer = issuer(value)?;
        if known.iter().any(|other| other.issuer == issuer.issuer) {
            return Err(spot.wrong("an issuer only once", format_args!("`{}`", issuer.issuer)));
        }
        known.push(issuer);
    }
    Ok(known)
}

/// Makes the paths of an issuer absolute.
pub(super) fn place(issuer: IssuerSettings, base: &Path) -> IssuerSettings {
    let keys = match issuer.keys {
        KeysFrom::File(file) => KeysFrom::File(base.join(file)),
        KeysFrom::Url { url, ca_file } => {
            KeysFrom::Url { url, ca_file: ca_file.map(|file| base.join(file)) }
        }
    };
    IssuerSettings { keys, ..issuer }
}

fn issuer(value: Value) -> Result<IssuerSettings, DocumentError> {
    let mut table = value.table("[[access.oidc]]", &ISSUER_KEYS)?;
    let table = &mut table;
    let expected = "the URL that tokens have as `iss`";
    let issuer = table.required("issuer", expected)?;
    let issuer = issuer.read(expected, |text| url(text, &["https", "http"]))?;
    let expected = "a text, or a list of texts: what tokens have as `aud`";
    let audiences = texts(table.required("audience", expected)?, expected)?;
    let keys = keys(table)?;
    let refresh = time(table, "refresh", REFRESH)?;
    let skew = time(table, "clock-skew-max", CLOCK_SKEW)?;
    let name_claim = optional_text(table, "name-claim", "the name of a claim")?;
    let expected = "a list: [[access.oidc.roles]], with at least one role";
    let roles = table.required("roles", expected)?;
    let nothing = roles.unexpected(expected);
    let roles: Vec<RoleMapping> =
        roles.list(expected)?.into_iter().map(role).collect::<Result<_, _>>()?;
    if roles.is_empty() {
        return Err(nothing);
    }
    Ok(IssuerSettings {
        issuer,
        audiences,
        keys,
        refresh: refresh.map_or(REFRESH_DEFAULT, |given| given.value),
        clock_skew_max: skew.map_or(CLOCK_SKEW_DEFAULT, |given| given.value),
        name_claim: name_claim.unwrap_or_else(|| NAME_CLAIM_DEFAULT.to_owned()),
        roles,
    })
}

/// Keys are either in a file or on a server, and only a server has authorities behind it.
fn keys(table: &mut Table) -> Result<KeysFrom, DocumentError> {
    let file = path(table, "jwks-file", "the path of a file")?;
    match (file, table.optional("jwks-url")) {
        (Some(file), None) => match table.optional("ca-file") {
            None => Ok(KeysFrom::File(file)),
            Some(ca) => Err(ca.spot().wrong("`jwks-url` beside it", "`jwks-file`")),
        },
        (None, Some(value)) => {
            let expected = "an https URL without a user in it";
            let url = value.read(expected, |text| url(text, &["https"]))?;
            let ca_file = path(table, "ca-file", "the path of a file")?;
            Ok(KeysFrom::Url { url, ca_file })
        }
        (Some(_), Some(url)) => Err(url.spot().wrong("either `jwks-file` or `jwks-url`", "both")),
        (None, None) => Err(table.spot().wrong("`jwks-file` or `jwks-url`", "neither")),
    }
}

fn role(value: Value) -> Result<RoleMapping, DocumentError> {
    let mut table = value.table("[[access.oidc.roles]]", &ROLE_KEYS)?;
    let claim = optional_text(&mut table, "claim", "the name of a claim")?;
    let expected = "what the claim must have among its values";
    let value = text(table.required("value", expected)?, expected)?;
    let claim = claim.unwrap_or_else(|| CLAIM_DEFAULT.to_owned());
    let Grant { role, fabric, secret_prefix } = grant(&mut table)?;
    Ok(RoleMapping { claim, value, role, fabric, secret_prefix })
}

/// Takes `role`, `fabric` and `secret-prefix`.
pub(super) fn grant(table: &mut Table) -> Result<Grant, DocumentError> {
    let roles = Role::ALL.map(|role| (role.as_str(), role));
    let role = table.required("role", "a role")?.choice("a role", &roles)?;
    let fabric = table.optional("fabric").map(|value| value.parsed("the id of a fabric"));
    let secret_prefix = table.optional("secret-prefix").map(|value| secret_prefix(value, role));
    let (fabric, secret_prefix) = (fabric.transpose()?, secret_prefix.transpose()?);
    Ok(Grant { role, fabric, secret_prefix })
}

fn secret_prefix(value: Value, role: Role) -> Result<Arc<str>, DocumentError> {
    let spot = value.spot();
    let prefix = text(value, "what the names of secrets begin with")?;
    let check = check_prefix(role, &prefix).map(|()| prefix.as_str().into());
    check.map_err(|expected| spot.wrong(expected, format_args!("`{prefix}`")))
}

fn texts(value: Value, expected: &str) -> Result<Vec<String>, DocumentError> {
    let nothing = value.unexpected(expected);
    let values = value.one_or_list();
    if values.is_empty() {
        return Err(nothing);
    }
    values.into_iter().map(|value| text(value, expected)).collect()
}

pub(super) fn optional_text(
    table: &mut Table,
    key: &str,
    expected: &str,
) -> Result<Option<String>, DocumentError> {
    table.optional(key).map(|value| text(value, expected)).transpose()
}

/// A text that can be shown in a log or an answer.
fn text(value: Value, expected: &str) -> Result<String, DocumentError> {
    let fits = |text: &str| {
        let shown = !text.is_empty() && !text.chars().any(char::is_control);
        (shown && text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned())
    };
    value.read(expected, fits)
}

/// A URL that can be a part of a header and of a name. What it is compared with must be the same to
/// the letter, so that it stays as it is written.
pub(super) fn url(text: &str, schemes: &[&str]) -> Option<String> {
    let marks = b"\"\\()<>`,";
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !marks.contains(&byte);
    let parsed = reqwest::Url::parse(text).ok()?;
    let nobody = parsed.username().is_empty() && parsed.password().is_none();
    let legal = schemes.contains(&parsed.scheme()) && parsed.has_host() && nobody;
    let fits = text.len() <= URL_BYTES_MAX && text.bytes().all(is_plain);
    (legal && fits).then(|| text.to_owned())
}
