//! Lists, page by page.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::id::{DeviceId, FabricId, ResourceGroup};
use serde::Serialize;

use super::path::{DeviceKind, Kind, Scope};
use super::query::Query;
use super::{API_VERSION, operation, wire};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::service::Service;

/// Resources on one page. A device with 21 secrets is about 12 KiB, so that a page stays near
/// 1 MiB.
const PAGE_MAX: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    value: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_link: Option<String>,
}

/// Lists the resources of a kind, in the order of their ids.
pub(super) fn list(
    service: &Service,
    caller: &Caller,
    kind: Kind,
    scope: &Scope,
    query: &Query,
    request: &Request,
) -> Result<Response, ApiError> {
    match kind {
        Kind::Fabric => fabrics(service, caller, scope, query, request),
        Kind::Device(kind) => devices(service, caller, (kind, scope), query, request),
    }
}

fn fabrics(
    service: &Service,
    caller: &Caller,
    scope: &Scope,
    query: &Query,
    request: &Request,
) -> Result<Response, ApiError> {
    let ids = service.fabrics().into_iter();
    let ids = ids.filter(|id| caller.sees(id) && scope.holds(id.subscription(), id.group()));
    let ids = ids.collect();
    let page = Cut::new(ids, query)?;
    let next_link = page.next_link(request)?;
    let mut value = Vec::with_capacity(page.ids.len());
    for id in &page.ids {
        // What has been deleted meanwhile is not in the list.
        value.extend(service.read(id, |fabric| wire::fabric(service, fabric)).ok());
    }
    Ok(json(StatusCode::OK, &Page { value, next_link }))
}

fn devices(
    service: &Service,
    caller: &Caller,
    (kind, scope): (DeviceKind, &Scope),
    query: &Query,
    request: &Request,
) -> Result<Response, ApiError> {
    let mut ids: Vec<DeviceId> = Vec::new();
    let in_scope = |id: &FabricId| caller.sees(id) && scope.holds(id.subscription(), id.group());
    let fabrics: Vec<FabricId> = service.fabrics().into_iter().filter(in_scope).collect();
    for fabric in &fabrics {
        let names = service.read(fabric, |fabric| -> Vec<DeviceId> {
            let devices = fabric.devices.iter();
            let chosen = devices.filter(|(_name, device)| DeviceKind::of(device) == kind);
            chosen.map(|(name, _device)| fabric.device_id(name)).collect()
        });
        ids.extend(names.into_iter().flatten());
    }
    let page = Cut::new(ids, query)?;
    let next_link = page.next_link(request)?;
    let mut value = Vec::with_capacity(page.ids.len());
    for id in &page.ids {
        // What has been deleted meanwhile is not in the list, nor what is another's by now.
        let fabric = service.find_device(id).ok().filter(|fabric| fabrics.contains(fabric));
        let Some(fabric) = fabric else { continue };
        let device = service.read(&fabric, |fabric| {
            let (name, device) = fabric.devices.get_key_value(id.name())?;
            Some(wire::any_device(service, fabric, name, device))
        });
        value.extend(device.ok().flatten());
    }
    Ok(json(StatusCode::OK, &Page { value, next_link }))
}

impl Scope {
    fn holds(&self, subscription: &str, group: &ResourceGroup) -> bool {
        let in_group = self.group.as_ref().is_none_or(|wanted| wanted == group);
        in_group && self.subscription.eq_ignore_ascii_case(subscription)
    }
}

/// The ids of one page. The token of the next page is the last id of this one, so that resources
/// which come or go in between shift nothing.
struct Cut<Id> {
    ids: Vec<Id>,
    more: bool,
}

impl<Id: Ord + std::str::FromStr + std::fmt::Display> Cut<Id> {
    fn new(mut ids: Vec<Id>, query: &Query) -> Result<Self, ApiError> {
        if let Some(token) = &query.skip_token {
            let last = read_token::<Id>(token).ok_or_else(|| {
                let message = "The $skipToken is not one that this server gave.";
                ApiError::new(StatusCode::BAD_REQUEST, "InvalidSkipToken", message)
            })?;
            ids.retain(|id| *id > last);
        }
        let more = ids.len() > PAGE_MAX;
        if more {
            // The first page's worth, in no order: sorting all would cost more than the page.
            ids.select_nth_unstable(PAGE_MAX);
            ids.truncate(PAGE_MAX);
        }
        ids.sort_unstable();
        Ok(Self { ids, more })
    }

    fn next_link(&self, request: &Request) -> Result<Option<String>, ApiError> {
        let Some(last) = self.ids.last().filter(|_last| self.more) else { return Ok(None) };
        let token = hex::encode(last.to_string());
        let path = request.uri().path();
        let link = format!("{path}?api-version={API_VERSION}&$skipToken={token}");
        operation::absolute(request, &link).map(Some)
    }
}

fn read_token<Id: std::str::FromStr>(token: &str) -> Option<Id> {
    String::from_utf8(hex::decode(token).ok()?).ok()?.parse().ok()
}
