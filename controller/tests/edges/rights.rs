//! Who may do what: every route as each role, as somebody of another fabric, and as nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use controller::access::oidc::Oidc;
use controller::access::{Admission, Right, Role, Tokens, Wanted};
use controller::model::Timestamp;
use protocol::id::FabricId;
use serde_json::{Value, json};

use crate::ask::{Answer, GROUP, TOKEN, get, request_by, router_for, send, versioned};
use crate::issuer::Signer;
use crate::oidc::{claims, issuer_with, mapping};
use crate::world::{FABRIC, World, world};

/// What a right is exercised on, as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Fabric,
    Visible,
    Everything,
}

pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) right: Right,
    pub(crate) over: Over,
}

/// A row of the table.
type Row = (Method, String, Value, Right, Over);

fn look(path: impl Into<String>, over: Over) -> Row {
    (Method::GET, path.into(), Value::Null, Right::Read, over)
}

fn act(path: impl Into<String>, body: Value, right: Right, over: Over) -> Row {
    (Method::POST, path.into(), body, right, over)
}

/// Every route that there is; `described` compares it with what is served and described.
pub(crate) fn routes(operation: &str) -> Vec<Route> {
    let route = |(method, path, body, right, over)| Route { method, path, body, right, over };
    let rows = [directory_rows(operation), fabric_rows(), device_rows(), native_rows(operation)];
    rows.into_iter().flatten().map(route).collect()
}

/// What stands above all resources, and lists.
fn directory_rows(operation: &str) -> Vec<Row> {
    use Over::{Fabric, Visible};
    const S: &str = "/subscriptions/00000000-0000-0000-0000-000000000001";
    let provider = "providers/Microsoft.ManagedNetworkFabric";
    vec![
        look("/subscriptions", Visible),
        look(S, Visible),
        look("/tenants", Visible),
        look(format!("/{provider}/operations"), Visible),
        look(format!("{GROUP}/networkFabrics"), Visible),
        look(format!("{S}/{provider}/networkFabrics"), Visible),
        look(format!("{GROUP}/networkDevices"), Visible),
        look(format!("{S}/{provider}/networkDevices"), Visible),
        look(format!("{S}/{provider}/locations/LOCAL/operationStatuses/{operation}"), Fabric),
        look(format!("{GROUP}/networkBootstrapDevices"), Visible),
        look(format!("{S}/{provider}/networkBootstrapDevices"), Visible),
    ]
}

fn fabric_rows() -> Vec<Row> {
    use Over::Fabric;
    use Right::{Administer, Operate};
    vec![
        look(FABRIC.to_owned(), Fabric),
        act(format!("{FABRIC}/rotatePasswords"), Value::Null, Operate, Fabric),
        act(format!("{FABRIC}/resyncPasswords"), Value::Null, Operate, Fabric),
        act(format!("{FABRIC}/lockFabric"), Value::Null, Operate, Fabric),
        act(format!("{FABRIC}/commitConfiguration"), json!({"x": 1}), Operate, Fabric),
        act(format!("{FABRIC}/upgrade"), Value::Null, Operate, Fabric),
        (Method::PATCH, FABRIC.to_owned(), json!({"tags": 1}), Operate, Fabric),
        (Method::PUT, FABRIC.to_owned(), json!({"tags": 1}), Operate, Fabric),
        (Method::DELETE, FABRIC.to_owned(), Value::Null, Administer, Fabric),
    ]
}

fn device_rows() -> Vec<Row> {
    use Over::{Fabric, Visible};
    use Right::{Administer, Operate};
    let device = format!("{GROUP}/networkDevices/ce-01");
    let waiting = format!("{GROUP}/networkBootstrapDevices/new-01");
    vec![
        look(device.clone(), Fabric),
        act(format!("{device}/resyncPasswords"), Value::Null, Operate, Fabric),
        act(format!("{device}/updateAdministrativeState"), Value::Null, Operate, Fabric),
        act(format!("{device}/upgrade"), Value::Null, Operate, Fabric),
        act(format!("{waiting}/upgrade"), Value::Null, Operate, Fabric),
        act(format!("{device}/reboot"), Value::Null, Operate, Fabric),
        act(format!("{waiting}/reboot"), Value::Null, Operate, Fabric),
        (Method::PATCH, device.clone(), json!({"tags": 1}), Operate, Fabric),
        (Method::PUT, device.clone(), json!({"tags": 1}), Operate, Fabric),
        (Method::PUT, format!("{device}9"), json!({"tags": 1}), Administer, Visible),
        look(waiting.clone(), Fabric),
        act(format!("{waiting}/resyncPasswords"), Value::Null, Operate, Fabric),
        act(format!("{waiting}/updateAdministrativeState"), Value::Null, Operate, Fabric),
        (Method::PATCH, waiting.clone(), json!({"tags": 1}), Operate, Fabric),
        (Method::PUT, waiting.clone(), json!({"tags": 1}), Operate, Fabric),
        (Method::PUT, format!("{waiting}9"), json!({"tags": 1}), Administer, Visible),
        (Method::DELETE, device.clone(), Value::Null, Administer, Fabric),
        // Not in service, it goes at once: whatever else is about it stands above.
        (Method::DELETE, waiting.clone(), Value::Null, Administer, Fabric),
    ]
}

fn native_rows(operation: &str) -> Vec<Row> {
    use Over::{Everything, Fabric, Visible};
    use Right::{Administer, Operate, Reveal};
    let device = format!("{GROUP}/networkDevices/ce-01");
    let apply = json!({"inventory": "", "passwords": ""});
    let released = json!({"fabricId": FABRIC, "device": "gone-01"});
    vec![
        look("/keyturn/v1/fabrics", Visible),
        look(format!("/keyturn/v1/fabrics{FABRIC}/plan"), Fabric),
        look(format!("/keyturn/v1/fabrics{FABRIC}/summary"), Fabric),
        look(format!("/keyturn/v1/fabrics{FABRIC}/bootstrap-devices"), Fabric),
        look(format!("/keyturn/v1/fabrics{FABRIC}/retention"), Fabric),
        look(format!("/keyturn/v1/fabrics{FABRIC}/archive"), Fabric),
        act("/keyturn/v1/archives:retry", json!({"fabricId": FABRIC}), Operate, Fabric),
        act("/keyturn/v1/archives:verify", json!({"fabricId": FABRIC}), Operate, Fabric),
        look("/keyturn/v1/deletedFabrics", Visible),
        act("/keyturn/v1/fabrics:purge", json!({"fabricId": FABRIC}), Administer, Fabric),
        act("/keyturn/v1/fabrics:releaseDevice", released, Administer, Fabric),
        act("/keyturn/v1/fabrics:rotateOlderNames", json!({"fabricId": FABRIC}), Operate, Fabric),
        (Method::GET, "/metrics".to_owned(), Value::Null, Right::ReadMetrics, Visible),
        look("/keyturn/v1/operations", Visible),
        look(format!("/keyturn/v1/operations/{operation}"), Fabric),
        act("/keyturn/v1/fabrics:apply", apply, Administer, Visible),
        act(
            "/keyturn/v1/secrets:reveal",
            json!({"deviceId": device, "user": "admin"}),
            Reveal,
            Fabric,
        ),
        act("/keyturn/v1/vault:backup", json!({"recipients": ["?"]}), Reveal, Everything),
        (Method::GET, "/keyturn/v1/audit".to_owned(), Value::Null, Administer, Everything),
        look("/keyturn/v1/references", Everything),
        (Method::GET, "/keyturn/v1/tokens".to_owned(), Value::Null, Administer, Everything),
        act("/keyturn/v1/tokens", json!({"role": "?"}), Administer, Everything),
        (Method::DELETE, "/keyturn/v1/tokens/none".to_owned(), Value::Null, Administer, Everything),
    ]
}

struct Site {
    world: World,
    router: Router,
    tokens: Arc<Tokens>,
    signer: Signer,
    operation: String,
}

/// A world with a device of each kind that the routes are about.
pub(crate) async fn populated() -> World {
    let mut world = world(&["ce-01", "new-01", "ts-01"]).await;
    world.inventory =
        world.inventory.replace(r#"name = "new-01""#, "name = \"new-01\"\nbootstrap = true");
    world.adopt().await;
    world
}

async fn site() -> Site {
    let world = populated().await;
    let tokens = Arc::new(Tokens::in_memory(TOKEN));
    let signer = Signer::rsa("k1");
    let admission = Admission::new(Arc::clone(&tokens), issuer(&signer));
    let router = router_for(&world, &admission);
    let operations = get(&router, "/keyturn/v1/operations").await;
    let operation = operations.body["value"][0]["name"].as_str().unwrap().to_owned();
    Site { world, router, tokens, signer, operation }
}

/// An issuer whose tokens give each role: on all fabrics, on this one, and on another one.
fn issuer(signer: &Signer) -> Oidc {
    let scopes = [None, Some(FABRIC.to_uppercase()), Some(FABRIC.replace("/lab", "/other"))];
    let roles = Role::ALL.into_iter().flat_map(|role| {
        let claims = ["all", "own", "other"].into_iter().zip(&scopes);
        claims.map(move |(claim, fabric)| mapping(claim, role, fabric.as_deref()))
    });
    issuer_with(signer, roles.collect())
}

impl Site {
    fn token(&self, role: Role, fabric: Option<&str>) -> String {
        let fabric = fabric.map(|name| {
            FabricId::new("00000000-0000-0000-0000-000000000001", "lab", name).unwrap()
        });
        let lifetime = Duration::from_secs(3600);
        let wanted =
            Wanted { name: "test".to_owned(), role, fabric, secret_prefix: None, lifetime };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = Timestamp(i64::try_from(now.as_millis()).unwrap());
        self.tokens.create(wanted, now).unwrap().token.to_string()
    }

    /// A token of the issuer with a role in a claim.
    fn jwt(&self, claim: &str, role: Role) -> String {
        let mut claims = claims(role.as_str());
        claims[claim] = json!([role.as_str()]);
        self.signer.token(&claims)
    }

    async fn ask(&self, route: &Route, token: &str) -> Answer {
        let request = request_by(token, route.method.clone(), &versioned(&route.path));
        let body = if route.body.is_null() { String::new() } else { route.body.to_string() };
        send(&self.router, request.body(Body::from(body)).unwrap()).await
    }
}

fn is_refused(answer: &Answer) -> bool {
    (answer.status, answer.code()) == (StatusCode::FORBIDDEN, "AuthorizationFailed")
}

#[tokio::test(start_paused = true)]
async fn every_route_is_open_to_exactly_the_roles_that_have_its_right() {
    let site = site().await;
    for role in Role::ALL {
        let local = (site.token(role, None), site.token(role, Some("LAB")));
        let foreign = (site.jwt("all", role), site.jwt("own", role));
        for (token, own) in [local, foreign] {
            check_every_route(&site, role, &token, &own).await;
        }
    }
    // Who was refused more than a look is in the audit.
    let denied = site.world.paper.text();
    let denied = denied.lines().filter(|line| line.contains("AuthorizationFailed")).count();
    assert!(denied > 20, "{denied}");
    // The world has seen what the roles did; it is still whole.
    assert_eq!(site.world.service.fabrics().len(), 1);
}

async fn check_every_route(site: &Site, role: Role, token: &str, own: &str) {
    for route in routes(&site.operation) {
        let (method, path) = (&route.method, &route.path);
        let answer = site.ask(&route, token).await;
        let granted = role.grants(route.right);
        assert_eq!(is_refused(&answer), !granted, "{role:?} {method} {path}: {answer:?}");
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{role:?} {method} {path}");
        let answer = site.ask(&route, own).await;
        let granted = granted && route.over != Over::Everything;
        assert_eq!(is_refused(&answer), !granted, "own {role:?} {method} {path}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_of_another_fabric_sees_and_does_nothing_here() {
    let site = site().await;
    let tokens = |role| [site.token(role, Some("other")), site.jwt("other", role)];
    let tokens = Role::ALL.into_iter().flat_map(|role| tokens(role).map(|token| (role, token)));
    for (role, token) in tokens {
        for route in routes(&site.operation) {
            let (method, path) = (&route.method, &route.path);
            let answer = site.ask(&route, &token).await;
            let looks_in_vain = route.right.only_looks() && !role.grants(route.right);
            if route.over != Over::Visible || role.is_of_vault() || looks_in_vain {
                assert!(is_refused(&answer), "{role:?} {method} {path}: {answer:?}");
            } else if method == Method::GET {
                let text = answer.body.to_string();
                assert!(!text.contains("ce-01"), "{role:?} {path}: {text}");
                let is_resource = path.contains("networkFabrics") || path.contains("fabrics");
                assert!(!is_resource || answer.body["value"] == json!([]), "{path}: {text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn roles_of_one_token_hold_each_on_its_own_scope() {
    let site = site().await;
    let mut claims = claims("both");
    claims["own"] = json!([Role::Operator.as_str()]);
    claims["other"] = json!([Role::SecretReader.as_str(), Role::Administrator.as_str()]);
    let token = site.signer.token(&claims);
    for route in routes(&site.operation) {
        let answer = site.ask(&route, &token).await;
        let granted = match route.over {
            Over::Fabric => matches!(route.right, Right::Read | Right::Operate),
            Over::Visible => true,
            Over::Everything => false,
        };
        assert_eq!(is_refused(&answer), !granted, "{} {}", route.method, route.path);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_anywhere_and_is_told_nothing() {
    let site = site().await;
    let mut all = routes(&site.operation);
    all.push(Route { path: "/no/such/route".to_owned(), ..routes(&site.operation).remove(0) });
    for route in all {
        let unsigned = "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.";
        let wrong = ["Bearer wrong", "Basic YTpi", "Bearer", "Bearer a.b.c", unsigned];
        for authorization in wrong.map(Some).into_iter().chain([None]) {
            let mut request = Request::builder()
                .method(route.method.clone())
                .uri(versioned(&route.path))
                .header("host", "keyturn.test:1");
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let answer = send(&site.router, request.body(Body::empty()).unwrap()).await;
            let expect = (StatusCode::UNAUTHORIZED, "AuthenticationFailed");
            assert_eq!((answer.status, answer.code()), expect, "{} {authorization:?}", route.path);
            assert!(answer.header("www-authenticate").is_some());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_shown_once_listed_without_itself_and_good_for_nothing_when_revoked() {
    let site = site().await;
    let make = Route {
        method: Method::POST,
        path: "/keyturn/v1/tokens".to_owned(),
        body: json!({"role": "operator", "name": "ci", "fabricId": FABRIC, "lifetimeSeconds": 60}),
        right: Right::Administer,
        over: Over::Everything,
    };
    let made = site.ask(&make, TOKEN).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let token = made.body["token"].as_str().unwrap().to_owned();
    let id = made.body["id"].as_str().unwrap().to_owned();
    let listed = get(&site.router, "/keyturn/v1/tokens").await;
    assert_eq!(listed.body["value"][0]["id"], json!(id));
    assert_eq!(listed.body["value"][0]["role"], "operator");
    assert!(!listed.body.to_string().contains(token.rsplit('_').next().unwrap()));
    let look = Route { method: Method::GET, path: FABRIC.to_owned(), body: Value::Null, ..make };
    assert_eq!(site.ask(&look, &token).await.status, StatusCode::OK);
    let path = format!("/keyturn/v1/tokens/{id}");
    let revoke = Route { method: Method::DELETE, path, ..look };
    assert_eq!(site.ask(&revoke, TOKEN).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.ask(&revoke, TOKEN).await.status, StatusCode::NOT_FOUND);
    let look = Route { method: Method::GET, path: FABRIC.to_owned(), ..revoke };
    assert_eq!(site.ask(&look, &token).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_token_for_no_fabric_or_with_a_wrong_role_is_not_made() {
    let site = site().await;
    let cases = [
        (json!({"role": "owner"}), 400),
        (json!({"role": "reader", "fabricId": "x"}), 400),
        (json!({"role": "reader", "fabricId": FABRIC.replace("/lab", "/none")}), 404),
        (json!({"role": "reader", "lifetimeSeconds": 0}), 400),
        (json!({"role": "reader", "lifetimeSeconds": 400 * 24 * 3600}), 400),
        (json!({"role": "reader", "name": ""}), 400),
        (json!({"role": "reader", "more": 1}), 400),
    ];
    for (body, status) in cases {
        let request = request_by(TOKEN, Method::POST, "/keyturn/v1/tokens");
        let answer = send(&site.router, request.body(Body::from(body.to_string())).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {answer:?}");
    }
    assert!(site.tokens.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_run_wild_slows_itself_down_and_nobody_else() {
    let site = site().await;
    let (wild, other) = (site.token(Role::Operator, None), site.token(Role::Operator, None));
    let route =
        routes(&site.operation).into_iter().find(|route| route.path.ends_with("lockFabric"));
    let route = route.unwrap();
    let mut refused = 0;
    for _ in 0..150 {
        let answer = site.ask(&route, &wild).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(
                (answer.code(), answer.header("retry-after")),
                ("TooManyRequests", Some("1"))
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 50);
    let look = Route { path: "/keyturn/v1/secrets:reveal".to_owned(), ..routes("").remove(0) };
    let look = Route { method: Method::POST, ..look };
    assert_eq!(site.ask(&look, &wild).await.status, StatusCode::BAD_REQUEST, "it changes nothing");
    assert_eq!(site.ask(&route, &other).await.status, StatusCode::BAD_REQUEST);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(site.ask(&route, &wild).await.status, StatusCode::BAD_REQUEST);
}
