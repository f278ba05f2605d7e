//! YAML, as far as kubeconfig files have it: one document of mappings, lists and scalars. No aliases,
//! no tags: nobody writes them there, and what they mean differs from tool to tool.
//!
//! The reader of `serde-saphyr`, which `kube` would read the file with, is a megabyte of the program:
//! it is compiled once for each type that there is.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Reads a text. An error says in which line it is, and nothing of the text: that has tokens in it.
///
/// # Errors
/// Returns what is wrong.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), line: 1 };
    let (mut documents, mut first) = (0, Value::Null);
    while let Some(event) = reader.next()? {
        match event {
            Event::DocumentStart(..) if documents > 0 => {
                return Err(reader.wrong("another document begins, expected one"));
            }
            Event::DocumentStart(..) => documents += 1,
            Event::StreamStart | Event::DocumentEnd | Event::StreamEnd => {}
            event => first = reader.node(event)?,
        }
    }
    Ok(first)
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    line: usize,
}

impl<'t> Reader<'t> {
    fn wrong(&self, what: &str) -> String {
        format!("line {}: {what}", self.line)
    }

    /// Returns the next event that is no comment.
    fn next(&mut self) -> Result<Option<Event<'t>>, String> {
        loop {
            let Some(next) = self.parser.next() else { return Ok(None) };
            let (event, span) =
                next.map_err(|error| format!("line {}: expected YAML", error.marker().line()))?;
            self.line = span.start.line();
            if !matches!(event, Event::Comment(..)) {
                return Ok(Some(event));
            }
        }
    }

    fn node(&mut self, event: Event<'t>) -> Result<Value, String> {
        match event {
            Event::Scalar(.., Some(_)) | Event::SequenceStart(.., Some(_)) => {
                Err(self.wrong("a tag, expected none"))
            }
            Event::MappingStart(.., Some(_)) => Err(self.wrong("a tag, expected none")),
            Event::Scalar(text, ScalarStyle::Plain, ..) => Ok(plain(&text)),
            Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
            Event::SequenceStart(..) => self.list(),
            Event::MappingStart(..) => self.mapping(),
            _ => Err(self.wrong("an alias, expected a value")),
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        while let Some(event) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event => items.push(self.node(event)?),
            }
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self) -> Result<Value, String> {
        let mut entries = Map::new();
        while let Some(event) = self.next()? {
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err(self.wrong("a key that is no text")),
            };
            let value = self.next()?.ok_or_else(|| self.wrong("a key without a value"))?;
            let value = self.node(value)?;
            if entries.insert(key, value).is_some() {
                return Err(self.wrong("a key that is there already"));
            }
        }
        Ok(Value::Object(entries))
    }
}

/// What is not quoted is a text unless it is nothing or a truth value: a kubeconfig has no numbers.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        other => Value::String(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_kubectl_writes_is_read() {
        let text = "apiVersion: v1\n# a comment\nclusters:\n- cluster:\n    server: https://a:6443\n  \
                    name: \"lab\"\nusers: []\npreferences: {}\ncurrent-context: ''\nother: null\n\
                    insecure: true\nport: 6443\nlong: >-\n  one\n  two\n";
        let expect = json!({
            "apiVersion": "v1",
            "clusters": [{ "cluster": { "server": "https://a:6443" }, "name": "lab" }],
            "users": [], "preferences": {}, "current-context": "", "other": null,
            "insecure": true, "port": "6443", "long": "one two",
        });
        assert_eq!(read(text), Ok(expect));
        assert_eq!(read("{\"kind\": \"Config\"}"), Ok(json!({ "kind": "Config" })), "JSON is YAML");
        assert_eq!(read("---\na: b\n...\n"), Ok(json!({ "a": "b" })));
        assert_eq!(read(""), Ok(Value::Null));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_nothing_else() {
        for (text, expect) in [
            ("a: b\nc: [Canary", "line 2: expected YAML"),
            ("a: &x Canary\nb: *x\n", "line 2: an alias, expected a value"),
            ("a: !!str Canary\n", "line 1: a tag, expected none"),
            ("a: 1\na: Canary\n", "line 2: a key that is there already"),
            ("a: 1\n---\nb: Canary\n", "line 2: another document begins, expected one"),
            ("? [Canary]\n: b\n", "line 1: a key that is no text"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error, expect, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err());
    }
}
