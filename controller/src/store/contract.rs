//! What every store must do, whatever it is made of.

use std::sync::Arc;

use protocol::id::FabricId;

use super::{Journal, Revision, Snapshot, Store, StoreError};

/// Returns the id of a fabric of this name.
pub(crate) fn fabric(name: &str) -> FabricId {
    FabricId::new("00000000-0000-0000-0000-00000000000a", "lab", name).unwrap()
}

/// Returns `count` events that differ.
pub(crate) fn events(from: usize, count: usize) -> Vec<String> {
    (from..from + count)
        .map(|n| format!("{{\"event\":{n},\"text\":\"grüße '\\\"; --\"}}"))
        .collect()
}

/// Runs the whole contract; `make` returns a new, empty store each time.
pub(crate) async fn contract<S: Store + 'static>(make: impl AsyncFn() -> S) {
    a_journal_nobody_wrote_is_empty(&make().await).await;
    what_was_appended_is_loaded_in_order(&make().await).await;
    a_conflict_changes_nothing(&make().await).await;
    fabrics_are_told_apart_without_case(&make().await).await;
    a_load_starts_at_the_newest_snapshot(&make().await).await;
    a_snapshot_ahead_of_the_journal_is_refused(&make().await).await;
    the_same_events_have_the_same_name(&make().await, &make().await).await;
    no_events_still_notice_a_conflict(&make().await).await;
    large_batches_are_taken_whole(&make().await).await;
    of_many_writers_one_wins(make().await).await;
    an_append_runs_to_its_end_without_its_caller(make().await).await;
}

async fn a_journal_nobody_wrote_is_empty(store: &dyn Store) {
    assert_eq!(store.load(&fabric("east")).await.unwrap(), Journal::default());
    assert!(store.fabrics().await.unwrap().is_empty());
}

async fn what_was_appended_is_loaded_in_order(store: &dyn Store) {
    let east = fabric("east");
    let at = store.append(&east, Revision::ZERO, &events(0, 3)).await.unwrap();
    assert_eq!(at, Revision(3));
    let at = store.append(&east, at, &events(3, 2)).await.unwrap();
    let west = store.append(&fabric("west"), Revision::ZERO, &events(9, 1)).await.unwrap();
    assert_eq!((at, west), (Revision(5), Revision(1)));
    let journal = store.load(&east).await.unwrap();
    assert_eq!(journal, Journal { snapshot: None, events: events(0, 5), revision: at });
    assert_eq!(store.load(&fabric("west")).await.unwrap().events, events(9, 1));
}

async fn a_conflict_changes_nothing(store: &dyn Store) {
    let east = fabric("east");
    store.append(&east, Revision::ZERO, &events(0, 2)).await.unwrap();
    let before = store.load(&east).await.unwrap();
    for seen in [Revision(0), Revision(1), Revision(3), Revision(u64::MAX)] {
        let error = store.append(&east, seen, &events(7, 4)).await.unwrap_err();
        let StoreError::Conflict { seen: said, now } = &error else { panic!("{error}") };
        assert_eq!((*said, *now), (seen, Revision(2)));
        assert!(!error.is_outcome_unknown());
        assert_eq!(store.load(&east).await.unwrap(), before);
    }
    let unheard = store.append(&fabric("new"), Revision(1), &events(0, 1)).await.unwrap_err();
    assert!(matches!(unheard, StoreError::Conflict { now: Revision::ZERO, .. }), "{unheard}");
    assert_eq!(store.fabrics().await.unwrap(), [east]);
}

async fn fabrics_are_told_apart_without_case(store: &dyn Store) {
    store.append(&fabric("Zulu"), Revision::ZERO, &events(0, 1)).await.unwrap();
    store.append(&fabric("East"), Revision::ZERO, &events(0, 1)).await.unwrap();
    store.append(&fabric("eAST"), Revision(1), &events(1, 1)).await.unwrap();
    assert_eq!(store.load(&fabric("EAST")).await.unwrap().events, events(0, 2));
    let names: Vec<String> =
        store.fabrics().await.unwrap().iter().map(|id| id.name().to_string()).collect();
    assert_eq!(names, ["East", "Zulu"]);
}

async fn the_same_events_have_the_same_name(store: &dyn Store, other: &dyn Store) {
    let east = fabric("east");
    assert_eq!(store.link(&east, Revision(1)).await.unwrap(), None);
    store.append(&east, Revision::ZERO, &events(0, 3)).await.unwrap();
    other.append(&east, Revision::ZERO, &events(0, 1)).await.unwrap();
    other.append(&east, Revision(1), &events(1, 1)).await.unwrap();
    other.append(&east, Revision(2), &events(7, 1)).await.unwrap();
    let mut names = Vec::new();
    for at in 1..=3 {
        names.push(store.link(&fabric("EAST"), Revision(at)).await.unwrap().unwrap());
        let same = other.link(&east, Revision(at)).await.unwrap().as_ref() == names.last();
        assert_eq!(same, at < 3, "{at}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 3);
    for at in [0, 4, u64::MAX] {
        assert_eq!(store.link(&east, Revision(at)).await.unwrap(), None, "{at}");
    }
    store.snapshot(&east, Revision(3), "{}").await.unwrap();
    assert!(store.link(&east, Revision(2)).await.unwrap().is_some());
}

async fn a_load_starts_at_the_newest_snapshot(store: &dyn Store) {
    let east = fabric("east");
    store.append(&east, Revision::ZERO, &events(0, 5)).await.unwrap();
    store.snapshot(&east, Revision(4), "{\"four\":4}").await.unwrap();
    store.snapshot(&east, Revision(2), "{\"two\":2}").await.unwrap();
    store.append(&east, Revision(5), &events(5, 1)).await.unwrap();
    let four = Snapshot { at: Revision(4), state: "{\"four\":4}".to_owned() };
    let wanted = Journal { snapshot: Some(four), events: events(4, 2), revision: Revision(6) };
    assert_eq!(store.load(&east).await.unwrap(), wanted);
    store.snapshot(&east, Revision(6), "{\"six\":6}").await.unwrap();
    let journal = store.load(&east).await.unwrap();
    assert_eq!(journal.snapshot.unwrap().at, Revision(6));
    assert_eq!((journal.events, journal.revision), (vec![], Revision(6)));
}

async fn a_snapshot_ahead_of_the_journal_is_refused(store: &dyn Store) {
    let east = fabric("east");
    let error = store.snapshot(&east, Revision(1), "{}").await.unwrap_err();
    assert!(matches!(error, StoreError::Ahead { now: Revision::ZERO, .. }), "{error}");
    store.append(&east, Revision::ZERO, &events(0, 1)).await.unwrap();
    let error = store.snapshot(&east, Revision(2), "{}").await.unwrap_err();
    assert!(matches!(error, StoreError::Ahead { now: Revision(1), .. }), "{error}");
    assert_eq!(store.load(&east).await.unwrap().snapshot, None);
}

async fn no_events_still_notice_a_conflict(store: &dyn Store) {
    let east = fabric("east");
    assert_eq!(store.append(&east, Revision::ZERO, &[]).await.unwrap(), Revision::ZERO);
    assert!(store.fabrics().await.unwrap().is_empty());
    store.append(&east, Revision::ZERO, &events(0, 1)).await.unwrap();
    let error = store.append(&east, Revision::ZERO, &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert_eq!(store.append(&east, Revision(1), &[]).await.unwrap(), Revision(1));
}

async fn large_batches_are_taken_whole(store: &dyn Store) {
    let east = fabric("east");
    let mut batch = events(0, 2_500);
    batch.push(format!("\"{}\"", "x".repeat(1 << 20)));
    let at = store.append(&east, Revision::ZERO, &batch).await.unwrap();
    assert_eq!(at, Revision(2_501));
    assert_eq!(store.load(&east).await.unwrap().events, batch);
}

async fn of_many_writers_one_wins<S: Store + 'static>(store: S) {
    let store = Arc::new(store);
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store.append(&fabric("east"), Revision::ZERO, &events(n * 10, 3)).await
            })
        })
        .collect();
    let mut won = Vec::new();
    for (n, writer) in writers.into_iter().enumerate() {
        match writer.await.unwrap() {
            Ok(at) => won.push((n, at)),
            Err(StoreError::Conflict { now, .. }) => assert_eq!(now, Revision(3)),
            Err(error) => panic!("{error}"),
        }
    }
    let [(winner, at)] = won.as_slice() else { panic!("{won:?}") };
    assert_eq!(*at, Revision(3));
    assert_eq!(store.load(&fabric("east")).await.unwrap().events, events(winner * 10, 3));
}

async fn an_append_runs_to_its_end_without_its_caller<S: Store + 'static>(store: S) {
    let east = fabric("east");
    let batch = events(0, 100);
    {
        let mut append = store.append(&east, Revision::ZERO, &batch);
        // One poll gets it going; then the caller is gone.
        let _unfinished = futures_util::poll!(append.as_mut());
    }
    // Whoever comes next waits for it, and sees all or (had it not begun) nothing.
    let journal = store.load(&east).await.unwrap();
    assert_eq!(journal.events, batch);
}
