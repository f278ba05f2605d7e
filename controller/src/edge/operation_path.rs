//! The path of an operation in the API, which is also its id.

use protocol::id::PROVIDER;

use crate::model::{Fabric, Operation};

/// Returns the path, without host and query.
pub(super) fn of(fabric: &Fabric, operation: &Operation) -> String {
    let location = fabric.spec.location.chars();
    let location: String = location.filter(char::is_ascii_alphanumeric).collect();
    let location = if location.is_empty() { "LOCAL".to_owned() } else { location };
    format!(
        "/subscriptions/{}/providers/{PROVIDER}/locations/{}/operationStatuses/{}",
        fabric.id.subscription(),
        location.to_ascii_uppercase(),
        operation.id
    )
}
