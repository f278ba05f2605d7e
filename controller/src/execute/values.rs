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

    /// Opens what can be opened of several versions, as [`Vault::open_each`]. What cannot be is not
    /// remembered: it may be back when somebody asks again.
    pub(crate) async fn open(&self, wanted: &[Item]) -> Result<Vec<Opened>, VaultError> {
        let failures = self.held().failures;
        let mut lost = Lost::new();
        loop {
            let mut seen = HashSet::new();
            let mut left = wanted.to_vec();
            left.retain(|(_name, it)| !lost.contains_key(it) && seen.insert(it.clone()));
            // From before the look on, so that no answer comes in between unnoticed.
            let mut answers = self.answers.subscribe();
            let Some(missing) = self.held().missing(&left, failures) else { break };
            if missing.is_empty() {
                // The sender is here, so that it cannot have gone.
                let _answered = answers.changed().await;
            } else {
                lost.extend(Asking { values: self, missing }.ask().await?);
            }
        }
        let opened = &self.held().opened;
        let found = |(name, version): &Item| {
            let unknown = || VaultError::NotFound { name: name.clone(), version: version.clone() };
            let why = |lost: &mut Lost| lost.remove(version).unwrap_or_else(unknown);
            opened.get(version).cloned().ok_or_else(|| why(&mut lost))
        };
        Ok(wanted.iter().map(found).collect())
    }
}

/// A version's value, or why it alone cannot be opened.
pub(crate) type Opened = Result<Arc<Password>, VaultError>;

/// Versions that cannot be opened, and why.
type Lost = HashMap<SecretVersion, VaultError>;

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
    /// Returns the versions that cannot be opened.
    async fn ask(self) -> Result<Lost, VaultError> {
        let each = self.values.vault.open_each(&self.missing).await?;
        let mut held = self.values.held();
        let mut lost = Lost::new();
        for ((_name, version), value) in self.missing.iter().zip(each) {
            match value {
                Ok(value) => drop(held.opened.insert(version.clone(), Arc::new(value))),
                Err(error) => drop(lost.insert(version.clone(), error)),
            }
        }
        Ok(lost)
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
