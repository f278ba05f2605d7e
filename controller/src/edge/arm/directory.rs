//! What clients ask before they ask for anything: which subscriptions and tenants there are, which
//! actions the provider knows, and (without a token) where what is.

use std::collections::BTreeSet;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::id::PROVIDER;
use serde::Serialize;
use serde_json::{Value, json};

use super::operation::Origin;
use super::path::{DeviceKind, Kind};
use crate::edge::answer::{ApiError, json as answer};
use crate::edge::auth::Caller;
use crate::service::Service;

/// The tenant that all subscriptions are in: Keyturn has one directory of its own.
const TENANT: &str = "00000000-0000-0000-0000-000000000000";

/// Where the endpoints are told, to whoever asks: a client cannot have a token before it knows
/// where tokens come from.
pub(in crate::edge) const ENDPOINTS_PATH: &str = "/metadata/endpoints";

#[derive(Serialize)]
struct List<T> {
    value: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    id: String,
    subscription_id: String,
    tenant_id: &'static str,
    display_name: String,
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tenant {
    id: String,
    tenant_id: &'static str,
    display_name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderOperation {
    name: String,
    is_data_action: bool,
    display: Display,
}

#[derive(Serialize)]
struct Display {
    provider: &'static str,
    resource: &'static str,
    operation: &'static str,
    description: &'static str,
}

/// What stands at the top of the tree of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    /// `/subscriptions`
    Subscriptions,
    /// `/tenants`
    Tenants,
    /// `/providers/Microsoft.ManagedNetworkFabric/operations`
    Operations,
}

/// Answers what stands at the top.
pub(super) fn show(service: &Service, caller: &Caller, directory: Directory) -> Response {
    match directory {
        Directory::Subscriptions => {
            answer(StatusCode::OK, &List { value: subscriptions(service, caller) })
        }
        Directory::Tenants => {
            let id = format!("/tenants/{TENANT}");
            let tenant = Tenant { id, tenant_id: TENANT, display_name: "Keyturn" };
            answer(StatusCode::OK, &List { value: vec![tenant] })
        }
        Directory::Operations => answer(StatusCode::OK, &List { value: operations() }),
    }
}

/// Answers one subscription.
pub(super) fn show_subscription(
    service: &Service,
    caller: &Caller,
    id: &str,
) -> Result<Response, ApiError> {
    let mut known = subscriptions(service, caller).into_iter();
    match known.find(|known| known.subscription_id.eq_ignore_ascii_case(id)) {
        Some(subscription) => Ok(answer(StatusCode::OK, &subscription)),
        None => {
            let message = format!("The subscription '{id}' could not be found.");
            Err(ApiError::new(StatusCode::NOT_FOUND, "SubscriptionNotFound", message))
        }
    }
}

fn subscriptions(service: &Service, caller: &Caller) -> Vec<Subscription> {
    let fabrics = service.fabrics().into_iter().filter(|fabric| caller.sees(fabric));
    let ids: BTreeSet<String> =
        fabrics.map(|fabric| fabric.subscription().to_ascii_lowercase()).collect();
    ids.into_iter()
        .map(|id| Subscription {
            id: format!("/subscriptions/{id}"),
            display_name: format!("Keyturn {id}"),
            subscription_id: id,
            tenant_id: TENANT,
            state: "Enabled",
        })
        .collect()
}

fn operations() -> Vec<ProviderOperation> {
    const READ: (&str, &str) = ("read", "Get or list");
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let resource = match kind {
            Kind::Fabric => "Network fabric",
            Kind::Device(DeviceKind::Network) => "Network device",
            Kind::Device(DeviceKind::Bootstrap) => "Network bootstrap device",
        };
        let actions = kind.actions().into_iter().map(|name| (format!("{name}/action"), name));
        let reads = std::iter::once((READ.0.to_owned(), READ.1));
        for (suffix, operation) in reads.chain(actions) {
            all.push(ProviderOperation {
                name: format!("{PROVIDER}/{}/{suffix}", kind.as_str()),
                is_data_action: false,
                display: Display {
                    provider: PROVIDER,
                    resource,
                    operation,
                    description: operation,
                },
            });
        }
    }
    all
}

/// Tells where what is, as `az cloud register` asks: everything is here.
pub(in crate::edge) async fn endpoints(request: Request) -> Response {
    match Origin::of(&request) {
        Ok(origin) => answer(StatusCode::OK, &[cloud(&origin.url())]),
        Err(error) => error.into_response(),
    }
}

fn cloud(url: &str) -> Value {
    json!({
        "name": "Keyturn",
        "portal": url,
        "resourceManager": url,
        "graph": url,
        "gallery": url,
        "authentication": {
            "loginEndpoint": url,
            "audiences": [url],
            "tenant": TENANT,
            "identityProvider": "AAD",
        },
        "suffixes": {},
    })
}
