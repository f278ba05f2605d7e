//! The data directory: a second daemon, a wrong key, a damaged store, a full disk.

use std::fs;
use std::path::{Path, PathBuf};

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
        let backup = Backup::of(&site.path("data").join(name));
        for from in [0, backup.database.len() / 2] {
            let mut damaged = backup.database.clone();
            damaged[from..].fill(0xaa);
            backup.put(Some(&damaged), None);
            let _named = site.serve_in_vain().expect(1).says(&[name, "damaged", "backup"]);
            assert!(fs::read(&backup.path).expect("it is there") == damaged, "{name} was changed");
        }
        backup.put(None, None);
        let _named = site.serve_in_vain().expect(1).says(&[name, "backup"]);
        backup.put(Some(&backup.database), backup.log.as_deref());
        expect_whole(&site, &lab);
    }
    expect_unsaid(&site, &lab);
}

/// A database and its write-ahead log, as a backup has them.
struct Backup {
    path: PathBuf,
    database: Vec<u8>,
    log: Option<Vec<u8>>,
}

impl Backup {
    fn of(path: &Path) -> Self {
        let database = fs::read(path).expect("the daemon has made it");
        let log = fs::read(path.with_extension("db-wal")).ok();
        Self { path: path.to_owned(), database, log }
    }

    /// Puts a database and a log where they were, and takes away what is not given.
    fn put(&self, database: Option<&[u8]>, log: Option<&[u8]>) {
        let file = |kind: &str| self.path.with_extension(kind);
        let files = [("db", database), ("db-wal", log), ("db-shm", None)];
        for (kind, bytes) in files {
            match bytes {
                Some(bytes) => fs::write(file(kind), bytes).expect("it is ours"),
                None => drop(fs::remove_file(file(kind))),
            }
        }
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
    need(&[("unshare", "util-linux"), ("setpriv", "util-linux")]);
    let paths = "[store]\npath = \"small/store.db\"\n[vault]\npath = \"small/vault.db\"\n";
    let site = Site::new(&format!("{IMPATIENT}{paths}"));
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
