//! `keyturn secret`

use serde_json::{Value, json};

use super::args::{DeviceTarget, FabricTarget, SecretCommand, SecretShow};
use super::failure::Failure;
use super::resource::{list, segment, text};
use super::target::{Known, as_network_device, last};
use super::terminal::{Terminal, table};
use crate::client::Client;

pub(super) async fn run(
    client: &Client,
    command: SecretCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        SecretCommand::Show(wanted) => show(client, wanted, terminal).await,
    }
}

async fn show(client: &Client, wanted: SecretShow, terminal: &mut Terminal) -> Result<(), Failure> {
    let (id, from) = find(client, &wanted).await?;
    let name = segment(&id, "networkDevices");
    let body = json!({"deviceId": id, "user": wanted.user, "deletedFrom": from});
    let answer = client.post("/keyturn/v1/secrets:reveal", Some(&body)).await;
    let doing = format!("reveal what opens device `{name}` as `{}`", wanted.user);
    let answer = answer.map_err(|error| Failure::client(&doing, &error))?;
    terminal.result(answer.body, secret_table)
}

/// Finds the device, and the fabric that it was deleted from if that is what it was.
async fn find(client: &Client, wanted: &SecretShow) -> Result<(String, Option<String>), Failure> {
    let group = &wanted.resource_group;
    let Some(from) = &wanted.deleted_from else {
        let (device, resource_group) = (Some(wanted.device.clone()), group.clone());
        let target = DeviceTarget { device, resource_group, ..DeviceTarget::default() };
        let id = as_network_device(&Known::ask(client).await?.device(&target)?);
        return Ok((id, None));
    };
    let (fabric, resource_group) = (Some(from.clone()), group.clone());
    let target = FabricTarget { fabric, resource_group, ..FabricTarget::default() };
    let from = match Known::ask(client).await?.fabric(&target) {
        Ok(living) => living,
        Err(_not_living) => Known::ask_deleted(client).await?.fabric(&target)?,
    };
    let base = from.split("/networkFabrics/").next().unwrap_or_default();
    let id = format!("{base}/networkDevices/{}", last(&wanted.device));
    Ok((id, Some(from)))
}

fn secret_table(secret: &Value) -> String {
    let rows = [
        ("Device", segment(&text(secret, "/device"), "networkDevices")),
        ("User", text(secret, "/user")),
        ("Password", text(secret, "/value")),
        ("Synchronization status", text(secret, "/synchronizationStatus")),
        ("Last proven", text(secret, "/lastProven")),
        ("Proven by", text(secret, "/evidence")),
        ("Version", text(secret, "/secretArchiveReference/secretVersion")),
        ("Reference", text(secret, "/secretArchiveReference/keyVaultUri")),
    ];
    let main = table(["Secret", ""], rows.map(|(name, value)| [name.to_owned(), value]).to_vec());
    format!("{main}{}{}", candidates(secret), missing(secret))
}

fn candidates(secret: &Value) -> String {
    let candidates = list(secret, "/candidates");
    if candidates.len() < 2 {
        return String::new();
    }
    let row = |(at, candidate): (usize, &Value)| {
        [
            (at + 1).to_string(),
            text(candidate, "/value"),
            text(candidate, "/secretVersion"),
            text(candidate, "/evidence"),
        ]
    };
    let rows = candidates.iter().enumerate().map(row).collect();
    let header = ["Try", "Password", "Version", "Evidence"];
    format!("\nThe outcome of a change is unknown. Try in this order:\n{}", table(header, rows))
}

fn missing(secret: &Value) -> String {
    let missing = list(secret, "/missing");
    if missing.is_empty() {
        return String::new();
    }
    let row = |one: &Value| ["/secretVersion", "/evidence", "/reason"].map(|key| text(one, key));
    let rows = missing.iter().map(row).collect();
    let header = ["Version", "Evidence", "Why not"];
    format!("\nThese may open it, too, and cannot be read:\n{}", table(header, rows))
}
