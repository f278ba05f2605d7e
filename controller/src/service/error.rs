//! What can go wrong for somebody who asks the service for something.

use protocol::id::{ProfileName, ResourceName};

use crate::auditor::AuditError;
use crate::error::Fault;
use crate::inventory::Objection;
use crate::journal::JournalError;
use crate::naming::{NameCollision, SecretName};
use crate::plan::retention::{Holder, Stay};
use crate::plan::{Refusal, audit};
use crate::rollback::RollbackError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// Tells why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such thing.
    #[error("find {what} `{id}`")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// The planner refused. Not an error of anybody.
    #[error("{refusal}")]
    Refused {
        /// Why, and what mends it.
        refusal: Refusal,
    },
    /// The inventory contradicts itself.
    #[error("take the inventory")]
    Inventory {
        /// What is wrong with it.
        #[source]
        source: Objection,
    },
    /// A device has a profile whose current password nobody has told.
    #[error("adopt device `{device}`: no current password was given for `{profile}`")]
    PasswordMissing {
        /// The device.
        device: ResourceName,
        /// The profile.
        profile: ProfileName,
    },
    /// A password was told for an account that no terminal server has.
    #[error("take a password for `{user}`: no terminal server shares the password of that account")]
    UnknownUser {
        /// The account.
        user: String,
        /// The accounts whose passwords terminal servers share.
        known: Vec<String>,
    },
    /// Another fabric of the resource group has a device of that name.
    #[error("declare device `{device}`: another fabric of the resource group has one of that name")]
    NameTaken {
        /// The device.
        device: ResourceName,
    },
    /// A password was told of a device whose secrets take none now.
    #[error(
        "take the password of `{profile}` on device `{device}`: the device is out of service or \
         being looked at, and keeps the passwords that are known of it"
    )]
    PasswordNotTaken {
        /// The device.
        device: ResourceName,
        /// The profile.
        profile: ProfileName,
    },
    /// Two secrets would have one name in the vault.
    #[error("name the secrets of the fabric")]
    Names {
        /// Which.
        #[source]
        source: NameCollision,
    },
    /// A device cannot be moved to another platform or role while it has secrets.
    #[error("change {what} of device `{device}` from `{was}` to `{given}`")]
    Fixed {
        /// The device.
        device: ResourceName,
        /// What is fixed.
        what: &'static str,
        /// What it is.
        was: String,
        /// What was given.
        given: String,
    },
    /// Devices need a version of a secret that somebody wants to take away.
    #[error("take a version of `{name}` away: {} of its devices needs it", holders.len())]
    SecretInUse {
        /// The secret.
        name: SecretName,
        /// Which devices, and why.
        holders: Vec<Holder>,
    },
    /// A version of a secret is kept although no device is known that needs it now.
    #[error("take a version of `{name}` away: {}", stays.first().map_or_else(String::new, ToString::to_string))]
    SecretKept {
        /// The secret.
        name: SecretName,
        /// Why; at least one reason.
        stays: Vec<Stay>,
    },
    /// A version was made for a device and nobody knows yet, or any more, which.
    #[error("take a version of `{name}` away: it was made for devices that are not known now")]
    SecretUnsettled {
        /// The secret.
        name: SecretName,
    },
    /// Somebody wants to set a secret that Keyturn sets.
    #[error("set `{name}`: it has passwords that Keyturn has made for devices")]
    SecretOfDevices {
        /// The secret.
        name: SecretName,
    },
    /// An older name leads to a secret that the caller may not open.
    #[error("adopt what lies under the older name `{name}`: it is not this fabric's")]
    SecretOfOthers {
        /// The secret.
        name: SecretName,
    },
    /// The vault did not do its work; nothing was exposed.
    #[error("use the vault")]
    Vault {
        /// What it said.
        #[source]
        source: VaultError,
    },
    /// The customer's own vault does not take secrets. Nothing was changed.
    #[error("use the customer's vault {vault}")]
    Archive {
        /// The vault.
        vault: String,
        /// Why not.
        #[source]
        source: VaultError,
    },
    /// The store did not do its work.
    #[error("read the store")]
    Store {
        /// What it said.
        #[source]
        source: StoreError,
    },
    /// The journal could not be read or written; nothing was exposed.
    #[error("record the request")]
    Journal {
        /// Why.
        #[source]
        source: JournalError,
    },
    /// What is about to be done cannot be recorded; it was not done.
    #[error("record what is about to be done")]
    Audit {
        /// Why.
        #[source]
        source: AuditError,
    },
    /// The vault or the store looks like an older copy, or that cannot be told. Nothing was changed.
    #[error("use vault and store")]
    Rollback {
        /// What was noticed.
        #[source]
        source: RollbackError,
    },
    /// The planner made a plan that its auditor does not accept: our bug. Nothing was changed.
    #[error("accept a plan of our own")]
    UnsoundPlan {
        /// The rule that it breaks.
        #[source]
        source: audit::Fault,
    },
}

impl ServiceError {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { what, .. } => Some(where_to_look(what)),
            Self::Refused { refusal } => Some(refusal.hint.clone()),
            Self::Inventory { source } => source.hint(),
            Self::PasswordMissing { device, profile } => Some(format!(
                "add it to the passwords file, under [profiles] or [devices.{device}]: \
                 {profile} = \"…\""
            )),
            Self::UnknownUser { known, .. } if known.is_empty() => {
                Some("tell it with the terminal server itself".to_owned())
            }
            Self::UnknownUser { known, .. } => Some(format!("use one of {}", known.join(", "))),
            Self::NameTaken { .. } => {
                Some("give it another name, or delete the other one".to_owned())
            }
            Self::PasswordNotTaken { .. } => Some(
                "enable the device, and tell the password again if it refuses those that are \
                 known; if another device stands in its place, put it into RMA and declare its new \
                 host key or serial number"
                    .to_owned(),
            ),
            Self::Names { source } => Some(source.hint().to_owned()),
            Self::Fixed { .. } => {
                Some("give the new device a name of its own, or replace it (RMA)".to_owned())
            }
            Self::SecretInUse { .. } => Some(
                "rotate or resync these devices first; what they have had is let go when they have \
                 proven another version"
                    .to_owned(),
            ),
            Self::SecretKept { .. } => Some(
                "`keyturn retention show` says of each version why it stays and until when".to_owned(),
            ),
            Self::SecretUnsettled { .. } => Some(
                "wait for the operation that has made it; what was left by a deleted fabric goes \
                 by its retention"
                    .to_owned(),
            ),
            Self::SecretOfDevices { .. } => {
                Some("use another name; `keyturn fabric rotate-password` sets this one".to_owned())
            }
            Self::SecretOfOthers { .. } => Some(
                "have it declared by somebody who may also get that secret (the roles \
                 `secret-reader` or `vault-secrets-user`), or by an administrator of all fabrics"
                    .to_owned(),
            ),
            Self::Vault { source } => source.hint(),
            Self::Archive { source, .. } => {
                let role = "let the identity that Keyturn has there get, list, set and delete \
                            secrets: the role Key Vault Secrets Officer, or an access policy with \
                            these rights";
                Some(source.hint().map_or_else(|| role.to_owned(), |hint| format!("{hint}; {role}")))
            }
            Self::Store { source } => source.hint(),
            Self::Journal { source } => source.hint(),
            Self::Audit { source } => source.hint(),
            Self::Rollback { source } => source.hint(),
            Self::UnsoundPlan { .. } => Some("report this as a bug".to_owned()),
        }
    }

    /// Says whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Inventory { .. }
            | Self::PasswordMissing { .. }
            | Self::NameTaken { .. }
            | Self::PasswordNotTaken { .. }
            | Self::UnknownUser { .. }
            | Self::Names { .. }
            | Self::SecretInUse { .. }
            | Self::SecretKept { .. }
            | Self::SecretUnsettled { .. }
            | Self::SecretOfDevices { .. }
            | Self::SecretOfOthers { .. }
            | Self::Fixed { .. } => Fault::Operator,
            Self::Vault { source } => source.fault(),
            Self::Archive { .. } => Fault::Operator,
            Self::Store { source } => source.fault(),
            Self::Journal { source } => source.fault(),
            Self::Audit { source } => source.fault(),
            Self::Rollback { source } => source.fault(),
            Self::UnsoundPlan { .. } => Fault::Bug,
        }
    }
}

/// Says where things of a kind are found.
fn where_to_look(what: &str) -> String {
    match what {
        "bootstrap device" => "`keyturn device list --bootstrap` shows what there is".to_owned(),
        "network device" => {
            "it waits for its first password set: ask for a bootstrap device".to_owned()
        }
        "deleted fabric" => {
            "`keyturn fabric list --deleted` shows what is left of which".to_owned()
        }
        "deleted or replaced device" => {
            "`keyturn retention show` names the devices that hold something".to_owned()
        }
        what => {
            format!("`keyturn {} list` shows what there is", what.replace("secret", "device"))
        }
    }
}
