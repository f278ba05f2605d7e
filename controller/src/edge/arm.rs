//! The Azure Resource Manager surface of a fabric: the paths, bodies and long-running operations of
//! `Microsoft.ManagedNetworkFabric` 2025-07-15, as its published clients use them.
//!
//! Paths compare without case, as everywhere in ARM; that is why the path is parsed here and not by
//! the router. Resources come from inventories or are declared here, with an object of our own that
//! says what ARM has no words for. No answer ever carries a password.

mod action;
mod archive;
mod declare;
mod directory;
mod extension;
mod list;
mod operation;
mod path;
mod query;
mod update;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use protocol::id::{DeviceId, FabricId, PROVIDER};

pub(super) use self::directory::{ENDPOINTS_PATH, endpoints};
use self::path::{DeviceKind, Target};
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

/// Returns the paths that mean something.
pub(super) fn paths() -> Vec<String> {
    path::templates()
}

async fn handle_root() -> Response {
    path::unknown("/").into_response()
}

async fn handle(
    State(door): State<Door>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // A path need not be text once it is decoded.
    let answered = match path {
        Ok(Path(path)) => answer(&door, &path, request).await,
        Err(rejection) => Err(rejection.into()),
    };
    answered.unwrap_or_else(ApiError::into_response)
}

async fn answer(door: &Door, path: &str, request: Request) -> Result<Response, ApiError> {
    let caller = Caller::of(&request)?;
    let target = path::parse(path)?;
    let verb = target.verb(request.method())?;
    let deed = target.deed(door, verb)?;
    // What a request needs may depend on what it says: the door is opened when that is known.
    match &target {
        Target::Fabric(id) if verb == Verb::Put => {
            deed.check(&caller)?;
            Query::read(request.uri())?;
            return declare::fabric(door, &caller, id, request).await;
        }
        Target::Device(id, kind) if verb == Verb::Put => {
            deed.check(&caller)?;
            Query::read(request.uri())?;
            return declare::device(door, &caller, id, *kind, request).await;
        }
        Target::Fabric(id) if verb == Verb::Patch => {
            deed.check(&caller)?;
            Query::read(request.uri())?;
            let service = update::fabric(door, &caller, id, request).await?;
            return show_fabric(service, id);
        }
        _ => {}
    }
    if verb == Verb::Delete && deed.fabric.is_none() {
        // What was not there when the right to it was checked is not looked for again.
        deed.check(&caller)?;
        Query::read(request.uri())?;
        return Ok(update::deleted());
    }
    let service = deed.enter(door, &caller, verb).await?;
    // Whatever version of the directory a client knows, this is all that there is of it.
    let is_directory = matches!(target, Target::Directory(_) | Target::Subscription(_));
    if verb == Verb::Delete {
        Query::read(request.uri())?;
        return update::delete(door, service, target).await;
    }
    let query = if is_directory { Query::default() } else { Query::read(request.uri())? };
    match target {
        Target::Directory(directory) => Ok(directory::show(service, &caller, directory)),
        Target::Subscription(id) => directory::show_subscription(service, &caller, &id),
        Target::List { kind, scope } => {
            list::list(service, &caller, kind, &scope, &query, &request)
        }
        Target::Fabric(id) => show_fabric(service, &id),
        Target::Device(id, _kind) => {
            if verb == Verb::Patch {
                update::device(service, &id, request).await?;
            }
            show_device(service, &id)
        }
        Target::FabricAction(id, action) => action::on_fabric(service, id, action, request).await,
        Target::DeviceAction(id, kind, action) => {
            action::on_device(service, id, kind, action, request).await
        }
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
        Some(wire::any_device(service, fabric, name, device))
    });
    match body? {
        Some(body) => Ok(json(StatusCode::OK, &body)),
        None => Err(ServiceError::NotFound { what: "device", id: id.to_string() }.into()),
    }
}

impl DeviceKind {
    /// Returns the fabric of a device of this kind.
    fn fabric_of(self, door: &Door, id: &DeviceId) -> Result<FabricId, ServiceError> {
        door.fabric_of_kind(id, self == Self::Bootstrap)
    }
}

/// What is done to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    /// It is shown.
    Show,
    /// It is declared, or what is noted on it changes; what is not given is taken away.
    Put,
    /// What is noted on it changes; what is not given stays.
    Patch,
    /// It is deleted.
    Delete,
    /// Its action is carried out.
    Act,
}

impl Verb {
    fn right(self) -> Right {
        match self {
            Self::Show => Right::Read,
            Self::Put | Self::Patch | Self::Act => Right::Operate,
            Self::Delete => Right::Administer,
        }
    }
}

/// What a request comes to, as far as rights and the audit are concerned.
struct Deed {
    action: String,
    right: Right,
    /// The fabric that it is about; `None`: whatever the caller may see.
    fabric: Option<FabricId>,
    /// The object.
    on: String,
}

impl Deed {
    fn scope(&self) -> AccessScope<'_> {
        self.fabric.as_ref().map_or(AccessScope::Visible, AccessScope::Fabric)
    }

    /// Turns away whoever has no right to it.
    fn check(&self, caller: &Caller) -> Result<(), ApiError> {
        caller.check(&self.action, self.right, self.scope())
    }

    /// Lets in whoever has the right to it.
    async fn enter<'d>(
        &self,
        door: &'d Door,
        caller: &Caller,
        verb: Verb,
    ) -> Result<&'d Arc<Service>, ApiError> {
        match verb {
            Verb::Show => door.show(caller, &self.action, self.scope()),
            _ => door.open(caller, &self.action, self.right, self.scope(), &self.on).await,
        }
    }
}

impl Target {
    /// Says what is asked for.
    fn deed(&self, door: &Door, verb: Verb) -> Result<Deed, ApiError> {
        let doing = match verb {
            Verb::Show => "read",
            Verb::Delete => "delete",
            Verb::Put | Verb::Patch | Verb::Act => "write",
        };
        let of = |kind: &str| format!("{PROVIDER}/{kind}/{doing}");
        let act = |kind: &str, name: &str| format!("{PROVIDER}/{kind}/{name}/action");
        let (action, fabric) = match self {
            Self::List { kind, .. } => (of(kind.as_str()), None),
            Self::Directory(_) | Self::Subscription(_) => {
                ("Microsoft.Resources/subscriptions/read".to_owned(), None)
            }
            Self::Fabric(id) => (of(FabricId::KIND), Some(id.clone())),
            // To put what is not there declares it, also as a device of the other kind.
            Self::Device(id, kind) if verb == Verb::Put => {
                (of(kind.as_str()), door.fabric_of(id).ok())
            }
            // To delete what is not there is done already.
            Self::Device(id, kind) if verb == Verb::Delete => {
                (of(kind.as_str()), kind.fabric_of(door, id).ok())
            }
            Self::Device(id, kind) => (of(kind.as_str()), Some(kind.fabric_of(door, id)?)),
            Self::FabricAction(id, action) => {
                (act(FabricId::KIND, action.as_str()), Some(id.clone()))
            }
            Self::DeviceAction(id, kind, action) => {
                (act(kind.as_str(), action.as_str()), Some(kind.fabric_of(door, id)?))
            }
            Self::Operation { id, .. } => {
                (of("locations/operationStatuses"), Some(door.fabric_of_operation(*id)?))
            }
        };
        // Whoever may declare nothing at all need not send a body.
        let declares = matches!(self, Self::Device(..)) && fabric.is_none();
        let right = if declares { Right::Administer } else { verb.right() };
        let on = match self {
            Self::Device(id, kind) | Self::DeviceAction(id, kind, _) => kind.id(id),
            _ => fabric.as_ref().map_or_else(|| "/".to_owned(), FabricId::to_string),
        };
        Ok(Deed { action, right, fabric, on })
    }

    /// The methods that there are, and what they do.
    fn methods(&self) -> &'static [(&'static str, Verb)] {
        match self {
            Self::Fabric(_) | Self::Device(..) => &[
                ("GET", Verb::Show),
                ("PUT", Verb::Put),
                ("PATCH", Verb::Patch),
                ("DELETE", Verb::Delete),
            ],
            Self::FabricAction(..) | Self::DeviceAction(..) => &[("POST", Verb::Act)],
            Self::List { .. }
            | Self::Directory(_)
            | Self::Subscription(_)
            | Self::Operation { .. } => &[("GET", Verb::Show)],
        }
    }

    fn verb(&self, method: &Method) -> Result<Verb, ApiError> {
        let methods = self.methods();
        let found = methods.iter().find(|(name, _verb)| *name == method.as_str());
        found.map(|(_name, verb)| *verb).ok_or_else(|| {
            let names: Vec<&str> = methods.iter().map(|(name, _verb)| *name).collect();
            ApiError::method(method).allow(&names).hint(format!("use {}", names.join(", ")))
        })
    }
}
