use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::super::contract;
use super::*;

async fn open(dir: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(&path(dir)).await.unwrap()
}

fn path(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join(STORE_FILE)
}

/// Runs a statement past the store, as a fault would.
async fn tamper(store: &SqliteStore, sql: &'static str) {
    let write = store.database.write(async move |mut session: Session| session.run(sql).await);
    let done: Result<(), DiskError> = write.await;
    done.unwrap();
}

#[tokio::test]
async fn the_sqlite_store_keeps_the_contract() {
    let dirs = std::sync::Mutex::new(Vec::new());
    contract::contract(async || {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir).await;
        dirs.lock().unwrap().push(dir);
        store
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let east = contract::fabric("East");
    let store = open(&dir).await;
    assert!(store.is_new());
    let events = contract::events(0, 10);
    store.append(&east, Revision::ZERO, &events).await.unwrap();
    store.snapshot(&east, Revision(4), "{\"n\":4}").await.unwrap();
    let before = store.load(&east).await.unwrap();
    store.close().await.unwrap();
    let store = open(&dir).await;
    assert!(!store.is_new());
    assert_eq!(store.load(&east).await.unwrap(), before);
    assert_eq!(store.fabrics().await.unwrap()[0].to_string(), east.to_string());
}

#[tokio::test]
async fn everything_confirmed_is_there_after_a_kill_before_the_log_was_moved() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let east = contract::fabric("east");
    let mut at = Revision::ZERO;
    for n in 0..20 {
        at = store.append(&east, at, &contract::events(n * 3, 3)).await.unwrap();
    }
    let killed = tempfile::tempdir().unwrap();
    for name in [STORE_FILE, "store.db-wal"] {
        fs::copy(dir.path().join(name), killed.path().join(name)).unwrap();
    }
    assert!(fs::metadata(killed.path().join("store.db-wal")).unwrap().len() > 0);
    let journal = open(&killed).await.load(&east).await.unwrap();
    assert_eq!((journal.events, journal.revision), (contract::events(0, 60), at));
}

#[tokio::test]
async fn two_handles_on_one_file_see_each_other_and_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (open(&dir).await, open(&dir).await);
    let east = contract::fabric("east");
    let at = one.append(&east, Revision::ZERO, &contract::events(0, 2)).await.unwrap();
    let error = two.append(&east, Revision::ZERO, &contract::events(9, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { now: Revision(2), .. }), "{error}");
    two.append(&east, at, &contract::events(2, 1)).await.unwrap();
    assert_eq!(one.load(&east).await.unwrap().events, contract::events(0, 3));
}

#[tokio::test]
async fn a_full_disk_is_refused_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let east = contract::fabric("east");
    let at = store.append(&east, Revision::ZERO, &contract::events(0, 5)).await.unwrap();
    let before = store.load(&east).await.unwrap();
    tamper(&store, "PRAGMA max_page_count = 1").await;
    let large = vec![format!("\"{}\"", "x".repeat(100_000))];
    for _again in 0..3 {
        let error = store.append(&east, at, &large).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk(DiskError::Full { .. })), "{error:?}");
        assert!(!error.is_outcome_unknown());
        assert!(error.hint().unwrap().contains("make room"));
        assert_eq!(store.load(&east).await.unwrap(), before);
    }
    tamper(&store, "PRAGMA max_page_count = 1000000").await;
    store.append(&east, at, &large).await.unwrap();
}

#[tokio::test]
async fn a_journal_that_was_changed_is_refused() {
    let changes = [
        "UPDATE event SET body = replace(body, '2', '3') WHERE revision = 3",
        "UPDATE event SET digest = zeroblob(32) WHERE revision = 3",
        "UPDATE event SET digest = zeroblob(31) WHERE revision = 4",
        "DELETE FROM event WHERE revision = 4",
        "DELETE FROM event WHERE revision = 5",
        "UPDATE event SET revision = revision + 10 WHERE revision = 5",
        "UPDATE fabric SET revision = 4",
        "UPDATE fabric SET revision = -1",
        "UPDATE fabric SET digest = zeroblob(32)",
        "UPDATE snapshot SET state = '{\"n\":3}'",
        "UPDATE snapshot SET revision = 3",
        "UPDATE snapshot SET digest = zeroblob(32)",
        "UPDATE event SET digest = zeroblob(32) WHERE revision = 2",
        "DELETE FROM event WHERE revision = 2",
    ];
    for change in changes {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir).await;
        let east = contract::fabric("east");
        store.append(&east, Revision::ZERO, &contract::events(0, 5)).await.unwrap();
        store.snapshot(&east, Revision(2), "{\"n\":2}").await.unwrap();
        tamper(&store, change).await;
        let error = store.load(&east).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk(DiskError::Corrupt { .. })), "{change}: {error}");
        assert!(error.to_string().contains(STORE_FILE), "{error}");
        let error = store.append(&east, Revision(5), &contract::events(5, 1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk(DiskError::Poisoned { .. })), "{change}: {error}");
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_file_is_refused_or_changes_nothing_and_mends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let east = contract::fabric("east");
    store.append(&east, Revision::ZERO, &contract::events(0, 40)).await.unwrap();
    store.snapshot(&east, Revision(20), "{\"n\":20}").await.unwrap();
    let wanted = store.load(&east).await.unwrap();
    store.close().await.unwrap();
    let good = fs::read(path(&dir)).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for at in (0..good.len()).step_by(97).chain(0..100) {
        let mut bad = good.clone();
        bad[at] ^= 0x04;
        fs::write(path(&dir), &bad).unwrap();
        let loaded = match SqliteStore::open(&path(&dir)).await {
            Ok(store) => {
                let (loaded, listed) = (store.load(&east).await, store.fabrics().await);
                let _closed = store.close().await;
                // A changed key shows in the list, whose entries no longer fit their journals.
                loaded.and_then(|journal| listed.map(|list| (journal, list)))
            }
            Err(error) => Err(error),
        };
        match loaded {
            Ok((journal, _)) if journal == wanted => harmless += 1,
            Ok((journal, list)) => panic!("byte {at}: {list:?} {journal:?}"),
            Err(error) => {
                assert!(error.hint().is_some(), "byte {at}: {error:?}");
                refused += 1;
            }
        }
        for suffix in ["-wal", "-shm"] {
            let _removed = fs::remove_file(dir.path().join(format!("{STORE_FILE}{suffix}")));
        }
    }
    assert!(refused > 50, "{refused} refused, {harmless} harmless");
    fs::write(path(&dir), &good).unwrap();
    assert_eq!(open(&dir).await.load(&east).await.unwrap(), wanted);
}

#[tokio::test]
async fn a_thousand_events_are_one_quick_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let east = contract::fabric("east");
    let events: Vec<String> =
        (0..1_000).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(200))).collect();
    let start = Instant::now();
    let mut at = Revision::ZERO;
    for _ten in 0..10 {
        at = store.append(&east, at, &events).await.unwrap();
    }
    let each = start.elapsed() / 10;
    println!("1,000 events in {each:?}");
    assert!(each.as_millis() < 500, "{each:?}");
    assert_eq!(store.load(&east).await.unwrap().events.len(), 10_000);
}
