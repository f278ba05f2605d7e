//! Reading of the TOML files that people write: inventory, passwords, secrets template,
//! configuration.
//!
//! serde's own errors name neither the key's place nor the nearest right name, and they quote the
//! source line, which may be a password. This reader walks the parsed document instead: every value
//! knows its file, line, column and key path, a table refuses unknown keys before it gives any
//! value, and texts are overwritten when they are dropped.

mod error;
mod value;
mod words;

use std::fmt::Display;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use zeroize::Zeroizing;

use self::error::Detail;
pub use self::error::DocumentError;
use self::value::Node;
pub(crate) use self::value::{Entry, Table, Value};
use self::words::{clip, joined, list_hint};
pub(crate) use self::words::{nearest, quoted};

/// The file that a value comes from.
#[derive(Debug)]
struct Source {
    /// As the operator knows it: a path, or `standard input`.
    file: String,
    /// Whether values may be shown in errors.
    secret: bool,
}

/// Where a value stands: what an error about it needs.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    source: Arc<Source>,
    line: usize,
    column: usize,
    key: String,
}

impl Spot {
    /// Says that something else was expected here.
    pub(crate) fn wrong(&self, expected: impl Display, got: impl Display) -> DocumentError {
        self.error(expected.to_string(), got.to_string(), None, None)
    }

    /// Says that a name is not one of `right`, and which of them is nearest.
    pub(crate) fn wrong_name<'n>(
        &self,
        expected: impl Display,
        given: &str,
        right: impl IntoIterator<Item = &'n str>,
    ) -> DocumentError {
        let right: Vec<&str> = right.into_iter().collect();
        let near = nearest(given, right.iter().copied()).map(str::to_owned);
        self.error(expected.to_string(), quoted(given), near, list_hint(&right))
    }

    fn error(
        &self,
        expected: String,
        got: String,
        nearest: Option<String>,
        hint: Option<String>,
    ) -> DocumentError {
        DocumentError(Box::new(Detail {
            file: self.source.file.clone(),
            line: self.line,
            column: self.column,
            key: self.key.clone(),
            expected,
            got,
            nearest,
            hint,
        }))
    }

    fn below(&self, place: (usize, usize), key: String) -> Self {
        Self { source: Arc::clone(&self.source), line: place.0, column: place.1, key }
    }
}

/// Parses a text as TOML.
///
/// # Errors
/// Returns [`DocumentError`] where the text is not TOML.
pub(crate) fn parse(file: &str, text: &str) -> Result<Value, DocumentError> {
    read(file, text, false)
}

/// Parses a text that holds passwords: no error about it shows a value.
///
/// # Errors
/// Returns [`DocumentError`] where the text is not TOML.
pub(crate) fn parse_secret(file: &str, text: &str) -> Result<Value, DocumentError> {
    read(file, text, true)
}

fn read(file: &str, text: &str, secret: bool) -> Result<Value, DocumentError> {
    let source = Arc::new(Source { file: file.to_owned(), secret });
    let lines = Lines::of(text);
    match DeTable::parse(text) {
        Ok(table) => {
            let spot = Spot { source, line: 1, column: 1, key: String::new() };
            let node = Node::Table(entries(table.into_inner(), &spot, &lines));
            Ok(Value { spot, node })
        }
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            let (line, column) = lines.place(offset);
            let spot = Spot { source, line, column, key: String::new() };
            // The parser's message may quote what it read.
            if secret {
                let hint = "write `profile = \"password\"`, each password in quotes";
                Err(spot.wrong("TOML", "something else").with_hint(hint))
            } else {
                Err(spot.wrong("TOML", clip(error.message())))
            }
        }
    }
}

fn entries(table: DeTable<'_>, above: &Spot, lines: &Lines<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let path = joined(&above.key, key.get_ref());
            let spot = above.below(lines.place(key.span().start), path);
            let name = key.into_inner().into_owned();
            let value = convert(value, spot.clone(), lines);
            Entry { name, spot, value }
        })
        .collect();
    entries.sort_by_key(|entry| (entry.spot.line, entry.spot.column));
    entries
}

fn convert(value: Spanned<DeValue<'_>>, spot: Spot, lines: &Lines<'_>) -> Value {
    let (line, column) = lines.place(value.span().start);
    let spot = Spot { line, column, ..spot };
    let node = match value.into_inner() {
        DeValue::String(text) => Node::Text(owned(text)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Node::Other("a number out of range"), Node::Integer),
        DeValue::Boolean(given) => Node::Boolean(given),
        DeValue::Float(_) => Node::Other("a number with a point"),
        DeValue::Datetime(_) => Node::Other("a date or time"),
        DeValue::Array(items) => Node::List(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let key = format!("{}[{index}]", spot.key);
                    convert(item, Spot { key, ..spot.clone() }, lines)
                })
                .collect(),
        ),
        DeValue::Table(table) => Node::Table(entries(table, &spot, lines)),
    };
    Value { spot, node }
}

/// Moves a text out of the parser without leaving a second copy of it where that can be avoided.
fn owned(text: DeString<'_>) -> Zeroizing<String> {
    Zeroizing::new(text.into_owned())
}

/// Turns offsets into lines and columns.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Returns line and column of an offset, both from 1; columns count characters.
    fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }
}

#[cfg(test)]
mod tests;
