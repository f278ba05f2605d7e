//! What may not stay behind in a file.

use crate::source::{self, File};
use crate::{catches, holds, passes};

/// Files of tests that may sleep, and why.
const SLEEPERS: &[(&str, &str)] = &[
    ("agent/src/transport/login/tests.rs", "the clock is paused: a login program's own delay"),
    ("agent/tests/driver/switch.rs", "the clock is paused: a switch that hangs"),
    ("controller/tests/operations/main.rs", "the clock is paused: the sleep is simulated time"),
    ("controller/tests/operations/archive.rs", "the clock is paused: the sleep is simulated time"),
    ("controller/tests/operations/labels.rs", "the clock is paused: the sleep is simulated time"),
    ("controller/tests/operations/reboot.rs", "the clock is paused: the sleep is simulated time"),
    ("controller/tests/operations/world.rs", "the clock is paused: a device that takes its time"),
    ("controller/tests/edges/archive.rs", "the clock is paused: asks again in simulated time"),
    ("controller/tests/edges/ask.rs", "the clock is paused: asks again in simulated time"),
    ("controller/tests/edges/metrics.rs", "the clock is paused: the sleep is simulated time"),
    ("controller/tests/edges/native.rs", "the clock is paused: asks again in simulated time"),
    ("fixtures/tests/ssh.rs", "a simulated device boots in real time; polled with a deadline"),
    ("tests/benches/rotation/product.rs", "a benchmark: looks again until the operation has ended"),
    ("tests/src/wait.rs", "the one place that polls other processes, with a deadline"),
];

/// Texts that no file may contain, and why. Cut in two here, so that they are not found here.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("TO", "DO", "an open end belongs into the list of issues"),
    ("FIX", "ME", "an open end belongs into the list of issues"),
    ("XX", "X", "an open end belongs into the list of issues"),
    ("/wo", "rk/", "a path of one machine"),
    ("/fa", "rm/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
];

/// Code that no file may contain, and why.
const FORBIDDEN_CODE: &[(&str, &str, &str)] = &[
    ("#[ig", "nore", "a test runs or does not exist"),
    ("#[al", "low", "`#[expect(…, reason = \"…\")]` tells when it is no longer needed"),
    ("#![al", "low", "`#![expect(…, reason = \"…\")]` tells when it is no longer needed"),
    ("to", "do!(", "no stubs"),
    ("unimple", "mented!(", "no stubs"),
];

fn nothing_is_left_behind(path: &str, text: &str) -> Vec<String> {
    let mut offences = find(path, text, FORBIDDEN);
    if source::has_extension(path, "rs") {
        offences.extend(find(path, &source::code(text), FORBIDDEN_CODE));
    }
    offences
}

fn find(path: &str, text: &str, forbidden: &[(&str, &str, &str)]) -> Vec<String> {
    let mut offences = Vec::new();
    for (one, two, why) in forbidden {
        let wanted = format!("{one}{two}");
        let lines = source::lines_where(path, text, |line| has_word(line, &wanted));
        offences.extend(lines.map(|line| format!("{line}: {why}")));
    }
    offences
}

/// Whether `text` occurs, and not as the end or the beginning of a longer word.
fn has_word(line: &str, text: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let ends_in_word = is_word(text.chars().next_back());
    line.match_indices(text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + text.len()..].chars().next();
        let goes_on = ends_in_word && is_word(after);
        !goes_on && !is_word(before)
    })
}

/// Time is an input of tests. A sleep makes them slow on a good day and red on a bad one.
fn tests_do_not_sleep(path: &str, text: &str) -> Vec<String> {
    if SLEEPERS.iter().any(|(sleeper, _why)| *sleeper == path) {
        return Vec::new();
    }
    let code = source::code(text);
    let of_tests =
        if source::is_test(path) { code } else { difference(&code, &source::without_tests(&code)) };
    source::lines_where(path, &of_tests, sleeps)
        .map(|line| format!("{line}: a test sleeps; pause the clock, or wait for a condition"))
        .collect()
}

fn sleeps(text: &str) -> bool {
    has_word(text, concat!("sle", "ep("))
}

/// What of `whole` is blank in `part`; both have the same lines.
fn difference(whole: &str, part: &str) -> String {
    let lines = whole.lines().zip(part.lines());
    lines
        .map(|(whole, part)| if whole == part { "\n".into() } else { format!("{whole}\n") })
        .collect()
}

#[test]
fn no_file_has_an_open_end_or_a_path_of_one_machine() {
    holds(|file| file.path != "LICENSE", nothing_is_left_behind);
    for (one, two, why) in FORBIDDEN.iter().chain(FORBIDDEN_CODE) {
        let planted = format!("fn a() {{}}\n{one}{two} b\n");
        catches(nothing_is_left_behind, "agent/src/a.rs", &planted, why);
    }
    passes(nothing_is_left_behind, "README.md", "the folder mastodon/work is fine");
}

#[test]
fn no_test_sleeps() {
    holds(File::is_rust, tests_do_not_sleep);
    let planted = concat!("#[test]\nfn a() { std::thread::sle", "ep(SECOND); }");
    catches(tests_do_not_sleep, "agent/tests/a.rs", planted, "sleeps");
    let inside = format!("#[cfg(test)]\nmod tests {{\n{planted}\n}}");
    catches(tests_do_not_sleep, "agent/src/a.rs", &inside, "sleeps");
    passes(tests_do_not_sleep, "agent/src/a.rs", planted);
    for (sleeper, why) in SLEEPERS {
        let files = source::repository();
        let file = files.iter().find(|file| file.path == *sleeper);
        assert!(file.is_some_and(|file| sleeps(&file.text)), "{sleeper} never sleeps ({why})");
    }
}
