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
use crate::config::Config;
use crate::key_source;
use crate::remote_vault;
use crate::store::DataDirLock;
use crate::vault::embedded::Place;
use crate::vault::key::{KeySource, NewKey};
use crate::vault::{EmbeddedVault, Vault};

pub use self::backup::NewFile;
pub use self::error::OfflineError;
pub use self::restored::{Accepted, LostPassword};

/// A data directory that is this process's alone, as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    dir: PathBuf,
    config: Config,
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
        Ok(Self { dir, config: config.clone(), auditor, _lock: lock })
    }

    /// Returns where the vault's key is, by the configuration.
    async fn key(&self) -> Result<KeySource, OfflineError> {
        let found = key_source::find(&self.config, &self.dir).await;
        found.map_err(|source| OfflineError::Reference { source })
    }

    /// Returns what makes a new key that is wrapped as the configuration says.
    ///
    /// # Errors
    /// [`OfflineError::NoWrapper`], [`OfflineError::Reference`].
    pub fn new_wrapped(&self) -> Result<NewKey, OfflineError> {
        let found = key_source::wrapping(&self.config);
        let found = found.map_err(|source| OfflineError::Reference { source })?;
        found.map(NewKey::Wrapped).ok_or(OfflineError::NoWrapper)
    }

    /// Opens the vault that has the passwords, wherever it is.
    async fn vault(&self) -> Result<Arc<dyn Vault>, OfflineError> {
        match &self.config.vault.remote {
            None => Ok(Arc::new(self.embedded().await?)),
            Some(remote) => {
                remote_vault::open(remote).await.map_err(|source| OfflineError::Vault { source })
            }
        }
    }

    /// Refuses what can be done to the embedded vault alone.
    fn check_embedded(&self) -> Result<(), OfflineError> {
        match &self.config.vault.remote {
            None => Ok(()),
            Some(remote) => Err(OfflineError::NotEmbedded { vault: remote.to_string() }),
        }
    }

    /// Opens the embedded vault, which must be there.
    async fn embedded(&self) -> Result<EmbeddedVault, OfflineError> {
        self.check_embedded()?;
        self.embedded_with(&self.key().await?).await
    }

    async fn embedded_with(&self, key: &KeySource) -> Result<EmbeddedVault, OfflineError> {
        let file = &self.config.vault.path;
        if !file.exists() {
            return Err(OfflineError::Missing { file: file.clone() });
        }
        let clock: crate::vault::Clock = Arc::new(|| clock::since_1970().as_secs());
        EmbeddedVault::open_with(file, key, Place::default(), clock)
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
        let object = match &self.config.vault.remote {
            None => self.config.vault.path.display().to_string(),
            Some(remote) => remote.to_string(),
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
