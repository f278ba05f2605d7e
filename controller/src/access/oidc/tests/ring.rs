use futures_util::future::join_all;
use tokio::time::{Instant, advance};

use super::issuer::{Signer, key_set};
use super::*;
use crate::access::oidc::keys::Keys;
use crate::access::oidc::ring::{ASK_PAUSE, FETCH_MAX, KEEP_MAX, RETRY_PAUSE, Ring};
use crate::access::oidc::source::Source;

/// A set with keys of these names.
fn set(names: &[&str]) -> String {
    let keys: Vec<Value> = names.iter().map(|name| Signer::p256(name).published()).collect();
    key_set(&keys)
}

/// A ring that knows the key `a`, and the provider that it asks.
async fn ring() -> (Ring, Script) {
    let script = Script::default();
    let keys = Keys::parse(set(&["a"]).as_bytes()).unwrap();
    let source = Source::Script(script.clone());
    let ring = Ring::start(ISSUER.to_owned(), source, Some(keys), REFRESH_DEFAULT);
    // From here on the clock is looked at.
    tokio::task::yield_now().await;
    (ring, script)
}

/// Lets the other tasks work until something is true.
async fn until(is_true: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if is_true() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came true");
}

async fn found(ring: &Ring, kid: &str) -> Result<(), Rejected> {
    ring.find(kid).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_once_and_not_again_before_a_pause() {
    let (ring, script) = ring().await;
    script.say(Says::Keys(set(&["a", "b"])));
    assert_eq!((found(&ring, "b").await, script.calls()), (Ok(()), 1));
    script.say(Says::Keys(set(&["c"])));
    for _ in 0..100 {
        assert_eq!(found(&ring, "c").await, Err(Rejected::Key));
    }
    advance(ASK_PAUSE - Duration::from_millis(1)).await;
    assert_eq!((found(&ring, "c").await, script.calls()), (Err(Rejected::Key), 1));
    advance(Duration::from_millis(1)).await;
    assert_eq!((found(&ring, "c").await, script.calls()), (Ok(()), 2));
    assert_eq!(found(&ring, "a").await, Err(Rejected::Key), "it was withdrawn");
}

#[tokio::test(start_paused = true)]
async fn many_with_unknown_keys_share_one_question() {
    let (ring, script) = ring().await;
    script.say(Says::Keys(set(&["a", "b"])));
    let names: Vec<String> = (0..100).map(|at| format!("rubbish-{at}")).collect();
    let rubbish = join_all(names.iter().map(|name| found(&ring, name)));
    let (rubbish, good) = tokio::join!(rubbish, found(&ring, "b"));
    assert!(rubbish.iter().all(|found| *found == Err(Rejected::Key)));
    assert_eq!((good, script.calls()), (Ok(()), 1));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_holds_up_unknown_keys_only_and_not_for_long() {
    let (ring, script) = ring().await;
    let began = Instant::now();
    let mut unknown = std::pin::pin!(found(&ring, "b"));
    assert!(futures_util::poll!(&mut unknown).is_pending());
    until(|| script.calls() == 1).await;
    assert_eq!(found(&ring, "a").await, Ok(()));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(unknown.await, Err(Rejected::Key));
    assert_eq!(began.elapsed(), FETCH_MAX);
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_anew_every_now_and_then() {
    let (ring, script) = ring().await;
    script.say(Says::Keys(set(&["b"])));
    advance(REFRESH_DEFAULT - Duration::from_secs(1)).await;
    assert_eq!((found(&ring, "a").await, script.calls()), (Ok(()), 0));
    advance(Duration::from_secs(2)).await;
    until(|| script.calls() == 1).await;
    assert_eq!(found(&ring, "b").await, Ok(()));
    assert_eq!(found(&ring, "a").await, Err(Rejected::Key));
}

#[tokio::test(start_paused = true)]
async fn keys_outlive_their_provider_for_a_day_and_come_back_with_it() {
    let (ring, script) = ring().await;
    script.say(Says::Failure);
    advance(KEEP_MAX - Duration::from_secs(1)).await;
    until(|| script.calls() == 1).await;
    assert_eq!(found(&ring, "a").await, Ok(()));
    assert_eq!(found(&ring, "b").await, Err(Rejected::Key));
    advance(Duration::from_secs(1)).await;
    assert_eq!(found(&ring, "a").await, Err(Rejected::NoKeys));
    script.say(Says::Keys(set(&["a"])));
    let calls = script.calls();
    advance(RETRY_PAUSE).await;
    until(|| script.calls() > calls).await;
    assert_eq!(found(&ring, "a").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn without_keys_at_the_start_nobody_is_let_in_until_there_are_some() {
    let script = Script::default();
    let source = Source::Script(script.clone());
    let ring = Ring::start(ISSUER.to_owned(), source, None, REFRESH_DEFAULT);
    let began = Instant::now();
    assert_eq!((found(&ring, "a").await, began.elapsed()), (Err(Rejected::NoKeys), FETCH_MAX));
    script.say(Says::Keys(set(&["a"])));
    assert_eq!(found(&ring, "a").await, Ok(()), "whoever comes next makes it ask again");
    assert_eq!(began.elapsed(), FETCH_MAX);
}
