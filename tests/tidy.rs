//! The rules of this house, as tests. Each rule is a pure function over a path and a text, and has
//! a companion test that has seen it fail on a planted offence.
//!
//! A rule that is in the way is changed here, with a reason, and in `ARCHITECTURE.md`.
#![cfg(test)]

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/codes.rs"]
mod codes;
#[path = "tidy/doors.rs"]
mod doors;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/leftovers.rs"]
mod leftovers;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;

use crate::source::File;

/// Applies a rule to every file of the repository that it is about, and shows all offences at once.
#[track_caller]
fn holds(is_about: impl Fn(&File) -> bool, rule: impl Fn(&str, &str) -> Vec<String>) {
    let files = source::repository();
    let about: Vec<&File> = files.iter().filter(|file| is_about(file)).collect();
    assert!(!about.is_empty(), "the rule is about no file at all");
    let offences: Vec<String> =
        about.iter().flat_map(|file| rule(&file.path, &file.text)).collect();
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

/// Checks that a rule finds exactly one offence in a planted text, and that it says this.
#[track_caller]
fn catches(rule: impl Fn(&str, &str) -> Vec<String>, path: &str, text: &str, says: &str) {
    let offences = rule(path, text);
    assert!(
        matches!(offences.as_slice(), [only] if only.contains(says)),
        "expected one offence that says `{says}`, got {offences:?}"
    );
}

/// Checks that a rule finds nothing in a text.
#[track_caller]
fn passes(rule: impl Fn(&str, &str) -> Vec<String>, path: &str, text: &str) {
    assert_eq!(rule(path, text), Vec::<String>::new());
}
