//! Who may do what: rights, the roles that grant them, and the tokens that carry a role.
//!
//! Rotating and revealing are separate rights: whoever may rotate need not know a password, and
//! whoever may read one need not be able to change any.

mod tokens;

use std::fmt;

use protocol::id::FabricId;
use serde::{Deserialize, Serialize};

pub use self::tokens::{
    Created, LIFETIME_DEFAULT, LIFETIME_MAX, Rejected, TokenError, TokenView, Tokens, Wanted,
};

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Sees what there is and how far it is; no password.
    Read,
    /// Rotates, resyncs, locks, and takes devices out of service and back.
    Operate,
    /// Sees passwords.
    Reveal,
    /// Declares fabrics and devices, and makes tokens.
    Administer,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// [`Right::Read`].
    Reader,
    /// [`Right::Read`] and [`Right::Operate`].
    Operator,
    /// [`Right::Read`] and [`Right::Reveal`].
    SecretReader,
    /// All but [`Right::Reveal`]; it can make a token that reveals, which the list of tokens shows.
    Administrator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] =
        [Self::Reader, Self::Operator, Self::SecretReader, Self::Administrator];

    /// Returns the role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::SecretReader => "secret-reader",
            Self::Administrator => "administrator",
        }
    }

    /// Tells whether the role has a right.
    #[must_use]
    pub fn grants(self, right: Right) -> bool {
        match right {
            Right::Read => true,
            Right::Operate => matches!(self, Self::Operator | Self::Administrator),
            Right::Reveal => self == Self::SecretReader,
            Right::Administer => self == Self::Administrator,
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
}

/// Somebody whose token was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: String,
    /// `None`: the owner of the data directory, who may do everything.
    role: Option<Role>,
    fabric: Option<FabricId>,
}

impl Principal {
    /// Makes the owner of the data directory, who holds the administrator's first token.
    #[must_use]
    pub fn owner() -> Self {
        Self { name: "owner".to_owned(), role: None, fabric: None }
    }

    /// Makes somebody with a role, on one fabric or on all.
    #[must_use]
    pub fn new(name: String, role: Role, fabric: Option<FabricId>) -> Self {
        Self { name, role: Some(role), fabric }
    }

    /// Tells whether the principal may do something.
    #[must_use]
    pub fn may(&self, right: Right, scope: Scope<'_>) -> bool {
        let granted = self.role.is_none_or(|role| role.grants(right));
        let within = match (&self.fabric, scope) {
            (None, _) | (Some(_), Scope::Visible) => true,
            (Some(own), Scope::Fabric(fabric)) => own == fabric,
            (Some(_), Scope::Everything) => false,
        };
        granted && within
    }

    /// Tells whether a fabric may be seen.
    #[must_use]
    pub fn sees(&self, fabric: &FabricId) -> bool {
        self.may(Right::Read, Scope::Fabric(fabric))
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
    }

    #[test]
    fn a_principal_of_one_fabric_may_nothing_elsewhere() {
        let (own, other) = (fabric("east"), fabric("west"));
        let bound = Principal::new("a".to_owned(), Role::Administrator, Some(own.clone()));
        let free = Principal::new("b".to_owned(), Role::Administrator, None);
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
}
