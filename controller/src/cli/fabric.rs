//! `keyturn fabric`

use serde_json::{Value, json};

use super::apply;
use super::args::{
    CommitConfiguration, FabricCommand, FabricList, LockFabric, OnFabric, Plan, UpgradeFabric,
    spelling,
};
use super::failure::Failure;
use super::resource::{list, merge, segment, synchronization, text};
use super::retention;
use super::target::Known;
use super::terminal::{Terminal, table};
use super::wait;
use crate::client::Client;

pub(super) async fn run(
    client: &Client,
    command: FabricCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        FabricCommand::Apply(apply) => apply::run(client, apply, terminal).await,
        FabricCommand::List(scope) if scope.deleted => {
            retention::show_deleted(client, terminal).await
        }
        FabricCommand::List(scope) => show_all(client, &scope, terminal).await,
        FabricCommand::Show(target) => {
            let id = Known::ask(client).await?.fabric(&target)?;
            show(client, &id, terminal).await
        }
        FabricCommand::Plan(plan) => show_plan(client, &plan, terminal).await,
        FabricCommand::RotatePassword(on) => {
            act(client, &on, "rotatePasswords", "rotate the passwords", terminal).await
        }
        FabricCommand::ResyncPassword(on) => {
            act(client, &on, "resyncPasswords", "resync the passwords", terminal).await
        }
        FabricCommand::LockFabric(lock) => set_lock(client, &lock, terminal).await,
        FabricCommand::Delete(target) => {
            let id = Known::ask(client).await?.fabric(&target)?;
            delete(client, &id, "fabric", terminal).await
        }
        FabricCommand::Purge(wanted) => retention::purge_deleted(client, &wanted, terminal).await,
        FabricCommand::CommitConfiguration(commit) => note_commit(client, &commit, terminal).await,
        FabricCommand::Upgrade(upgrade) => note_upgrade(client, &upgrade, terminal).await,
    }
}

async fn show_all(
    client: &Client,
    scope: &FabricList,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let known = Known::ask(client).await?;
    let mut fabrics = Vec::new();
    for id in known.fabrics(scope.resource_group.as_deref()) {
        let fabric = client.get(id).await;
        fabrics.push(fabric.map_err(|error| Failure::client("list the fabrics", &error))?);
    }
    terminal.result(Value::Array(fabrics), fabrics_table)
}

fn fabrics_table(fabrics: &Value) -> String {
    let header =
        ["Name", "Resource group", "Location", "Administrative", "Configuration", "Password sets"];
    let row = |fabric: &Value| {
        [
            text(fabric, "/name"),
            segment(&text(fabric, "/id"), "resourceGroups"),
            text(fabric, "/location"),
            text(fabric, "/properties/administrativeState"),
            text(fabric, "/properties/configurationState"),
            text(fabric, "/properties/secretRotationSummary/activePasswordSetCount"),
        ]
    };
    table(header, list(fabrics, "").iter().map(row).collect())
}

async fn show(client: &Client, id: &str, terminal: &mut Terminal) -> Result<(), Failure> {
    let doing = "show the fabric";
    let failed = |error| Failure::client(doing, &error);
    let mut fabric = client.get(id).await.map_err(failed)?;
    let summary = client.get(&format!("/keyturn/v1/fabrics{id}/summary")).await.map_err(failed)?;
    merge(&mut fabric, summary);
    terminal.result(fabric, fabric_table)
}

fn fabric_table(fabric: &Value) -> String {
    let locks = list(fabric, "/properties/fabricLocks");
    let locked = locks.iter().filter(|lock| text(lock, "/lockState") == "Enabled");
    let locked: Vec<String> = locked.map(|lock| text(lock, "/lockType")).collect();
    let failed = list(fabric, "/failedDeviceIds").iter().filter_map(Value::as_str);
    let failed: Vec<&str> = failed.map(|id| id.rsplit('/').next().unwrap_or(id)).collect();
    let or_none = |names: String| if names.is_empty() { "-".to_owned() } else { names };
    let server = "/properties/terminalServerConfiguration/secretRotationStatus";
    let rows = [
        ("Name", text(fabric, "/name")),
        ("Id", text(fabric, "/id")),
        ("Location", text(fabric, "/location")),
        ("Administrative state", text(fabric, "/properties/administrativeState")),
        ("Configuration state", text(fabric, "/properties/configurationState")),
        ("Locks", or_none(locked.join(", "))),
        ("Last operation", text(fabric, "/properties/lastOperation/details")),
        ("Last rotation", text(fabric, "/lastRotationTime")),
        ("State", text(fabric, "/state")),
        ("Devices", text(fabric, "/totalDevices")),
        ("In sync", list(fabric, "/succeededDeviceIds").len().to_string()),
        ("Not in sync", or_none(failed.join(", "))),
        ("Terminal server", synchronization(list(fabric, server))),
        ("Password sets in use", text(fabric, "/uniquePasswordSetCount")),
        ("Secret archive", or_none(archive(fabric))),
    ];
    table(["Fabric", ""], rows.map(|(name, value)| [name.to_owned(), value]).to_vec())
}

/// Says to which vault of the customer's secrets are copied, and as whom.
fn archive(fabric: &Value) -> String {
    let at = |pointer: &str| {
        let value = fabric.pointer(&format!("/properties{pointer}")).and_then(Value::as_str);
        value.map(str::to_owned)
    };
    let id = at("/secretArchive/keyVaultId");
    if fabric.pointer("/properties/secretArchiveSettings").is_some() {
        let vault = at("/secretArchiveSettings/vaultUri").or(id).unwrap_or_default();
        let identity = "/secretArchiveSettings/associatedIdentity";
        let named = at(&format!("{identity}/userAssignedIdentityResourceId"));
        return match named.or_else(|| at(&format!("{identity}/identityType"))) {
            Some(identity) => format!("{vault} as {identity}"),
            None => vault,
        };
    }
    match (id, at("/secretArchive/useKeyVault").as_deref()) {
        (Some(id), Some("True")) => id,
        (Some(id), _) => format!("{id} (not used)"),
        (None, _) => String::new(),
    }
}

async fn show_plan(client: &Client, plan: &Plan, terminal: &mut Terminal) -> Result<(), Failure> {
    let id = Known::ask(client).await?.fabric(&plan.target)?;
    let request = spelling(&plan.request);
    let path = format!("/keyturn/v1/fabrics{id}/plan?request={request}");
    let answer = client.get(&path).await;
    let doing = format!("plan a {request}");
    terminal.result(answer.map_err(|error| Failure::client(&doing, &error))?, plan_table)
}

fn plan_table(plan: &Value) -> String {
    let names = |wave: &Value| {
        let names = list(wave, "").iter().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(" ")
    };
    let waves = list(plan, "/waves").iter().enumerate();
    let mut rows: Vec<[String; 3]> = waves
        .map(|(at, wave)| {
            [format!("wave {}", at + 1), list(wave, "").len().to_string(), names(wave)]
        })
        .collect();
    rows.extend(list(plan, "/skipped").iter().map(|skipped| {
        let why = format!("{}: {}", text(skipped, "/device"), text(skipped, "/message"));
        ["left out".to_owned(), "1".to_owned(), why]
    }));
    let made = match plan.get("makesPasswordSet") {
        Some(Value::Bool(true)) => "a new one",
        _ => "the one that is there",
    };
    let title = format!("password set {} ({made})", text(plan, "/passwordSet"));
    table([title.as_str(), "Devices", "Which"], rows)
}

async fn act(
    client: &Client,
    on: &OnFabric,
    action: &str,
    doing: &str,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask(client).await?.fabric(&on.target)?;
    let doing = format!("{doing} of fabric `{}`", segment(&id, "networkFabrics"));
    begin(client, &format!("{id}/{action}"), None, &doing, on.no_wait, terminal).await
}

/// Asks for an action that starts an operation, and unless told otherwise waits for its end.
pub(super) async fn begin(
    client: &Client,
    path: &str,
    body: Option<&Value>,
    doing: &str,
    no_wait: bool,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let answer = client.post(path, body).await;
    let answer = answer.map_err(|error| Failure::client(doing, &error))?;
    match answer.operation {
        Some(operation) if no_wait => admitted(client, &operation, doing, terminal).await,
        Some(operation) => wait::until_end(client, &operation, doing, terminal).await,
        None => terminal.result(answer.body, |body| text(body, "/status")),
    }
}

/// Shows an operation that nobody waits for.
async fn admitted(
    client: &Client,
    operation: &str,
    doing: &str,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let answer = client.get(&format!("/keyturn/v1/operations/{operation}")).await;
    let mut answer = answer.map_err(|error| Failure::client(doing, &error))?;
    if let Value::Object(fields) = &mut answer {
        fields.shift_remove("devices");
    }
    terminal.say(&format!("admitted; `keyturn operation wait {operation}` waits for its end"));
    terminal.result(answer, wait::summary)
}

async fn set_lock(
    client: &Client,
    lock: &LockFabric,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask(client).await?.fabric(&lock.target)?;
    let action = spelling(&lock.action);
    let body = json!({"lockType": spelling(&lock.lock_type), "action": action});
    let doing = format!("{} fabric `{}`", action.to_lowercase(), segment(&id, "networkFabrics"));
    let path = format!("{id}/lockFabric");
    begin(client, &path, Some(&body), &doing, false, terminal).await
}

async fn note_commit(
    client: &Client,
    commit: &CommitConfiguration,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask(client).await?.fabric(&commit.target)?;
    let body = commit.commit_stage.map(|stage| json!({"commitStage": spelling(&stage)}));
    let doing = format!("note a commit of fabric `{}`", segment(&id, "networkFabrics"));
    let path = format!("{id}/commitConfiguration");
    begin(client, &path, body.as_ref(), &doing, false, terminal).await
}

async fn note_upgrade(
    client: &Client,
    upgrade: &UpgradeFabric,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask(client).await?.fabric(&upgrade.target)?;
    let body = json!({"action": spelling(&upgrade.action), "version": upgrade.version});
    let doing = format!("note an upgrade of fabric `{}`", segment(&id, "networkFabrics"));
    let path = format!("{id}/upgrade");
    begin(client, &path, Some(&body), &doing, false, terminal).await
}

/// Deletes a resource.
pub(super) async fn delete(
    client: &Client,
    id: &str,
    what: &str,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let name = id.rsplit('/').next().unwrap_or(id);
    let doing = format!("delete {what} `{name}`");
    client.delete(id).await.map_err(|error| Failure::client(&doing, &error))?;
    terminal.say(&format!("deleted {what} `{name}`"));
    Ok(())
}
