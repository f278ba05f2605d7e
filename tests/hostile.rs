//! What reads input of others, fed with what is right and with mutations of it: a stand-in, in
//! seconds and in every run, for the fuzzers of `tests/fuzz`.

use harness::hostile;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Mutations of each target's seeds.
const CASES: u32 = 2000;

/// The same where each writes to a disk.
const CASES_ON_DISK: u32 = 200;

/// What texts are broken with.
const WORDS: &[&str] = &[
    "",
    "\"",
    "'''",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    "\n",
    "\r",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[2J",
    "-1",
    "1e999",
    "99999999999999999999",
    "nan",
    "true",
    "null",
    "..",
    "${",
    "{new}",
    "{user}",
    "(?:a*)*b",
    "\\",
    "#",
    "h",
    "Password",
    "18446744073709551616",
    "0s",
    "é",
    "%s",
];

/// One change: where, in thousandths of the length, how many bytes go, and what comes.
fn change() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    let words = prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    let bytes = prop::collection::vec(any::<u8>(), 0..8);
    let long = (any::<u8>(), 0..2000_usize).prop_map(|(byte, times)| vec![byte; times]);
    (0..1000_usize, 0..40_usize, prop_oneof![6 => words, 3 => bytes, 1 => long])
}

fn mutate(seed: &[u8], changes: &[(usize, usize, Vec<u8>)]) -> Vec<u8> {
    changes.iter().fold(seed.to_vec(), |mut text, (at, gone, come)| {
        let at = text.len() * at / 1000;
        let end = (at + gone).min(text.len());
        text.splice(at..end, come.iter().copied());
        text
    })
}

fn feed(target: fn(&[u8]) -> bool, seeds: &[Vec<u8>]) {
    feed_times(target, seeds, CASES);
}

fn feed_times(target: fn(&[u8]) -> bool, seeds: &[Vec<u8>], cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let input = (prop::sample::select(seeds.to_vec()), prop::collection::vec(change(), 1..5));
    let fed = TestRunner::new(config).run(&input, |(seed, changes)| {
        let _taken = target(&mutate(&seed, &changes));
        Ok(())
    });
    fed.unwrap();
}

fn feed_named(name: &str) {
    let targets = hostile::targets();
    let (_name, target, seeds) = targets.iter().find(|(known, ..)| *known == name).unwrap();
    for seed in seeds {
        assert!(target(seed), "{name}: {}", String::from_utf8_lossy(seed));
    }
    feed(*target, seeds);
}

#[test]
fn broken_inventories_are_refused_or_taken() {
    feed_named("inventory");
}

#[test]
fn broken_passwords_files_are_refused_and_never_shown() {
    feed_named("passwords");
}

#[test]
fn broken_configurations_are_refused_or_taken_the_same_way_again() {
    feed_named("configuration");
}

#[test]
fn broken_templates_are_refused_or_taken() {
    feed_named("template");
}

#[test]
fn broken_platform_files_are_refused_or_taken() {
    feed_named("platform");
}

#[test]
fn whatever_a_device_says_the_outcome_is_the_same_however_it_is_cut() {
    feed_named("dialogue");
}

#[test]
fn broken_frames_are_refused_or_taken_the_same_way_again() {
    feed_named("frames");
}

#[test]
fn broken_requests_are_answered_in_form() {
    let seeds: Vec<Vec<u8>> =
        hostile::api::SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    feed(hostile::api::api, &seeds);
}

#[test]
fn broken_certificates_are_refused_or_taken() {
    feed_named("pkcs12");
}

#[test]
fn sealed_files_that_were_changed_do_not_open() {
    feed_named("age");
}

#[test]
fn broken_recipients_are_refused_or_taken_the_same_way_again() {
    feed_named("recipients");
}

#[test]
fn broken_challenges_get_no_token_for_another_directory() {
    feed_named("challenge");
}

#[test]
fn broken_backups_make_no_vault_and_leave_nothing() {
    let seeds: Vec<Vec<u8>> =
        hostile::sealed::BACKUPS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    feed_times(hostile::sealed::backup, &seeds, CASES_ON_DISK);
}

#[test]
fn broken_requests_of_key_vault_clients_are_answered_in_form() {
    let seeds: Vec<Vec<u8>> =
        hostile::key_vault::SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    feed_times(hostile::key_vault::key_vault, &seeds, CASES_ON_DISK);
}
