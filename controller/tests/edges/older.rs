//! What lies under older names may be somebody else's: whoever declares must have a right to it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use controller::access::{Admission, Role, Tokens, Wanted};
use controller::model::Timestamp;
use controller::naming::SecretName;
use controller::vault::{Tag, Vault};
use protocol::password::Password;
use serde_json::{Value, json};

use crate::ask::{Answer, TOKEN, request_by, router_for, send, versioned};
use crate::declare::{path, switch};
use crate::world::{FABRIC, World, world};

struct Site {
    world: World,
    router: Router,
    /// An administrator of the one fabric.
    bound: String,
}

/// A fabric whose read-write account has an older name, under which somebody has set a secret.
async fn site(older: &str) -> Site {
    let mut world = world(&["ce-01", "ce-02", "ts-01"]).await;
    set(&world, "payroll-db", "Not-for-you.1").await;
    let older = format!("[fabric.older-names]\nAzureOperatorRW = \"{older}\"\n[[devices]]");
    world.inventory = world.inventory.replacen("[[devices]]", &older, 1);
    let tokens = Tokens::in_memory(TOKEN);
    let (role, fabric) = (Role::Administrator, Some(FABRIC.parse().unwrap()));
    let (name, lifetime) = ("bound".to_owned(), Duration::from_secs(3600));
    let wanted = Wanted { name, role, fabric, secret_prefix: None, lifetime };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap());
    let bound = tokens.create(wanted, now).unwrap().token.to_string();
    let router = router_for(&world, &Admission::local(Arc::new(tokens)));
    Site { world, router, bound }
}

async fn set(world: &World, name: &str, value: &str) {
    let (name, value) = (secret(name), Password::new(value.to_owned()).unwrap());
    world.vault.put(&name, &Tag::new("a client's"), &value).await.unwrap();
}

fn secret(name: &str) -> SecretName {
    SecretName::try_from(name.to_owned()).unwrap()
}

impl Site {
    async fn ask(&self, token: &str, method: Method, path: &str, body: &Value) -> Answer {
        let request = request_by(token, method, &versioned(path));
        send(&self.router, request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn apply(&self, token: &str, passwords: &str) -> Answer {
        let body = json!({"inventory": self.world.inventory, "passwords": passwords});
        self.ask(token, Method::POST, "/keyturn/v1/fabrics:apply", &body).await
    }

    async fn settled(&self, applied: &Answer) {
        assert_eq!(applied.status, StatusCode::OK, "{applied:?}");
        let operation = applied.body["operation"].as_str().unwrap();
        self.world.wait(operation.parse().unwrap()).await;
    }
}

fn is_refused(answer: &Answer) -> bool {
    (answer.status, answer.code()) == (StatusCode::FORBIDDEN, "AuthorizationFailed")
}

#[tokio::test(start_paused = true)]
async fn an_administrator_of_one_fabric_adopts_nothing_that_somebody_else_has_set() {
    let site = site("payroll-db").await;
    let all = site.world.passwords.clone();
    let rest = all.replace("AzureOperatorRW = ", "# AzureOperatorRW = ");
    // Neither to read what is there, nor to find out what it is, nor to put another beside it.
    let guessed = all.replace("Factory-AzureOperatorRW.1", "Not-for-you.1");
    for passwords in [&rest, &all, &guessed] {
        let refused = site.apply(&site.bound, passwords).await;
        assert!(is_refused(&refused), "{refused:?}");
        assert!(refused.body.to_string().contains("payroll-db"), "{refused:?}");
    }
    assert!(site.world.service.fabrics().is_empty(), "nothing was declared");
    assert_eq!(site.world.vault.versions(&secret("payroll-db")).await.unwrap().len(), 1);
    let log = site.world.paper.text();
    assert!(log.contains("/secrets/payroll-db") && log.contains("refused"), "{log}");

    // An administrator of all fabrics could make a token that opens it; it is recorded what for.
    let applied = site.apply(TOKEN, &rest).await;
    site.settled(&applied).await;
    let log = site.world.paper.text();
    let adopts = |line: &&str| {
        line.contains("Keyturn/secrets/adopt/action") && line.contains("?secret=payroll-db")
    };
    assert!(log.lines().any(|line| adopts(&line)), "{log}");
    // From then on it is the fabric's.
    assert_eq!(site.apply(&site.bound, "").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_device_is_no_way_to_what_somebody_else_has_set() {
    let mut site = site("{device}-db").await;
    let (whole, all) = (site.world.inventory.clone(), site.world.passwords.clone());
    let at = whole.find("[[devices]]\nname = \"ce-02\"").unwrap();
    site.world.inventory = whole[..at].to_owned();
    let applied = site.apply(&site.bound, &all).await;
    site.settled(&applied).await;
    // The name of a new device makes the name of a secret.
    let mut payroll = switch(22);
    let told = &mut payroll["properties"]["keyturn"]["currentPasswords"];
    told.as_object_mut().unwrap().remove("AzureOperatorRW");
    for token in [&site.bound, TOKEN] {
        let answer = site.ask(token, Method::PUT, &path("payroll"), &payroll).await;
        assert_eq!(is_refused(&answer), token != TOKEN, "{answer:?}");
    }
}
