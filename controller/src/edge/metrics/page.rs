//! The text format of Prometheus, as far as it is needed
//! (prometheus.io/docs/instrumenting/exposition_formats).

use std::fmt::{Display, Write as _};

/// What a number is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up, from 0 at the start.
    Counter,
}

/// Families of numbers, as text.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _written = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.family = name;
    }

    /// Writes one number of the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.family);
        for (at, (name, label)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _written = write!(self.text, "{before}{name}=\"{}\"", Escaped(label));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _written = writeln!(self.text, "{end} {value}");
    }

    /// Returns all of it.
    pub(super) fn text(self) -> String {
        self.text
    }
}

/// A label's value as it stands between quotes.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let mut page = Page::default();
        page.family("a", Kind::Counter, "What it is.");
        page.sample(&[("b", "x\"} 1\n\\"), ("c", "d")], 7);
        page.sample(&[], 8);
        let expected = "# HELP a What it is.\n# TYPE a counter\n\
                        a{b=\"x\\\"} 1\\n\\\\\",c=\"d\"} 7\na 8\n";
        assert_eq!(page.text(), expected);
    }
}
