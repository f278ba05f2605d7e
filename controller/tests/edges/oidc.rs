//! Tokens of an OpenID Connect provider: what callers are told, and keys over HTTPS.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use controller::access::oidc::{IssuerSettings, KeysFrom, Oidc, Prepared, RoleMapping};
use controller::access::{Admission, Role, Tokens};
use controller::client::{Client, ClientError, Place};
use controller::config::Config;
use controller::daemon::{self, Daemon, DaemonError, Options};
use serde_json::{Value, json};

use crate::ask::{Answer, TOKEN, request_by, router_for, send, versioned};
use crate::issuer::{Signer, key_set};
use crate::provider::{Provider, Says};
use crate::serve::{Fakes, config};
use crate::world::{FABRIC, world};

const ISSUER: &str = "https://login.example/tenant/v2.0";

pub(crate) fn mapping(claim: &str, role: Role, fabric: Option<&str>) -> RoleMapping {
    let fabric = fabric.map(|id| id.parse().unwrap());
    RoleMapping {
        claim: claim.to_owned(),
        value: role.as_str().to_owned(),
        role,
        fabric,
        secret_prefix: None,
    }
}

fn settings(issuer: &str, keys: KeysFrom, roles: Vec<RoleMapping>) -> IssuerSettings {
    IssuerSettings {
        issuer: issuer.to_owned(),
        audiences: vec!["keyturn".to_owned()],
        keys,
        refresh: Duration::from_secs(3_600),
        clock_skew_max: Duration::from_secs(60),
        name_claim: "sub".to_owned(),
        roles,
    }
}

/// An issuer whose keys are in a file, which is gone once it has been read.
pub(crate) fn issuer_with(signer: &Signer, roles: Vec<RoleMapping>) -> Oidc {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, key_set(&[signer.published()])).unwrap();
    Prepared::open(&[settings(ISSUER, KeysFrom::File(file), roles)]).unwrap().start()
}

/// The claims of somebody, for an hour.
pub(crate) fn claims(subject: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"iss": ISSUER, "aud": "keyturn", "sub": subject, "exp": now + 3_600})
}

/// A router that lets in whom an issuer calls an operator, and the issuer's key.
async fn site() -> (Router, Signer) {
    let signer = Signer::p256("k1");
    let roles = vec![mapping("roles", Role::Operator, None)];
    let oidc = issuer_with(&signer, roles);
    let tokens = Arc::new(Tokens::in_memory(TOKEN));
    (router_for(&world(&["ce-01"]).await, &Admission::new(tokens, oidc)), signer)
}

async fn look(router: &Router, token: &str) -> Answer {
    send(router, request_by(token, Method::GET, &versioned(FABRIC)).body(Body::empty()).unwrap())
        .await
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_let_in_is_told_why_and_where_to_get_a_token() {
    let (router, signer) = site().await;
    let request = Request::get(versioned(FABRIC)).header("host", "keyturn.test:1");
    let nothing = send(&router, request.body(Body::empty()).unwrap()).await;
    let place = format!("Bearer authorization_uri=\"{ISSUER}\"");
    assert_eq!(nothing.header("www-authenticate"), Some(place.as_str()));
    let mut old = claims("a");
    old["exp"] = json!(1);
    let mut strange = claims("a");
    strange["aud"] = json!("other");
    let cases = [
        (signer.token(&old), "The access token has expired"),
        (signer.token(&strange), "The access token is for another audience"),
        (Signer::p256("k1").token(&claims("a")), "The access token has a wrong signature"),
        ("keyturn_0.0.0".to_owned(), "The access token is invalid"),
    ];
    for (token, sentence) in cases {
        let answer = look(&router, &token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.code(), "AuthenticationFailed");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert_eq!(message, format!("{sentence}."));
        let challenge =
            format!("{place}, error=\"invalid_token\", error_description=\"{sentence}\"");
        assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
        assert!(!format!("{answer:?}").contains(&token));
    }
    assert_eq!(look(&router, TOKEN).await.status, StatusCode::NOT_FOUND, "the owner still may");
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_role_is_refused_with_what_was_looked_for() {
    let (router, signer) = site().await;
    let token = signer.token(&claims("a"));
    let answer = look(&router, &token).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "AuthorizationFailed"));
    let message = answer.body["error"]["message"].as_str().unwrap();
    let who = format!("The client 'a (issuer {ISSUER})' does not have authorization");
    assert!(message.starts_with(&who), "{message}");
    let hint = answer.body["error"]["additionalInfo"][0]["info"]["hint"].as_str().unwrap();
    let expect = "the token has none of the claims looked for: `roles` = `operator` (operator)";
    assert_eq!(hint, expect);
    assert!(!format!("{answer:?}").contains(&token));
}

#[tokio::test(start_paused = true)]
async fn one_subject_is_one_client_whatever_it_is_called() {
    let (router, signer) = site().await;
    let token = |subject: &str, more: usize| {
        let mut claims = claims(subject);
        claims["roles"] = json!(["operator"]);
        claims["more"] = json!(more);
        signer.token(&claims)
    };
    let mut admitted = 0;
    for at in 0..150 {
        let request = request_by(&token("a", at), Method::PATCH, &versioned(FABRIC));
        let answer = send(&router, request.body(Body::from("{}")).unwrap()).await;
        admitted += usize::from(answer.status != StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(admitted, 100);
    let request = request_by(&token("b", 0), Method::PATCH, &versioned(FABRIC));
    let other = send(&router, request.body(Body::from("{}")).unwrap()).await;
    assert_ne!(other.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Asks a daemon, and returns the status and code of its refusal.
async fn list(daemon: &Daemon, dir: &Path, token: &str) -> Result<(), (u16, String)> {
    let token_file = dir.join("jwt");
    std::fs::write(&token_file, token).unwrap();
    let server = format!("https://{}", daemon.address());
    let place = Place { server, ca: daemon.dir().join("ca.pem"), token_file };
    match Client::new(&place).unwrap().get("/keyturn/v1/fabrics").await {
        Ok(_fabrics) => Ok(()),
        Err(ClientError::Api { failure }) => Err((failure.status, failure.code)),
        Err(error) => panic!("{error:?}"),
    }
}

fn refused(status: u16, code: &str) -> Result<(), (u16, String)> {
    Err((status, code.to_owned()))
}

/// A daemon whose issuers have their keys at these places; each is called by its place.
async fn serve(dir: &Path, issuers: Vec<IssuerSettings>) -> Daemon {
    let fakes = Fakes { devices: world(&["ce-01"]).await.devices };
    let config = Config { oidc: issuers, ..config(&dir.join("data")) };
    Daemon::start(&config, &fakes).await.unwrap()
}

fn issuer_at(url: String, ca: &Path) -> IssuerSettings {
    let roles = vec![mapping("roles", Role::Reader, None)];
    settings(&url.clone(), KeysFrom::Url { url, ca_file: Some(ca.to_owned()) }, roles)
}

fn token_of(signer: &Signer, issuer: &str) -> String {
    let mut claims = claims("a");
    claims["iss"] = json!(issuer);
    claims["roles"] = json!(["reader"]);
    signer.token(&claims)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_over_https_and_rotate() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let ca = dir.join("provider.pem");
    let provider = Provider::start(&ca).await;
    let (old, new) = (Signer::rsa("old"), Signer::p256("new"));
    provider.say("/keys", Says::Keys(key_set(&[old.published()])));
    let url = provider.url("/keys");
    let daemon = serve(dir, vec![issuer_at(url.clone(), &ca)]).await;
    let by = |signer: &Signer| token_of(signer, &url);
    assert_eq!(list(&daemon, dir, &by(&old)).await, Ok(()));
    assert_eq!(provider.hits("/keys"), 1);
    provider.say("/keys", Says::Keys(key_set(&[old.published(), new.published()])));
    assert_eq!(list(&daemon, dir, &by(&new)).await, Ok(()), "it is looked for at once");
    assert_eq!(list(&daemon, dir, &by(&old)).await, Ok(()));
    assert_eq!(provider.hits("/keys"), 2);
    for at in 0..5 {
        let rubbish = by(&Signer::p256(&format!("rubbish-{at}")));
        assert_eq!(list(&daemon, dir, &rubbish).await, refused(401, "AuthenticationFailed"));
    }
    assert_eq!(provider.hits("/keys"), 2, "rubbish does not make the daemon ask");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_serves_while_its_providers_are_down_and_lets_people_in_when_they_are_back() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let (ca, other_ca) = (dir.join("provider.pem"), dir.join("other.pem"));
    let provider = Provider::start(&ca).await;
    let stranger = Provider::start(&other_ca).await;
    let signer = Signer::p256("k1");
    let good = Says::Keys(key_set(&[signer.published()]));
    stranger.say("/keys", good.clone());
    provider.say("/good", good.clone());
    provider.say("/status", Says::Status(503));
    provider.say("/redirect", Says::Redirect(provider.url("/good")));
    provider.say("/garbage", Says::Keys("<html>".to_owned()));
    provider.say("/endless", Says::Endless);
    provider.say("/down", Says::HangUp);
    provider.say("/silent", Says::Silence);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bad: Vec<String> = ["/status", "/redirect", "/garbage", "/endless", "/down"]
        .map(|path| provider.url(path))
        .to_vec();
    bad.push(stranger.url("/keys"));
    bad.push(format!("https://{gone}/keys"));
    let urls = bad.iter().cloned().chain([provider.url("/silent")]);
    let daemon = serve(dir, urls.map(|url| issuer_at(url, &ca)).collect()).await;
    let owner = std::fs::read_to_string(daemon.dir().join("admin.token")).unwrap();
    assert_eq!(list(&daemon, dir, owner.trim()).await, Ok(()));
    provider.asked("/silent").await;
    assert_eq!(list(&daemon, dir, owner.trim()).await, Ok(()), "others do not wait for it");
    provider.asked("/down").await;
    for url in bad.iter().filter(|url| !url.ends_with("/down")) {
        let answer = list(&daemon, dir, &token_of(&signer, url)).await;
        assert_eq!(answer, refused(503, "IssuerUnavailable"), "{url}");
    }
    assert_eq!(provider.hits("/good"), 0, "redirects are not followed");
    assert_eq!(stranger.hits("/keys"), 0, "who is not trusted is not asked");
    provider.say("/down", good);
    let back = token_of(&signer, &provider.url("/down"));
    assert_eq!(list(&daemon, dir, &back).await, Ok(()));
    daemon.stop().await;
}

#[tokio::test]
async fn a_file_without_keys_is_told_by_a_check_and_at_the_start() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("keyturn.toml");
    let text = format!(
        "data-dir = \"data\"\n[[access.oidc]]\nissuer = \"{ISSUER}\"\naudience = \"keyturn\"\n\
         jwks-file = \"jwks.json\"\nroles = [{{ value = \"ops\", role = \"operator\" }}]\n"
    );
    std::fs::write(&file, text).unwrap();
    let options = Options { config: Some(file), ..Options::default() };
    let fakes = Fakes { devices: world(&["ce-01"]).await.devices };
    let told = |error: DaemonError| {
        assert!(matches!(error, DaemonError::Oidc { .. }), "{error}");
        assert!(error.to_string().contains("jwks.json"), "{error}");
        assert!(error.hint().is_some());
    };
    told(daemon::check(&options, &fakes).await.unwrap_err());
    let mut config = options.config().unwrap();
    config.listen = "127.0.0.1:0".parse().unwrap();
    told(Daemon::start(&config, &fakes).await.unwrap_err());
    std::fs::write(temporary.path().join("jwks.json"), key_set(&[Signer::rsa("k").published()]))
        .unwrap();
    assert!(daemon::check(&options, &fakes).await.unwrap().contains("[[access.oidc]]"));
}
