//! Values that know where they stand.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::words::{joined, quoted};
use super::{DocumentError, Spot};

/// One value of a document, with its place.
#[derive(Debug)]
pub(crate) struct Value {
    pub(super) spot: Spot,
    pub(super) node: Node,
}

/// What kind of value it is.
#[derive(Debug)]
pub(super) enum Node {
    Text(Zeroizing<String>),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    Table(Vec<Entry>),
    /// A kind of value that none of our files uses; with its name.
    Other(&'static str),
}

/// One key of a table and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The key as written.
    pub(crate) name: String,
    /// Where the key stands.
    pub(crate) spot: Spot,
    /// What it is set to.
    pub(crate) value: Value,
}

/// A table whose keys have all been checked to be right ones.
#[derive(Debug)]
pub(crate) struct Table {
    spot: Spot,
    entries: BTreeMap<String, Value>,
}

impl Value {
    /// Returns where the value stands.
    pub(crate) fn spot(&self) -> Spot {
        self.spot.clone()
    }

    /// Tells whether it is a table.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.node, Node::Table(_))
    }

    /// Opens a table that may have these keys only; `what` is what has them ("a device").
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value and for the first unknown key.
    pub(crate) fn table(self, what: &str, keys: &[&str]) -> Result<Table, DocumentError> {
        let spot = self.spot.clone();
        let mut known = BTreeMap::new();
        for entry in self.entries(what)? {
            if !keys.contains(&entry.name.as_str()) {
                let expected = format!("a key of {what}");
                return Err(entry.spot.wrong_name(expected, &entry.name, keys.iter().copied()));
            }
            known.insert(entry.name, entry.value);
        }
        Ok(Table { spot, entries: known })
    }

    /// Opens a table whose keys are names of the writer's own, in the order of the text.
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value.
    pub(crate) fn entries(self, what: &str) -> Result<Vec<Entry>, DocumentError> {
        match self.node {
            Node::Table(entries) => Ok(entries),
            _ => Err(self.unexpected(format_args!("a table: {what}"))),
        }
    }

    /// Opens a list.
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value.
    pub(crate) fn list(self, expected: &str) -> Result<Vec<Self>, DocumentError> {
        match self.node {
            Node::List(items) => Ok(items),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Opens a list; any other value is the only one of its list.
    pub(crate) fn one_or_list(self) -> Vec<Self> {
        match self.node {
            Node::List(items) => items,
            _ => vec![self],
        }
    }

    /// Opens a text.
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value.
    pub(crate) fn text(self, expected: &str) -> Result<Zeroizing<String>, DocumentError> {
        match self.node {
            Node::Text(text) => Ok(text),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Opens a text and reads it as a `T`, whose error becomes what was got.
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value and for a text that is no `T`.
    pub(crate) fn parsed<T>(self, expected: &str) -> Result<T, DocumentError>
    where
        T: FromStr,
    {
        self.read(expected, |text| text.parse().ok())
    }

    /// Opens a text and reads it by `reader`.
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value and where `reader` gives nothing.
    pub(crate) fn read<T>(
        self,
        expected: &str,
        reader: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, DocumentError> {
        match &self.node {
            Node::Text(text) => reader(text).ok_or_else(|| self.unexpected(expected)),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Opens a text that is one of a few names.
    ///
    /// # Errors
    /// Returns [`DocumentError`] with the nearest right name.
    pub(crate) fn choice<T: Copy>(
        self,
        expected: &str,
        choices: &[(&str, T)],
    ) -> Result<T, DocumentError> {
        let Node::Text(text) = &self.node else {
            return Err(self.unexpected(expected));
        };
        let found = choices.iter().find(|(name, _)| *name == text.as_str());
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            self.spot.wrong_name(expected, text, choices.iter().map(|(name, _)| *name))
        })
    }

    /// Opens a whole number within `least..=most`.
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value and outside of the bounds.
    pub(crate) fn number(self, what: &str, least: u32, most: u32) -> Result<u32, DocumentError> {
        let number = match self.node {
            Node::Integer(number) => u32::try_from(number).ok(),
            _ => None,
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.unexpected(format_args!("{what}, {least} to {most}")))
    }

    /// Opens `true` or `false`.
    ///
    /// # Errors
    /// Returns [`DocumentError`] for another kind of value.
    pub(crate) fn boolean(self) -> Result<bool, DocumentError> {
        match self.node {
            Node::Boolean(given) => Ok(given),
            _ => Err(self.unexpected("true or false")),
        }
    }

    /// Says that this value is not what was expected, and what it is.
    pub(crate) fn unexpected(&self, expected: impl Display) -> DocumentError {
        self.spot.wrong(expected, self.shown())
    }

    fn shown(&self) -> String {
        match &self.node {
            Node::Text(_) if self.spot.source.secret => "another text".to_owned(),
            Node::Text(text) => quoted(text),
            Node::Integer(_) if self.spot.source.secret => "a number".to_owned(),
            Node::Integer(number) => number.to_string(),
            Node::Boolean(given) => given.to_string(),
            Node::List(_) => "a list".to_owned(),
            Node::Table(_) => "a table".to_owned(),
            Node::Other(what) => (*what).to_owned(),
        }
    }
}

impl Table {
    /// Tells whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes the value of a key, if the key is there.
    pub(crate) fn optional(&mut self, key: &str) -> Option<Value> {
        self.entries.remove(key)
    }

    /// Takes the value of a key.
    ///
    /// # Errors
    /// Returns [`DocumentError`] with the place of the table if the key is missing.
    pub(crate) fn required(&mut self, key: &str, expected: &str) -> Result<Value, DocumentError> {
        self.optional(key).ok_or_else(|| {
            let spot = Spot { key: joined(&self.spot.key, key), ..self.spot.clone() };
            spot.wrong(expected, "nothing: the key is missing")
        })
    }

    /// Returns where the table stands.
    pub(crate) fn spot(&self) -> &Spot {
        &self.spot
    }
}
