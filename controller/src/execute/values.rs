//! The passwords that one operation needs, opened once each and forgotten with the operation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::id::SecretVersion;
use protocol::password::Password;

use crate::naming::SecretName;
use crate::vault::{Vault, VaultError};

/// Opens values from the vault, each version once.
pub(crate) struct Values {
    vault: Arc<dyn Vault>,
    opened: Mutex<HashMap<SecretVersion, Arc<Password>>>,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Values(…)")
    }
}

impl Values {
    pub(crate) fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault, opened: Mutex::new(HashMap::new()) }
    }

    /// Opens versions, and returns them in the same order.
    pub(crate) async fn open(
        &self,
        wanted: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Arc<Password>>, VaultError> {
        let missing: Vec<(SecretName, SecretVersion)> = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let is_missing = |item: &&(SecretName, SecretVersion)| !opened.contains_key(&item.1);
            wanted.iter().filter(is_missing).cloned().collect()
        };
        let values =
            if missing.is_empty() { Vec::new() } else { self.vault.get_all(&missing).await? };
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_name, version), value) in missing.into_iter().zip(values) {
            opened.entry(version).or_insert_with(|| Arc::new(value));
        }
        let found = |(_name, version): &(SecretName, SecretVersion)| opened.get(version).cloned();
        let all: Vec<Arc<Password>> = wanted.iter().filter_map(found).collect();
        if all.len() == wanted.len() {
            Ok(all)
        } else {
            Err(VaultError::Short { asked: wanted.len(), got: all.len() })
        }
    }
}
