//! The data directory: a second daemon, a wrong key, a damaged store, a full disk.

use std::fs;
use std::path::Path;

use harness::process::{as_root, inside, need, program, run};
use harness::simulated::{Accepts, Simulated};
use harness::site::{IMPATIENT, Site};

use super::{adopt, expect_unsaid};

/// Expects that a site serves and still knows what opens a device of the lab.
fn expect_whole(site: &Site, lab: &Simulated) {
    let server = site.serve();
    let revealed = site.reveal("ce-01", "admin");
    assert_eq!(revealed.value, lab.born_with()["admin"]);
    assert_eq!(lab.check("ce-01", "admin", &revealed.value), Accepts::BOTH);
    server.stop();
}

/// A site whose daemon has adopted a lab of two devices and has ended in order.
fn adopted() -> (Site, Simulated) {
    let site = Site::new("");
    let lab = Simulated::up(&site, 2, &[]);
    let server = site.serve();
    adopt(&site, &lab);
    server.stop();
    (site, lab)
}

#[test]
fn a_second_daemon_on_one_data_directory_is_refused_and_the_first_serves_on() {
    let site = Site::new("");
    let server = site.serve();
    let said = site.serve_in_vain().expect(1);
    let _named = said.says(&["another daemon", &server.id().to_string()]);
    let _first = site.keyturn(&["fabric", "list"]).expect(0);
    server.kill();
    // What a killed one has left behind is in nobody's way.
    site.serve().stop();
}

#[test]
fn a_wrong_or_missing_vault_key_is_refused_and_nothing_is_lost() {
    let (site, lab) = adopted();
    let key = site.path("data/vault.key");
    let right = fs::read(&key).expect("the vault has a key");
    let other = Site::new("");
    other.serve().stop();
    fs::copy(other.path("data/vault.key"), &key).expect("both are ours");
    let _wrong = site.serve_in_vain().expect(1).says(&["vault.key", "the key of another vault"]);
    fs::remove_file(&key).expect("it is ours");
    let _missing = site.serve_in_vain().expect(1).says(&["vault.key", "missing"]);
    assert!(!key.exists(), "no new key was made over the old one's vault");
    site.write("data/vault.key", &String::from_utf8(right).expect("a key is a line of text"));
    expect_whole(&site, &lab);
    expect_unsaid(&site, &lab);
}

#[test]
fn a_damaged_or_lost_store_or_vault_is_refused_and_left_as_it_is() {
    let (site, lab) = adopted();
    for name in ["store.db", "vault.db"] {
        let path = site.path("data").join(name);
        let whole = fs::read(&path).expect("the daemon has made it");
        for from in [0, whole.len() / 2] {
            let mut damaged = whole.clone();
            damaged[from..].fill(0xaa);
            fs::write(&path, &damaged).expect("it is ours");
            let _named = site.serve_in_vain().expect(1).says(&[name, "damaged", "backup"]);
            assert_eq!(fs::read(&path).expect("it is there"), damaged, "{name} is as it was");
        }
        fs::remove_file(&path).expect("it is ours");
        let _named = site.serve_in_vain().expect(1).says(&[name, "backup"]);
        // Whatever was looked at in vain, the backup goes where it was.
        remove_journals(&path);
        fs::write(&path, &whole).expect("it is ours");
        expect_whole(&site, &lab);
    }
    expect_unsaid(&site, &lab);
}

fn remove_journals(path: &Path) {
    for kind in ["wal", "shm"] {
        let _absent = fs::remove_file(path.with_added_extension(kind));
    }
}

/// Mounts a small disk over a folder that only the daemon sees, and becomes the daemon.
const ON_A_SMALL_DISK: &str = r#"
set -eu
mount -t tmpfs -o "size=4m,mode=0700,uid=$2,gid=$3" tmpfs "$1"
uid=$2 gid=$3
shift 3
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"
"#;

#[test]
fn a_full_disk_stops_a_rotation_before_any_device_and_loses_nothing() {
    need(&[("unshare", "util-linux"), ("setpriv", "util-linux"), ("dd", "coreutils")]);
    let site =
        Site::new("[store]\npath = \"small/store.db\"\n[vault]\npath = \"small/vault.db\"\n");
    let lab = Simulated::up(&site, 3, &[]);
    let small = site.path("small");
    fs::create_dir(&small).expect("a directory of our own");
    let mut command = as_root("unshare");
    command.args(["--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(&small);
    command.arg(rustix::process::getuid().as_raw().to_string());
    command.arg(rustix::process::getgid().as_raw().to_string());
    command.arg(program("keyturn")).current_dir(site.dir());
    let server = site.serve_by(command).expect("this test needs the right to mount");
    adopt(&site, &lab);
    let born = lab.born_with();

    let fill = format!("cat /dev/zero > {}/ballast || true", small.display());
    let _full = run(inside(server.id(), "sh").args(["-c", &fill]), "").expect(0);
    let said = site.keyturn(&["fabric", "rotate-password", "lab"]).expect(1);
    let _named = said.says(&["disk", "full"]);
    for device in lab.devices() {
        let (profile, user) =
            if device == "ts-01" { ("TerminalServer", "root") } else { ("admin", "admin") };
        assert_eq!(lab.check(&device, user, &born[profile]), Accepts::BOTH, "{device}");
        assert_eq!(site.reveal(&device, user).value, born[profile], "{device}");
    }

    let free = format!("rm {}/ballast", small.display());
    let _free = run(inside(server.id(), "sh").args(["-c", &free]), "").expect(0);
    let _rotated = site.keyturn(&["fabric", "rotate-password", "lab"]).expect(0);
    let revealed = site.reveal("ce-01", "admin");
    assert_eq!(lab.check("ce-01", "admin", &revealed.value), Accepts::BOTH);
    site.expect_unsaid([revealed.value.as_str()]);
    expect_unsaid(&site, &lab);
}
