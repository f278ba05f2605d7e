//! The Azure Resource Manager surface.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use controller::store::StoreFault;
use controller::vault::VaultFault;
use insta::assert_snapshot;

use crate::ask::{GROUP, TOKEN, ended, get, on_fabric, post, request, router, send};
use crate::world::{FABRIC, Fault, World, world};

async fn adopted(names: &[&str]) -> World {
    let world = world(names).await;
    world.adopt().await;
    world
}

#[tokio::test(start_paused = true)]
async fn resources_have_the_bodies_of_the_api() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    assert_snapshot!("fabric", get(&router, FABRIC).await.golden());
    let device = format!("{GROUP}/networkDevices/ce-01");
    assert_snapshot!("device", get(&router, &device).await.golden());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_a_long_running_operation() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    assert_snapshot!("accepted", accepted.golden());
    let running = get(&router, accepted.operation()).await;
    assert_snapshot!("running", running.golden());
    assert_eq!(running.header("location"), accepted.header("location"));
    let under_way = get(&router, FABRIC).await;
    assert_eq!(under_way.body["properties"]["administrativeState"], "UnderMaintenance");
    assert_snapshot!("succeeded", ended(&router, accepted.operation()).await.golden());
    assert_snapshot!("fabric_rotated", get(&router, FABRIC).await.golden());
}

#[tokio::test(start_paused = true)]
async fn partial_success_is_told_in_both_encodings() {
    let world = adopted(&["ce-01", "ce-02", "ce-03", "ts-01"]).await;
    let router = router(&world);
    world.devices.break_it("ce-02", Fault::Unreachable);
    world.devices.break_it("ts-01", Fault::Unreachable);
    let disabled = format!("{GROUP}/networkDevices/ce-03/updateAdministrativeState");
    let done = post(&router, &disabled, r#"{"state":"disable"}"#).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::OK, None));
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    assert_snapshot!("partial_success", ended(&router, accepted.operation()).await.golden());
    let fabric = get(&router, FABRIC).await;
    let summary = &fabric.body["properties"]["secretRotationSummary"];
    assert_eq!(summary["activePasswordSetCount"], 2);
    let device = get(&router, &format!("{GROUP}/networkDevices/ce-02")).await;
    assert_eq!(device.body["properties"]["configurationState"], "DeferredControl");
    let secrets = device.body["properties"]["secretRotationStatus"].as_array().unwrap();
    assert!(secrets.iter().all(|secret| secret["synchronizationStatus"] == "OutOfSync"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_fails_everywhere_and_a_resync_of_one_device_have_codes_of_their_own() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    for device in ["ce-01", "ts-01"] {
        world.devices.break_it(device, Fault::Unreachable);
    }
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    assert_snapshot!("failed", ended(&router, accepted.operation()).await.golden());
    let resync = format!("{GROUP}/networkDevices/ts-01/resyncPasswords");
    let accepted = post(&router, &resync, "").await;
    assert_snapshot!("device_failed", ended(&router, accepted.operation()).await.golden());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_conflict_that_clients_do_not_repeat() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let lock = r#"{"lockType":"Administrative","action":"Lock"}"#;
    assert_eq!(on_fabric(&router, "lockFabric", lock).await.status, StatusCode::OK);
    let refused = on_fabric(&router, "rotatePasswords", "").await;
    assert_eq!(refused.header("retry-after"), None);
    assert_snapshot!("refused", refused.golden());
    let locks = get(&router, FABRIC).await.body["properties"]["fabricLocks"].clone();
    assert_eq!(locks[0]["lockState"], "Enabled");
    let unlock = lock.replace("Lock\"}", "Unlock\"}");
    assert_eq!(on_fabric(&router, "lockFabric", &unlock).await.status, StatusCode::OK);
    assert_eq!(on_fabric(&router, "rotatePasswords", "").await.status, StatusCode::ACCEPTED);
    let second = on_fabric(&router, "rotatePasswords", "").await;
    assert_eq!((second.status, second.code()), (StatusCode::CONFLICT, "OperationInProgress"));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_others_have_upgraded_shows_its_version() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let device = format!("{GROUP}/networkDevices/ce-01");
    let upgrade = format!("{device}/upgrade");
    for body in ["", "{}", r#"{"version":""}"#, r#"{"version":"a b"}"#, r#"{"version":2}"#] {
        let refused = post(&router, &upgrade, body).await;
        assert_eq!(refused.code(), "InvalidRequestContent", "{body}: {refused:?}");
    }
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    let refused = post(&router, &upgrade, r#"{"version":"2.0.0"}"#).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "OperationInProgress"));
    ended(&router, accepted.operation()).await;
    assert_eq!(get(&router, &device).await.body["properties"].get("version"), None);
    // A device's upgrade is a part of the fabric's.
    let start = r#"{"action":"Start","version":"2.0.0"}"#;
    assert_eq!(on_fabric(&router, "upgrade", start).await.status, StatusCode::OK);
    let done = post(&router, &upgrade, r#"{"version":"2.0.0"}"#).await;
    assert_eq!((done.status, &done.body["resourceId"]), (StatusCode::OK, &device.clone().into()));
    assert_eq!(get(&router, &device).await.body["properties"]["version"], "2.0.0");
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_a_long_running_operation_on_one_device() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let device = format!("{GROUP}/networkDevices/ce-01");
    let path = format!("{device}/reboot");
    for body in ["", "{}", r#"{"rebootType":"Graceful"}"#, r#"{"rebootType":true}"#] {
        let refused = post(&router, &path, body).await;
        assert_eq!(refused.code(), "InvalidRequestContent", "{body}: {refused:?}");
    }
    let wipe = post(&router, &path, r#"{"rebootType":"GracefulRebootWithZTP"}"#).await;
    assert_eq!((wipe.status, wipe.code()), (StatusCode::CONFLICT, "DeviceInService"));
    let gentle = r#"{"rebootType":"GracefulRebootWithoutZTP"}"#;
    let accepted = post(&router, &path, gentle).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let done = ended(&router, accepted.operation()).await;
    assert_eq!(
        (&done.body["status"], &done.body["resourceId"]),
        (&"Succeeded".into(), &device.into())
    );
    world.devices.break_it("ce-01", Fault::StaysUp);
    let accepted = post(&router, &path, gentle).await;
    let failed = ended(&router, accepted.operation()).await;
    assert_eq!(failed.body["error"]["code"], "NotRebooted");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_finds_the_operation_that_it_started() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let path = format!("{FABRIC}/rotatePasswords?api-version=2025-07-15");
    let id = "11111111-2222-3333-4444-55555555aaaa";
    let mut operations = Vec::new();
    for id in [id.to_owned(), id.to_uppercase()] {
        let request = request(Method::POST, &path)
            .header("x-ms-client-request-id", &id)
            .header("x-ms-return-client-request-id", "true");
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("x-ms-client-request-id"), Some(id.as_str()));
        operations.push(answer.operation().to_owned());
    }
    assert_eq!(operations[0], operations[1]);
}

#[tokio::test(start_paused = true)]
async fn paths_methods_and_versions_are_checked() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let version = "?api-version=2025-07-15";
    let upper = FABRIC.to_uppercase();
    let subscription = "/subscriptions/00000000-0000-0000-0000-000000000001/providers/\
                        Microsoft.ManagedNetworkFabric";
    let other = FABRIC.replace("00000001", "00000002");
    let gone = format!("{subscription}/locations/LOCAL/operationStatuses/{}", uuid(7));
    let cases = [
        ("GET", FABRIC.to_owned(), 400, "MissingApiVersionParameter"),
        ("GET", format!("{FABRIC}?api-version=2020-01-01"), 400, "InvalidApiVersionParameter"),
        ("GET", format!("{upper}?API-VERSION=2025-07-15"), 200, ""),
        ("GET", format!("{FABRIC}/{version}"), 200, ""),
        ("GET", format!("{subscription}/networkfabrics{version}"), 200, ""),
        ("GET", format!("{GROUP}/networkDevices{version}&$skipToken=zz"), 400, "InvalidSkipToken"),
        ("GET", format!("{FABRIC}x{version}"), 404, "ResourceNotFound"),
        ("GET", format!("{other}{version}"), 404, "ResourceNotFound"),
        ("GET", format!("{GROUP}/networkDevices/ce-09{version}"), 404, "ResourceNotFound"),
        ("GET", format!("{GROUP}/networkRacks{version}"), 404, "InvalidResourceType"),
        ("GET", format!("{gone}{version}"), 404, "ResourceNotFound"),
        ("GET", format!("/{version}"), 404, "ResourceNotFound"),
        ("GET", format!("/favicon.ico{version}"), 404, "ResourceNotFound"),
        ("DELETE", format!("{FABRIC}{version}"), 409, "FabricNotEmpty"),
        ("DELETE", format!("{GROUP}/networkDevices/ce-01{version}"), 409, "DeviceInService"),
        ("DELETE", format!("{GROUP}/networkDevices/none{version}"), 204, ""),
        ("DELETE", format!("{other}{version}"), 204, ""),
        ("DELETE", format!("{FABRIC}/rotatePasswords{version}"), 405, "MethodNotAllowed"),
        ("PUT", format!("{FABRIC}{version}"), 400, "InvalidRequestContent"),
        ("PUT", format!("{FABRIC}/rotatePasswords{version}"), 405, "MethodNotAllowed"),
        ("GET", format!("{FABRIC}/rotatePasswords{version}"), 405, "MethodNotAllowed"),
        ("POST", format!("{FABRIC}/explode{version}"), 404, "InvalidResourceType"),
        ("POST", format!("{FABRIC}/lockFabric{version}"), 400, "InvalidRequestContent"),
        ("POST", format!("{other}/rotatePasswords{version}"), 404, "ResourceNotFound"),
        ("GET", format!("{FABRIC}%00{version}"), 400, "InvalidResourceName"),
    ];
    for (method, path, status, code) in cases {
        let request = request(method.parse().unwrap(), &path).body(Body::empty()).unwrap();
        let answer = send(&router, request).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{method} {path}");
        for header in ["x-ms-request-id", "x-ms-correlation-request-id"] {
            assert_eq!(answer.header(header).unwrap().len(), 36, "{method} {path}");
        }
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(answer.header("retry-after"), None, "{method} {path}");
    }
}

fn uuid(last: u8) -> String {
    format!("99999999-0000-0000-0000-00000000000{last}")
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_in_without_the_token() {
    let world = world(&["ce-01"]).await;
    let router = router(&world);
    let almost = TOKEN.replace("test", "tesT");
    let wrong = [
        None,
        Some("Bearer".to_owned()),
        Some(format!("Basic {TOKEN}")),
        Some(format!("Bearer {almost}")),
        Some(format!("Bearer {TOKEN}x")),
    ];
    for path in [FABRIC, "/", "/keyturn/v1/fabrics", "/keyturn/v1/secrets:reveal"] {
        for token in &wrong {
            let mut request = Request::builder().uri(path).header("host", "x");
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let answer = send(&router, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {token:?}");
            assert_eq!(answer.code(), "AuthenticationFailed");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer "));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_or_no_json_is_refused() {
    let world = adopted(&["ce-01"]).await;
    let router = router(&world);
    let large = on_fabric(&router, "lockFabric", &" ".repeat(65 << 10)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    for (body, target) in [
        ("{", None),
        (r#"["Administrative", "Lock"]"#, None),
        (r#"{"lockType":"Physical","action":"Lock"}"#, Some("lockType")),
        (r#"{"lockType":"Administrative","action":"Break"}"#, Some("action")),
    ] {
        let answer = on_fabric(&router, "lockFabric", body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, "InvalidRequestContent")
        );
        assert_eq!(answer.body["error"]["target"].as_str(), target);
    }
    let state = format!("{GROUP}/networkDevices/ce-01/updateAdministrativeState");
    for body in [
        r#"{"state":"Quarantine"}"#.to_owned(),
        format!(r#"{{"state":"Disable","resourceIds":["{GROUP}/networkDevices/ce-02"]}}"#),
    ] {
        let answer = post(&router, &state, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages_whose_links_lead_through_all_of_them() {
    let names: Vec<String> = (0..230).map(|at| format!("ce-{at:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = world(&names).await;
    world.apply().await;
    let router = router(&world);
    let mut next = Some(format!("{GROUP}/networkDevices"));
    let mut seen = Vec::new();
    let mut pages = 0;
    while let Some(path) = next {
        let page = get(&router, &path).await;
        let devices = page.body["value"].as_array().unwrap().clone();
        seen.extend(devices.iter().map(|device| device["name"].as_str().unwrap().to_owned()));
        let link = page.body["nextLink"].as_str();
        next = link.map(|link| link.strip_prefix("https://keyturn.test:1").unwrap().to_owned());
        pages += 1;
    }
    assert_eq!((pages, seen.len()), (3, 230));
    assert!(seen.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn an_address_that_would_lead_clients_elsewhere_is_refused() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    let path = format!("{FABRIC}/rotatePasswords?api-version=2025-07-15");
    for host in ["", "a b", "me@evil.example"] {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&path)
            .header("host", host)
            .header("authorization", format!("Bearer {TOKEN}"));
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "InvalidHost"));
    }
    assert_eq!(world.service.operations().len(), 1, "only the adoption");
}

#[tokio::test(start_paused = true)]
async fn a_store_or_vault_that_does_not_work_is_told_before_anything_is_changed() {
    let world = adopted(&["ce-01", "ts-01"]).await;
    let router = router(&world);
    world.store.faults().set(StoreFault::Full);
    let full = on_fabric(&router, "rotatePasswords", "").await;
    assert_eq!((full.status.as_u16(), full.code()), (503, "StoreUnavailable"));
    assert_eq!(full.header("retry-after"), None);
    assert_eq!(world.service.operations().len(), 1, "only the adoption");
    world.store.faults().clear();
    world.vault.faults().set(VaultFault::DownBefore);
    let device = FABRIC.replace("networkFabrics/lab", "networkDevices/ce-01");
    let body = serde_json::json!({"deviceId": device, "user": "admin"}).to_string();
    let down = post(&router, "/keyturn/v1/secrets:reveal", &body).await;
    assert_eq!((down.status.as_u16(), down.code()), (503, "VaultUnavailable"));
    // A rotation that cannot store its set was admitted: its failure is the operation's.
    let accepted = on_fabric(&router, "rotatePasswords", "").await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let ended = ended(&router, accepted.operation()).await;
    assert_eq!(ended.body["error"]["code"], "RotationFailed");
    assert_eq!(ended.body["error"]["details"][0]["code"], "VaultUnavailable");
}
