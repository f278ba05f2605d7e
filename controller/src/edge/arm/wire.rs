//! The bodies of the API, converted from what is known of a fabric.

mod bootstrap;
mod device;
mod fabric;
mod operation;
mod secret;

pub(super) use self::bootstrap::any_device;
pub(super) use self::fabric::fabric;
pub(super) use self::operation::{OperationStatus, operation};
