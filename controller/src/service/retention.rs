//! What may go from the vault, and what is kept.

use protocol::id::SecretVersion;

use super::Service;
use crate::naming::SecretName;
use crate::plan::retention::{self, Holder};

impl Service {
    /// Returns the devices that need a version of a secret, whosever it is; see
    /// [`retention::holders`]. While there is one, the version must not be disabled, deleted or
    /// purged.
    #[must_use]
    pub fn holders(&self, name: &SecretName, version: &SecretVersion) -> Vec<Holder> {
        let held = |id| self.read(&id, |fabric| retention::holders(fabric, name, version));
        self.fabrics().into_iter().filter_map(|id| held(id).ok()).flatten().collect()
    }
}
