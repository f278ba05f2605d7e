//! Fabrics and devices that are declared by `PUT`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use controller::access::{Admission, Role, Tokens, Wanted};
use controller::model::Timestamp;
use serde_json::{Value, json};

use crate::ask::{
    Answer, GROUP, TOKEN, ended, get, on_fabric, put, request_by, router, router_for, send,
    versioned,
};
use crate::world::{FABRIC, Fault, World, world};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

/// What the published client requires of a fabric.
pub(crate) fn fabric() -> Value {
    json!({
        "location": "local",
        "tags": {"owner": "core"},
        "properties": {
            "annotation": "rack 7",
            "networkFabricSku": "M4-A400-A100-C16-aa",
            "networkFabricControllerId": format!("{GROUP}/networkFabricControllers/nfc1"),
            "serverCountPerRack": 8,
            "ipv4Prefix": "10.18.0.0/19",
            "fabricASN": 4_294_967_295_u32,
            "terminalServerConfiguration": {
                "username": "root",
                "password": "Factory-ts.1",
                "primaryIpv4Prefix": "10.0.0.12/30",
                "secondaryIpv4Prefix": "20.0.0.13/30",
            },
            "managementNetworkConfiguration": {
                "infrastructureVpnConfiguration": {"peeringOption": "OptionB"},
                "workloadVpnConfiguration": {"peeringOption": "OptionB"},
            },
        },
    })
}

pub(crate) fn device(role: &str, platform: &str, port: u16) -> Value {
    json!({
        "location": "local",
        "properties": {
            "networkFabricId": FABRIC,
            "networkDeviceRole": role,
            "serialNumber": format!("Make;Model;1;S{port}"),
            "managementIpv4Address": "127.0.0.1",
            "administrativeState": "Disabled",
            "keyturn": {"platform": platform, "ssh": {"port": port, "hostKey": KEY}},
        },
    })
}

pub(crate) fn switch(port: u16) -> Value {
    let profiles = ["admin", "AzureOperatorRO", "AzureOperatorRW", "TelcoRO", "TelcoRW"];
    let mut switch = device("CE", "arista-eos", port);
    for profile in profiles {
        switch["properties"]["keyturn"]["currentPasswords"][profile] =
            json!(format!("Factory-{profile}.1"));
    }
    switch
}

pub(crate) fn path(device: &str) -> String {
    format!("{GROUP}/networkDevices/{device}")
}

/// The operation that an answer to `PUT` points to.
pub(crate) fn operation(answer: &Answer) -> &str {
    assert_eq!((answer.header("location"), answer.header("retry-after")), (None, None));
    let url = answer.header("azure-asyncoperation").unwrap();
    url.strip_prefix("https://keyturn.test:1").unwrap()
}

pub(crate) async fn declared(router: &Router, name: &str, body: &Value) {
    let answer = put(router, &path(name), body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(answer.body["properties"]["provisioningState"], "Accepted");
    let ended = ended(router, operation(&answer)).await;
    assert_eq!(ended.body["status"], "Succeeded", "{ended:?}");
}

async fn site() -> (World, Router) {
    let world = world(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    assert_eq!(put(&router, FABRIC, &fabric()).await.status, StatusCode::CREATED);
    declared(&router, "ce-01", &switch(22)).await;
    (world, router)
}

#[tokio::test(start_paused = true)]
async fn a_fabric_and_its_devices_are_declared_verified_and_rotated() {
    let world = world(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let created = put(&router, FABRIC, &fabric()).await;
    assert_eq!(
        (created.status, created.header("azure-asyncoperation")),
        (StatusCode::CREATED, None)
    );
    let properties = &created.body["properties"];
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!(properties["fabricASN"], 4_294_967_295_u32);
    assert_eq!(properties["annotation"], "rack 7");
    assert!(!created.body.to_string().contains("Factory"), "{created:?}");
    // The terminal server's password was told with the fabric.
    declared(&router, "ts-01", &device("TS", "opengear", 2222)).await;
    declared(&router, "ce-01", &switch(22)).await;
    let shown = get(&router, &path("ce-01")).await;
    let secrets = shown.body["properties"]["secretRotationStatus"].as_array().unwrap();
    assert_eq!(secrets.len(), 5);
    assert!(secrets.iter().all(|secret| secret["synchronizationStatus"] == "InSync"), "{shown:?}");
    assert!(!shown.body.to_string().contains("Factory"), "{shown:?}");
    for device in ["ce-01", "ts-01"] {
        world
            .devices
            .with(device, |device| assert_eq!((device.changes, device.refused_logins), (0, 0)));
    }
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    let rotated = ended(&router, accepted.operation()).await;
    assert_eq!(rotated.body["status"], "Succeeded", "{rotated:?}");
    world.assert_revealed_opens().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_declaration_again_changes_nothing() {
    let (world, router) = site().await;
    let seen = *world.service.changes(&world.fabric()).unwrap().borrow();
    let values = world.vault.len();
    for (path, body) in [(FABRIC.to_owned(), fabric()), (path("ce-01"), switch(22))] {
        let again = put(&router, &path, &body).await;
        assert_eq!((again.status, again.header("azure-asyncoperation")), (StatusCode::OK, None));
    }
    let now = *world.service.changes(&world.fabric()).unwrap().borrow();
    assert_eq!((now, world.vault.len()), (seen, values));
    // Of a terminal server that is not proven, the fabric's declaration is one more try.
    world.devices.break_it("ts-01", Fault::Unreachable);
    let answer = put(&router, &path("ts-01"), &device("TS", "opengear", 2222)).await;
    let failed = ended(&router, operation(&answer)).await;
    assert_eq!(failed.body["status"], "Failed", "{failed:?}");
    world.devices.heal("ts-01");
    let told = put(&router, FABRIC, &fabric()).await;
    assert_eq!(told.status, StatusCode::OK);
    let ended = ended(&router, operation(&told)).await;
    assert_eq!(ended.body["status"], "Succeeded", "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn with_the_extension_a_device_is_declared_anew_and_without_it_only_noted_on() {
    let (world, router) = site().await;
    let mut moved = switch(2022);
    moved["properties"]["keyturn"].as_object_mut().unwrap().remove("currentPasswords");
    let answer = put(&router, &path("ce-01"), &moved).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let port = |world: &World| {
        let spec = |fabric: &controller::model::Fabric| {
            fabric.devices[&"ce-01".parse().unwrap()].spec.ssh.as_ref().unwrap().port
        };
        world.service.read(&world.fabric(), spec).unwrap()
    };
    assert_eq!(port(&world), 2022);
    let noted = json!({"location": "local", "tags": {"a": "b"}, "properties": {
        "serialNumber": "Make;Model;1;S22", "networkDeviceRole": "TS", "networkFabricId": "nonsense"}});
    let answer = put(&router, &path("ce-01"), &noted).await;
    assert_eq!((answer.status, &answer.body["tags"]["a"]), (StatusCode::OK, &json!("b")));
    assert_eq!(
        (port(&world), &answer.body["properties"]["networkDeviceRole"]),
        (2022, &json!("CE"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_declaration_changes_nothing_and_says_where_it_is_wrong() {
    let (world, router) = site().await;
    let at = |pointer: &str, value: Value| {
        let mut body = switch(22);
        body["properties"]["networkDeviceRole"] = json!("ToR");
        body["properties"]["keyturn"]["ssh"]["port"] = json!(2022);
        let (above, last) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(above).unwrap()[last] = value;
        body
    };
    let other = FABRIC.replace("lab", "other");
    let none = format!("{GROUP}/networkFabrics/none");
    let cases = [
        ("/properties/keyturn", json!(null), 400, "properties.keyturn"),
        ("/properties/keyturn/platfrom", json!("x"), 400, ""),
        ("/properties/keyturn/platform", json!("arista"), 400, "properties.keyturn.platform"),
        ("/properties/keyturn/ssh/port", json!(22), 400, "properties.keyturn.ssh.address"),
        ("/properties/keyturn/ssh/hostKey", json!("x"), 400, "properties.keyturn.ssh.hostKey"),
        ("/properties/keyturn/ssh", json!(null), 400, "properties.keyturn"),
        ("/properties/managementIpv4Address", json!(null), 400, "properties.keyturn.ssh.address"),
        (
            "/properties/keyturn/console",
            json!({"terminalServer": "ts-09", "port": "port01"}),
            400,
            "properties.keyturn.console.terminalServer",
        ),
        (
            "/properties/keyturn/currentPasswords",
            json!({"admin": "Factory-admin.1"}),
            400,
            "properties.keyturn.currentPasswords.AzureOperatorRO",
        ),
        (
            "/properties/keyturn/currentPasswords",
            json!({"Admin1": "Factory-admin.1"}),
            400,
            "properties.keyturn.currentPasswords",
        ),
        ("/properties/keyturn/currentPasswords", json!({"admin": "Factory\n"}), 400, ""),
        ("/properties/serialNumber", json!("Factory"), 400, "properties.serialNumber"),
        ("/properties/serialNumber", json!(null), 400, "properties.serialNumber"),
        ("/properties/networkDeviceRole", json!("Spine"), 400, "networkDeviceRole"),
        ("/properties/networkFabricId", json!("lab"), 400, "properties.networkFabricId"),
        ("/properties/networkFabricId", json!(other), 400, "properties.networkFabricId"),
        ("/properties/networkFabricId", json!(none), 404, ""),
        ("/properties/networkFabricId", json!(null), 400, "properties.keyturn"),
    ];
    let seen = *world.service.changes(&world.fabric()).unwrap().borrow();
    for (pointer, value, status, target) in cases {
        let body = at(pointer, value.clone());
        let answer = put(&router, &path("ce-02"), &body).await;
        assert_eq!(answer.status.as_u16(), status, "{pointer} {value}: {answer:?}");
        let told = answer.body["error"]["target"].as_str().unwrap_or("");
        assert_eq!(told, target, "{pointer} {value}: {answer:?}");
        assert!(!answer.body.to_string().contains("Factory-"), "{answer:?}");
    }
    assert_eq!(*world.service.changes(&world.fabric()).unwrap().borrow(), seen);
}

#[tokio::test(start_paused = true)]
async fn a_fabric_that_is_declared_wrongly_is_not_there_afterwards() {
    let (world, router) = site().await;
    let none = format!("{GROUP}/networkFabrics/none");
    for (pointer, value, target) in [
        ("/location", json!(null), "location"),
        ("/properties/terminalServerConfiguration/username", json!("admin"), ""),
        (
            "/properties/terminalServerConfiguration/username",
            json!(null),
            "terminalServerConfiguration.username",
        ),
        (
            "/properties/terminalServerConfiguration/password",
            json!(""),
            "terminalServerConfiguration.password",
        ),
        ("/properties/ipv4Prefix", json!("1".repeat(1025)), "ipv4Prefix"),
    ] {
        let mut body = fabric();
        *body.pointer_mut(pointer).unwrap() = value;
        let answer = put(&router, &none, &body).await;
        let told = answer.body["error"]["target"].as_str().unwrap_or("");
        assert_eq!((answer.status.as_u16(), told), (400, target), "{pointer}: {answer:?}");
        assert!(!answer.body.to_string().contains("Factory"), "{answer:?}");
    }
    assert_eq!(world.service.fabrics().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_declaration_is_refused_while_an_operation_runs() {
    let (_world, router) = site().await;
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    let server = device("TS", "opengear", 2222);
    let refused = put(&router, &path("ts-01"), &server).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "OperationInProgress"));
    let mut told = fabric();
    told["properties"]["terminalServerConfiguration"]["password"] = json!("Another-one.1");
    let refused = put(&router, FABRIC, &told).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "OperationInProgress"));
    assert_eq!(get(&router, &path("ts-01")).await.status, StatusCode::NOT_FOUND);
    ended(&router, accepted.operation()).await;
    declared(&router, "ts-01", &server).await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_notes_and_an_administrator_declares() {
    let world = world(&["ce-01", "ts-01"]).await;
    world.adopt().await;
    let tokens = Arc::new(Tokens::in_memory(TOKEN));
    let router = router_for(&world, &Admission::local(Arc::clone(&tokens)));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp(i64::try_from(now.as_millis()).unwrap());
    let token = |role, fabric| {
        let lifetime = std::time::Duration::from_secs(3600);
        let wanted =
            Wanted { name: "test".to_owned(), role, fabric, secret_prefix: None, lifetime };
        tokens.create(wanted, now).unwrap().token.to_string()
    };
    let other = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
                 Microsoft.ManagedNetworkFabric/networkFabrics/other";
    let (operator, administrator) = (token(Role::Operator, None), token(Role::Administrator, None));
    let elsewhere = token(Role::Administrator, Some(other.parse().unwrap()));
    let noted = json!({"location": "local", "properties": {"serialNumber": "Make;Model;1;S0"}});
    let mut nameless = switch(1009);
    nameless["properties"]["serialNumber"] = json!(null);
    let cases = [
        (path("ce-01"), noted.clone(), [200, 200, 403]),
        (path("ce-01"), switch(1000), [403, 200, 403]),
        // It goes no further than to what is missing.
        (path("ce-09"), nameless, [403, 400, 403]),
        (FABRIC.to_owned(), json!({"location": "local"}), [200, 200, 403]),
        (FABRIC.to_owned(), fabric(), [403, 200, 403]),
        (other.to_owned(), fabric(), [403, 201, 200]),
    ];
    for (path, body, expected) in cases {
        for (token, expected) in [&operator, &administrator, &elsewhere].into_iter().zip(expected) {
            let request = request_by(token, Method::PUT, &versioned(&path));
            let answer = send(&router, request.body(Body::from(body.to_string())).unwrap()).await;
            assert_eq!(answer.status.as_u16(), expected, "{path}: {answer:?}");
        }
    }
}
