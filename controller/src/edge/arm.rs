//! The Azure Resource Manager surface of a fabric: the paths, bodies and long-running operations of
//! `Microsoft.ManagedNetworkFabric` 2025-07-15, as its published clients use them.
//!
//! Paths compare without case, as everywhere in ARM; that is why the path is parsed here and not by
//! the router. Resources come from inventories; what is noted on them can be changed here, and no
//! answer ever carries a password.

mod action;
mod directory;
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
    let service = target.enter(door, &caller, verb).await?;
    // Whatever version of the directory a client knows, this is all that there is of it.
    let is_directory = matches!(target, Target::Directory(_) | Target::Subscription(_));
    if verb == Verb::Delete {
        Query::read(request.uri())?;
        return update::delete(service, target).await;
    }
    let query = if is_directory { Query::default() } else { Query::read(request.uri())? };
    match target {
        Target::Directory(directory) => Ok(directory::show(service, &caller, directory)),
        Target::Subscription(id) => directory::show_subscription(service, &caller, &id),
        Target::List { kind, scope } => {
            list::list(service, &caller, kind, &scope, &query, &request)
        }
        Target::Fabric(id) => {
            if let Verb::Update { whole } = verb {
                update::fabric(service, &id, whole, request).await?;
            }
            show_fabric(service, &id)
        }
        Target::Device(id) => {
            if let Verb::Update { whole } = verb {
                update::device(service, &id, whole, request).await?;
            }
            show_device(service, &id)
        }
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

/// What is done to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    /// It is shown.
    Show,
    /// What is noted on it changes; `whole`: what is not given is taken away.
    Update {
        /// `PUT`, not `PATCH`.
        whole: bool,
    },
    /// It is deleted.
    Delete,
    /// Its action is carried out.
    Act,
}

impl Verb {
    fn right(self) -> Right {
        match self {
            Self::Show => Right::Read,
            Self::Update { .. } | Self::Act => Right::Operate,
            Self::Delete => Right::Administer,
        }
    }
}

impl Target {
    /// Lets a caller in who has the right to what the request is about.
    async fn enter<'d>(
        &self,
        door: &'d Door,
        caller: &Caller,
        verb: Verb,
    ) -> Result<&'d Arc<Service>, ApiError> {
        let doing = match verb {
            Verb::Show => "read",
            Verb::Delete => "delete",
            Verb::Update { .. } | Verb::Act => "write",
        };
        let of = |kind: &str| format!("{PROVIDER}/{kind}/{doing}");
        let act = |kind: &str, name: &str| format!("{PROVIDER}/{kind}/{name}/action");
        let (action, fabric) = match self {
            Self::List { kind, .. } => (of(kind.as_str()), None),
            Self::Directory(_) | Self::Subscription(_) => {
                ("Microsoft.Resources/subscriptions/read".to_owned(), None)
            }
            Self::Fabric(id) => (of(FabricId::KIND), Some(id.clone())),
            // To delete what is not there is done already.
            Self::Device(id) if verb == Verb::Delete => {
                (of(DeviceId::KIND), door.fabric_of(id).ok())
            }
            Self::Device(id) => (of(DeviceId::KIND), Some(door.fabric_of(id)?)),
            Self::FabricAction(id, action) => {
                (act(FabricId::KIND, action.as_str()), Some(id.clone()))
            }
            Self::DeviceAction(id, action) => {
                (act(DeviceId::KIND, action.as_str()), Some(door.fabric_of(id)?))
            }
            Self::Operation { id, .. } => {
                (of("locations/operationStatuses"), Some(door.fabric_of_operation(*id)?))
            }
        };
        let scope = fabric.as_ref().map_or(AccessScope::Visible, AccessScope::Fabric);
        if verb == Verb::Show {
            return door.show(caller, &action, scope);
        }
        let on = match self {
            Self::Device(id) | Self::DeviceAction(id, _) => id.to_string(),
            _ => fabric.as_ref().map_or_else(|| "/".to_owned(), FabricId::to_string),
        };
        door.open(caller, &action, verb.right(), scope, &on).await
    }

    /// The methods that there are, and what they do.
    fn methods(&self) -> &'static [(&'static str, Verb)] {
        match self {
            Self::Fabric(_) | Self::Device(_) => &[
                ("GET", Verb::Show),
                ("PUT", Verb::Update { whole: true }),
                ("PATCH", Verb::Update { whole: false }),
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
            ApiError::method(method).allow(&names).hint(format!(
                "use {}; fabrics are declared with `keyturn fabric apply`",
                names.join(", ")
            ))
        })
    }
}
