//! Backing the vault up, and restoring it.

use std::fs::{DirBuilder, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{DataDir, OfflineError};
use crate::age::{AgeError, Identity, Recipient};
use crate::clock;
use crate::config::Config;
use crate::disk::file::{failed, publish, start_draft};
use crate::vault::{Backup, EmbeddedVault, Vault};

/// The largest file of identities, in bytes.
const IDENTITIES_BYTES_MAX: u64 = 64 << 10;

/// A file that is being written and has its name once it is whole.
#[derive(Debug)]
pub struct NewFile {
    draft: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Begins the file `path`, mode 0600, which must not be there.
    ///
    /// # Errors
    /// [`OfflineError::Exists`], [`OfflineError::Disk`].
    pub fn begin(path: &Path) -> Result<(Self, File), OfflineError> {
        if path.exists() {
            return Err(OfflineError::Exists { file: path.to_owned() });
        }
        let draft = start_draft(path).map_err(|source| OfflineError::Disk { source })?;
        let file = File::options().write(true).open(&draft);
        let file =
            file.map_err(|source| OfflineError::Disk { source: failed(&draft, "write", source) })?;
        Ok((Self { draft, path: path.to_owned() }, file))
    }

    /// Gives the file its name; durable when it returns.
    ///
    /// # Errors
    /// [`OfflineError::Disk`].
    pub fn finish(self) -> Result<(), OfflineError> {
        publish(&self.draft, &self.path).map_err(|source| OfflineError::Disk { source })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Once it has its name there is none.
        let _absent = std::fs::remove_file(&self.draft);
    }
}

/// Reads identities from a file as `age-keygen` writes it.
fn identities(file: &Path) -> Result<Vec<Identity>, OfflineError> {
    let failed = |source| OfflineError::Identity { file: file.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    let read = File::open(file)
        .and_then(|opened| opened.take(IDENTITIES_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|source| failed(AgeError::Io { source }))?;
    Identity::parse_all(&text).map_err(failed)
}

impl DataDir {
    /// Takes the data directory of a configuration, after making it if it is not there.
    ///
    /// # Errors
    /// As [`DataDir::take`], and if it cannot be made.
    pub async fn take_or_make(config: &Config) -> Result<Self, OfflineError> {
        let dir = &config.data_dir;
        if !dir.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|source| OfflineError::Disk { source: failed(dir, "make", source) })?;
        }
        Self::take(config).await
    }

    /// Writes a backup of the vault into the new file `to`, sealed to `recipients`.
    ///
    /// # Errors
    /// [`OfflineError::Exists`], [`OfflineError::Vault`], [`OfflineError::Disk`]; there is no file
    /// `to` then.
    pub async fn back_up(
        &self,
        recipients: Vec<Recipient>,
        to: &Path,
    ) -> Result<Backup, OfflineError> {
        self.recorded("Keyturn/vault/backup/action", async {
            let (new, file) = NewFile::begin(to)?;
            let made = self.embedded().await?.back_up_all(recipients, Box::new(file)).await;
            let made = made.map_err(|source| OfflineError::Vault { source })?;
            new.finish()?;
            Ok(made)
        })
        .await
    }

    /// Makes the vault of a backup, where there is none. Its key is made where there is none.
    ///
    /// # Errors
    /// [`OfflineError::Identity`], [`OfflineError::Vault`]; there is no vault then.
    pub async fn restore(&self, from: &Path, identity: &Path) -> Result<Backup, OfflineError> {
        self.recorded("Keyturn/vault/restore/action", async {
            self.check_embedded()?;
            let identities = identities(identity)?;
            let backup = File::open(from)
                .map_err(|source| OfflineError::Disk { source: failed(from, "read", source) })?;
            let clock: crate::vault::Clock = Arc::new(|| clock::since_1970().as_secs());
            let (file, key) = (&self.config.vault.path, self.key().await?);
            EmbeddedVault::restore(file, &key, identities, BufReader::new(backup), clock)
                .await
                .map_err(|source| OfflineError::Vault { source })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::{audited, home};
    use super::*;
    use crate::config::Flags;

    const IDENTITY: &str =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[tokio::test]
    async fn a_backup_is_a_private_file_and_is_restored_into_a_new_directory() {
        let (dir, config) = home().await;
        let (file, identity) = (dir.path().join("b.age"), dir.path().join("identity"));
        fs::write(&identity, format!("# mine\n{IDENTITY}\n")).unwrap();
        let taken = DataDir::take(&config).await.unwrap();
        let recipients: Vec<Recipient> = vec![RECIPIENT.parse().unwrap()];
        let made = taken.back_up(recipients.clone(), &file).await.unwrap();
        assert_eq!(made.values, 2);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(audited(dir.path(), "Keyturn/vault/backup/action", &["requested", "succeeded"]));
        let error = taken.back_up(recipients, &file).await.unwrap_err();
        assert!(matches!(error, OfflineError::Exists { .. }), "{error}");
        let flags = Flags { data_dir: Some(dir.path().join("new/dir")), listen: None };
        let other = DataDir::take_or_make(&Config::without_file(&flags)).await.unwrap();
        assert_eq!(other.restore(&file, &identity).await.unwrap(), made);
        assert_eq!(other.embedded().await.unwrap().verify().await.unwrap(), 2);
        let folder = dir.path().join("new/dir");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(audited(&folder, "Keyturn/vault/restore/action", &["requested", "succeeded"]));
        let error = other.restore(&file, &identity).await.unwrap_err();
        assert!(error.hint().unwrap().contains("another data directory"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named() {
        let (dir, config) = home().await;
        let taken = DataDir::take(&config).await.unwrap();
        let (file, identity) = (dir.path().join("b.age"), dir.path().join("identity"));
        let error = taken.restore(&file, &identity).await.unwrap_err();
        assert!(error.to_string().contains("identity"), "{error}");
        fs::write(&identity, RECIPIENT).unwrap();
        let error = taken.restore(&file, &identity).await.unwrap_err();
        assert!(error.hint().unwrap().contains("age-keygen"), "{error}");
        fs::write(&identity, IDENTITY).unwrap();
        let error = taken.restore(&file, &identity).await.unwrap_err();
        assert!(error.to_string().contains("b.age"), "{error}");
    }
}
