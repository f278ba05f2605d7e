//! Who may do what with secrets: every route as each role, with a prefix, and on one fabric.

use axum::http::{Method, StatusCode};
use controller::access::{Right, Role};
use serde_json::{Value, json};

use super::{inner, path, site};
use crate::ask::Answer;

/// Every route of the API: the right to it, and what is asked.
fn routes(version: &str) -> Vec<(Right, Method, String, Value)> {
    let read = |path: &str| (Right::ListSecrets, Method::GET, path.to_owned(), Value::Null);
    let get = |path: &str| (Right::GetSecret, Method::GET, path.to_owned(), Value::Null);
    let act = |right, method, path: &str, body| (right, method, path.to_owned(), body);
    vec![
        read("/secrets"),
        read("/secrets/"),
        read("/secrets/web/versions"),
        read("/deletedsecrets"),
        read("/deletedsecrets/"),
        read("/deletedsecrets/web"),
        get("/secrets/web"),
        get("/secrets/web/"),
        get(&format!("/secrets/web/{version}")),
        act(Right::GetSecret, Method::POST, "/secrets/web/backup", Value::Null),
        act(Right::SetSecret, Method::PUT, "/secrets/web", json!({"value": "2"})),
        act(Right::SetSecret, Method::PATCH, "/secrets/web", json!({})),
        act(Right::SetSecret, Method::PATCH, &format!("/secrets/web/{version}"), json!({})),
        act(Right::SetSecret, Method::POST, "/secrets/restore", json!({"value": "AAAA"})),
        act(Right::DeleteSecret, Method::DELETE, "/secrets/web", Value::Null),
        act(Right::DeleteSecret, Method::POST, "/deletedsecrets/web/recover", Value::Null),
        act(Right::PurgeSecret, Method::DELETE, "/deletedsecrets/none", Value::Null),
    ]
}

fn is_refused(answer: &Answer) -> bool {
    let is = (answer.status, answer.code()) == (StatusCode::FORBIDDEN, "Forbidden");
    is && inner(answer) == "ForbiddenByRbac"
}

#[tokio::test]
async fn every_route_is_open_to_exactly_the_roles_that_have_its_right() {
    let site = site(&[]).await;
    let set = site.set("web", "1").await;
    let version = path(&set.body["id"]).rsplit('/').next().unwrap().to_owned();
    let routes = routes(&version);
    let tested: std::collections::BTreeSet<String> = routes
        .iter()
        .map(|(_, _, path, _)| {
            let path = path.replace(&version, "{version}").replace("/none", "/web");
            path.replace("/web", "/{name}")
        })
        .collect();
    let served = controller::edge::key_vault::paths().into_iter().collect();
    assert_eq!(tested, served);
    for role in Role::ALL {
        let everywhere = site.token(role, None, None);
        let elsewhere = site.token(role, Some("other"), None);
        for (right, method, path, body) in &routes {
            let answer = site.ask_by(&everywhere, method.clone(), path, body).await;
            let granted = role.grants(*right);
            assert_eq!(is_refused(&answer), !granted, "{role:?} {method} {path}: {answer:?}");
            let answer = site.ask_by(&elsewhere, method.clone(), path, body).await;
            let is_list = matches!(
                path.as_str(),
                "/secrets" | "/secrets/" | "/deletedsecrets" | "/deletedsecrets/"
            );
            // Whose a backup is, nobody knows before it is opened.
            let granted = granted && (is_list || path == "/secrets/restore");
            assert_eq!(is_refused(&answer), !granted, "other {role:?} {method} {path}");
            if is_list && granted {
                assert_eq!(answer.body["value"], json!([]), "{role:?} {path}");
            }
        }
    }
    let log = site.world.paper.text();
    assert!(log.contains("Microsoft.KeyVault/vaults/secrets/getSecret/action"), "{log}");
    assert!(log.contains("AuthorizationFailed"));
}

#[tokio::test]
async fn a_prefix_opens_the_names_that_begin_with_it_and_hides_the_others() {
    let site = site(&[]).await;
    for name in ["web-1", "Web-2", "db-1"] {
        site.set(name, "1").await;
    }
    let backup = site.ask(Method::POST, "/secrets/db-1/backup", Value::Null).await;
    let user = site.token(Role::VaultSecretsUser, None, Some("web-"));
    let officer = site.token(Role::VaultSecretsOfficer, None, Some("WEB-"));
    for token in [&user, &officer] {
        let listed = site.ask_by(token, Method::GET, "/secrets", &Value::Null).await;
        let listed = listed.body["value"].as_array().unwrap();
        let names: Vec<String> = listed.iter().map(|item| path(&item["id"])).collect();
        assert_eq!(names, ["/secrets/web-1", "/secrets/Web-2"]);
        let open = site.ask_by(token, Method::GET, "/secrets/WEB-2", &Value::Null).await;
        assert_eq!(open.body["value"], "1");
        for (_right, method, path, body) in routes(&"0".repeat(32)) {
            if path.contains("/web") && !path.ends_with("restore") {
                let path = path.replace("/web", "/db-1");
                let answer = site.ask_by(token, method.clone(), &path, &body).await;
                assert!(is_refused(&answer), "{method} {path}: {answer:?}");
            }
        }
        let restored = site.ask_by(token, Method::POST, "/secrets/restore", &backup.body).await;
        assert!(is_refused(&restored), "{restored:?}");
    }
    let set = site.ask_by(&officer, Method::PUT, "/secrets/web-3", &json!({"value": "1"})).await;
    assert_eq!(set.status, StatusCode::OK);
    let set = site.ask_by(&user, Method::PUT, "/secrets/web-3", &json!({"value": "1"})).await;
    assert!(is_refused(&set));
}

#[tokio::test]
async fn a_role_on_one_fabric_opens_that_fabrics_secrets_and_no_others() {
    let site = site(&["ce-01", "ts-01"]).await;
    site.world.adopt().await;
    site.set("web-1", "1").await;
    let id = site.world.device_id("ce-01");
    let revealed = site.world.service.reveal(&id, "admin").await.unwrap();
    let own = site.token(Role::SecretReader, Some("lab"), None);
    let other = site.token(Role::SecretReader, Some("other"), None);
    let uri = path(&json!(revealed.reference.key_vault_uri));
    let open = site.ask_by(&own, Method::GET, &uri, &Value::Null).await;
    assert_eq!(open.body["value"], revealed.value.expose());
    assert!(is_refused(&site.ask_by(&own, Method::GET, "/secrets/web-1", &Value::Null).await));
    assert!(is_refused(&site.ask_by(&other, Method::GET, &uri, &Value::Null).await));
    let listed = site.ask_by(&own, Method::GET, "/secrets", &Value::Null).await;
    let listed = listed.body["value"].as_array().unwrap();
    assert_eq!(listed.len(), 6);
    assert!(listed.iter().all(|item| path(&item["id"]).contains("-lab-lab-")));
}

#[tokio::test]
async fn where_a_list_goes_on_names_nothing_that_is_hidden() {
    let site = site(&[]).await;
    for name in ["db-payroll", "db-wages", "web-1", "web-2"] {
        site.set(name, "1").await;
    }
    let user = site.token(Role::VaultSecretsUser, None, Some("web-"));
    let (mut seen, mut next) = (Vec::new(), "/secrets?maxresults=1".to_owned());
    for _page in 0..4 {
        let listed = site.ask_by(&user, Method::GET, &next, &Value::Null).await;
        assert!(!listed.body.to_string().contains("db-"), "{}", listed.body);
        let items = listed.body["value"].as_array().unwrap();
        seen.extend(items.iter().map(|item| path(&item["id"])));
        match listed.body["nextLink"].as_str() {
            Some(_link) => next = path(&listed.body["nextLink"]),
            None => break,
        }
    }
    assert_eq!(seen, ["/secrets/web-1", "/secrets/web-2"]);
    let forged = "/secrets?$skiptoken=db-payroll";
    let refused = site.ask_by(&user, Method::GET, forged, &Value::Null).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
}
