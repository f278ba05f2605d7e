//! Real accounts behind a real OpenSSH server, rotated by the platform `linux` through the whole
//! product, and checked by the `ssh` client.
//!
//! The accounts live in namespaces of their own (see `harness::linux`): the tests need root and the
//! packages `openssh-server` and `sudo`, and say so where something is missing.

use harness::accounts::{Accounts, DEVICE, USERS};
use harness::linux::{Linux, Sshd};
use harness::site::{IMPATIENT, Site};

/// Adopts the device behind `sshd` and returns its accounts.
fn adopt(site: &Site, linux: &Linux, sshd: &Sshd) -> Accounts {
    let Sshd { port, host_key, .. } = sshd;
    let way =
        format!("ssh = {{ address = \"127.0.0.1\", port = {port}, host-key = \"{host_key}\" }}");
    let accounts = Accounts::make(linux, site, &way);
    let _applied = site.keyturn(&["fabric", "apply", "-f", "fabric.toml"]).expect(0);
    assert_eq!(site.statuses(DEVICE), ["InSync"]);
    accounts
}

#[test]
fn a_rotation_changes_real_accounts_and_the_ssh_client_gets_in_with_the_new_passwords_only() {
    let site = Site::new("");
    let linux = Linux::up(site.dir());
    linux.host_key(site.dir(), "key");
    let sshd = linux.sshd(site.dir(), "key", 0);
    let server = site.serve();
    let accounts = adopt(&site, &linux, &sshd);
    for (user, born) in accounts.all() {
        assert_eq!(site.reveal(DEVICE, user).value, born, "adopted as it was");
    }

    let _rotated = site.keyturn(&["fabric", "rotate-password", "real"]).expect(0);

    assert_eq!(site.statuses(DEVICE), ["InSync"]);
    let new = USERS.map(|user| site.reveal(DEVICE, user).value);
    for ((user, born), new) in accounts.all().zip(&new) {
        assert_ne!(born, new, "{user} has a new password");
        assert!(linux.stored(user).contains(":$6$"), "{user} is stored as it was sent: hashed");
        let said = sshd.log_in(site.dir(), user, new).expect(0);
        assert_eq!(said.out.trim(), user);
    }
    let refused = sshd.log_in(site.dir(), "admin", accounts.born_with("admin")).expect(255);
    assert!(refused.err.contains("Permission denied"), "{}", refused.err);
    let shown = site.keyturn(&["fabric", "show", "real", "-o", "json"]).expect(0).json();
    assert_eq!(shown["uniquePasswordSetCount"], 1);
    server.stop();
    site.expect_unsaid(
        accounts.all().map(|(_user, born)| born).chain(new.iter().map(AsRef::as_ref)),
    );
    let log = sshd.log();
    assert!(!new.iter().any(|new| log.contains(new.as_str())), "sshd was told a password");
}

#[test]
fn a_changed_host_key_stops_a_rotation_before_a_password_is_sent() {
    let site = Site::new(IMPATIENT);
    let linux = Linux::up(site.dir());
    for key in ["key", "other-key"] {
        linux.host_key(site.dir(), key);
    }
    let sshd = linux.sshd(site.dir(), "key", 0);
    let port = sshd.port;
    let _server = site.serve();
    let accounts = adopt(&site, &linux, &sshd);
    let stored: Vec<String> = USERS.iter().map(|user| linux.stored(user)).collect();

    sshd.end(&linux);
    let impostor = linux.sshd(site.dir(), "other-key", port);
    let refused = site.keyturn(&["fabric", "rotate-password", "real"]).expect(1);
    let _named = refused.says(&[DEVICE, "host key"]);

    let log = impostor.log();
    assert!(log.contains("Connection from 127.0.0.1"), "it was asked for its key: {log}");
    assert!(!log.contains("userauth-request"), "nobody tried to log in: {log}");
    let now: Vec<String> = USERS.iter().map(|user| linux.stored(user)).collect();
    assert_eq!(now, stored, "nothing was changed");

    impostor.end(&linux);
    let sshd = linux.sshd(site.dir(), "key", port);
    let _resynced = site.keyturn(&["fabric", "resync-password", "real"]).expect(0);
    let new = site.reveal(DEVICE, "admin").value;
    assert_ne!(new, accounts.born_with("admin"));
    let said = sshd.log_in(site.dir(), "admin", &new).expect(0);
    assert_eq!(said.out.trim(), "admin");
}
