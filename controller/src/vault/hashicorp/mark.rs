//! The mark that tells an older copy of the vault: whoever brings a snapshot back brings back this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Shared;
use crate::kv2::{Kv2Error, Read};
use crate::vault::{Mark, VaultError, new_version};

/// Where it is, beside the folder of secrets.
const KEY: &str = "mark";

/// How many of it are kept: the one before is for whoever looks after an accident.
const VERSIONS_MAX: u32 = 2;

/// How often it is tried again when somebody else was faster.
const TRIES_MAX: u32 = 8;

/// What is in the key.
#[derive(Serialize, Deserialize)]
struct Marked {
    vault: String,
    /// As a text: the engine reads numbers as floating-point ones.
    serial: String,
    note: String,
}

impl Shared {
    pub(super) async fn mark(&self) -> Result<Mark, VaultError> {
        self.check_mount().await?;
        Ok(self.newest().await?.0)
    }

    pub(super) async fn raise_mark(&self, serial: u64, note: &str) -> Result<(), VaultError> {
        self.check_mount().await?;
        for _try in 0..TRIES_MAX {
            let (mark, version) = self.newest().await?;
            if mark.serial >= serial {
                return Ok(());
            }
            let (serial, note) = (serial.to_string(), note.to_owned());
            let marked = Marked { vault: mark.vault, serial, note };
            match self.client.write(KEY, &marked, version).await {
                Err(Kv2Error::Conflict { .. }) => {}
                written => return written.map(drop).map_err(VaultError::from),
            }
        }
        let (doing, vault) = ("raise the mark".to_owned(), self.client.uri());
        Err(Kv2Error::Conflict { doing, vault }.into())
    }

    /// Returns the mark and its version in the engine. A vault without one gets its name.
    async fn newest(&self) -> Result<(Mark, u64), Kv2Error> {
        if let Some(found) = self.found().await? {
            return Ok(found);
        }
        let (serial, note) = ("0".to_owned(), String::new());
        let marked = Marked { vault: new_version().0.to_string(), serial, note };
        self.client.describe(KEY, &BTreeMap::new(), Some(VERSIONS_MAX)).await?;
        match self.client.write(KEY, &marked, 0).await {
            // Another controller has named it.
            Ok(_) | Err(Kv2Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        self.found().await?.ok_or_else(|| self.odd_mark())
    }

    async fn found(&self) -> Result<Option<(Mark, u64)>, Kv2Error> {
        match self.client.read_newest::<Marked>(KEY).await? {
            Read::Value { data: Marked { vault, serial, note }, version } => {
                let serial = serial.parse().map_err(|_source| self.odd_mark())?;
                Ok(Some((Mark { vault, serial, note }, version)))
            }
            Read::Missing => Ok(None),
            Read::Deleted | Read::Destroyed => Err(self.odd_mark()),
        }
    }

    fn odd_mark(&self) -> Kv2Error {
        Kv2Error::Answer {
            doing: format!("read the key `{KEY}`"),
            vault: self.client.uri(),
            got: "none, or one that somebody else has changed",
        }
    }
}
