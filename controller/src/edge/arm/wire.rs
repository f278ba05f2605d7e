//! The bodies of the API, converted from what is known of a fabric.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::Device;

mod bootstrap;
mod device;
mod fabric;
mod operation;
mod secret;

pub(super) use self::bootstrap::any_device;
pub(super) use self::fabric::fabric;
pub(super) use self::operation::{OperationStatus, operation};

/// What every resource of ARM has around its properties.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource<P> {
    id: String,
    name: String,
    r#type: &'static str,
    location: String,
    tags: BTreeMap<String, String>,
    properties: P,
}

/// Returns a device's management addresses, IPv4 and IPv6, where the inventory has one and no name.
fn addresses(device: &Device) -> (Option<String>, Option<String>) {
    let address = device.spec.ssh.as_ref().map(|ssh| ssh.address.as_str());
    let ip: Option<IpAddr> = address.and_then(|address| address.parse().ok());
    let text = |ip: IpAddr| ip.to_string();
    (ip.filter(IpAddr::is_ipv4).map(text), ip.filter(IpAddr::is_ipv6).map(text))
}
