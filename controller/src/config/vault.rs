//! `[vault]` of a configuration file: where the vault is, and what opens its key.

use std::path::{Path, PathBuf};

use super::file::path;
use super::secrets::FileSecrets;
use super::{RemoteVaultConfig, VaultConfig, remote_vault, retention};
use crate::document::{DocumentError, Table, Value};
use crate::plan::retention::Retention;
use crate::reference::{Kind, Reference, wrapping_key};

const KEYS: [&str; 7] = [
    "path",
    "key-file",
    "passphrase-file",
    "passphrase",
    "wrapped-key",
    "retention-versions-min",
    "retention-time",
];

/// What is the embedded vault's alone.
const OF_EMBEDDED: [&str; 5] = ["path", "key-file", "passphrase-file", "passphrase", "wrapped-key"];

/// What opens a key: one of them at most.
const OPENERS: [&str; 3] = ["passphrase-file", "passphrase", "wrapped-key"];

/// `[vault]` of a file.
#[derive(Debug, Default)]
pub(super) struct FileVault {
    path: Option<PathBuf>,
    key_file: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
    passphrase: Option<Reference>,
    wrapped_key: Option<Reference>,
    remote: Option<RemoteVaultConfig>,
    retention: Retention,
}

impl FileVault {
    /// Reads `[vault]`; where references lead is noted in `secrets`.
    pub(super) fn parse(value: Value, secrets: &mut FileSecrets) -> Result<Self, DocumentError> {
        let keys: Vec<&str> = KEYS.into_iter().chain(remote_vault::keys()).collect();
        let mut table = value.table("[vault]", &keys)?;
        check_openers(&table)?;
        let table = &mut table;
        let beside = OF_EMBEDDED.into_iter().find(|key| table.has(key));
        let remote = remote_vault::optional(table, secrets)?;
        if let (Some(remote), Some(key)) = (&remote, beside) {
            let expected = "either the embedded vault or one that others run";
            let got = format_args!("`{key}` beside `{remote}`");
            return Err(table.spot().wrong(expected, got));
        }
        let passphrase = table.optional("passphrase");
        let passphrase =
            passphrase.map(|value| secrets.reference(value, "`passphrase`", Kind::Secret));
        Ok(Self {
            path: path(table, "path", "the path of a database file")?,
            key_file: path(table, "key-file", "the path of a key's file")?,
            passphrase_file: path(table, "passphrase-file", "the path of a passphrase's file")?,
            passphrase: passphrase.transpose()?,
            wrapped_key: table
                .optional("wrapped-key")
                .map(|value| wrapped_key(value, secrets))
                .transpose()?,
            remote,
            retention: retention::parse(table)?,
        })
    }

    /// Puts defaults in where the file says nothing, and makes paths absolute.
    pub(super) fn check(self, usual: VaultConfig, base: &Path) -> VaultConfig {
        let place = |path: PathBuf| base.join(path);
        VaultConfig {
            path: self.path.map_or(usual.path, place),
            key_file: self.key_file.map(place),
            passphrase_file: self.passphrase_file.map(place),
            passphrase: self.passphrase,
            wrapped_key: self.wrapped_key,
            remote: self.remote.map(|vault| remote_vault::place(vault, base)),
            retention: self.retention,
        }
    }
}

fn check_openers(table: &Table) -> Result<(), DocumentError> {
    let given: Vec<&str> = OPENERS.into_iter().filter(|key| table.has(key)).collect();
    match given.as_slice() {
        [] | [_] => Ok(()),
        [one, other, ..] => {
            let expected = "one of `passphrase-file`, `passphrase` and `wrapped-key`";
            Err(table.spot().wrong(expected, format_args!("`{one}` and `{other}`")))
        }
    }
}

fn wrapped_key(value: Value, secrets: &mut FileSecrets) -> Result<Reference, DocumentError> {
    let spot = value.spot();
    let mut table = value.table("`wrapped-key`", &["key-vault"])?;
    let key = table.required("key-vault", "the key that wraps: { vault, vault-key }")?;
    let reference = wrapping_key(key)?;
    secrets.needs(&reference, spot);
    Ok(reference)
}
