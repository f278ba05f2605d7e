//! What the API tells of a secret archive: `secretArchiveSettings`, the deprecated `secretArchive`
//! beside it, and how a change of either is taken.
//!
//! Where there are settings, they count. The deprecated form is kept and shown, and counts again
//! when the settings are taken away.

use serde::{Deserialize, Serialize};

use super::{ArchiveIdentity, ID, SecretArchive, URI, uri_of, vault_name};
use crate::document::quoted;
use crate::inventory::Objection;

/// A secret archive as the API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ToldArchive {
    /// `secretArchiveSettings`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ArchiveSettings>,
    /// `secretArchive`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<DeprecatedArchive>,
}

/// `secretArchiveSettings`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ArchiveSettings {
    /// The vault's URI; `None`: that of the deprecated form's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault_uri: Option<String>,
    /// Who Keyturn is to the vault; `None`: whoever the installation is otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated_identity: Option<ArchiveIdentity>,
}

/// `secretArchive`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeprecatedArchive {
    /// The vault's ARM id.
    pub key_vault_id: String,
    /// Whether secrets are copied to it, where there are no settings.
    pub use_key_vault: bool,
}

/// A change; of each part `None` leaves it as it is, and `Some(None)` takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveChange {
    /// Of the settings.
    pub settings: Option<Option<SettingsChange>>,
    /// Of the deprecated form.
    pub deprecated: Option<Option<DeprecatedChange>>,
}

/// A change of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// The vault's URI.
    pub vault_uri: Option<Option<String>>,
    /// Who Keyturn is to it.
    pub associated_identity: Option<Option<ArchiveIdentity>>,
}

/// A change of the deprecated form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeprecatedChange {
    /// The vault's ARM id.
    pub key_vault_id: Option<String>,
    /// Whether it is used. Where nobody has said so, it is not: the API's own default.
    pub use_key_vault: Option<bool>,
}

impl ArchiveChange {
    /// Returns what becomes of an archive. What leaves it as it is shown leaves it altogether.
    ///
    /// # Errors
    /// Returns an [`Objection`] with the API's name for what is wrong.
    pub fn apply(
        &self,
        before: Option<&SecretArchive>,
    ) -> Result<Option<SecretArchive>, Objection> {
        let known = before.map(SecretArchive::told).unwrap_or_default();
        let settings = match &self.settings {
            None => known.settings.clone(),
            Some(None) => None,
            Some(Some(change)) => change.apply(known.settings.clone().unwrap_or_default()),
        };
        let deprecated = match &self.deprecated {
            None => known.deprecated.clone(),
            Some(None) => None,
            Some(Some(change)) => Some(change.apply(known.deprecated.as_ref())?),
        };
        let told = ToldArchive { settings, deprecated };
        if told == known { Ok(before.cloned()) } else { told.archive() }
    }
}

impl SettingsChange {
    fn apply(&self, known: ArchiveSettings) -> Option<ArchiveSettings> {
        let ArchiveSettings { vault_uri, associated_identity } = known;
        let settings = ArchiveSettings {
            vault_uri: self.vault_uri.clone().unwrap_or(vault_uri),
            associated_identity: self.associated_identity.clone().unwrap_or(associated_identity),
        };
        (settings != ArchiveSettings::default()).then_some(settings)
    }
}

impl DeprecatedChange {
    fn apply(&self, known: Option<&DeprecatedArchive>) -> Result<DeprecatedArchive, Objection> {
        let id = self.key_vault_id.clone();
        let id = id.or_else(|| known.map(|known| known.key_vault_id.clone()));
        let used = self.use_key_vault.or(known.map(|known| known.use_key_vault));
        match id {
            Some(key_vault_id) => {
                Ok(DeprecatedArchive { key_vault_id, use_key_vault: used.unwrap_or(false) })
            }
            None => Err(Objection::new(KEY_VAULT_ID, ID, "nothing")),
        }
    }
}

const VAULT_URI: &str = "secretArchiveSettings.vaultUri";
const KEY_VAULT_ID: &str = "secretArchive.keyVaultId";
const IDENTITY: &str = "secretArchiveSettings.associatedIdentity.userAssignedIdentityResourceId";

impl ToldArchive {
    /// Returns what follows from what was told.
    fn archive(self) -> Result<Option<SecretArchive>, Objection> {
        let id = self.deprecated.as_ref().map(|deprecated| deprecated.key_vault_id.as_str());
        let (uri, used, identity) = match (&self.settings, &self.deprecated) {
            (None, None) => return Ok(None),
            (None, Some(deprecated)) => (None, deprecated.use_key_vault, None),
            (Some(settings), _) => {
                (settings.vault_uri.as_deref(), true, settings.associated_identity.clone())
            }
        };
        let archive = SecretArchive::of(uri, id, used, identity.clone());
        let mut archive = archive.map_err(|(key, expected)| match key {
            "key-vault-id" => Objection::new(KEY_VAULT_ID, expected, shown(id)),
            "associated-identity" => {
                Objection::new(IDENTITY, expected, shown(told_id(identity.as_ref())))
            }
            _ => Objection::new(VAULT_URI, URI, shown(uri)),
        })?;
        let mut told = self;
        if let Some(ArchiveSettings { vault_uri: Some(uri), .. }) = &mut told.settings {
            // As it is compared from here on: without a slash at its end.
            uri.clone_from(&archive.vault_uri);
        }
        archive.over_api = Some(told);
        Ok(Some(archive))
    }
}

fn told_id(identity: Option<&ArchiveIdentity>) -> Option<&str> {
    match identity {
        Some(ArchiveIdentity::UserAssigned(id)) => Some(id),
        _ => None,
    }
}

/// What was got, unless it may have a password in it.
fn shown(got: Option<&str>) -> String {
    match got {
        None => "nothing".to_owned(),
        Some(text) if text.contains('@') => "a text with `@` in it".to_owned(),
        Some(text) => quoted(text).to_string(),
    }
}

impl SecretArchive {
    /// Returns how the API shows it. What an inventory keeps and does not use, the API has words
    /// for only where the vault's id was told.
    #[must_use]
    pub fn told(&self) -> ToldArchive {
        if let Some(told) = &self.over_api {
            return told.clone();
        }
        let by_id = self.key_vault_id.as_deref().and_then(vault_name).map(uri_of);
        let is_by_id =
            by_id.is_some_and(|uri| uri == self.vault_uri) && self.associated_identity.is_none();
        let settings = (self.use_key_vault && !is_by_id).then(|| ArchiveSettings {
            vault_uri: Some(self.vault_uri.clone()),
            associated_identity: self.associated_identity.clone(),
        });
        let deprecated = self.key_vault_id.clone().map(|key_vault_id| DeprecatedArchive {
            key_vault_id,
            use_key_vault: self.use_key_vault && is_by_id,
        });
        ToldArchive { settings, deprecated }
    }

    /// Tells whether secrets go to the same vault by the same identity, or to none: what was tried
    /// out of one is known of the other.
    #[must_use]
    pub fn goes_as(&self, other: &Self) -> bool {
        let way = |archive: &Self| {
            archive.target().map(|uri| (uri.to_owned(), archive.associated_identity.clone()))
        };
        way(self) == way(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/kv/\
                         providers/Microsoft.KeyVault/vaults/Customer-1";
    const OTHER: &str = "https://other.example.net";

    fn settings(uri: Option<&str>, identity: Option<ArchiveIdentity>) -> ArchiveChange {
        let vault_uri = uri.map(|uri| Some(uri.to_owned()));
        let associated_identity = identity.map(Some);
        let change = SettingsChange { vault_uri, associated_identity };
        ArchiveChange { settings: Some(Some(change)), deprecated: None }
    }

    fn deprecated(id: Option<&str>, used: Option<bool>) -> ArchiveChange {
        let change = DeprecatedChange { key_vault_id: id.map(str::to_owned), use_key_vault: used };
        ArchiveChange { settings: None, deprecated: Some(Some(change)) }
    }

    /// What becomes of nothing by these changes: the vault that is used, and by whom.
    fn after(changes: &[ArchiveChange]) -> Option<(String, Option<ArchiveIdentity>)> {
        let taken = changes.iter().fold(None, |archive: Option<SecretArchive>, change| {
            change.apply(archive.as_ref()).unwrap()
        });
        let archive = taken?;
        Some((archive.target()?.to_owned(), archive.associated_identity.clone()))
    }

    #[test]
    fn settings_count_before_the_deprecated_form_and_leave_it_when_they_go() {
        let own = Some(ArchiveIdentity::SystemAssigned);
        let by_id = "https://customer-1.vault.azure.net".to_owned();
        let old = deprecated(Some(VAULT), Some(true));
        let new = settings(Some(OTHER), own.clone());
        let gone = ArchiveChange { settings: Some(None), deprecated: None };
        let both_gone = ArchiveChange { deprecated: Some(None), ..gone.clone() };
        assert_eq!(after(std::slice::from_ref(&old)), Some((by_id.clone(), None)));
        assert_eq!(after(&[old.clone(), new.clone()]), Some((OTHER.to_owned(), own.clone())));
        // The cluster's identity with the vault that the deprecated form names.
        let identity = settings(None, own.clone());
        assert_eq!(after(&[old.clone(), identity]), Some((by_id.clone(), own.clone())));
        let off = deprecated(None, Some(false));
        assert_eq!(after(&[old.clone(), new.clone(), off.clone()]), Some((OTHER.to_owned(), own)));
        assert_eq!(after(&[old.clone(), new.clone(), gone.clone()]), Some((by_id, None)));
        assert_eq!(after(&[old.clone(), off, new.clone(), gone]), None);
        assert_eq!(after(&[old, new, both_gone]), None);
        assert_eq!(after(&[deprecated(Some(VAULT), None)]), None, "the API's default");
    }

    #[test]
    fn what_is_absent_stays_what_is_null_goes_and_the_same_again_is_the_same() {
        let first =
            settings(Some("https://kv.example.net/"), Some(ArchiveIdentity::SystemAssigned));
        let archive = first.apply(None).unwrap();
        assert_eq!(archive.as_ref().unwrap().target(), Some("https://kv.example.net"));
        assert_eq!(first.apply(archive.as_ref()).unwrap(), archive);
        assert_eq!(ArchiveChange::default().apply(archive.as_ref()).unwrap(), archive);
        let moved = settings(Some(OTHER), None).apply(archive.as_ref()).unwrap().unwrap();
        assert_eq!(moved.target(), Some(OTHER));
        assert_eq!(moved.associated_identity, Some(ArchiveIdentity::SystemAssigned));
        let nobody = SettingsChange { vault_uri: None, associated_identity: Some(None) };
        let nobody = ArchiveChange { settings: Some(Some(nobody)), deprecated: None };
        let moved = nobody.apply(Some(&moved)).unwrap().unwrap();
        assert_eq!((moved.target(), &moved.associated_identity), (Some(OTHER), &None));
    }

    #[test]
    fn what_an_inventory_says_is_shown_and_changed_by_the_same_words() {
        let of = |uri, id, used, identity| SecretArchive::of(uri, id, used, identity).unwrap();
        let told = of(Some(OTHER), None, true, None).told();
        assert_eq!(told.settings.unwrap().vault_uri.as_deref(), Some(OTHER));
        assert_eq!(told.deprecated, None);
        let by_id = of(None, Some(VAULT), true, None);
        let (told, used) = (by_id.told(), by_id.told().deprecated.unwrap().use_key_vault);
        assert_eq!((told.settings, used), (None, true));
        let both = of(Some(OTHER), Some(VAULT), true, None);
        let gone = ArchiveChange { settings: Some(None), deprecated: None };
        let left = gone.apply(Some(&both)).unwrap().unwrap();
        assert_eq!(left.target(), None, "nothing else is used instead");
        assert_eq!(of(Some(OTHER), None, false, None).told(), ToldArchive::default());
    }

    #[test]
    fn what_names_no_vault_is_refused_by_the_apis_name_and_shows_no_password() {
        let identity = Some(ArchiveIdentity::UserAssigned("me".to_owned()));
        let cases = [
            (settings(Some("http://kv.example.net"), None), VAULT_URI),
            (settings(Some("https://u:Secret-1@kv.example.net"), None), VAULT_URI),
            (settings(None, Some(ArchiveIdentity::SystemAssigned)), VAULT_URI),
            (settings(Some(OTHER), identity), IDENTITY),
            (deprecated(Some("kv"), Some(true)), KEY_VAULT_ID),
            (deprecated(None, Some(true)), KEY_VAULT_ID),
        ];
        for (change, key) in cases {
            let objection = change.apply(None).unwrap_err();
            assert_eq!(objection.key(), key, "{change:?}");
            assert!(!objection.to_string().contains("Secret"), "{objection}");
        }
    }
}
