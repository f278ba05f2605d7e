//! The parts that know no clock, no generator of random numbers, no disk and no network.

use crate::source::{self, File};
use crate::{catches, holds, imports, passes};

/// The pure parts: a file, or a folder with a `/` at its end.
const PURE: &[&str] = &[
    "protocol/src/",
    "agent/src/dialogue.rs",
    "agent/src/dialogue/",
    "agent/src/platform.rs",
    "agent/src/platform/",
    "controller/src/audit.rs",
    "controller/src/audit/",
    "controller/src/model.rs",
    "controller/src/model/",
    "controller/src/naming.rs",
    "controller/src/plan.rs",
    "controller/src/plan/",
    "controller/src/template.rs",
    "controller/src/template/",
];

/// Paths that a pure part may not mention; the whole below each is meant.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
    "rand",
    "getrandom",
    "rustix",
    "aws_lc_rs::rand",
];

/// Calls by which time or chance come in through a type that is pure otherwise.
const IMPURE_CALLS: &[&str] =
    &["Instant::now", "SystemTime::now", "::now_utc", "::now_local", "::new_v4", "::now_v7"];

/// What is impure all the same, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "protocol/src/seal.rs",
    "aws_lc_rs::rand",
    "a nonce that the caller chose could be used twice",
)];

fn is_pure(path: &str) -> bool {
    PURE.iter().any(|pure| path == *pure || (pure.ends_with('/') && path.starts_with(pure)))
}

fn is_about(file: &File) -> bool {
    file.is_rust() && is_pure(&file.path) && !source::is_test(&file.path)
}

fn does_nothing(path: &str, text: &str) -> Vec<String> {
    let code = source::without_tests(&source::code(text));
    let roots: Vec<&str> = IMPURE.iter().filter_map(|path| path.split("::").next()).collect();
    let mentioned = imports::mentions(&code, &roots);
    let mut offences = Vec::new();
    for mention in mentioned.iter().map(|path| path.join("::")) {
        let impure = IMPURE.iter().find(|impure| is_below(&mention, impure));
        let excepted = |impure: &str| {
            EXCEPTIONS.iter().any(|(file, what, _why)| *file == path && *what == impure)
        };
        if let Some(impure) = impure.filter(|impure| !excepted(impure)) {
            offences.push(format!("{path}: a pure module mentions `{mention}` ({impure})"));
        }
    }
    for call in IMPURE_CALLS {
        let lines = source::lines_where(path, &code, |line| line.contains(call));
        offences.extend(lines.map(|line| format!("{line}: a pure module asks for time or chance")));
    }
    offences
}

fn is_below(path: &str, root: &str) -> bool {
    path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with("::"))
}

#[test]
fn pure_modules_know_no_time_chance_disk_or_network() {
    holds(is_about, does_nothing);
    let check = |planted: &str, says: &str| {
        catches(does_nothing, "controller/src/plan.rs", planted, says);
    };
    check("use std::{fmt, fs};", "std::fs");
    check("use tokio::time::Duration;", "tokio");
    check("use std::time::Instant;", "std::time::Instant");
    check("fn a() -> u8 { rand::random() }", "rand::random");
    check("use aws_lc_rs::rand;", "aws_lc_rs::rand");
    check("fn a() { let id = Uuid::new_v4(); }", "time or chance");
    let fine = "use std::time::Duration;\n#[cfg(test)]\nmod tests { use std::fs; }";
    passes(does_nothing, "controller/src/plan.rs", fine);
}

#[test]
fn every_pure_part_is_there() {
    let files = source::repository();
    for pure in PURE {
        let found = files.iter().any(|file| file.path == *pure || file.path.starts_with(pure));
        assert!(found, "{pure} is gone");
    }
    for (path, what, why) in EXCEPTIONS {
        let file = files.iter().find(|file| file.path == *path);
        let code = file.map(|file| source::code(&file.text)).unwrap_or_default();
        assert!(code.contains(what), "{path} no longer has {what} ({why})");
    }
}
