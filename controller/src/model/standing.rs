//! What versions of a secret are said to be, in the vaults that say so.

use protocol::id::SecretVersion;
use serde::{Deserialize, Serialize};

use super::Fabric;

/// What a version is to its secret. [`crate::plan::standing`] decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// On its way to the devices, or not proven on any.
    Pending,
    /// What the devices have.
    Current,
    /// What they had before; one that lags behind may have it still.
    Previous,
}

/// Notes what a vault says of versions from here on: the own one, or the customer's at this URI.
pub(super) fn labelled(
    fabric: &mut Fabric,
    vault_uri: Option<&str>,
    versions: &[(SecretVersion, Standing)],
) {
    for (version, standing) in versions {
        match vault_uri {
            None => {
                fabric.labelled.insert(version.clone(), *standing);
            }
            Some(uri) => {
                if let Some(copy) = fabric.copies.get_mut(version)
                    && copy.vault_uri == uri
                {
                    copy.standing = Some(*standing);
                }
            }
        }
    }
}
