//! `secretArchiveSettings` of a fabric, and the deprecated `secretArchive`: the customer's own vault.
//!
//! Both are of later versions of the API and of another provider's clusters; here they stand on the
//! fabric. In a request what is absent stays, also in a `PUT`: a client that does not know of them
//! takes nothing away.

use serde::{Deserialize, Deserializer, Serialize};

use super::action::{invalid, unsupported};
use crate::edge::answer::ApiError;
use crate::edge::body;
use crate::inventory::{
    ArchiveChange, ArchiveIdentity, ArchiveSettings, DeprecatedArchive, DeprecatedChange,
    Objection, SettingsChange, ToldArchive,
};

/// The kinds of identities.
const SYSTEM: &str = "SystemAssignedIdentity";
const USER: &str = "UserAssignedIdentity";

const SETTINGS: &str = "properties.secretArchiveSettings";
const DEPRECATED: &str = "properties.secretArchive";

/// `secretArchiveSettings`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GivenSettings {
    #[serde(default, deserialize_with = "given")]
    vault_uri: Option<Option<String>>,
    #[serde(default, deserialize_with = "given_object")]
    associated_identity: Option<Option<GivenIdentity>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenIdentity {
    #[serde(default)]
    identity_type: Option<String>,
    #[serde(default)]
    user_assigned_identity_resource_id: Option<String>,
}

/// `secretArchive`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GivenDeprecated {
    #[serde(default)]
    key_vault_id: Option<String>,
    #[serde(default)]
    use_key_vault: Option<Switch>,
}

/// `"True"` or `"False"`; clients that are written by hand send a boolean.
#[derive(Deserialize)]
#[serde(untagged)]
enum Switch {
    Flag(bool),
    Text(String),
}

/// Tells a field that is `null` from one that is not there.
pub(super) fn given<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

/// The same where it must be an object.
pub(super) fn given_object<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    body::object_or_null(from).map(Some)
}

/// Returns the change that is asked for.
pub(super) fn change(
    settings: Option<Option<GivenSettings>>,
    deprecated: Option<Option<GivenDeprecated>>,
) -> Result<ArchiveChange, ApiError> {
    let settings = settings.map(|given| given.map(GivenSettings::change).transpose());
    let deprecated = deprecated.map(|given| given.map(GivenDeprecated::change).transpose());
    Ok(ArchiveChange { settings: settings.transpose()?, deprecated: deprecated.transpose()? })
}

impl GivenSettings {
    fn change(self) -> Result<SettingsChange, ApiError> {
        let identity = self.associated_identity;
        let identity = identity.map(|given| given.map(GivenIdentity::identity).transpose());
        Ok(SettingsChange { vault_uri: self.vault_uri, associated_identity: identity.transpose()? })
    }
}

impl GivenIdentity {
    fn identity(self) -> Result<ArchiveIdentity, ApiError> {
        let at = |name: &str| format!("{SETTINGS}.associatedIdentity.{name}");
        let kind = self.identity_type.as_deref().ok_or_else(|| {
            invalid("The property 'identityType' is missing.")
                .target(at("identityType"))
                .hint(format!("use {SYSTEM} or {USER}"))
        })?;
        let is = |wanted: &str| kind.eq_ignore_ascii_case(wanted);
        let id_at = at("userAssignedIdentityResourceId");
        match self.user_assigned_identity_resource_id {
            None if is(SYSTEM) => Ok(ArchiveIdentity::SystemAssigned),
            Some(id) if is(USER) => Ok(ArchiveIdentity::UserAssigned(id)),
            None if is(USER) => {
                let message = "A user-assigned identity is named by its ARM id.";
                Err(invalid(message).target(id_at))
            }
            Some(_id) if is(SYSTEM) => {
                let message = "A system-assigned identity has no id.";
                Err(invalid(message).target(id_at).hint(format!("leave it out, or use {USER}")))
            }
            _ => {
                let target = at("identityType");
                Err(unsupported("identityType", kind, &[SYSTEM, USER]).target(target))
            }
        }
    }
}

impl GivenDeprecated {
    fn change(self) -> Result<DeprecatedChange, ApiError> {
        let used = self.use_key_vault.map(Switch::read).transpose()?;
        Ok(DeprecatedChange { key_vault_id: self.key_vault_id, use_key_vault: used })
    }
}

impl Switch {
    fn read(self) -> Result<bool, ApiError> {
        match self {
            Self::Flag(flag) => Ok(flag),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Self::Text(text) => Err(unsupported("useKeyVault", &text, &["True", "False"])
                .target(format!("{DEPRECATED}.useKeyVault"))),
        }
    }
}

/// Says in this API's words what names no vault.
pub(super) fn objected(objection: &Objection) -> ApiError {
    invalid(format!("Failed to {objection}.")).target(format!("properties.{}", objection.key()))
}

/// What a fabric shows of its archive.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownArchive {
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_archive_settings: Option<ShownSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_archive: Option<ShownDeprecated>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    vault_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    associated_identity: Option<ShownIdentity>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownIdentity {
    identity_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_assigned_identity_resource_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownDeprecated {
    key_vault_id: String,
    use_key_vault: &'static str,
}

impl From<ToldArchive> for ShownArchive {
    fn from(told: ToldArchive) -> Self {
        Self {
            secret_archive_settings: told.settings.map(ShownSettings::from),
            secret_archive: told.deprecated.map(ShownDeprecated::from),
        }
    }
}

impl From<ArchiveSettings> for ShownSettings {
    fn from(settings: ArchiveSettings) -> Self {
        let identity = |identity| match identity {
            ArchiveIdentity::SystemAssigned => {
                ShownIdentity { identity_type: SYSTEM, user_assigned_identity_resource_id: None }
            }
            ArchiveIdentity::UserAssigned(id) => {
                ShownIdentity { identity_type: USER, user_assigned_identity_resource_id: Some(id) }
            }
        };
        let associated_identity = settings.associated_identity.map(identity);
        Self { vault_uri: settings.vault_uri, associated_identity }
    }
}

impl From<DeprecatedArchive> for ShownDeprecated {
    fn from(deprecated: DeprecatedArchive) -> Self {
        let use_key_vault = if deprecated.use_key_vault { "True" } else { "False" };
        Self { key_vault_id: deprecated.key_vault_id, use_key_vault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Given {
        #[serde(default, deserialize_with = "given_object")]
        secret_archive_settings: Option<Option<GivenSettings>>,
        #[serde(default, deserialize_with = "given_object")]
        secret_archive: Option<Option<GivenDeprecated>>,
    }

    fn change(text: &str) -> Result<ArchiveChange, ApiError> {
        let given: Given = body::parse(text.as_bytes())?;
        super::change(given.secret_archive_settings, given.secret_archive)
    }

    fn settings(text: &str) -> Result<ArchiveChange, ApiError> {
        change(&format!("{{\"secretArchiveSettings\":{text}}}"))
    }

    #[test]
    fn what_is_null_goes_and_what_is_absent_stays() {
        assert_eq!(change("{}").unwrap(), ArchiveChange::default());
        let gone = change(r#"{"secretArchiveSettings":null,"secretArchive":null}"#).unwrap();
        assert_eq!((gone.settings, gone.deprecated), (Some(None), Some(None)));
        let text = r#"{"vaultUri":"https://a","associatedIdentity":null,"more":1}"#;
        let given = settings(text).unwrap().settings.unwrap().unwrap();
        assert_eq!(given.vault_uri, Some(Some("https://a".to_owned())));
        assert_eq!(given.associated_identity, Some(None));
        let text = r#"{"associatedIdentity":{"identityType":"systemassignedidentity"}}"#;
        let given = settings(text).unwrap().settings.unwrap().unwrap();
        assert_eq!(given.vault_uri, None);
        assert_eq!(given.associated_identity, Some(Some(ArchiveIdentity::SystemAssigned)));
        for (text, used) in [("\"True\"", true), ("\"false\"", false), ("true", true)] {
            let text = format!("{{\"secretArchive\":{{\"useKeyVault\":{text}}}}}");
            let given = change(&text).unwrap().deprecated.unwrap().unwrap();
            assert_eq!(given, DeprecatedChange { key_vault_id: None, use_key_vault: Some(used) });
        }
    }

    #[test]
    fn an_identity_is_of_a_kind_and_has_an_id_where_its_kind_has_one() {
        for text in [
            r#"{"associatedIdentity":{}}"#,
            r#"{"associatedIdentity":{"identityType":"Mine"}}"#,
            r#"{"associatedIdentity":{"identityType":"UserAssignedIdentity"}}"#,
            r#"{"associatedIdentity":{"identityType":"SystemAssignedIdentity",
                "userAssignedIdentityResourceId":"/subscriptions/x"}}"#,
            r#"{"associatedIdentity":[]}"#,
            r#"{"vaultUri":7}"#,
            "[]",
        ] {
            assert!(settings(text).is_err(), "{text}");
        }
        assert!(change(r#"{"secretArchive":{"useKeyVault":"yes"}}"#).is_err());
        assert!(change(r#"{"secretArchive":{"useKeyVault":1}}"#).is_err());
    }
}
