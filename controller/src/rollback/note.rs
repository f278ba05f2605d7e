//! What is noted before an exposure, and its file.
//!
//! Three lines: `keyturn-vault-mark 1`, the note as JSON, and a hash of these two, so that damage is
//! told from an older copy. There is nothing secret in it. The same text lies in the vault.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use protocol::id::FabricId;
use serde::{Deserialize, Serialize};

use super::{RollbackError, Suspicion};
use crate::disk::{file, replace_private};
use crate::store::Revision;
use crate::vault::{Mark, Vault};

const HEADER: &str = "keyturn-vault-mark 1";

/// What was noted before the last exposure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noted {
    /// Which vault: see [`Mark::vault`]. For a vault without marks its URI; empty in notes of a
    /// Keyturn that did not write that.
    pub(super) vault: String,
    /// The vault's mark.
    pub(super) serial: u64,
    /// The journals of all fabrics that had an exposure, by [`key`].
    pub(super) journals: BTreeMap<String, NotedJournal>,
    /// The versions that somebody knows to be lost.
    #[serde(default)]
    pub(super) lost: BTreeSet<String>,
}

/// How far a journal was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotedJournal {
    /// How many events it had.
    pub(super) revision: Revision,
    /// What names these events: see [`crate::store::Store::link`].
    pub(super) link: String,
}

/// Returns what a vault without marks is called in a note. The name of a marked one is no URI.
pub(super) fn of_unmarked(vault: &dyn Vault) -> String {
    vault.uri()
}

/// Returns what a fabric is called in a note: its id, in lower case.
pub(super) fn key(fabric: &FabricId) -> String {
    fabric.to_string().to_ascii_lowercase()
}

impl Noted {
    /// Makes the first note about a vault.
    pub(super) fn first(mark: &Mark) -> Self {
        Self { vault: mark.vault.clone(), serial: mark.serial, ..Self::default() }
    }

    /// Makes the first note about a vault without marks.
    pub(super) fn unmarked(vault: &dyn Vault) -> Self {
        Self { vault: of_unmarked(vault), ..Self::default() }
    }

    /// Tells whether the note is about a vault that has marks.
    pub(super) fn is_marked(&self) -> bool {
        !self.vault.is_empty() && !self.vault.contains("://")
    }

    /// Compares a vault that has no marks with the note: it can be another one, and never older.
    pub(super) fn suspects_unmarked(&self, vault: &dyn Vault) -> Option<Suspicion> {
        let is_it = self.vault.is_empty() || self.vault == of_unmarked(vault);
        (!is_it).then_some(Suspicion::VaultOther)
    }

    /// Compares a vault's mark with the note. A mark above the note is none of an older vault: the
    /// note may be older, or a kill came between the two.
    pub(super) fn suspects(&self, mark: &Mark) -> Option<Suspicion> {
        if self.vault != mark.vault {
            return Some(Suspicion::VaultOther);
        }
        let (noted, found) = (self.serial, mark.serial);
        (found < noted).then_some(Suspicion::VaultOlder { noted, found })
    }

    /// Reads a note; `None` if there is none, and a suspicion if it is damaged.
    pub(super) fn read(path: &Path) -> Result<Result<Option<Self>, Suspicion>, RollbackError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
            // Bytes that are no text at all.
            Err(source) if source.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(source) => {
                return Err(RollbackError::Disk { source: file::failed(path, "read", source) });
            }
        };
        let damaged = || Suspicion::NoteDamaged { file: path.to_owned() };
        Ok(Self::parse(&text).map(Some).ok_or_else(damaged))
    }

    /// Reads the text of a note; `None` if it is not what was written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (lines, end) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let lines = format!("{lines}\n");
        let note = lines.strip_prefix(HEADER)?.strip_prefix('\n')?;
        if check(&lines) != end {
            return None;
        }
        serde_json::from_str(note).ok()
    }

    /// Returns the text of the note.
    pub(super) fn render(&self) -> Result<String, RollbackError> {
        let note =
            serde_json::to_string(self).map_err(|source| RollbackError::Encode { source })?;
        let lines = format!("{HEADER}\n{note}\n");
        let check = check(&lines);
        Ok(format!("{lines}{check}\n"))
    }
}

/// Puts a note in the place of the one before; durable when it returns.
pub(super) fn write(path: &Path, text: &str) -> Result<(), RollbackError> {
    replace_private(path, text.as_bytes()).map_err(|source| RollbackError::Disk { source })
}

fn check(lines: &str) -> String {
    hex::encode(digest(&SHA256, lines.as_bytes()))
}
