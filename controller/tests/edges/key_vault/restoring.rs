//! Backups of secrets are large, and few are taken in at a time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use tokio::task::JoinHandle;

use super::site;
use crate::ask::{Answer, TOKEN, request_by, send};

/// Sends a backup to be restored.
fn restore(router: &axum::Router, backup: Body) -> JoinHandle<Answer> {
    let path = "/secrets/restore?api-version=2026-04-01";
    let request = request_by(TOKEN, Method::POST, path).body(backup).unwrap();
    let router = router.clone();
    tokio::spawn(async move { send(&router, request).await })
}

/// A body that never ends.
fn endless() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

/// Lets time pass, and every request come as far as it can.
async fn pass(seconds: u64) {
    for _second in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _step in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn two_backups_are_taken_in_at_a_time_and_the_others_wait_or_are_asked_to_come_again() {
    let site = site(&[]).await;
    tokio::time::pause();
    let first = [restore(&site.router, endless()), restore(&site.router, endless())];
    pass(1).await;
    let second = [restore(&site.router, endless()), restore(&site.router, endless())];
    pass(1).await;
    let last = restore(&site.router, Body::from("rubbish"));
    pass(20).await;
    assert!(!last.is_finished(), "it is not even looked at");
    let answer = last.await.unwrap();
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    for slow in first.into_iter().chain(second) {
        assert_eq!(slow.await.unwrap().status, StatusCode::REQUEST_TIMEOUT);
    }
    let answer = restore(&site.router, Body::from("rubbish")).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
}
