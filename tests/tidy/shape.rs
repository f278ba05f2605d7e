//! How long files are, what they are called, and what lies at the top.

use std::path::Path;

use crate::source::File;
use crate::{catches, holds, passes};

/// The longest Rust file, in lines; 200 are better.
const LINES_MAX: usize = 500;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] =
    &["mod", "util", "utils", "common", "manager", "helper", "helpers", "misc"];

/// The five folders are the architecture; besides them lies only what tools look for.
const TOP: &[&str] = &[
    "agent",
    "controller",
    "fixtures",
    "protocol",
    "tests",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "docs",
    "rust-toolchain.toml",
    "rustfmt.toml",
];

fn is_short(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let offence = format!("{path}: {lines} lines of at most {LINES_MAX}; split it by meaning");
    if lines > LINES_MAX { vec![offence] } else { Vec::new() }
}

fn is_named_for_its_contents(path: &str, _text: &str) -> Vec<String> {
    let parts = Path::new(path).with_extension("");
    let empty = parts.iter().find(|part| EMPTY_NAMES.iter().any(|empty| part == empty));
    let offence = |name: &std::ffi::OsStr| format!("{path}: `{}` says nothing", name.display());
    empty.map(offence).into_iter().collect()
}

/// A module opens with what it is for.
fn says_what_it_is_for(path: &str, text: &str) -> Vec<String> {
    let offence = format!("{path}: does not open with `//!` and what it is for");
    if text.starts_with("//! ") { Vec::new() } else { vec![offence] }
}

fn is_expected_at_the_top(path: &str, _text: &str) -> Vec<String> {
    let first = path.split('/').next().unwrap_or(path);
    let offence = format!("{path}: `{first}` is nothing that a reader would look for at the top");
    if TOP.contains(&first) { Vec::new() } else { vec![offence] }
}

#[test]
fn files_are_short() {
    holds(File::is_rust, is_short);
    catches(is_short, "agent/src/a.rs", &"\n".repeat(LINES_MAX + 1), "501 lines");
    passes(is_short, "agent/src/a.rs", &"\n".repeat(LINES_MAX));
}

#[test]
fn names_say_what_is_inside() {
    holds(File::is_rust, is_named_for_its_contents);
    for planted in ["agent/src/utils.rs", "agent/src/plan/mod.rs", "agent/src/helper/a.rs"] {
        catches(is_named_for_its_contents, planted, "", "says nothing");
    }
    passes(is_named_for_its_contents, "controller/src/model.rs", "");
}

#[test]
fn modules_open_with_what_they_are_for() {
    let is_about = |file: &File| file.is_rust() && !file.path.ends_with("/tests.rs");
    let in_tests = |file: &File| file.path.contains("/tests/");
    holds(|file| is_about(file) && !in_tests(file), says_what_it_is_for);
    catches(says_what_it_is_for, "agent/src/a.rs", "use std::fmt;\n", "agent/src/a.rs");
}

#[test]
fn the_top_shows_the_five_folders() {
    holds(|_file| true, is_expected_at_the_top);
    catches(is_expected_at_the_top, "scripts/build.sh", "", "`scripts`");
    passes(is_expected_at_the_top, "docs/adr/0001-plan.md", "");
}
