//! What can be wrong with a platform file, and what mends it.

/// Tells what is wrong with a platform file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlatformError {
    /// The file does not say what a platform file must say.
    #[error("load platform file `{file}`: line {line}, key `{key}`: {expected}")]
    File {
        /// The file's name.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The key on that line, as far as it can be told.
        key: String,
        /// What was found and what was expected.
        expected: String,
        /// The right name that is nearest to the wrong one.
        nearest: Option<String>,
    },
    /// No platform has that name.
    #[error("find a platform called `{name}`")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The known name that is nearest to it.
        nearest: Option<String>,
    },
}

impl PlatformError {
    /// Says what mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let (Self::File { nearest, .. } | Self::Unknown { nearest, .. }) = self;
        nearest.as_ref().map(|name| format!("did you mean `{name}`?"))
    }

    /// Places a problem in a file by its byte offset.
    pub(super) fn at(file: &str, text: &str, offset: usize, problem: Problem) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let key = problem.key.unwrap_or_else(|| key_on(text, line));
        Self::File {
            file: file.to_owned(),
            line,
            key,
            expected: problem.expected,
            nearest: problem.nearest,
        }
    }
}

/// What is wrong, before it is known where.
#[derive(Debug, Default)]
pub(super) struct Problem {
    pub(super) key: Option<String>,
    pub(super) expected: String,
    pub(super) nearest: Option<String>,
}

impl Problem {
    /// Reads what the TOML and serde layers say: the wrong name, and the nearest of those expected.
    pub(super) fn from_message(message: &str) -> Self {
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let about_a_name = message.starts_with("unknown ");
        let (key, nearest) = match quoted.split_first() {
            Some((wrong, right)) if about_a_name => {
                let nearest = nearest(wrong, right.iter().copied());
                (message.starts_with("unknown field").then(|| (*wrong).to_owned()), nearest)
            }
            _ => (None, None),
        };
        Self { key, expected: message.to_owned(), nearest }
    }
}

/// Returns the key to the left of the first `=` on a line, or the table that the line opens.
fn key_on(text: &str, line: usize) -> String {
    let content = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    let key = content.split_once('=').map_or(content, |(key, _)| key);
    key.trim_matches(|c: char| c.is_whitespace() || "[]{".contains(c)).chars().take(64).collect()
}

/// Returns the candidate that looks most like `wrong`, if any looks like it at all.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(wrong, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
