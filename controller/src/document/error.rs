//! The one error of all files that people write.

use std::fmt;

use crate::error::Fault;

/// Tells where in a file something is wrong, what was expected there and what was found.
///
/// Files with passwords in them never show what was found. The nearest right name is a part of the
/// message; [`DocumentError::hint`] lists all of them.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct DocumentError(pub(super) Box<Detail>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) key: String,
    pub(super) expected: String,
    pub(super) got: String,
    pub(super) nearest: Option<String>,
    pub(super) hint: Option<String>,
}

impl DocumentError {
    /// Returns the file: its path, or `standard input`.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// Returns the line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// Returns the column, from 1, in characters.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// Returns the path of the key, for example `devices[3].role`; empty for the whole file.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// Returns the nearest right name, if one is near.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        self.0.nearest.as_deref()
    }

    /// Returns what mends it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Returns who has to act: whoever wrote the file.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }

    /// Says what mends it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detail { file, line, column, key, expected, got, nearest, .. } = self.0.as_ref();
        write!(f, "read {file}, line {line}, column {column}")?;
        if !key.is_empty() {
            write!(f, ", key `{key}`")?;
        }
        write!(f, ": expected {expected}, got {got}")?;
        match nearest {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
