use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const ONE: Layout = Layout {
    what: "a test",
    application_id: 0x7465_7374,
    migrations: &["CREATE TABLE thing (name TEXT NOT NULL) STRICT"],
};

const TWO: Layout = Layout {
    what: "a test",
    application_id: 0x7465_7374,
    migrations: &[
        "CREATE TABLE thing (name TEXT NOT NULL) STRICT",
        "ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 7",
    ],
};

async fn made(layout: &Layout) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    assert!(!exists(&path).unwrap());
    Draft::start(&path, layout).await.unwrap().publish().await.unwrap();
    assert!(exists(&path).unwrap());
    (dir, path)
}

async fn run(database: &Database, sql: &'static str) -> Result<(), DiskError> {
    database
        .write(async move |mut session| {
            session.begin().await?;
            let done = session.run(sql).await;
            session.end(done).await
        })
        .await
}

async fn count(database: &Database, sql: &'static str) -> i64 {
    let read = database.read(async move |mut session: Session| session.number(sql).await);
    let counted: Result<i64, DiskError> = read.await;
    counted.unwrap()
}

#[tokio::test]
async fn a_file_is_its_owners_alone_and_written_durably() {
    let (_dir, path) = made(&ONE).await;
    let database = Database::open(&path, &ONE).await.unwrap();
    run(&database, "INSERT INTO thing VALUES ('a')").await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mode = fs::metadata(file::beside(&path, suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    assert_eq!(count(&database, "PRAGMA synchronous").await, 2);
    assert_eq!(count(&database, "PRAGMA secure_delete").await, 1);
    assert_eq!(count(&database, "PRAGMA foreign_keys").await, 1);
    database.close().await.unwrap();
    assert!(!file::beside(&path, "-wal").exists());
}

#[tokio::test]
async fn a_file_half_made_by_a_killed_process_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let draft = Draft::start(&path, &ONE).await.unwrap();
    drop(draft);
    fs::write(file::beside(&path, ".new-journal"), "left over").unwrap();
    assert!(!exists(&path).unwrap());
    Draft::start(&path, &ONE).await.unwrap().publish().await.unwrap();
    Database::open(&path, &ONE).await.unwrap();
    assert!(!file::beside(&path, ".new").exists());
}

#[tokio::test]
async fn an_older_schema_is_led_to_the_newest_and_keeps_its_rows() {
    let (_dir, path) = made(&ONE).await;
    let database = Database::open(&path, &ONE).await.unwrap();
    run(&database, "INSERT INTO thing VALUES ('a')").await.unwrap();
    database.close().await.unwrap();
    let database = Database::open(&path, &TWO).await.unwrap();
    assert_eq!(count(&database, "SELECT size FROM thing WHERE name = 'a'").await, 7);
    assert_eq!(count(&database, "PRAGMA user_version").await, 2);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let (_dir, path) = made(&TWO).await;
    let before = fs::read(&path).unwrap();
    let error = Database::open(&path, &ONE).await.unwrap_err();
    assert!(matches!(error, DiskError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("a.db"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused_with_what_was_expected() {
    let (dir, path) = made(&ONE).await;
    let other = Layout { application_id: 1, ..TWO };
    let error = Database::open(&path, &other).await.unwrap_err();
    assert!(error.to_string().contains("expected a test"), "{error}");
    for bytes in [b"".as_slice(), b"SQLite", b"plain text that is no database at all\n"] {
        let path = dir.path().join("b.db");
        fs::write(&path, bytes).unwrap();
        let error = Database::open(&path, &ONE).await.unwrap_err();
        assert!(matches!(error, DiskError::Corrupt { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_log_without_its_file_is_not_taken_for_a_fresh_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    fs::write(file::beside(&path, "-wal"), "x").unwrap();
    let error = exists(&path).unwrap_err();
    assert!(matches!(error, DiskError::Corrupt { .. }), "{error}");
}

/// Names the file that the test below uses when it runs in a process with a limit.
const LIMITED: &str = "KEYTURN_TEST_LIMITED_FILE";

#[tokio::test]
async fn after_a_failed_write_nothing_more_is_written_until_the_file_is_opened_anew() {
    if let Some(path) = std::env::var_os(LIMITED) {
        return write_until_it_fails(Path::new(&path)).await;
    }
    let (_dir, path) = made(&ONE).await;
    // A process that may make no file larger than 64 KiB, and is not killed for trying: its
    // writes fail as those of a broken disk do.
    let limited = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(std::thread::current().name().unwrap())
        .env(LIMITED, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success() && said.contains("1 passed"), "{said}");
    let confirmed: i64 =
        fs::read_to_string(file::beside(&path, ".count")).unwrap().parse().unwrap();
    assert!(confirmed > 2, "{confirmed}");
    let database = Database::open(&path, &ONE).await.unwrap();
    let found = count(&database, "SELECT count(*) FROM thing").await;
    assert!(found == confirmed || found == confirmed + 1, "{found} of {confirmed}");
    run(&database, "INSERT INTO thing VALUES ('after')").await.unwrap();
}

async fn write_until_it_fails(path: &Path) {
    let database = Database::open(path, &ONE).await.unwrap();
    let mut confirmed = 0;
    let error = loop {
        match run(&database, "INSERT INTO thing VALUES (hex(randomblob(2000)))").await {
            Ok(()) => confirmed += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, DiskError::Io { .. }), "{error:?}");
    assert!(error.is_outcome_unknown());
    for _again in 0..3 {
        let error = run(&database, "INSERT INTO thing VALUES ('small')").await.unwrap_err();
        assert!(matches!(error, DiskError::Poisoned { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("start the daemon again"));
    }
    fs::write(file::beside(path, ".count"), confirmed.to_string()).unwrap();
}

#[tokio::test]
async fn a_file_held_by_another_process_is_called_busy() {
    let (_dir, path) = made(&ONE).await;
    let (one, two) =
        (Database::open(&path, &ONE).await.unwrap(), Database::open(&path, &ONE).await.unwrap());
    let mut holder = one.session().await;
    holder.begin().await.unwrap();
    let mut waiting = two.session().await;
    waiting.run("PRAGMA busy_timeout = 20").await.unwrap();
    drop(waiting);
    let error = run(&two, "INSERT INTO thing VALUES ('a')").await.unwrap_err();
    assert!(matches!(error, DiskError::Busy { .. }), "{error:?}");
    holder.run("ROLLBACK").await.unwrap();
    run(&two, "INSERT INTO thing VALUES ('a')").await.unwrap();
}

/// Copies the file and its log as a killed process would leave them.
fn leave(path: &Path, name: &str) -> PathBuf {
    let copy = path.with_file_name(name);
    for suffix in ["", "-wal"] {
        fs::copy(file::beside(path, suffix), file::beside(&copy, suffix)).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_damaged_log_is_refused_wherever_a_later_transaction_proves_it_was_confirmed() {
    let (_dir, path) = made(&ONE).await;
    let database = Database::open(&path, &ONE).await.unwrap();
    for _three in 0..3 {
        run(&database, "INSERT INTO thing VALUES ('a')").await.unwrap();
    }
    let copy = leave(&path, "copy.db");
    let log = file::beside(&copy, "-wal");
    let good = fs::read(&log).unwrap();
    let frame = 24 + 4096;
    assert_eq!(good.len(), 32 + 3 * frame);
    let mut refused = 0;
    for at in (0..good.len()).step_by(61).chain(0..32).chain(32..80) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&log, &bad).unwrap();
        match wal::check(&log) {
            Err(DiskError::Corrupt { .. }) => refused += 1,
            // The last transaction looks as if the power had gone before it was confirmed.
            Ok(true) => assert!(at >= 32 + frame, "byte {at} of {}", good.len()),
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 60, "{refused}");
    let mut bad = good.clone();
    bad[100] ^= 1;
    fs::write(&log, &bad).unwrap();
    let error = Database::open(&copy, &ONE).await.unwrap_err();
    assert!(error.to_string().contains("copy.db-wal"), "{error}");
    assert_eq!(fs::read(&log).unwrap(), bad);
    fs::write(&log, &good).unwrap();
    let database = Database::open(&copy, &ONE).await.unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM thing").await, 3);
}

#[tokio::test]
async fn a_log_cut_off_anywhere_opens_with_the_whole_transactions_in_it() {
    let (_dir, path) = made(&ONE).await;
    let database = Database::open(&path, &ONE).await.unwrap();
    for _three in 0..3 {
        run(&database, "INSERT INTO thing VALUES ('a')").await.unwrap();
    }
    let frame = 24 + 4096;
    for cut in [0, 1, 31, 32, 33, 32 + frame - 1, 32 + frame, 32 + 2 * frame + 100] {
        let copy = leave(&path, "copy.db");
        let log = file::beside(&copy, "-wal");
        fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(cut).unwrap();
        let database = Database::open(&copy, &ONE).await.unwrap();
        let whole = cut.saturating_sub(32) / frame;
        assert_eq!(count(&database, "SELECT count(*) FROM thing").await, whole.cast_signed());
        // What was left has moved into the file.
        assert_eq!(fs::metadata(&log).map_or(0, |metadata| metadata.len()), 0);
        database.close().await.unwrap();
    }
}
