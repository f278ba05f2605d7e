//! `keyturn device`

use serde_json::{Value, json};

use super::args::{
    DeviceCommand, DeviceList, FabricTarget, OnDevice, RebootDevice, UpdateAdminState,
    UpgradeDevice, spelling,
};
use super::fabric::{begin, delete};
use super::failure::Failure;
use super::resource::{list, merge, segment, synchronization, text};
use super::target::{Known, last};
use super::terminal::{Terminal, table};
use crate::client::{Client, ClientError};

pub(super) async fn run(
    client: &Client,
    command: DeviceCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::List(scope) => show_all(client, &scope, terminal).await,
        DeviceCommand::Show(target) => {
            let id = Known::ask(client).await?.device(&target)?;
            let failed = |error| Failure::client("show the device", &error);
            let device = client.get(&id).await.map_err(failed)?;
            let device = with_secrets(client, device).await.map_err(failed)?;
            terminal.result(device, device_table)
        }
        DeviceCommand::Delete(target) => {
            let id = Known::ask(client).await?.device(&target)?;
            delete(client, &id, "device", terminal).await
        }
        DeviceCommand::ResyncPassword(on) => resync(client, &on, terminal).await,
        DeviceCommand::UpdateAdminState(update) => set_state(client, &update, terminal).await,
        DeviceCommand::Upgrade(upgrade) => note_upgrade(client, &upgrade, terminal).await,
        DeviceCommand::Reboot(on) => reboot(client, &on, terminal).await,
    }
}

/// The API's type of a bootstrap device does not say how far its secrets are; Keyturn does.
async fn with_secrets(client: &Client, mut device: Value) -> Result<Value, ClientError> {
    if device.pointer("/properties/secretRotationStatus").is_some() {
        return Ok(device);
    }
    let fabric = text(&device, "/properties/networkFabricId");
    let known = client.get(&format!("/keyturn/v1/fabrics{fabric}/bootstrap-devices")).await?;
    let name = text(&device, "/name");
    let mut known = list(&known, "/value").iter();
    let found = known.find(|known| text(known, "/name").eq_ignore_ascii_case(&name));
    if let (Some(found), Some(properties)) = (found, device.get_mut("properties")) {
        merge(properties, found.clone());
    }
    Ok(device)
}

async fn show_all(
    client: &Client,
    scope: &DeviceList,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let known = Known::ask(client).await?;
    let group = scope.resource_group.as_deref();
    let fabrics: Vec<String> = match &scope.fabric {
        Some(_) => {
            let fabric = scope.fabric.clone();
            let resource_group = scope.resource_group.clone();
            let target = FabricTarget { fabric, resource_group, ..FabricTarget::default() };
            vec![known.fabric(&target)?]
        }
        None => known.fabrics(group).into_iter().map(str::to_owned).collect(),
    };
    let mut devices = Vec::new();
    // The API lists by resource group, not by fabric.
    let mut groups: Vec<&str> = fabrics.iter().map(|id| group_path(id)).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let kind = if scope.bootstrap { "networkBootstrapDevices" } else { "networkDevices" };
        let failed = |error| Failure::client("list the devices", &error);
        for device in client.list(&format!("{group}/{kind}")).await.map_err(failed)? {
            devices.push(with_secrets(client, device).await.map_err(failed)?);
        }
    }
    let of_these = |device: &Value| {
        let of = text(device, "/properties/networkFabricId");
        fabrics.iter().any(|fabric| fabric.eq_ignore_ascii_case(&of))
    };
    devices.retain(of_these);
    terminal.result(Value::Array(devices), devices_table)
}

/// Returns a fabric's id without its kind and name.
fn group_path(id: &str) -> &str {
    let end = id.rmatch_indices('/').nth(1).map_or(id.len(), |(at, _slash)| at);
    id.get(..end).unwrap_or(id)
}

fn devices_table(devices: &Value) -> String {
    let header = ["Name", "Role", "Fabric", "Administrative", "Configuration", "Secrets"];
    let row = |device: &Value| {
        [
            text(device, "/name"),
            text(device, "/properties/networkDeviceRole"),
            segment(&text(device, "/properties/networkFabricId"), "networkFabrics"),
            text(device, "/properties/administrativeState"),
            text(device, "/properties/configurationState"),
            synchronization(list(device, "/properties/secretRotationStatus")),
        ]
    };
    table(header, list(devices, "").iter().map(row).collect())
}

fn device_table(device: &Value) -> String {
    let rows = [
        ("Name", text(device, "/name")),
        ("Id", text(device, "/id")),
        ("Role", text(device, "/properties/networkDeviceRole")),
        ("Serial number", text(device, "/properties/serialNumber")),
        ("Version", text(device, "/properties/version")),
        ("Fabric", text(device, "/properties/networkFabricId")),
        ("Administrative state", text(device, "/properties/administrativeState")),
        ("Configuration state", text(device, "/properties/configurationState")),
        ("Last operation", text(device, "/properties/lastOperation/details")),
    ];
    let rows = rows.map(|(name, value)| [name.to_owned(), value]).to_vec();
    let secrets = list(device, "/properties/secretRotationStatus").iter().map(|secret| {
        [
            text(secret, "/secretType"),
            text(secret, "/synchronizationStatus"),
            text(secret, "/lastRotationTime"),
            text(secret, "/secretArchiveReference/secretVersion"),
        ]
    });
    let header = ["Secret", "Status", "Last rotation", "Version"];
    format!("{}\n{}", table(["Device", ""], rows), table(header, secrets.collect()))
}

async fn resync(client: &Client, on: &OnDevice, terminal: &mut Terminal) -> Result<(), Failure> {
    let id = Known::ask(client).await?.device(&on.target)?;
    let doing = format!("resync the passwords of device `{}`", last(&id));
    begin(client, &format!("{id}/resyncPasswords"), None, &doing, on.no_wait, terminal).await
}

async fn note_upgrade(
    client: &Client,
    upgrade: &UpgradeDevice,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask(client).await?.device(&upgrade.target)?;
    let doing = format!("note the upgrade of device `{}`", last(&id));
    let body = json!({"version": upgrade.version});
    begin(client, &format!("{id}/upgrade"), Some(&body), &doing, false, terminal).await
}

async fn reboot(
    client: &Client,
    on: &RebootDevice,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask(client).await?.device(&on.target)?;
    let doing = format!("reboot device `{}`", last(&id));
    let body = json!({"rebootType": spelling(&on.reboot_type)});
    begin(client, &format!("{id}/reboot"), Some(&body), &doing, on.no_wait, terminal).await
}

async fn set_state(
    client: &Client,
    update: &UpdateAdminState,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask(client).await?.device(&update.target)?;
    let state = spelling(&update.state);
    let name = last(&id);
    let doing = format!("set the administrative state of device `{name}` to {state}");
    let path = format!("{id}/updateAdministrativeState");
    let body = json!({"state": state});
    begin(client, &path, Some(&body), &doing, update.no_wait, terminal).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_looks_in_the_group_of_the_fabric() {
        let id = "/subscriptions/s/resourceGroups/g/providers/p/networkFabrics/east";
        assert_eq!(group_path(id), "/subscriptions/s/resourceGroups/g/providers/p");
    }
}
