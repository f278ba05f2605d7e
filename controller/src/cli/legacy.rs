//! `keyturn legacy`

use serde_json::{Value, json};

use super::args::LegacyCommand;
use super::fabric;
use super::failure::Failure;
use super::resource::{list, segment, text};
use super::target::Known;
use super::terminal::{Terminal, table};
use crate::client::Client;

pub(super) async fn run(
    client: &Client,
    command: LegacyCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let known = Known::ask(client).await?;
    match command {
        LegacyCommand::Show(target) => show(client, known.fabric(&target)?, terminal).await,
        LegacyCommand::Rotate(on) => {
            let id = known.fabric(&on.target)?;
            let (path, body) = ("/keyturn/v1/fabrics:rotateOlderNames", json!({"fabricId": id}));
            let doing = format!(
                "rotate the passwords of fabric `{}` under older names",
                segment(&id, "networkFabrics")
            );
            fabric::begin(client, path, Some(&body), &doing, on.no_wait, terminal).await
        }
    }
}

async fn show(client: &Client, id: String, terminal: &mut Terminal) -> Result<(), Failure> {
    let summary = client.get(&format!("/keyturn/v1/fabrics{id}/summary")).await;
    let summary = summary.map_err(|error| Failure::client("show the older names", &error))?;
    terminal.result(summary, |summary| {
        let devices = list(summary, "/olderNamesDeviceIds").iter().filter_map(Value::as_str);
        let devices: Vec<String> = devices.map(|id| segment(id, "networkDevices")).collect();
        let mut rows = vec![
            ["Secrets have names".to_owned(), text(summary, "/secretNames")],
            ["Devices on older ones".to_owned(), devices.join(" ")],
        ];
        let names = summary.pointer("/olderNames").and_then(Value::as_object);
        for (profile, name) in names.into_iter().flatten() {
            rows.push([profile.clone(), name.as_str().unwrap_or_default().to_owned()]);
        }
        table(["Fabric", &segment(&id, "networkFabrics")], rows)
    })
}
