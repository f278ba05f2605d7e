//! Declaring a fabric and its devices.

use std::path::PathBuf;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::Native;
use crate::access::{Right, Scope};
use crate::edge::answer::{ApiError, json};
use crate::edge::auth::Caller;
use crate::edge::body;
use crate::edge::witness::Started;
use crate::inventory::{CurrentPasswords, DocumentError, Inventory};
use crate::naming::SecretName;
use crate::service::Applied;

/// The largest body, in bytes: an inventory of 5,000 devices is about 3 MiB.
const BYTES_MAX: usize = 8 << 20;

/// What is declared.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Apply {
    /// The inventory, TOML.
    inventory: String,
    /// What errors call it.
    inventory_file: Option<String>,
    /// The folder, on the daemon's host, that relative paths start from.
    base_dir: Option<PathBuf>,
    /// The passwords that the devices have now, TOML.
    #[serde(default, deserialize_with = "secret")]
    passwords: Zeroizing<String>,
    /// What errors call them.
    passwords_file: Option<String>,
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppliedBody {
    fabric_id: String,
    created: Vec<String>,
    changed: Vec<String>,
    unchanged: usize,
    /// The operation that verifies the devices that are not proven.
    operation: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(given: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(given).map(Zeroizing::new)
}

/// Declares a fabric, and starts to verify the devices that are not proven.
pub(super) async fn apply(
    State(native): State<Native>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    // Before the body is taken in, which may be large.
    let action = "Keyturn/fabrics/apply/action";
    caller.check(action, Right::Administer, Scope::Visible)?;
    let bytes = body::read(request.into_body(), BYTES_MAX).await?;
    let given: Apply = body::parse(&bytes)?;
    let (inventory, passwords) = native.parse(&given).await?;
    drop(given);
    let id = inventory.fabric.id.to_string();
    let scope = Scope::Fabric(&inventory.fabric.id);
    let service = native.door.open(&caller, action, Right::Administer, scope, &id).await?;
    let may_adopt = |name: &SecretName| caller.may_adopt(name);
    let applied = service.apply_by(inventory, passwords, &caller.declarer(&may_adopt)).await?;
    let operation = applied.operation;
    let mut response = json(StatusCode::OK, &AppliedBody::from(applied));
    if let Some(operation) = operation {
        response.extensions_mut().insert(Started(operation));
    }
    Ok(response)
}

impl Native {
    async fn parse(&self, given: &Apply) -> Result<(Inventory, CurrentPasswords), ApiError> {
        let platforms: Vec<&str> = self.names.platforms.iter().map(String::as_str).collect();
        let profiles: Vec<&str> = self.names.profiles.iter().map(String::as_str).collect();
        let file = given.inventory_file.as_deref().unwrap_or("the inventory");
        let base = given.base_dir.clone().unwrap_or_else(|| PathBuf::from("/"));
        let inventory = Inventory::parse(file, &base, &given.inventory, Some(&platforms))?;
        // What a caller brings goes before what the inventory refers to.
        let elsewhere = inventory.passwords_reference.as_ref();
        let passwords = match elsewhere.filter(|_reference| given.passwords.is_empty()) {
            Some(reference) => {
                let text = self.passwords(reference).await?;
                let file = format!("the {reference}");
                CurrentPasswords::parse(&file, &text, &inventory, Some(&profiles))?
            }
            None => {
                let file = given.passwords_file.as_deref().unwrap_or("the passwords");
                CurrentPasswords::parse(file, &given.passwords, &inventory, Some(&profiles))?
            }
        };
        Ok((inventory, passwords))
    }
}

impl From<DocumentError> for ApiError {
    fn from(error: DocumentError) -> Self {
        let message = format!("Failed to {error}.");
        let answer = Self::new(StatusCode::BAD_REQUEST, "InvalidInventory", message);
        match error.hint() {
            Some(hint) => answer.hint(hint),
            None => answer,
        }
    }
}

impl From<Applied> for AppliedBody {
    fn from(applied: Applied) -> Self {
        let names = |names: Vec<protocol::id::ResourceName>| {
            names.into_iter().map(|name| name.to_string()).collect()
        };
        Self {
            fabric_id: applied.fabric.to_string(),
            created: names(applied.created),
            changed: names(applied.changed),
            unchanged: applied.unchanged,
            operation: applied.operation.map(|id| id.to_string()),
        }
    }
}
