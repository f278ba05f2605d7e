//! The Azure Resource Manager surface of a fabric: the paths, bodies and long-running operations of
//! `Microsoft.ManagedNetworkFabric` 2025-07-15, as its published clients use them.
//!
//! Paths compare without case, as everywhere in ARM; that is why the path is parsed here and not by
//! the router. Everything is read-only but the actions, and no answer ever carries a password.

mod action;
mod directory;
mod list;
mod operation;
mod path;
mod query;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use protocol::id::{DeviceId, FabricId, PROVIDER};

use self::path::Target;
use self::query::Query;
use super::answer::{ApiError, json};
use super::auth::{Caller, Door};
use crate::access::{Right, Scope as AccessScope};
use crate::service::{Service, ServiceError};

/// The API version that is served.
pub(super) const API_VERSION: &str = "2025-07-15";

/// Returns the routes. They take every path that no other edge has.
pub(super) fn routes(door: Door) -> Router {
    Router::new().route("/", any(handle_root)).route("/{*path}", any(handle)).with_state(door)
}

/// Returns the routes that are open to whoever asks.
pub(super) fn open_routes() -> Router {
    Router::new().route(directory::ENDPOINTS_PATH, any(directory::endpoints))
}

async fn handle_root() -> Response {
    path::unknown("/").into_response()
}

async fn handle(State(door): State<Door>, Path(path): Path<String>, request: Request) -> Response {
    match answer(&door, &path, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn answer(door: &Door, path: &str, request: Request) -> Result<Response, ApiError> {
    let caller = Caller::of(&request)?;
    let target = path::parse(path)?;
    target.check_method(request.method())?;
    let service = target.enter(door, &caller)?;
    // Whatever version of the directory a client knows, this is all that there is of it.
    let is_directory = matches!(target, Target::Directory(_) | Target::Subscription(_));
    let query = if is_directory { Query::default() } else { Query::read(request.uri())? };
    match target {
        Target::Directory(directory) => Ok(directory::show(service, &caller, directory)),
        Target::Subscription(id) => directory::show_subscription(service, &caller, &id),
        Target::List { kind, scope } => {
            list::list(service, &caller, kind, &scope, &query, &request)
        }
        Target::Fabric(id) => show_fabric(service, &id),
        Target::Device(id) => show_device(service, &id),
        Target::FabricAction(id, action) => action::on_fabric(service, id, action, request).await,
        Target::DeviceAction(id, action) => action::on_device(service, id, action, request).await,
        Target::Operation { subscription, id } => {
            operation::show(service, &subscription, id, &request)
        }
    }
}

fn show_fabric(service: &Service, id: &FabricId) -> Result<Response, ApiError> {
    let body = service.read(id, |fabric| wire::fabric(service, fabric));
    Ok(json(StatusCode::OK, &body?))
}

fn show_device(service: &Service, id: &DeviceId) -> Result<Response, ApiError> {
    let fabric = service.find_device(id)?;
    let body = service.read(&fabric, |fabric| {
        let (name, device) = fabric.devices.get_key_value(id.name())?;
        Some(wire::device(service, fabric, name, device))
    });
    match body? {
        Some(body) => Ok(json(StatusCode::OK, &body)),
        None => Err(ServiceError::NotFound { what: "device", id: id.to_string() }.into()),
    }
}

impl Target {
    /// Lets a caller in who has the right to what the request is about.
    fn enter<'d>(&self, door: &'d Door, caller: &Caller) -> Result<&'d Arc<Service>, ApiError> {
        let read = |kind: &str| format!("{PROVIDER}/{kind}/read");
        let act = |kind: &str, name: &str| format!("{PROVIDER}/{kind}/{name}/action");
        match self {
            Self::List { kind, .. } => {
                door.open(caller, &read(kind.as_str()), Right::Read, AccessScope::Visible)
            }
            Self::Directory(_) | Self::Subscription(_) => {
                door.open(caller, "Microsoft.Resources/read", Right::Read, AccessScope::Visible)
            }
            Self::Fabric(id) => {
                let action = read(FabricId::KIND);
                door.open(caller, &action, Right::Read, AccessScope::Fabric(id))
            }
            Self::Device(id) => {
                let (action, fabric) = (read(DeviceId::KIND), door.fabric_of(id)?);
                door.open(caller, &action, Right::Read, AccessScope::Fabric(&fabric))
            }
            Self::FabricAction(id, action) => {
                let action = act(FabricId::KIND, action.as_str());
                door.open(caller, &action, Right::Operate, AccessScope::Fabric(id))
            }
            Self::DeviceAction(id, action) => {
                let action = act(DeviceId::KIND, action.as_str());
                let fabric = door.fabric_of(id)?;
                door.open(caller, &action, Right::Operate, AccessScope::Fabric(&fabric))
            }
            Self::Operation { id, .. } => {
                let fabric = door.fabric_of_operation(*id)?;
                let action = read("locations/operationStatuses");
                door.open(caller, &action, Right::Read, AccessScope::Fabric(&fabric))
            }
        }
    }

    fn check_method(&self, method: &Method) -> Result<(), ApiError> {
        let allowed = match self {
            Self::FabricAction(..) | Self::DeviceAction(..) => Method::POST,
            Self::List { .. }
            | Self::Fabric(_)
            | Self::Device(_)
            | Self::Directory(_)
            | Self::Subscription(_)
            | Self::Operation { .. } => Method::GET,
        };
        if *method == allowed {
            return Ok(());
        }
        let message = format!("The requested resource does not support http method '{method}'.");
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        Err(error.hint(format!("use {allowed}; fabrics are declared with `keyturn fabric apply`")))
    }
}
