//! What the documents say is true: commands exist, named tests exist, decisions fit on a page.

use std::collections::BTreeSet;

use crate::source::{self, File};
use crate::{catches, holds, passes};

/// The longest README, in lines.
const README_LINES_MAX: usize = 120;
/// The longest decision record, in lines: one page.
const ADR_LINES_MAX: usize = 60;
/// The headings of a decision record, in order.
const ADR_HEADINGS: [&str; 3] = ["## Context", "## Decision", "## Consequences"];
/// The two commands of the README, which `.ci/run` runs too.
const COMMANDS: [&str; 2] = ["cargo run --release -- demo", "cargo test --workspace"];

fn is_a_page(path: &str, text: &str) -> Vec<String> {
    let mut offences = Vec::new();
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
    if headings != ADR_HEADINGS {
        offences.push(format!("{path}: has {headings:?}, not {ADR_HEADINGS:?}"));
    }
    if text.lines().count() > ADR_LINES_MAX {
        offences.push(format!("{path}: is longer than {ADR_LINES_MAX} lines"));
    }
    offences
}

fn is_a_short_readme(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let mut offences = gives_the_commands(path, text);
    if lines > README_LINES_MAX {
        offences.push(format!("{path}: {lines} lines of at most {README_LINES_MAX}"));
    }
    offences
}

fn gives_the_commands(path: &str, text: &str) -> Vec<String> {
    let missing = COMMANDS.iter().filter(|command| !text.contains(*command));
    missing.map(|command| format!("{path}: does not have `{command}`")).collect()
}

/// In `ARCHITECTURE.md` a test is named as a bullet's or a table row's `test: \`name\``.
fn named_tests(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("test `").filter_map(|(at, mark)| text[at + mark.len()..].split('`').next())
}

fn names_tests_that_exist(tests: &BTreeSet<String>, path: &str, text: &str) -> Vec<String> {
    let unknown = named_tests(text).filter(|name| !tests.contains(*name));
    unknown.map(|name| format!("{path}: names the test `{name}`, which does not exist")).collect()
}

/// The names of all test functions.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in source::repository().iter().filter(|file| file.is_rust()) {
        let code = source::code(&file.text);
        let mut is_test = false;
        for line in code.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            }
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = name {
                let name = name.split(['(', '<']).next().filter(|_name| is_test);
                names.extend(name.map(str::to_owned));
                is_test = false;
            }
        }
    }
    names
}

/// A relative link leads somewhere.
fn links_lead_somewhere(paths: &BTreeSet<String>, path: &str, text: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _name)| folder);
    let mut offences = Vec::new();
    for (at, mark) in text.match_indices("](") {
        let link = text[at + mark.len()..].split([')', '#']).next().unwrap_or_default();
        let target = resolve(folder, link);
        let is_folder = paths.iter().any(|path| path.starts_with(&format!("{target}/")));
        if !link.is_empty() && !link.contains("://") && !paths.contains(&target) && !is_folder {
            offences.push(format!("{path}: the link `{link}` leads nowhere"));
        }
    }
    offences
}

fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn the_readme_is_short_and_has_the_two_commands() {
    holds(|file| file.path == "README.md", is_a_short_readme);
    holds(|file| file.path == ".ci/run", gives_the_commands);
    let planted = COMMANDS.join("\n") + &"\n".repeat(README_LINES_MAX);
    catches(is_a_short_readme, "README.md", &planted, "121 lines");
    catches(gives_the_commands, ".ci/run", COMMANDS[0], COMMANDS[1]);
}

#[test]
fn decisions_have_a_page_each() {
    holds(|file| file.path.starts_with("docs/adr/"), is_a_page);
    catches(is_a_page, "docs/adr/0001-a.md", "# A\n## Context\n## Decision\n", "Consequences");
}

#[test]
fn invariants_name_tests_that_exist() {
    let tests = tests();
    let rule = |path: &str, text: &str| names_tests_that_exist(&tests, path, text);
    holds(|file| file.path == "ARCHITECTURE.md", rule);
    catches(rule, "ARCHITECTURE.md", "I1 … test `nobody_wrote_this`", "nobody_wrote_this");
    passes(rule, "ARCHITECTURE.md", "T … test `invariants_name_tests_that_exist`");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let paths: BTreeSet<String> =
        source::repository().into_iter().map(|file: File| file.path).collect();
    let rule = |path: &str, text: &str| links_lead_somewhere(&paths, path, text);
    holds(|file| source::has_extension(&file.path, "md"), rule);
    catches(rule, "docs/adr/0001-a.md", "see [the code](../../protocol/gone.rs)", "gone.rs");
    passes(rule, "docs/adr/0001-a.md", "see [the crate](../../protocol) and [b](https://b.c)");
}
