//! Where the vault's key is, by the configuration: also where others are needed to open it.

use std::path::Path;
use std::sync::Arc;

use crate::clock;
use crate::config::{Config, VaultConfig};
use crate::reference::{ReferenceError, Resolver};
use crate::remote::Pace;
use crate::vault::key::{Fetched, KeySource, KeyVaultWrapper, Wrapping};

/// The file of a local secret that has a passphrase.
const PASSPHRASE_KEY: &str = "passphrase";

/// Returns where the key of the vault in the data directory `dir` is. A passphrase that is elsewhere is
/// fetched; a service that has wrapped the key is not asked yet.
///
/// # Errors
/// Returns [`ReferenceError`].
pub async fn find(config: &Config, dir: &Path) -> Result<KeySource, ReferenceError> {
    let VaultConfig { key_file, passphrase_file, passphrase, .. } = &config.vault;
    let key_file = key_file.as_deref();
    if let Some(by) = wrapping(config)? {
        return Ok(KeySource::wrapped(dir, key_file, by));
    }
    let Some(passphrase) = passphrase else {
        return Ok(KeySource::find(dir, key_file, passphrase_file.as_deref()));
    };
    let text = resolver(config).text(passphrase, PASSPHRASE_KEY).await?;
    let fetched = Fetched::new(passphrase.to_string(), text);
    Ok(KeySource::with_passphrase(dir, key_file, fetched))
}

/// Returns what wraps the vault's key, if the configuration says so.
///
/// # Errors
/// Returns [`ReferenceError`].
pub fn wrapping(config: &Config) -> Result<Option<Wrapping>, ReferenceError> {
    let Some(reference) = &config.vault.wrapped_key else { return Ok(None) };
    let found = resolver(config).key_vault(reference)?;
    Ok(found.map(|(client, key)| {
        Wrapping::new(KeyVaultWrapper::new(client, &key.name, key.version.as_deref()))
    }))
}

fn resolver(config: &Config) -> Resolver {
    let clock = Arc::new(|| clock::since_1970().as_secs());
    Resolver::new(config.secrets.clone(), Pace::default(), clock)
}
