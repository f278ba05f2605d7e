//! Secrets of anybody, as `azure-keyvault-secrets` asks for them.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::{Site, inner, path, settings, site, site_with};
use crate::ask::send;

#[tokio::test]
async fn whoever_comes_without_a_token_is_told_where_to_get_one_whatever_they_ask() {
    let site = site(&[]).await;
    for (method, path) in [
        (Method::GET, "/secrets"),
        (Method::PUT, "/secrets/not_a_name"),
        (Method::POST, "/secrets/restore"),
        (Method::GET, "/no/such/path"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = send(&site.router, request).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "Unauthorized"));
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("AKV10000: "), "{message}");
        let challenge = "Bearer authorization=\"https://login.example/tenant\", \
                         resource=\"https://vault.example.net\"";
        let all: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(all, [challenge], "{path}");
    }
    let wrong = site.ask_by("wrong", Method::GET, "/secrets", &Value::Null).await;
    let message = wrong.body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("AKV10032: ") && wrong.header("www-authenticate").is_some());
}

#[tokio::test]
async fn a_secret_is_set_opened_changed_and_listed() {
    let site = site(&[]).await;
    let body = json!({
        "value": "grüße \"1\"\n",
        "contentType": "text/plain",
        "tags": {"team": "a"},
        "attributes": {"nbf": 1, "exp": 2, "somethingNew": true},
        "somethingNew": {},
    });
    let set = site.ask(Method::PUT, "/secrets/Web-1", body).await;
    assert_eq!(set.status, StatusCode::OK, "{set:?}");
    assert!(set.body.get("value").is_none() && set.header("x-ms-request-id").is_some());
    let (id, made) = (path(&set.body["id"]), set.body["attributes"].clone());
    assert_eq!(made["recoveryLevel"], "Recoverable+Purgeable");
    assert_eq!((&made["recoverableDays"], &made["nbf"]), (&json!(7), &json!(1)));
    for path in ["/secrets/Web-1", "/secrets/WEB-1/", &id] {
        let got = site.get(path).await;
        assert_eq!(got.body["value"], "grüße \"1\"\n", "{path}: {got:?}");
        assert_eq!(got.body["id"], set.body["id"]);
        assert_eq!(
            (&got.body["contentType"], &got.body["tags"]["team"]),
            (&json!("text/plain"), &json!("a"))
        );
        assert_eq!(got.header("cache-control"), Some("no-store"));
    }
    let again = site.set("web-1", "2").await;
    assert_ne!(again.body["id"], set.body["id"]);
    assert_eq!(site.get("/secrets/web-1").await.body["value"], "2");
    let off = json!({"attributes": {"enabled": false}});
    let changed = site.ask(Method::PATCH, &id, off).await;
    assert_eq!((changed.status, &changed.body["tags"]["team"]), (StatusCode::OK, &json!("a")));
    let refused = site.get(&id).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "Forbidden"));
    assert_eq!(inner(&refused), "SecretDisabled");
    let versions = site.get("/secrets/web-1/versions").await;
    let ids: Vec<&Value> =
        versions.body["value"].as_array().unwrap().iter().map(|v| &v["id"]).collect();
    assert_eq!(ids.len(), 2);
    assert!(path(ids[0]).eq_ignore_ascii_case(&id) && ids[1] == &again.body["id"]);
    let listed = site.get("/secrets").await;
    assert_eq!(listed.body["nextLink"], Value::Null);
    assert_eq!(path(&listed.body["value"][0]["id"]), "/secrets/web-1");
    assert!(!versions.body.to_string().contains("grüße"));
}

#[tokio::test]
async fn lists_go_on_where_their_links_say() {
    let site = site(&[]).await;
    for at in 0..30 {
        site.set(&format!("web-{at:02}"), "1").await;
    }
    for (first, pages) in [("/secrets", 2), ("/secrets?maxresults=7", 5)] {
        let (mut next, mut names, mut count) = (first.to_owned(), Vec::new(), 0);
        loop {
            let page = site.get(&next).await;
            let items = page.body["value"].as_array().unwrap();
            names.extend(items.iter().map(|item| path(&item["id"])));
            count += 1;
            if page.body["nextLink"].is_null() {
                break;
            }
            next = path(&page.body["nextLink"]);
        }
        assert_eq!(count, pages);
        assert_eq!(names, (0..30).map(|at| format!("/secrets/web-{at:02}")).collect::<Vec<_>>());
    }
    for wrong in ["0", "26", "x"] {
        let answer = site.get(&format!("/secrets?maxresults={wrong}")).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "BadParameter"));
    }
}

#[tokio::test]
async fn a_deleted_secret_is_recovered_or_purged() {
    let site = site(&[]).await;
    site.set("web", "1").await;
    let deleted = site.ask(Method::DELETE, "/secrets/web", Value::Null).await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    let recovery = path(&deleted.body["recoveryId"]);
    assert_eq!(recovery, "/deletedsecrets/web");
    let number = |key: &str| deleted.body[key].as_u64().unwrap();
    assert_eq!(number("scheduledPurgeDate") - number("deletedDate"), 7 * 24 * 3_600);
    let gone = site.get("/secrets/web").await;
    assert_eq!((gone.status, gone.code()), (StatusCode::NOT_FOUND, "SecretNotFound"));
    let taken = site.set("web", "2").await;
    assert_eq!((taken.status, taken.code()), (StatusCode::CONFLICT, "Conflict"));
    assert_eq!(inner(&taken), "ObjectIsDeletedButRecoverable");
    assert_eq!(site.get(&recovery).await.body, deleted.body);
    let listed = site.get("/deletedsecrets").await;
    assert_eq!(listed.body["value"].as_array().unwrap().len(), 1);
    let recovered = site.ask(Method::POST, "/deletedsecrets/web/recover", Value::Null).await;
    assert_eq!(recovered.status, StatusCode::OK);
    assert_eq!(site.get("/secrets/web").await.body["value"], "1");
    assert_eq!(site.get(&recovery).await.status, StatusCode::NOT_FOUND);
    site.ask(Method::DELETE, "/secrets/web", Value::Null).await;
    let purged = site.ask(Method::DELETE, &recovery, Value::Null).await;
    assert_eq!((purged.status, purged.body), (StatusCode::NO_CONTENT, Value::Null));
    assert_eq!(site.set("web", "3").await.status, StatusCode::OK);
}

#[tokio::test]
async fn deleted_secrets_go_by_themselves_when_their_time_is_over() {
    let site = site(&[]).await;
    site.set("web", "1").await;
    let deleted = site.ask(Method::DELETE, "/secrets/web", Value::Null).await;
    let over = deleted.body["scheduledPurgeDate"].as_u64().unwrap();
    assert_eq!(site.desk.sweep(over - 1).await.unwrap(), 0);
    assert_eq!(site.get("/deletedsecrets/web").await.status, StatusCode::OK);
    assert_eq!(site.desk.sweep(over).await.unwrap(), 1);
    assert_eq!(site.get("/deletedsecrets/web").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_backup_restores_a_purged_secret() {
    let site = site(&[]).await;
    site.set("web", "1").await;
    site.set("web", "2").await;
    let backup = site.ask(Method::POST, "/secrets/web/backup", Value::Null).await;
    let conflict = site.ask(Method::POST, "/secrets/restore", backup.body.clone()).await;
    assert_eq!((conflict.status, conflict.code()), (StatusCode::CONFLICT, "Conflict"));
    let before = site.get("/secrets/web/versions").await.body;
    site.ask(Method::DELETE, "/secrets/web", Value::Null).await;
    site.ask(Method::DELETE, "/deletedsecrets/web", Value::Null).await;
    let restored = site.ask(Method::POST, "/secrets/restore", backup.body).await;
    assert_eq!(restored.status, StatusCode::OK, "{restored:?}");
    assert_eq!(site.get("/secrets/web/versions").await.body, before);
    assert_eq!(site.get("/secrets/web").await.body["value"], "2");
    for rubbish in [json!({"value": "AAAA"}), json!({"value": "*"}), json!({}), json!([])] {
        let answer = site.ask(Method::POST, "/secrets/restore", rubbish).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "BadParameter"));
    }
    // What is a verb in one method is a name in the others.
    assert_eq!(site.set("restore", "3").await.status, StatusCode::OK);
    assert_eq!(site.get("/secrets/restore").await.body["value"], "3");
}

#[tokio::test]
async fn what_cannot_be_a_secret_is_refused_and_nothing_is_kept() {
    let site = site(&[]).await;
    let long = "x".repeat(25_601);
    let tags: Value =
        (0..16).map(|at| (at.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    let cases = [
        ("web", json!({})),
        ("web", json!({"value": 7})),
        ("web", json!({"value": long})),
        ("web", json!(["1"])),
        ("web", json!({"value": "1", "tags": tags})),
        ("web", json!({"value": "1", "tags": {"a": "x".repeat(257)}})),
        ("web", json!({"value": "1", "contentType": "x".repeat(256)})),
        ("web", json!({"value": "1", "attributes": []})),
        ("web", json!({"value": "1", "attributes": {"nbf": 2, "exp": 1}})),
        ("a_b", json!({"value": "1"})),
        ("%20", json!({"value": "1"})),
        (&"x".repeat(128), json!({"value": "1"})),
    ];
    for (name, body) in cases {
        let shown: String = body.to_string().chars().take(60).collect();
        let answer = site.ask(Method::PUT, &format!("/secrets/{name}"), body).await;
        let expect = (StatusCode::BAD_REQUEST, "BadParameter");
        assert_eq!((answer.status, answer.code()), expect, "{name} {shown}: {answer:?}");
    }
    assert_eq!(site.get("/secrets").await.body["value"], json!([]));
    let answer = site.get("/secrets/web/not-a-version").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "BadParameter"));
    let method = site.ask(Method::POST, "/secrets/web", Value::Null).await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(method.header("allow").is_some());
    let route = site.get("/certificates").await;
    assert_eq!((route.status, route.code()), (StatusCode::NOT_FOUND, "NotFound"));
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let some = controller::edge::key_vault::Settings { reads_max: 10, writes_max: 5, ..settings() };
    let site = site_with(&[], &some).await;
    let statuses = async |site: &Site, write: bool| {
        let mut statuses = Vec::new();
        for _ in 0..12 {
            let answer = match write {
                true => site.set("web", "1").await,
                false => site.get("/secrets").await,
            };
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                assert_eq!((answer.code(), answer.header("retry-after")), ("Throttled", Some("1")));
            }
            statuses.push(answer.status);
        }
        statuses.into_iter().filter(|status| *status == StatusCode::OK).count()
    };
    let (sets, lists) = (statuses(&site, true).await, statuses(&site, false).await);
    assert!((5..=7).contains(&sets) && (10..=12).contains(&lists), "{sets} {lists}");
}
