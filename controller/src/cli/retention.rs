//! `keyturn retention`, and what is left of deleted fabrics.

use serde_json::{Value, json};

use super::args::{FabricPurge, RetentionCommand, RetentionRelease, RetentionShow};
use super::failure::Failure;
use super::resource::{list, segment, text};
use super::target::Known;
use super::terminal::{Terminal, table};
use crate::client::Client;

const PURGE: &str = "/keyturn/v1/fabrics:purge";

pub(super) async fn run(
    client: &Client,
    command: RetentionCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        RetentionCommand::Show(wanted) => show(client, &wanted, terminal).await,
        RetentionCommand::Purge(target) => {
            let id = Known::ask(client).await?.fabric(&target)?;
            purge(client, &json!({"fabricId": id}), &id, terminal).await
        }
        RetentionCommand::Release(wanted) => release(client, &wanted, terminal).await,
    }
}

/// Purges what a deleted fabric has left.
pub(super) async fn purge_deleted(
    client: &Client,
    wanted: &FabricPurge,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = Known::ask_deleted(client).await?.fabric(&wanted.target)?;
    let body = json!({"fabricId": id, "deleted": true, "force": wanted.force});
    purge(client, &body, &id, terminal).await
}

async fn purge(
    client: &Client,
    body: &Value,
    id: &str,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let doing = format!("purge old passwords of fabric `{}`", segment(id, "networkFabrics"));
    let answer = client.post(PURGE, Some(body)).await;
    let answer = answer.map_err(|error| Failure::client(&doing, &error))?;
    terminal.say(&format!("purged {} versions", list(&answer.body, "/value").len()));
    terminal.result(answer.body, |purged| {
        let row = |place: &Value| [text(place, "/secretName"), text(place, "/secretVersion")];
        table(["Purged", "Version"], list(purged, "/value").iter().map(row).collect())
    })
}

async fn release(
    client: &Client,
    wanted: &RetentionRelease,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = known(client, wanted.deleted).await?.fabric(&wanted.target)?;
    let mut body = json!({"fabricId": id, "device": wanted.device});
    if let (Some(at), Some(body)) = (&wanted.gone_at, body.as_object_mut()) {
        body.insert("goneAt".to_owned(), json!(at));
    }
    let doing = format!("release the passwords that device `{}` took along", wanted.device);
    let answer = client.post("/keyturn/v1/fabrics:releaseDevice", Some(&body)).await;
    let answer = answer.map_err(|error| Failure::client(&doing, &error))?;
    terminal.result(answer.body, |released| format!("released {}", text(released, "/released")))
}

async fn known(client: &Client, deleted: bool) -> Result<Known, Failure> {
    if deleted { Known::ask_deleted(client).await } else { Known::ask(client).await }
}

async fn show(
    client: &Client,
    wanted: &RetentionShow,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let id = known(client, wanted.deleted).await?.fabric(&wanted.target)?;
    let answer = client.get(&format!("/keyturn/v1/fabrics{id}/retention")).await;
    let doing = "show what the vault keeps";
    terminal.result(answer.map_err(|error| Failure::client(doing, &error))?, retention_table)
}

fn retention_table(review: &Value) -> String {
    let all = list(review, "/value");
    let going = all.iter().filter(|value| text(value, "/goes") == "true").count();
    let row = |value: &Value| {
        let owners = names(list(value, "/owners"));
        let whose = if owners.is_empty() { "all".to_owned() } else { owners };
        let stays: Vec<String> = list(value, "/stays").iter().map(reason).collect();
        [
            text(value, "/profile"),
            whose,
            text(value, "/passwordSet"),
            text(value, "/secretVersion"),
            if stays.is_empty() { "goes".to_owned() } else { stays.join("; ") },
        ]
    };
    let header = ["Profile", "Devices", "Set", "Version", "Stays because"];
    format!(
        "{}\n{going} of {} versions may go, {} are being purged",
        table(header, all.iter().map(row).collect()),
        all.len(),
        list(review, "/purging").len()
    )
}

fn reason(stay: &Value) -> String {
    let devices = list(stay, "/devices");
    let message = text(stay, "/message");
    if devices.is_empty() { message } else { format!("{message} ({})", names(devices)) }
}

/// A few names, and how many more there are.
fn names(all: &[Value]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown: Vec<&str> = all.iter().take(SHOWN_MAX).filter_map(Value::as_str).collect();
    match all.len().checked_sub(SHOWN_MAX) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(" ")),
        _ => shown.join(" "),
    }
}

/// Lists deleted fabrics of which passwords are kept.
pub(super) async fn show_deleted(client: &Client, terminal: &mut Terminal) -> Result<(), Failure> {
    let answer = client.get("/keyturn/v1/deletedFabrics").await;
    let answer = answer.map_err(|error| Failure::client("list deleted fabrics", &error))?;
    let value = answer.get("value").cloned().unwrap_or_default();
    terminal.result(value, |fabrics| {
        let row = |fabric: &Value| {
            [
                text(fabric, "/name"),
                segment(&text(fabric, "/id"), "resourceGroups"),
                text(fabric, "/deletedAt"),
                text(fabric, "/versions"),
                names(list(fabric, "/devices")),
            ]
        };
        let header =
            ["Name", "Resource group", "Deleted", "Versions", "Devices that may have them"];
        table(header, list(fabrics, "").iter().map(row).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_of_each_version_why_it_stays() {
        let stays = json!([
            {"code": "InUse", "message": "the device may have it",
             "devices": ["a", "b", "c", "d", "e", "f", "g"]},
            {"code": "Newest", "message": "a resync brings it", "devices": []},
        ]);
        let value = |set: u32, goes: bool, stays: &Value| {
            json!({"profile": "admin", "owners": [], "passwordSet": set, "secretVersion": "0f",
                   "goes": goes, "stays": stays})
        };
        let review =
            json!({"purging": [], "value": [value(1, true, &json!([])), value(2, false, &stays)]});
        let table = retention_table(&review);
        assert!(table.contains("1 of 2 versions may go"), "{table}");
        let words: Vec<&str> = table.split_whitespace().collect();
        let words = words.join(" ");
        assert!(words.contains("goes"), "{words}");
        assert!(words.contains("and 2 more"), "{words}");
    }
}
