//! The mark tells a vault that was brought back from an older snapshot.

use controller::vault::Vault;

use crate::world::World;

#[tokio::test]
async fn a_mark_is_raised_and_never_lowered_and_every_controller_sees_the_same() {
    let world = World::start().await;
    let (one, two) = (world.vault(), world.vault());
    let first = one.mark().await.unwrap().unwrap();
    assert_eq!((first.serial, first.note.as_str()), (0, ""));
    assert_eq!(two.mark().await.unwrap().unwrap(), first);
    one.raise_mark(7, "seven").await.unwrap();
    two.raise_mark(3, "three").await.unwrap();
    let raised = two.mark().await.unwrap().unwrap();
    assert_eq!((raised.vault, raised.serial, raised.note.as_str()), (first.vault, 7, "seven"));
}

#[tokio::test]
async fn marks_that_are_raised_at_the_same_time_end_at_the_highest() {
    let world = World::start().await;
    let vaults: Vec<_> = (0..4).map(|_| world.vault()).collect();
    let raising = vaults.iter().zip(1_u64..).map(|(vault, serial)| vault.raise_mark(serial, "n"));
    for raised in futures_util::future::join_all(raising).await {
        raised.unwrap();
    }
    assert_eq!(world.vault().mark().await.unwrap().unwrap().serial, 4);
}

#[tokio::test]
async fn a_snapshot_that_is_brought_back_has_the_lower_mark_and_the_same_name() {
    let world = World::start().await;
    let vault = world.vault();
    vault.raise_mark(1, "before").await.unwrap();
    let (before, snapshot) = (vault.mark().await.unwrap(), world.server.snapshot());
    vault.raise_mark(2, "after").await.unwrap();
    world.server.restore(&snapshot);
    assert_eq!(vault.mark().await.unwrap(), before);
}
