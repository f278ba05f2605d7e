//! Every error code that a caller can meet is explained in one table, and every one that is
//! explained exists.

use std::collections::BTreeSet;

use crate::source;

/// Where the codes are explained.
const TABLE: &str = "docs/errors.md";

/// Where codes come from.
const SOURCES: [&str; 4] = [
    "controller/src/edge/",
    "controller/src/plan/guard.rs",
    "controller/src/plan/retention/verdict.rs",
    "controller/src/execute/failure.rs",
];

/// Where there are names of schemas, which are spelled as codes are.
const SCHEMAS: &str = "controller/src/edge/openapi";

/// Words in those files that are spelled as codes are, and are none: names of the wire.
const NO_CODES: [&str; 9] = [
    "InSync",
    "OutOfSync",
    "SystemAssignedIdentity",
    "UserAssignedIdentity",
    "TerminalServer",
    "GracefulRebootWithoutZTP",
    "UngracefulRebootWithoutZTP",
    "GracefulRebootWithZTP",
    "UngracefulRebootWithZTP",
];

/// Codes of one word, which nothing tells from other words.
const ONE_WORD: [&str; 2] = ["Conflict", "Interrupted"];

/// Tells whether a text is spelled as a code is: words that are joined, each with a capital.
fn is_code(text: &str) -> bool {
    let capitals = text.chars().filter(char::is_ascii_uppercase).count();
    let joined = text.chars().all(|c| c.is_ascii_alphabetic());
    let begins = text.starts_with(|c: char| c.is_ascii_uppercase());
    let second = text.chars().nth(1).is_some_and(|c| c.is_ascii_lowercase());
    joined && begins && second && capitals > 1
}

fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn codes_in_source() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for file in source::repository() {
        let is_source = SOURCES.iter().any(|from| file.path.starts_with(from));
        if !is_source || file.path.starts_with(SCHEMAS) || source::is_test(&file.path) {
            continue;
        }
        let text = source::without_tests(&file.text);
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            let wanted = |literal: &&str| is_code(literal) || ONE_WORD.contains(literal);
            codes.extend(literals(line).filter(wanted).map(str::to_owned));
        }
    }
    codes.retain(|code| !NO_CODES.contains(&code.as_str()));
    codes
}

fn codes_in_table(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.flat_map(|row| row.split('|').take(3));
    let codes = cells.filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'));
    codes.filter(|code| is_code(code) || ONE_WORD.contains(code)).map(str::to_owned).collect()
}

#[test]
fn every_code_is_explained_and_every_explained_one_exists() {
    let files = source::repository();
    let table = files.iter().find(|file| file.path == TABLE).expect("the table of codes");
    let (made, told) = (codes_in_source(), codes_in_table(&table.text));
    let missing: Vec<_> = made.difference(&told).collect();
    assert!(missing.is_empty(), "{TABLE} does not explain {missing:?}");
    let invented: Vec<_> = told.difference(&made).collect();
    assert!(invented.is_empty(), "{TABLE} explains what nothing says: {invented:?}");
    assert!(made.len() > 50, "the codes are found: {made:?}");
}

#[test]
fn codes_are_told_from_other_words() {
    for code in ["FabricLocked", "InvalidApiVersionParameter"] {
        assert!(is_code(code), "{code}");
    }
    for word in ["Locked", "ARM", "POST", "fabricLocked", "Fabric Locked", "RMA", "ToR!"] {
        assert!(!is_code(word), "{word}");
    }
    let text = "| 409 | `FabricLocked` | x |\n| `UserMissing` | y |\nsome `OtherThing`";
    assert_eq!(
        codes_in_table(text).into_iter().collect::<Vec<_>>(),
        ["FabricLocked", "UserMissing"]
    );
}
