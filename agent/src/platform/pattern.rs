//! Patterns: compiled once per platform, shared by all sessions.

use std::ops::Deref;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use serde::de::{Deserialize, Deserializer, Error};

/// An ASCII byte pattern; `^` and `$` match at the ends of lines. Cloning it shares the compiled
/// pattern and its working memory, which cloning a [`Regex`] would not.
#[derive(Debug, Clone)]
pub struct Pattern(Arc<Regex>);

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Returns why the text is no pattern, or that it is too large.
    pub fn new(text: &str) -> Result<Self, String> {
        let built =
            RegexBuilder::new(text).unicode(false).multi_line(true).size_limit(1 << 20).build();
        built.map(|regex| Self(Arc::new(regex))).map_err(|error| {
            let why = error.to_string();
            why.lines().last().unwrap_or_default().trim().to_owned()
        })
    }
}

impl Deref for Pattern {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text)
            .map_err(|why| D::Error::custom(format!("expected an ASCII byte pattern: {why}")))
    }
}
