//! Exit codes, and passwords that others could read.

use std::os::unix::fs::PermissionsExt;

use harness::simulated::Simulated;
use harness::site::{IMPATIENT, Site};

use super::{adopt, everything_known, expect_unsaid, file};

#[test]
fn exit_codes_tell_success_failure_misuse_and_absence_apart() {
    let site = Site::new(IMPATIENT);
    let lab = Simulated::up(&site, 3, &[]);
    let _server = site.serve();
    adopt(&site, &lab);
    let check = |args: &[&str], code: i32, says: &[&str]| {
        let _said = site.keyturn(args).expect(code).says(says);
    };
    check(&["fabric", "show", "lab"], 0, &[]);
    check(&["fabric", "rotat-password"], 2, &["rotate-password"]);
    check(&["device", "show"], 2, &["which device", "--ids"]);
    check(&["secret", "show", "--device", "ce-01"], 2, &["--user"]);
    check(&["fabric", "show", "lba"], 3, &["fabric `lba`", "did you mean `lab`?"]);
    check(&["device", "show", "ce-1"], 3, &["device `ce-1`", "did you mean `ce-01`?"]);
    check(&["secret", "show", "--device", "ce-01", "--user", "amdin"], 3, &["`amdin`"]);
    let unknown = "00000000-0000-0000-0000-000000000009";
    check(&["operation", "show", unknown], 3, &[unknown]);

    let _locked = site.keyturn(&["fabric", "lock-fabric", "lab", "--action", "Lock"]).expect(0);
    check(&["fabric", "rotate-password", "lab"], 1, &["lock"]);
    let _open = site.keyturn(&["fabric", "lock-fabric", "lab", "--action", "Unlock"]).expect(0);

    lab.fault("ce-01", "refuse-command");
    check(&["fabric", "rotate-password", "lab"], 1, &["ce-01", "CommandRefused", "hint:"]);
    lab.heal("ce-01");
    check(&["fabric", "resync-password", "lab"], 0, &[]);
    expect_unsaid(&site, &lab);
}

#[test]
fn without_a_daemon_a_command_says_so_and_how_to_start_one() {
    let site = Site::new("");
    let _said = site.keyturn(&["fabric", "list"]).expect(1).says(&["keyturn serve"]);
    site.serve().stop();
    let _said = site.keyturn(&["fabric", "list"]).expect(1).says(&["keyturn serve"]);
}

#[test]
fn passwords_that_others_can_read_are_refused() {
    let site = Site::new("");
    let lab = Simulated::up(&site, 2, &[]);
    let _server = site.serve();
    let mode = |mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(lab.path("passwords.toml"), permissions).expect("it is ours");
    };
    let known = everything_known(&site);
    for readable in [0o644, 0o640, 0o604] {
        mode(readable);
        let said = site.keyturn(&["fabric", "apply", "-f", &file(&lab, "fabric.toml")]).expect(1);
        let _named = said.says(&["passwords.toml", &format!("{readable:04o}"), "chmod 600"]);
        assert_eq!(everything_known(&site), known, "nothing was declared");
    }
    mode(0o600);
    adopt(&site, &lab);
    expect_unsaid(&site, &lab);
}
