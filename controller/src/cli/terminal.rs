//! Where a command writes, and how.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use serde_json::Value;

use super::args::{Format, Global};
use super::failure::{Exit, Failure};
use super::resource::flatten;

/// Standard output and standard error, and what they are.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    format: Format,
    /// Whether progress may move the cursor.
    bars: bool,
    /// Results that become one list.
    collected: Option<Vec<Value>>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("format", &self.format).field("bars", &self.bars).finish()
    }
}

impl Terminal {
    /// Takes the process's own output.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let for_people = io::stdout().is_terminal();
        let usual = if for_people { Format::Table } else { Format::Json };
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            format: global.output.unwrap_or(usual),
            bars: io::stderr().is_terminal(),
            collected: None,
        }
    }

    /// Writes to these instead, without moving any cursor.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, format: Format) -> Self {
        Self { out, err, format, bars: false, collected: None }
    }

    /// Tells whether progress may move the cursor.
    #[must_use]
    pub fn has_bars(&self) -> bool {
        self.bars
    }

    /// Returns standard error.
    pub fn err(&mut self) -> &mut dyn Write {
        &mut *self.err
    }

    /// Writes a line of progress or advice to standard error.
    pub fn say(&mut self, line: &str) {
        // Nobody reads it: the work goes on.
        let _closed = writeln!(self.err, "{line}");
    }

    /// Writes a line to standard output.
    ///
    /// # Errors
    /// Returns [`Failure`] where it cannot be written, [`Exit::Unread`] where it is closed.
    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.out, "{line}").and_then(|()| self.out.flush()).map_err(|source| {
            let closed = source.kind() == io::ErrorKind::BrokenPipe;
            let exit = if closed { Exit::Unread } else { Exit::Failed };
            Failure::new(exit, format!("write to standard output: {source}"))
        })
    }

    /// Writes a result: as JSON, or as what `table` makes of it.
    pub(super) fn result(
        &mut self,
        value: Value,
        table: impl FnOnce(&Value) -> String,
    ) -> Result<(), Failure> {
        match (self.format, &mut self.collected) {
            (Format::Table, _) => self.line(table(&value).trim_end()),
            (Format::Json, Some(collected)) => {
                collected.push(flatten(value));
                Ok(())
            }
            (Format::Json, None) => self.json(&flatten(value)),
        }
    }

    /// Keeps the results that follow for one list, where they are written as JSON.
    pub(super) fn collect(&mut self) {
        self.collected = Some(Vec::new());
    }

    /// Writes the results that were kept.
    pub(super) fn show_collected(&mut self) -> Result<(), Failure> {
        match self.collected.take() {
            Some(collected) if self.format == Format::Json => self.json(&Value::Array(collected)),
            _ => Ok(()),
        }
    }

    fn json(&mut self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|source| {
            Failure::new(Exit::Failed, format!("write the result as JSON: {source}"))
        })?;
        self.line(&text)
    }
}

/// Lays a table out for people: a header, then rows.
pub(super) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row.to_vec());
    }
    table.trim_fmt()
}
