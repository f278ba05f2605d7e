//! Where a password may be opened, and what may not carry one: spans.

use crate::source::{self, File};
use crate::{catches, holds, passes};

/// The files that may open a password, and why. Tests may, with made-up ones.
const DOORS: &[(&str, &str)] = &[
    ("agent/src/driver/accounts.rs", "the slots of a line that a device is sent"),
    ("agent/src/driver/session.rs", "what is hidden from logs in a device's output"),
    ("agent/src/hash.rs", "makes and compares what devices store"),
    ("agent/src/transport/login.rs", "answers a login prompt on a line"),
    ("agent/src/transport/ssh/authentication.rs", "logs in over SSH"),
    ("controller/src/edge/native/reveal.rs", "the one answer that reveals: `keyturn secret show`"),
    ("controller/src/edge/key_vault/wire.rs", "the one answer that opens a secret to its client"),
    ("controller/src/vault/azure/put.rs", "sends what is put to Azure Key Vault"),
    ("controller/src/vault/hashicorp/put.rs", "sends what is put to HashiCorp Vault or OpenBao"),
    ("controller/src/vault/kubernetes/put.rs", "sends what is put to Kubernetes"),
    ("controller/src/vault/embedded.rs", "encrypts what is put"),
    ("controller/src/vault/embedded/secrets.rs", "encrypts what is set"),
    ("protocol/src/seal.rs", "seals the passwords of a job to its agent"),
];

fn opens_no_password(path: &str, text: &str) -> Vec<String> {
    if source::is_test(path) || DOORS.iter().any(|(door, _why)| *door == path) {
        return Vec::new();
    }
    let code = source::without_tests(&source::code(text));
    let offences = source::lines_where(path, &code, opens);
    offences.map(|line| format!("{line}: opens a password and is not in DOORS")).collect()
}

fn opens(line: &str) -> bool {
    [".expose()", "Password::expose"].iter().any(|door| line.contains(door))
}

/// A span records its function's arguments unless told not to.
fn spans_skip_their_arguments(path: &str, text: &str) -> Vec<String> {
    let code = source::code(text);
    let records = |line: &str| line.contains("instrument") && line.trim_start().starts_with("#[");
    source::lines_where(path, &code, |line| records(line) && !line.contains("skip_all"))
        .map(|line| format!("{line}: a span without `skip_all` on its first line"))
        .collect()
}

#[test]
fn passwords_are_opened_behind_listed_doors_only() {
    holds(File::is_rust, opens_no_password);
    let planted = "fn leak(p: &Password) { tracing::info!(value = p.expose()); }";
    catches(opens_no_password, "controller/src/plan.rs", planted, "not in DOORS");
    let other = "let all = passwords.iter().map(Password::expose);";
    catches(opens_no_password, "agent/src/worker.rs", other, "not in DOORS");
    passes(opens_no_password, "agent/src/ledger/tests.rs", planted);
    passes(opens_no_password, "agent/src/a.rs", "/// Opened by `.expose()`.\nfn a() {}");
}

#[test]
fn every_door_is_used() {
    let files = source::repository();
    for (door, why) in DOORS {
        let file = files.iter().find(|file| file.path == *door);
        let code = file.map(|file| source::without_tests(&source::code(&file.text)));
        assert!(code.is_some_and(|code| code.lines().any(opens)), "{door} opens nothing ({why})");
    }
}

#[test]
fn spans_never_record_arguments() {
    holds(File::is_rust, spans_skip_their_arguments);
    let planted = "#[tracing::instrument(level = \"debug\")]\nfn login(password: &Password) {}";
    catches(spans_skip_their_arguments, "a.rs", planted, "skip_all");
    passes(
        spans_skip_their_arguments,
        "a.rs",
        "#[instrument(skip_all, fields(device))]\nfn a() {}",
    );
}
