//! A new key for the vault.

use std::path::Path;

use super::{DataDir, OfflineError};
use crate::vault::embedded::{Rekeyed, Settled, Steps};
use crate::vault::key::NewKey;

impl DataDir {
    /// Gives the vault a new key, in the place of the old one's file or at `to`. Returns also which
    /// key an earlier change had left, where one was interrupted.
    ///
    /// # Errors
    /// [`OfflineError::Vault`] if the vault does not open with the key that it has, which stays;
    /// [`OfflineError::Rekey`] if the change was not completed: the vault opens with one of the two.
    pub async fn rekey(
        &self,
        new: &NewKey,
        to: Option<&Path>,
    ) -> Result<(Rekeyed, Option<Settled>), OfflineError> {
        self.recorded("Keyturn/vault/rekey/action", async {
            self.check_embedded()?;
            let key = self.key().await?;
            let vault = self.embedded_with(&key).await?;
            let settled = vault.settled();
            let rekeyed = vault.rekey(&key, new, to, &Steps::default()).await;
            Ok((rekeyed.map_err(|source| OfflineError::Rekey { source })?, settled))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{audited, home};
    use super::*;
    use crate::store::DataDirLock;
    use crate::vault::key::PassphraseSource;

    #[tokio::test]
    async fn a_new_key_is_recorded_before_and_after() {
        let (dir, config) = home().await;
        let taken = DataDir::take(&config).await.unwrap();
        let before = fs::read(dir.path().join("vault.key")).unwrap();
        let (rekeyed, settled) = taken.rekey(&NewKey::Random, None).await.unwrap();
        assert_eq!((settled, rekeyed.data_keys), (None, 1));
        assert_ne!(fs::read(&rekeyed.key).unwrap(), before);
        assert_eq!(taken.embedded().await.unwrap().verify().await.unwrap(), 2);
        let wanted = [r#""outcome":"requested""#, r#""outcome":"succeeded""#];
        assert!(audited(dir.path(), "Keyturn/vault/rekey/action", &wanted));
    }

    #[tokio::test]
    async fn nothing_is_done_while_a_daemon_runs_or_nothing_is_there() {
        let (dir, mut config) = home().await;
        let daemon = DataDirLock::acquire(dir.path()).unwrap();
        let error = DataDir::take(&config).await.unwrap_err();
        assert!(matches!(error, OfflineError::InUse { .. }), "{error}");
        assert!(error.hint().unwrap().contains("stop the daemon"));
        drop(daemon);
        config.vault.path = dir.path().join("elsewhere.db");
        let error = DataDir::take(&config).await.unwrap().rekey(&NewKey::Random, None).await;
        let error = error.unwrap_err();
        assert!(matches!(&error, OfflineError::Missing { file } if *file == config.vault.path));
        assert!(!config.vault.path.exists());
        assert!(audited(dir.path(), "rekey", &[r#""outcome":"failed""#]));
        config.data_dir = dir.path().join("nothing");
        let error = DataDir::take(&config).await.unwrap_err();
        assert!(matches!(error, OfflineError::Missing { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_passphrase_that_is_too_short_changes_nothing() {
        let (dir, config) = home().await;
        let file = dir.path().join("passphrase");
        crate::disk::replace_private(&file, b"short\n").unwrap();
        let new = NewKey::Passphrase(PassphraseSource::File(file));
        let taken = DataDir::take(&config).await.unwrap();
        let error = taken.rekey(&new, None).await.unwrap_err();
        assert!(matches!(error, OfflineError::Rekey { .. }), "{error}");
        assert_eq!(taken.embedded().await.unwrap().verify().await.unwrap(), 2);
        assert!(!dir.path().join("vault.key.next").exists());
    }
}
