//! The passwords that one operation needs, opened once each and forgotten with the operation.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::id::SecretVersion;
use protocol::password::Password;
use tokio::sync::watch;

use crate::naming::SecretName;
use crate::vault::{Vault, VaultError};

type Item = (SecretName, SecretVersion);

/// Opens values from the vault, each version once: a wave's devices all want the same ones at the
/// same moment, and whoever comes second waits for the answer that the first has asked for.
pub(crate) struct Values {
    vault: Arc<dyn Vault>,
    held: Mutex<Held>,
    /// Marked whenever an answer has come, or will not come.
    answers: watch::Sender<()>,
}

#[derive(Default)]
struct Held {
    opened: HashMap<SecretVersion, Arc<Password>>,
    /// Versions that somebody asks the vault for just now.
    asked: HashSet<SecretVersion>,
    /// Questions that were not answered.
    failures: u64,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Values(…)")
    }
}

impl Values {
    pub(crate) fn new(vault: Arc<dyn Vault>) -> Self {
        Self { vault, held: Mutex::default(), answers: watch::Sender::new(()) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens versions, and returns them in the same order.
    pub(crate) async fn open(&self, wanted: &[Item]) -> Result<Vec<Arc<Password>>, VaultError> {
        let failures = self.held().failures;
        loop {
            // From before the look on, so that no answer comes in between unnoticed.
            let mut answers = self.answers.subscribe();
            let Some(missing) = self.held().missing(wanted, failures) else { break };
            if missing.is_empty() {
                // The sender is here, so that it cannot have gone.
                let _answered = answers.changed().await;
            } else {
                Asking { values: self, missing }.ask().await?;
            }
        }
        let opened = &self.held().opened;
        let found = |(_name, version): &Item| opened.get(version).cloned();
        let all: Vec<Arc<Password>> = wanted.iter().filter_map(found).collect();
        match all.len() == wanted.len() {
            true => Ok(all),
            false => Err(VaultError::Short { asked: wanted.len(), got: all.len() }),
        }
    }
}

impl Held {
    /// Returns the versions that nobody asks for yet, and takes them on; `None` where all that is
    /// wanted is open. Once a question has failed nobody relies on another's any more: a thousand
    /// that wait for each other's time-outs would wait for hours.
    fn missing(&mut self, wanted: &[Item], failures: u64) -> Option<Vec<Item>> {
        let alone = self.failures != failures;
        if wanted.iter().all(|(_name, version)| self.opened.contains_key(version)) {
            return None;
        }
        let mut missing = wanted.to_vec();
        missing.retain(|(_name, version)| {
            !self.opened.contains_key(version) && (self.asked.insert(version.clone()) || alone)
        });
        Some(missing)
    }
}

/// A question to the vault. However it ends, those who wait for its answer go on: to what it
/// brought, or to ask themselves.
struct Asking<'a> {
    values: &'a Values,
    missing: Vec<Item>,
}

impl Asking<'_> {
    async fn ask(self) -> Result<(), VaultError> {
        let values = self.values.vault.get_all(&self.missing).await?;
        let (asked, got) = (self.missing.len(), values.len());
        if got != asked {
            return Err(VaultError::Short { asked, got });
        }
        let mut held = self.values.held();
        for ((_name, version), value) in self.missing.iter().zip(values) {
            held.opened.insert(version.clone(), Arc::new(value));
        }
        Ok(())
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut held = self.values.held();
        for (_name, version) in &self.missing {
            held.asked.remove(version);
            held.failures += u64::from(!held.opened.contains_key(version));
        }
        drop(held);
        self.values.answers.send_replace(());
    }
}

#[cfg(test)]
mod tests;
