//! A data directory to do things to.

use std::fs;
use std::path::Path;

use protocol::password::Password;

use super::*;
use crate::config::Flags;
use crate::naming::SecretName;
use crate::vault::{Tag, Vault};

/// Makes a data directory whose vault holds two values.
pub(super) async fn home() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let flags = Flags { data_dir: Some(dir.path().to_owned()), listen: None };
    let config = Config::without_file(&flags);
    let vault = EmbeddedVault::open(dir.path(), Place::default(), Arc::new(|| 0)).await.unwrap();
    for n in 0..2 {
        let name = SecretName::for_tests(&format!("lab-{n}"));
        let value = Password::new(format!("Canary-{n}")).unwrap();
        vault.put(&name, &Tag::new("op"), &value).await.unwrap();
    }
    vault.close().await.unwrap();
    (dir, config)
}

/// Tells whether the audit has records about an action, each with one of the texts.
pub(super) fn audited(dir: &Path, action: &str, wanted: &[&str]) -> bool {
    let log = fs::read_to_string(dir.join("audit.log")).unwrap();
    let about: Vec<&str> = log.lines().filter(|line| line.contains(action)).collect();
    wanted.iter().all(|text| about.iter().any(|line| line.contains(text)))
}
