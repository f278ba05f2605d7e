//! The vault's key and its backups, by the real programs: what is restored opens the same devices.

use std::fs;
use std::process::Command;

use harness::process::{need, run};
use harness::simulated::{Accepts, Simulated};
use harness::site::{IMPATIENT, Site};

/// A site whose daemon has rotated a lab of two devices, and serves.
fn rotated() -> (Site, Simulated, harness::site::Server) {
    let site = Site::new(IMPATIENT);
    let lab = Simulated::up(&site, 2, &[]);
    let server = site.serve();
    let inventory = lab.path("fabric.toml").display().to_string();
    let _applied = site.keyturn(&["fabric", "apply", "-f", &inventory]).expect(0);
    let _rotated = site.keyturn(&["fabric", "rotate-password"]).expect(0);
    (site, lab, server)
}

/// Makes an identity of the program `age`, and returns its file and its recipient.
fn identity(site: &Site) -> (String, String) {
    let file = site.path("identity").display().to_string();
    let _made = run(Command::new("age-keygen").args(["-o", &file]), "").expect(0);
    let recipient = run(Command::new("age-keygen").args(["-y", &file]), "").expect(0);
    (file, recipient.out.trim().to_owned())
}

/// Everything that a device's status says of where its passwords are.
fn references(site: &Site, device: &str) -> String {
    let shown = site.keyturn(&["device", "show", device, "-o", "json"]).expect(0).json();
    let mut references: Vec<String> = Vec::new();
    collect(&shown, &mut references);
    assert!(!references.is_empty(), "{shown}");
    references.join("\n")
}

fn collect(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| match name.as_str() {
                "secretArchiveReference" => into.push(value.to_string()),
                _ => collect(value, into),
            })
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}

#[test]
fn a_backup_of_a_running_daemon_is_restored_elsewhere_and_opens_the_same_devices() {
    need(&[("age", "age"), ("age-keygen", "age")]);
    let (site, lab, server) = rotated();
    let (identity, recipient) = identity(&site);
    let file = site.path("vault.age").display().to_string();
    let backup = ["vault", "backup", "--to", &file, "--recipient", &recipient];
    let _made = site.keyturn(&backup).expect(0);
    let _kept = site.keyturn(&backup).expect(1).says(&["vault.age", "one already"]);
    let opened = Command::new("age").args(["-d", "-i", &identity, &file]).output();
    let opened = opened.expect("age runs");
    assert!(opened.status.success() && opened.stdout.starts_with(b"keyturn-vault-backup 1\n"));
    let log = fs::read_to_string(site.path("data/audit.log")).expect("the daemon's audit");
    assert!(log.contains("Keyturn/vault/backup/action") && log.contains(&recipient));
    let (was, refers) = (site.reveal("ce-01", "admin"), references(&site, "ce-01"));
    server.stop();

    let other = Site::new(IMPATIENT);
    let cut = fs::read(&file).expect("the backup").split_last().expect("bytes").1.to_vec();
    fs::write(site.path("cut.age"), cut).expect("a directory of our own");
    let cut = site.path("cut.age").display().to_string();
    let restore = |file: &str| {
        other.keyturn(&["vault", "restore", "--from", file, "--identity-file", &identity])
    };
    let _refused = restore(&cut).expect(1).says(&["changed or cut"]);
    assert!(!other.path("data/vault.db").exists());
    let _restored = restore(&file).expect(0);
    let _kept = restore(&file).expect(1).says(&["one already"]);
    for name in ["data/store.db", "data/store.db-wal"] {
        // What the daemon has not moved into the one file yet is in the other.
        if site.path(name).exists() {
            fs::copy(site.path(name), other.path(name)).expect("both are ours");
        }
    }
    let server = other.serve();
    let _held = other.keyturn(&["fabric", "rotate-password"]).expect(1).says(&["accept-restored"]);
    assert_eq!(other.reveal("ce-01", "admin"), was, "it is shown all the same");
    let _runs = other.keyturn(&["vault", "accept-restored"]).expect(1).says(&["stop the daemon"]);
    server.stop();
    let _accepted = other.keyturn(&["vault", "accept-restored"]).expect(0);
    let server = other.serve();
    assert_eq!(other.reveal("ce-01", "admin"), was);
    assert_eq!(references(&other, "ce-01"), refers);
    assert_eq!(lab.check("ce-01", "admin", &was.value), Accepts::BOTH);
    let _rotated = other.keyturn(&["fabric", "rotate-password"]).expect(0);
    let now = other.reveal("ce-01", "admin");
    assert_eq!(lab.check("ce-01", "admin", &now.value), Accepts::BOTH);
    server.stop();
    site.expect_unsaid([was.value.as_str()]);
    other.expect_unsaid([was.value.as_str(), now.value.as_str()]);
}

#[test]
fn the_passphrase_may_be_a_credential_that_systemd_gives_to_the_daemon_alone() {
    let site = Site::new(IMPATIENT);
    let folder = site.path("credentials");
    fs::create_dir(&folder).expect("a directory of our own");
    let credential = folder.join("keyturn-vault-passphrase");
    fs::write(&credential, "nine tall giraffes").expect("a directory of our own");
    let with = |command: &mut Command| {
        command.env("CREDENTIALS_DIRECTORY", &folder);
    };
    let serve = || {
        let mut command = site.command();
        with(&mut command);
        site.serve_by(command)
    };
    serve().expect("a daemon").stop();
    let key = fs::read_to_string(site.path("data/vault.key")).expect("the vault's key");
    assert!(key.starts_with("keyturn-vault-passphrase 1 "), "{key}");
    let _locked =
        site.serve_in_vain().expect(1).says(&["takes a passphrase", "systemd credential"]);
    fs::write(&credential, "nine tall giraffez").expect("a directory of our own");
    let said = serve().expect_err("another passphrase").expect(1);
    let _other = said.says(&["the credential `", "is another one"]);
    fs::write(&credential, "nine tall giraffes\n").expect("a directory of our own");
    serve().expect("a daemon").stop();
    site.expect_unsaid(["nine tall giraff"]);
}

#[test]
fn the_vaults_key_is_changed_to_a_passphrase_and_back_while_no_daemon_runs() {
    let (site, lab, server) = rotated();
    let was = site.reveal("ce-01", "admin");
    let passphrase = site.write("passphrase", "nine tall giraffes\n").display().to_string();
    let to_passphrase = ["vault", "rekey", "--new-passphrase-file", &passphrase];
    let _running =
        site.keyturn(&to_passphrase).expect(1).says(&["another daemon", "stop the daemon"]);
    server.stop();
    let _changed = site.keyturn(&to_passphrase).expect(0);
    let _locked = site.serve_in_vain().expect(1).says(&["takes a passphrase"]);
    let vault = format!("{IMPATIENT}[vault]\npassphrase-file = \"passphrase\"\n");
    let config = site.write("config.toml", &vault).display().to_string();
    let server = site.serve();
    assert_eq!(site.reveal("ce-01", "admin"), was);
    server.stop();
    site.write("passphrase", "nine tall giraffez\n");
    let _other = site.serve_in_vain().expect(1).says(&["passphrase", "is another one"]);
    site.write("passphrase", "nine tall giraffes\n");
    let _back = site.keyturn(&["vault", "rekey", "--config", &config]).expect(0);
    site.write("config.toml", IMPATIENT);
    let server = site.serve();
    let _rotated = site.keyturn(&["fabric", "rotate-password"]).expect(0);
    let now = site.reveal("ce-01", "admin");
    assert_eq!(lab.check("ce-01", "admin", &now.value), Accepts::BOTH);
    server.stop();
    let log = fs::read_to_string(site.path("data/audit.log")).expect("the daemon's audit");
    assert!(log.contains("Keyturn/vault/rekey/action"));
    site.expect_unsaid(["nine tall giraffes", was.value.as_str(), now.value.as_str()]);
}
