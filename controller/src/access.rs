//! Who may do what: rights, the roles that grant them, and the tokens that carry roles: local ones,
//! made here, and those of OpenID Connect providers.
//!
//! Rotating and revealing are separate rights: whoever may rotate need not know a password, and
//! whoever may read one need not be able to change any.

mod admission;
pub mod oidc;
mod tokens;

use std::fmt;
use std::sync::Arc;

use protocol::id::FabricId;
use serde::{Deserialize, Serialize};

use crate::naming::NAME_CHARACTERS_MAX;

pub use self::admission::{Admission, Rejected};
pub use self::tokens::{
    Created, LIFETIME_DEFAULT, LIFETIME_MAX, TOKEN_NAME_CHARACTERS_MAX, TokenError, TokenView,
    Tokens, Wanted, is_token_name,
};

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Sees what there is and how far it is; no password.
    Read,
    /// Sees numbers of what there is, for alarms.
    ReadMetrics,
    /// Rotates, resyncs, locks, and takes devices out of service and back.
    Operate,
    /// Sees passwords.
    Reveal,
    /// Declares fabrics and devices, and makes tokens.
    Administer,
    /// Opens secrets through the Key Vault API.
    GetSecret,
    /// Sees which secrets there are through it, without their values.
    ListSecrets,
    /// Sets secrets through it, changes their properties and restores backups.
    SetSecret,
    /// Deletes and recovers secrets through it.
    DeleteSecret,
    /// Purges deleted secrets through it.
    PurgeSecret,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// [`Right::Read`].
    Reader,
    /// [`Right::Read`] and [`Right::Operate`].
    Operator,
    /// [`Right::Read`], [`Right::Reveal`], [`Right::GetSecret`] and [`Right::ListSecrets`].
    SecretReader,
    /// All but [`Right::Reveal`] and [`Right::GetSecret`]; it can make a token that has them, which
    /// the list of tokens shows.
    Administrator,
    /// Gets and lists secrets through the Key Vault API, and nothing else: what Azure calls Key
    /// Vault Secrets User.
    VaultSecretsUser,
    /// Does everything with secrets through the Key Vault API, and nothing else: what Azure calls
    /// Key Vault Secrets Officer.
    VaultSecretsOfficer,
    /// [`Right::ReadMetrics`], and nothing else: for whoever scrapes.
    MetricsReader,
}

impl Right {
    /// Tells whether it changes nothing and shows no password: what is not told of in the audit.
    #[must_use]
    pub fn only_looks(self) -> bool {
        matches!(self, Self::Read | Self::ReadMetrics)
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::Reader,
        Self::Operator,
        Self::SecretReader,
        Self::Administrator,
        Self::VaultSecretsUser,
        Self::VaultSecretsOfficer,
        Self::MetricsReader,
    ];

    /// Returns the role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::SecretReader => "secret-reader",
            Self::Administrator => "administrator",
            Self::VaultSecretsUser => "vault-secrets-user",
            Self::VaultSecretsOfficer => "vault-secrets-officer",
            Self::MetricsReader => "metrics-reader",
        }
    }

    /// Tells whether the role is about the Key Vault API alone, and can be narrowed to names with
    /// a prefix.
    #[must_use]
    pub fn is_of_vault(self) -> bool {
        matches!(self, Self::VaultSecretsUser | Self::VaultSecretsOfficer)
    }

    /// Tells whether the role has a right.
    #[must_use]
    pub fn grants(self, right: Right) -> bool {
        match right {
            Right::Read => !self.is_of_vault() && self != Self::MetricsReader,
            Right::ReadMetrics => !self.is_of_vault(),
            Right::Operate => matches!(self, Self::Operator | Self::Administrator),
            Right::Reveal => self == Self::SecretReader,
            Right::Administer => self == Self::Administrator,
            Right::GetSecret => self == Self::SecretReader || self.is_of_vault(),
            Right::ListSecrets => {
                !matches!(self, Self::Reader | Self::Operator | Self::MetricsReader)
            }
            Right::SetSecret | Right::DeleteSecret | Right::PurgeSecret => {
                matches!(self, Self::Administrator | Self::VaultSecretsOfficer)
            }
        }
    }
}

/// What a right is exercised on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// One fabric and all that is in it.
    Fabric(&'a FabricId),
    /// Whatever the caller may see: the answer holds nothing else.
    Visible,
    /// The installation as a whole.
    Everything,
    /// One secret of the vault.
    Secret {
        /// Its name.
        name: &'a str,
        /// The fabric whose devices it opens, or has opened; `None`: somebody set it.
        fabric: Option<&'a FabricId>,
    },
}

/// A role, and where it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The only fabric that it holds for; `None`: all.
    pub fabric: Option<FabricId>,
    /// What the names of the secrets begin with that it holds for, without case; `None`: all.
    pub secret_prefix: Option<Arc<str>>,
}

impl Grant {
    /// Tells whether this gives a right on a scope.
    fn covers(&self, right: Right, scope: Scope<'_>) -> bool {
        let within = match (&self.fabric, scope) {
            (None, _) | (Some(_), Scope::Visible) => true,
            (Some(own), Scope::Fabric(fabric)) => own == fabric,
            (Some(own), Scope::Secret { fabric, .. }) => Some(own) == fabric,
            (Some(_), Scope::Everything) => false,
        };
        within && self.is_named(scope) && self.role.grants(right)
    }

    fn is_named(&self, scope: Scope<'_>) -> bool {
        let Some(prefix) = &self.secret_prefix else { return true };
        match scope {
            Scope::Visible => true,
            Scope::Fabric(_) | Scope::Everything => false,
            Scope::Secret { name, .. } => {
                name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            }
        }
    }
}

/// Checks what the names of secrets are to begin with, for a grant of `role`; returns what was
/// expected.
pub(crate) fn check_prefix(role: Role, prefix: &str) -> Result<(), String> {
    if !role.is_of_vault() {
        let [user, officer] = [Role::VaultSecretsUser, Role::VaultSecretsOfficer].map(Role::as_str);
        return Err(format!("the role `{user}` or `{officer}` beside it"));
    }
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if prefix.is_empty() || prefix.len() > NAME_CHARACTERS_MAX || !prefix.chars().all(is_legal) {
        return Err(format!("1 to {NAME_CHARACTERS_MAX} characters of `[0-9a-zA-Z-]`"));
    }
    Ok(())
}

/// Somebody whose token was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: String,
    /// What nobody else has, whatever they are called.
    key: String,
    rights: Rights,
    /// Where the rights came from, for those who have too few.
    origin: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rights {
    /// Those of the owner of the data directory: all.
    All,
    /// What these give together, each on its own scope.
    Of(Vec<Grant>),
}

impl Principal {
    /// Makes the owner of the data directory, who holds the administrator's first token.
    #[must_use]
    pub fn owner() -> Self {
        let name = "owner".to_owned();
        Self { key: name.clone(), name, rights: Rights::All, origin: None }
    }

    /// Makes somebody with one grant.
    #[must_use]
    pub fn new(name: String, grant: Grant) -> Self {
        let rights = Rights::Of(vec![grant]);
        Self { key: name.clone(), name, rights, origin: None }
    }

    /// Makes somebody with any number of grants, also none, who is told apart from others by `key`;
    /// `origin` says where the grants came from.
    #[must_use]
    pub fn with_grants(name: String, key: String, grants: Vec<Grant>, origin: Arc<str>) -> Self {
        Self { name, key, rights: Rights::Of(grants), origin: Some(origin) }
    }

    /// Tells whether the principal may do something.
    #[must_use]
    pub fn may(&self, right: Right, scope: Scope<'_>) -> bool {
        match &self.rights {
            Rights::All => true,
            Rights::Of(grants) => grants.iter().any(|grant| grant.covers(right, scope)),
        }
    }

    /// Tells whether a fabric may be seen.
    #[must_use]
    pub fn sees(&self, fabric: &FabricId) -> bool {
        self.may(Right::Read, Scope::Fabric(fabric))
    }

    /// Returns what the audit and the log call the principal.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what tells the principal from all others; the name may change, this does not.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns what gives more rights than the principal has.
    #[must_use]
    pub fn more_rights(&self) -> String {
        let none = matches!(&self.rights, Rights::Of(grants) if grants.is_empty());
        match &self.origin {
            Some(origin) if none => {
                format!("the token has none of the claims looked for: {origin}")
            }
            Some(origin) => format!("use a token with another of the claims looked for: {origin}"),
            None => "use a token with another role or scope (`keyturn token create`)".to_owned(),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHTS: [Right; 4] = [Right::Read, Right::Operate, Right::Reveal, Right::Administer];
    const VAULT_RIGHTS: [Right; 5] = [
        Right::GetSecret,
        Right::ListSecrets,
        Right::SetSecret,
        Right::DeleteSecret,
        Right::PurgeSecret,
    ];

    fn principal(role: Role, fabric: Option<FabricId>) -> Principal {
        Principal::new("a".to_owned(), Grant { role, fabric, secret_prefix: None })
    }

    fn fabric(name: &str) -> FabricId {
        FabricId::new("00000000-0000-0000-0000-000000000001", "lab", name).unwrap()
    }

    #[test]
    fn each_role_has_its_rights_and_no_role_both_rotates_and_reveals() {
        let of = |role: Role| RIGHTS.map(|right| role.grants(right));
        assert_eq!(of(Role::Reader), [true, false, false, false]);
        assert_eq!(of(Role::Operator), [true, true, false, false]);
        assert_eq!(of(Role::SecretReader), [true, false, true, false]);
        assert_eq!(of(Role::Administrator), [true, true, false, true]);
        assert_eq!(of(Role::VaultSecretsUser), [false; 4]);
        assert_eq!(of(Role::VaultSecretsOfficer), [false; 4]);
        assert_eq!(of(Role::MetricsReader), [false; 4]);
        let measures = Role::ALL.map(|role| role.grants(Right::ReadMetrics));
        assert_eq!(measures, [true, true, true, true, false, false, true]);
        let of = |role: Role| VAULT_RIGHTS.map(|right| role.grants(right));
        assert_eq!(of(Role::Reader), [false; 5]);
        assert_eq!(of(Role::Operator), [false; 5]);
        assert_eq!(of(Role::SecretReader), [true, true, false, false, false]);
        assert_eq!(of(Role::Administrator), [false, true, true, true, true]);
        assert_eq!(of(Role::VaultSecretsUser), [true, true, false, false, false]);
        assert_eq!(of(Role::VaultSecretsOfficer), [true; 5]);
        assert_eq!(of(Role::MetricsReader), [false; 5]);
    }

    #[test]
    fn a_prefix_narrows_a_grant_to_the_secrets_whose_names_begin_with_it() {
        let (role, prefix) = (Role::VaultSecretsUser, Some("Web-".into()));
        let grant = Grant { role, fabric: None, secret_prefix: prefix };
        let who = Principal::new("a".to_owned(), grant);
        let may = |name| who.may(Right::GetSecret, Scope::Secret { name, fabric: None });
        assert!(may("web-1") && may("WEB-"));
        assert!(!may("web") && !may("we") && !may("other-web-1") && !may("gr\u{fc}\u{df}e"));
        assert!(who.may(Right::ListSecrets, Scope::Visible));
        assert!(!who.may(Right::ListSecrets, Scope::Everything));
    }

    #[test]
    fn a_grant_on_one_fabric_opens_the_secrets_of_that_fabric_alone() {
        let (own, other) = (fabric("east"), fabric("west"));
        let who = principal(Role::SecretReader, Some(own.clone()));
        let may = |fabric| who.may(Right::GetSecret, Scope::Secret { name: "a", fabric });
        assert!(may(Some(&own)));
        assert!(!may(Some(&other)) && !may(None));
    }

    #[test]
    fn a_principal_of_one_fabric_may_nothing_elsewhere() {
        let (own, other) = (fabric("east"), fabric("west"));
        let bound = principal(Role::Administrator, Some(own.clone()));
        let free = principal(Role::Administrator, None);
        for right in [Right::Read, Right::Operate, Right::Administer] {
            assert!(bound.may(right, Scope::Fabric(&own)));
            assert!(!bound.may(right, Scope::Fabric(&other)));
            assert!(!bound.may(right, Scope::Everything));
            assert!(bound.may(right, Scope::Visible));
            assert!(free.may(right, Scope::Fabric(&other)) && free.may(right, Scope::Everything));
        }
        assert!(bound.sees(&fabric("EAST")) && !bound.sees(&other));
        assert!(RIGHTS.iter().all(|right| Principal::owner().may(*right, Scope::Everything)));
    }

    #[test]
    fn several_grants_give_what_each_gives_on_its_own_scope_and_no_more() {
        let (east, west) = (fabric("east"), fabric("west"));
        let grants = vec![
            Grant { role: Role::Operator, fabric: Some(east.clone()), secret_prefix: None },
            Grant { role: Role::SecretReader, fabric: Some(west.clone()), secret_prefix: None },
        ];
        let with = |grants| Principal::with_grants("a".into(), "a".into(), grants, "b".into());
        let both = with(grants);
        let on = |fabric| RIGHTS.map(|right| both.may(right, Scope::Fabric(fabric)));
        assert_eq!(on(&east), [true, true, false, false]);
        assert_eq!(on(&west), [true, false, true, false]);
        assert_eq!(on(&fabric("north")), [false; 4]);
        assert!(RIGHTS.iter().all(|right| !both.may(*right, Scope::Everything)));
        let nobody = with(Vec::new());
        assert!(RIGHTS.iter().all(|right| !nobody.may(*right, Scope::Visible)));
        assert!(nobody.more_rights().contains("none of the claims"));
    }
}
