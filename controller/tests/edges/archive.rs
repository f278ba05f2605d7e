//! The customer's own vault, as it is told over the API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use controller::access::{Admission, Role, Tokens, Wanted};
use controller::execute::Settings;
use controller::inventory::SecretArchive;
use controller::model::Timestamp;
use controller::rollback::RollbackGuard;
use controller::service::{Archives as CustomerArchives, Service};
use controller::vault::{MemoryVault, Vault, VaultError, VaultFault};
use serde_json::{Value, json};

use crate::ask::{
    Answer, GROUP, TOKEN, ended, get, on_fabric, put, request, request_by, router, router_for,
    send, versioned,
};
use crate::declare::fabric;
use crate::world::{Archives, FABRIC, World, start_over, world};

const CUSTOMER: &str = "https://customer.example.net";
const OTHER: &str = "https://other.example.net";
const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/kv/\
                     providers/Microsoft.KeyVault/vaults/customer-1";
const BY_ID: &str = "https://customer-1.vault.azure.net";

/// The vaults of customers, each made when it is first opened, and what each was opened as.
#[derive(Clone, Debug, Default)]
struct Customers(Arc<Mutex<BTreeMap<String, (MemoryVault, Vec<SecretArchive>)>>>);

impl Customers {
    fn of(&self, uri: &str) -> MemoryVault {
        self.0.lock().unwrap().entry(uri.to_owned()).or_insert_with(vault).0.clone()
    }

    /// How often a vault was opened: each change of settings that tries it out is once.
    fn opened(&self, uri: &str) -> usize {
        self.0.lock().unwrap().get(uri).map_or(0, |(_vault, opened)| opened.len())
    }
}

fn vault() -> (MemoryVault, Vec<SecretArchive>) {
    (MemoryVault::new(Arc::new(|| 1_800_000_000)), Vec::new())
}

impl CustomerArchives for Customers {
    fn open(&self, archive: &SecretArchive) -> Result<Arc<dyn Vault>, VaultError> {
        let vault = self.of(&archive.vault_uri);
        self.0.lock().unwrap().get_mut(&archive.vault_uri).unwrap().1.push(archive.clone());
        Ok(Arc::new(vault))
    }
}

async fn start(world: &World, customers: &Customers) -> Arc<Service> {
    let archives = Archives {
        store: Arc::new(world.store.reopen()),
        vault: Arc::new(world.vault.clone()),
        rollback: RollbackGuard::none(),
        customers: Arc::new(customers.clone()),
    };
    start_over(archives, Settings::default(), &world.auditor, &world.devices).await
}

async fn site() -> (World, Customers, Router) {
    let mut world = world(&["ce-01", "ts-01"]).await;
    let customers = Customers::default();
    world.service = start(&world, &customers).await;
    world.adopt().await;
    let router = router(&world);
    (world, customers, router)
}

async fn patch(router: &Router, properties: Value) -> Answer {
    let request = request(Method::PATCH, &versioned(FABRIC));
    let body = json!({ "properties": properties });
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

fn settings(uri: &str) -> Value {
    let identity = json!({"identityType": "SystemAssignedIdentity"});
    json!({"secretArchiveSettings": {"vaultUri": uri, "associatedIdentity": identity}})
}

fn shown(answer: &Answer) -> (&Value, &Value) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let properties = &answer.body["properties"];
    (&properties["secretArchiveSettings"], &properties["secretArchive"])
}

async fn status(router: &Router) -> Value {
    get(router, &format!("/keyturn/v1/fabrics{FABRIC}/archive")).await.body
}

/// Rotates, and waits until what is to be copied is copied.
async fn rotate(router: &Router) {
    let accepted = on_fabric(router, "rotatePasswords", "").await;
    assert_eq!(ended(router, accepted.operation()).await.body["status"], "Succeeded");
    while status(router).await["pending"] != 0 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn settings_are_tried_out_kept_over_a_restart_and_lead_the_next_rotation() {
    let (mut world, customers, router) = site().await;
    let set = patch(&router, settings(&format!("{CUSTOMER}/"))).await;
    assert_eq!(shown(&set).0, &settings(CUSTOMER)["secretArchiveSettings"]);
    assert_eq!((customers.opened(CUSTOMER), customers.of(CUSTOMER).len()), (1, 0), "tried out");
    world.service = start(&world, &customers).await;
    let router = crate::ask::router(&world);
    assert_eq!(shown(&get(&router, FABRIC).await).0, &settings(CUSTOMER)["secretArchiveSettings"]);
    rotate(&router).await;
    assert_eq!(customers.of(CUSTOMER).len(), 6);
    let said = status(&router).await;
    assert_eq!((&said["copied"], &said["secretArchive"]["setBy"]), (&json!(6), &json!("Api")));
    // Another vault, by the same identity; what is in the first one stays there.
    let moved = patch(&router, json!({"secretArchiveSettings": {"vaultUri": OTHER}})).await;
    assert_eq!(shown(&moved).0, &settings(OTHER)["secretArchiveSettings"]);
    rotate(&router).await;
    assert_eq!((customers.of(CUSTOMER).len(), customers.of(OTHER).len()), (6, 6));
    let off = patch(&router, json!({"secretArchiveSettings": null})).await;
    assert_eq!(shown(&off), (&Value::Null, &Value::Null));
    rotate(&router).await;
    assert_eq!((customers.of(CUSTOMER).len(), customers.of(OTHER).len()), (6, 6));
    assert!(world.paper.text().contains("Microsoft.ManagedNetworkFabric/networkFabrics/write"));
}

#[tokio::test(start_paused = true)]
async fn the_deprecated_form_is_kept_and_ignored_while_there_are_settings() {
    let (_world, customers, router) = site().await;
    let old = json!({"keyVaultId": VAULT, "useKeyVault": "True"});
    let set = patch(&router, json!({ "secretArchive": old })).await;
    assert_eq!(shown(&set), (&Value::Null, &old));
    let migrated = patch(&router, settings(CUSTOMER)).await;
    assert_eq!(shown(&migrated), (&settings(CUSTOMER)["secretArchiveSettings"], &old));
    rotate(&router).await;
    assert_eq!((customers.of(BY_ID).len(), customers.of(CUSTOMER).len()), (0, 6));
    let off = json!({"secretArchiveSettings": null, "secretArchive": {"useKeyVault": "False"}});
    let kept = json!({"keyVaultId": VAULT, "useKeyVault": "False"});
    assert_eq!(shown(&patch(&router, off).await), (&Value::Null, &kept));
    rotate(&router).await;
    assert_eq!((customers.of(BY_ID).len(), customers.of(CUSTOMER).len()), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn the_same_again_and_other_notes_change_no_archive() {
    let (world, customers, router) = site().await;
    patch(&router, settings(CUSTOMER)).await;
    let seen = *world.service.changes(&world.fabric()).unwrap().borrow();
    patch(&router, settings(CUSTOMER)).await;
    assert_eq!(*world.service.changes(&world.fabric()).unwrap().borrow(), seen);
    assert_eq!(customers.opened(CUSTOMER), 1, "not tried out again");
    // A client that does not know of archives takes none away.
    let noted = put(&router, FABRIC, &json!({"location": "local", "tags": {"a": "b"}})).await;
    assert_eq!(shown(&noted).0["vaultUri"], CUSTOMER);
    let other = json!({"location": "local", "properties": settings(OTHER)});
    assert_eq!(shown(&put(&router, FABRIC, &other).await).0["vaultUri"], OTHER);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_takes_nothing_is_refused_with_the_role_that_is_missing() {
    let (world, customers, router) = site().await;
    customers.of(CUSTOMER).faults().set(VaultFault::ReadOnly);
    let refused = patch(&router, settings(CUSTOMER)).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::BAD_REQUEST, "InvalidRequestContent")
    );
    let text = refused.body.to_string();
    assert!(text.contains(CUSTOMER) && text.contains("Key Vault Secrets Officer"), "{text}");
    assert_eq!(shown(&get(&router, FABRIC).await).0, &Value::Null);
    // Neither is a fabric declared with it.
    let none = format!("{GROUP}/networkFabrics/none");
    let mut body = fabric();
    body["properties"]["secretArchiveSettings"] = json!({ "vaultUri": CUSTOMER });
    assert_eq!(put(&router, &none, &body).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.service.fabrics().len(), 1);
    customers.of(CUSTOMER).faults().clear();
    let created = put(&router, &none, &body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.body["properties"]["secretArchiveSettings"]["vaultUri"], CUSTOMER);
}

#[tokio::test(start_paused = true)]
async fn what_names_no_vault_is_told_by_its_place_and_nothing_is_asked() {
    let (_world, customers, router) = site().await;
    let identity = |identity: Value| json!({"secretArchiveSettings": {"vaultUri": CUSTOMER, "associatedIdentity": identity}});
    let user = "UserAssignedIdentity";
    let cases = [
        (json!({"secretArchiveSettings": {"vaultUri": "kv"}}), "secretArchiveSettings.vaultUri"),
        (
            json!({"secretArchiveSettings": {"vaultUri": "https://a:Secret-1@kv.example"}}),
            "secretArchiveSettings.vaultUri",
        ),
        (
            json!({"secretArchiveSettings": {"associatedIdentity": {"identityType": "SystemAssignedIdentity"}}}),
            "secretArchiveSettings.vaultUri",
        ),
        (
            identity(json!({"identityType": "Mine"})),
            "secretArchiveSettings.associatedIdentity.identityType",
        ),
        (
            identity(json!({ "identityType": user })),
            "secretArchiveSettings.associatedIdentity.userAssignedIdentityResourceId",
        ),
        (
            identity(json!({"identityType": user, "userAssignedIdentityResourceId": "me"})),
            "secretArchiveSettings.associatedIdentity.userAssignedIdentityResourceId",
        ),
        (json!({"secretArchive": {"keyVaultId": "kv"}}), "secretArchive.keyVaultId"),
        (json!({"secretArchive": {"useKeyVault": "True"}}), "secretArchive.keyVaultId"),
        (
            json!({"secretArchive": {"keyVaultId": VAULT, "useKeyVault": "yes"}}),
            "secretArchive.useKeyVault",
        ),
    ];
    for (properties, at) in cases {
        let answer = patch(&router, properties.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{properties}: {answer:?}");
        assert_eq!(answer.body["error"]["target"], format!("properties.{at}"), "{answer:?}");
        assert!(!answer.body.to_string().contains("Secret-1"), "{answer:?}");
    }
    assert!(customers.0.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_names_an_archive_wins_and_one_that_names_none_leaves_the_apis() {
    let (mut world, _customers, router) = site().await;
    patch(&router, settings(CUSTOMER)).await;
    let silent = world.inventory.clone();
    world.apply().await;
    assert_eq!(shown(&get(&router, FABRIC).await).0["vaultUri"], CUSTOMER);
    let archive = format!("secret-archive = {{ vault-uri = \"{OTHER}\" }}\nlocation = ");
    world.inventory = silent.replacen("location = ", &archive, 1);
    world.apply().await;
    assert_eq!(shown(&get(&router, FABRIC).await).0, &json!({ "vaultUri": OTHER }));
    assert_eq!(status(&router).await["secretArchive"]["setBy"], "Inventory");
    world.inventory = silent;
    world.apply().await;
    assert_eq!(shown(&get(&router, FABRIC).await).0, &Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_archive_is_not_changed_under_an_operation() {
    let (_world, customers, router) = site().await;
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    let refused = patch(&router, settings(CUSTOMER)).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "OperationInProgress"));
    assert_eq!(customers.opened(CUSTOMER), 0);
    ended(&router, accepted.operation()).await;
    assert_eq!(patch(&router, settings(CUSTOMER)).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_operator_writes_back_what_was_read_and_an_administrator_alone_changes_it() {
    let (world, _customers, router) = site().await;
    patch(&router, settings(CUSTOMER)).await;
    let tokens = Arc::new(Tokens::in_memory(TOKEN));
    let router = router_for(&world, &Admission::local(Arc::clone(&tokens)));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap());
    let token = |role| {
        let lifetime = std::time::Duration::from_secs(3600);
        let name = "test".to_owned();
        let wanted = Wanted { name, role, fabric: None, secret_prefix: None, lifetime };
        tokens.create(wanted, now).unwrap().token.to_string()
    };
    let mut read = get(&router, FABRIC).await.body;
    read["tags"] = json!({"noted": "yes"});
    let mut changed = read.clone();
    changed["properties"]["secretArchiveSettings"]["vaultUri"] = json!(OTHER);
    let mut removed = read.clone();
    removed["properties"]["secretArchiveSettings"] = Value::Null;
    let cases = [(read, [200, 200, 403]), (changed, [403, 200, 403]), (removed, [403, 200, 403])];
    let roles = [Role::Operator, Role::Administrator, Role::Reader].map(token);
    for (body, expected) in cases {
        for method in [Method::PATCH, Method::PUT] {
            for (token, expected) in roles.iter().zip(expected) {
                let request = request_by(token, method.clone(), &versioned(FABRIC));
                let request = request.body(Body::from(body.to_string())).unwrap();
                let answer = send(&router, request).await;
                // What the administrator has changed before is no change any more.
                let same = method == Method::PUT && expected == 403 && *token == roles[0];
                let expected = if same { 200 } else { expected };
                assert_eq!(answer.status.as_u16(), expected, "{method} {body}: {answer:?}");
            }
        }
    }
}
