//! What is done to a data directory while no daemon uses it.
//!
//! Whoever does it holds the directory's lock meanwhile, as a daemon does, and it is in the audit
//! before it is done.

mod backup;
mod error;
mod rekey;
mod restored;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::{Entry, Outcome};
use crate::auditor::{self, Auditor};
use crate::clock;
use crate::config::{Config, StoreConfig, VaultConfig};
use crate::remote_vault;
use crate::store::DataDirLock;
use crate::vault::embedded::Place;
use crate::vault::key::KeySource;
use crate::vault::{EmbeddedVault, Vault};

pub use self::backup::NewFile;
pub use self::error::OfflineError;
pub use self::restored::{Accepted, LostPassword};

/// A data directory that is this process's alone, as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    dir: PathBuf,
    vault: VaultConfig,
    store: StoreConfig,
    auditor: Auditor,
    _lock: DataDirLock,
}

impl DataDir {
    /// Takes the data directory of a configuration for this process.
    ///
    /// # Errors
    /// [`OfflineError::InUse`] while a daemon uses it; [`OfflineError::Missing`] if there is none;
    /// [`OfflineError::Audit`] if nothing could be recorded.
    pub async fn take(config: &Config) -> Result<Self, OfflineError> {
        let missing = |file: &Path| OfflineError::Missing { file: file.to_owned() };
        let dir =
            std::path::absolute(&config.data_dir).map_err(|_source| missing(&config.data_dir))?;
        if !dir.is_dir() {
            return Err(missing(&dir));
        }
        Self::hold(dir, config).await
    }

    async fn hold(dir: PathBuf, config: &Config) -> Result<Self, OfflineError> {
        let lock = DataDirLock::acquire(&dir).map_err(OfflineError::of_lock)?;
        let auditor = auditor::open(&dir).await.map_err(|source| OfflineError::Audit { source })?;
        let (vault, store) = (config.vault.clone(), config.store.clone());
        Ok(Self { dir, vault, store, auditor, _lock: lock })
    }

    /// Returns where the vault's key is, by the configuration.
    #[must_use]
    pub fn key(&self) -> KeySource {
        let VaultConfig { key_file, passphrase_file, .. } = &self.vault;
        KeySource::find(&self.dir, key_file.as_deref(), passphrase_file.as_deref())
    }

    /// Opens the vault that has the passwords, wherever it is.
    async fn vault(&self) -> Result<Arc<dyn Vault>, OfflineError> {
        match &self.vault.remote {
            None => Ok(Arc::new(self.embedded().await?)),
            Some(remote) => {
                remote_vault::open(remote).map_err(|source| OfflineError::Vault { source })
            }
        }
    }

    /// Refuses what can be done to the embedded vault alone.
    fn check_embedded(&self) -> Result<(), OfflineError> {
        match &self.vault.remote {
            None => Ok(()),
            Some(remote) => Err(OfflineError::NotEmbedded { vault: remote.uri().to_owned() }),
        }
    }

    /// Opens the embedded vault, which must be there.
    async fn embedded(&self) -> Result<EmbeddedVault, OfflineError> {
        self.check_embedded()?;
        let file = &self.vault.path;
        if !file.exists() {
            return Err(OfflineError::Missing { file: file.clone() });
        }
        let clock: crate::vault::Clock = Arc::new(|| clock::since_1970().as_secs());
        EmbeddedVault::open_with(file, &self.key(), Place::default(), clock)
            .await
            .map_err(|source| OfflineError::Vault { source })
    }

    /// Does `work` between a record of what is about to be done to the vault, and one of how it went.
    async fn recorded<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T, OfflineError>>,
    ) -> Result<T, OfflineError> {
        // Nobody has shown a token: the operating system says who it is.
        let who = format!("uid {}", rustix::process::getuid().as_raw());
        let object = match &self.vault.remote {
            None => self.vault.path.display().to_string(),
            Some(remote) => remote.uri().to_owned(),
        };
        let entry = Entry::requested(&who, action, &object, clock::now());
        let of = self.auditor.write(entry.clone()).await;
        let of = of.map_err(|source| OfflineError::Audit { source })?;
        let done = work.await;
        let outcome = match &done {
            Ok(_) => Outcome::Succeeded,
            Err(_) => Outcome::Failed,
        };
        self.auditor.write_after(entry.ended(of, outcome, clock::now())).await;
        done
    }
}

#[cfg(test)]
mod tests;
