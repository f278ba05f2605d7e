use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;

#[path = "../../../tests/edges/issuer.rs"]
mod issuer;
mod keys;
mod ring;
mod source;
mod token;

const ISSUER: &str = "https://login.example/tenant/v2.0";
const AUDIENCE: &str = "api://keyturn";
const FABRIC: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab\
                      /providers/Microsoft.ManagedNetworkFabric/networkFabrics/east";

/// The time of all these tests, in seconds.
const NOW: i64 = 1_800_000_000;

fn settings(keys: KeysFrom) -> IssuerSettings {
    let role = |claim: &str, value: &str, role, fabric: Option<&str>| RoleMapping {
        claim: claim.to_owned(),
        value: value.to_owned(),
        role,
        fabric: fabric.map(|id| id.parse().unwrap()),
        secret_prefix: None,
    };
    IssuerSettings {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned(), "keyturn".to_owned()],
        keys,
        refresh: REFRESH_DEFAULT,
        clock_skew_max: CLOCK_SKEW_DEFAULT,
        name_claim: "preferred_username".to_owned(),
        roles: vec![
            role("roles", "Operator", Role::Operator, None),
            role("realm_access.roles", "reveal-east", Role::SecretReader, Some(FABRIC)),
            role("scp", "Keyturn.Read", Role::Reader, None),
        ],
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "0a1b", "exp": NOW + 3_600, "nbf": NOW,
        "preferred_username": "alice", "roles": ["Operator"],
    })
}

/// The claims with one of them changed; null takes it out.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let all = claims.as_object_mut().unwrap();
    all.insert(name.to_owned(), value);
    all.retain(|_name, value| !value.is_null());
    claims
}

/// A provider that does what a test says.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    says: Arc<Mutex<Says>>,
    calls: Arc<AtomicUsize>,
}

#[derive(Clone, Debug, Default)]
enum Says {
    #[default]
    Nothing,
    Keys(String),
    Failure,
}

impl Script {
    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) async fn fetch(&self) -> Result<super::keys::Keys, OidcError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let says = self.says.lock().unwrap().clone();
        match says {
            Says::Nothing => std::future::pending().await,
            Says::Keys(text) => Ok(super::keys::Keys::parse(text.as_bytes()).unwrap()),
            Says::Failure => Err(OidcError::Status { url: "a script".to_owned(), status: 500 }),
        }
    }
}
