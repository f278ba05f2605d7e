//! `[access]` of a configuration file: whose tokens are taken, besides those that are made here.

use super::oidc;
use super::secrets::FileSecrets;
use crate::access::oidc::IssuerSettings;
use crate::access::{Grant, TOKEN_NAME_CHARACTERS_MAX, is_token_name};
use crate::document::{DocumentError, Table, Value};
use crate::reference::{Kind, Reference};

const TOKEN_KEYS: [&str; 5] = ["name", "token", "role", "fabric", "secret-prefix"];

/// The tokens that are elsewhere: in a vault, or a local secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokensConfig {
    /// `admin-token`: the owner's, in place of `admin.token` in the data directory.
    pub admin: Option<Reference>,
    /// `[[access.token]]`: others', each with what it is for.
    pub others: Vec<ElsewhereToken>,
}

/// A token that is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElsewhereToken {
    /// What it is called, in the audit too.
    pub name: String,
    /// Where it is.
    pub token: Reference,
    /// What it is for.
    pub grant: Grant,
}

/// Reads `[access]`; where references lead is noted in `secrets`.
pub(super) fn parse(
    value: Value,
    secrets: &mut FileSecrets,
) -> Result<(Vec<IssuerSettings>, TokensConfig), DocumentError> {
    let mut access = value.table("[access]", &["oidc", "admin-token", "token"])?;
    let issuers = access.optional("oidc").map(oidc::parse).transpose()?.unwrap_or_default();
    let mut tokens = TokensConfig::default();
    if let Some(value) = access.optional("admin-token") {
        tokens.admin = Some(secrets.reference(value, "`admin-token`", Kind::Secret)?);
    }
    let others = access.optional("token").map(|value| value.list("a list: [[access.token]]"));
    for value in others.transpose()?.unwrap_or_default() {
        let mut table = value.table("[[access.token]]", &TOKEN_KEYS)?;
        let name = name(&mut table, &tokens.others)?;
        let expected = "where the token is: { key-vault } or { secret-name }";
        let token = table.required("token", expected)?;
        let token = secrets.reference(token, "`token`", Kind::Secret)?;
        tokens.others.push(ElsewhereToken { name, token, grant: oidc::grant(&mut table)? });
    }
    Ok((issuers, tokens))
}

fn name(table: &mut Table, known: &[ElsewhereToken]) -> Result<String, DocumentError> {
    let expected = format!("a name: 1 to {TOKEN_NAME_CHARACTERS_MAX} printable ASCII characters");
    let value = table.required("name", &expected)?;
    let spot = value.spot();
    let name = value.read(&expected, |text| is_token_name(text).then(|| text.to_owned()))?;
    if known.iter().any(|other| other.name == name) {
        return Err(spot.wrong("a name only once", format_args!("`{name}`")));
    }
    Ok(name)
}
