//! Rows: what an operation's patterns find in a reply.

use std::collections::BTreeMap;

use super::pattern::Pattern;

/// The named groups that row patterns may have.
pub(super) const GROUPS: [&str; 8] =
    ["index", "user", "hash", "attributes", "session", "armed", "own", "nopassword"];

/// One finding of a row pattern.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The number under which the device keeps an account.
    pub index: Option<String>,
    /// An account's name on the device.
    pub user: Option<String>,
    /// The account's stored hash.
    pub hash: Option<String>,
    /// The other words of the account's line, each with a space before it.
    pub attributes: Option<String>,
    /// A configuration session's name.
    pub session: Option<String>,
    /// The configuration session is committed and waits for its confirmation.
    pub armed: bool,
    /// The row is about the very session that asked.
    pub own: bool,
    /// The account opens without a password.
    pub nopassword: bool,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("index", &self.index)
            .field("user", &self.user)
            .field("hash", &self.hash.as_ref().map(|_| "…"))
            .field("session", &self.session)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

/// Finds all rows in a reply, pattern by pattern. Rows with the same `index` are made one, since
/// some devices tell an account's name and hash on separate lines.
#[must_use]
pub fn rows(patterns: &[Pattern], reply: &str) -> Vec<Row> {
    let mut found: Vec<Row> = Vec::new();
    let mut by_index: BTreeMap<String, usize> = BTreeMap::new();
    for pattern in patterns {
        for captures in pattern.captures_iter(reply.as_bytes()) {
            let group = |name: &str| {
                let bytes = captures.name(name)?.as_bytes();
                std::str::from_utf8(bytes).ok().map(str::to_owned)
            };
            let row = Row {
                index: group("index"),
                user: group("user"),
                hash: group("hash"),
                attributes: group("attributes").map(|text| spaced(&text)),
                session: group("session"),
                armed: group("armed").is_some(),
                own: group("own").is_some(),
                nopassword: group("nopassword").is_some(),
            };
            let place = row.index.as_ref().and_then(|index| by_index.get(index)).copied();
            match place.and_then(|place| found.get_mut(place)) {
                Some(earlier) => earlier.join(row),
                None => {
                    if let Some(index) = &row.index {
                        by_index.insert(index.clone(), found.len());
                    }
                    found.push(row);
                }
            }
        }
    }
    found
}

/// Puts one space before each word.
fn spaced(words: &str) -> String {
    words.split_ascii_whitespace().flat_map(|word| [" ", word]).collect()
}

impl Row {
    fn join(&mut self, other: Self) {
        self.user = self.user.take().or(other.user);
        self.hash = self.hash.take().or(other.hash);
        self.attributes = self.attributes.take().or(other.attributes);
        self.session = self.session.take().or(other.session);
        self.own |= other.own;
        self.nopassword |= other.nopassword;
    }
}
