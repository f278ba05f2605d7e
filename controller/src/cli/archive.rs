//! `keyturn archive`

use serde_json::{Value, json};

use super::args::ArchiveCommand;
use super::failure::{Exit, Failure};
use super::resource::{list, segment, text};
use super::target::Known;
use super::terminal::{Terminal, table};
use crate::client::Client;

pub(super) async fn run(
    client: &Client,
    command: ArchiveCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let known = Known::ask(client).await?;
    match command {
        ArchiveCommand::Status(target) => status(client, &known.fabric(&target)?, terminal).await,
        ArchiveCommand::Retry(target) => retry(client, &known.fabric(&target)?, terminal).await,
        ArchiveCommand::Verify(target) => verify(client, &known.fabric(&target)?, terminal).await,
    }
}

async fn status(client: &Client, id: &str, terminal: &mut Terminal) -> Result<(), Failure> {
    let answer = client.get(&format!("/keyturn/v1/fabrics{id}/archive")).await;
    let answer = answer.map_err(|error| Failure::client("show the secret archive", &error))?;
    shown(answer, id, terminal)
}

async fn retry(client: &Client, id: &str, terminal: &mut Terminal) -> Result<(), Failure> {
    let doing = format!("copy the secrets of fabric `{}`", segment(id, "networkFabrics"));
    let answer = client.post("/keyturn/v1/archives:retry", Some(&json!({"fabricId": id}))).await;
    let answer = answer.map_err(|error| Failure::client(&doing, &error))?;
    shown(answer.body, id, terminal)
}

fn shown(answer: Value, id: &str, terminal: &mut Terminal) -> Result<(), Failure> {
    terminal.result(answer, |status| {
        let used = match status.pointer("/secretArchive/useKeyVault").and_then(Value::as_bool) {
            Some(true) => text(status, "/secretArchive/vaultUri"),
            Some(false) => format!("{} (not used)", text(status, "/secretArchive/vaultUri")),
            None => "none".to_owned(),
        };
        let rows = [
            ("Vault", used),
            ("Set by", text(status, "/secretArchive/setBy")),
            ("Copied", text(status, "/copied")),
            ("Pending", text(status, "/pending")),
            ("Left out", text(status, "/leftOut")),
            ("Pending since", text(status, "/pendingSince")),
            ("Last copied", text(status, "/lastCopied")),
            ("Last error", text(status, "/lastError/message")),
            ("What mends it", text(status, "/lastError/hint")),
        ];
        let rows = rows.map(|(name, value)| [name.to_owned(), value]).to_vec();
        table(["Fabric", &segment(id, "networkFabrics")], rows)
    })
}

async fn verify(client: &Client, id: &str, terminal: &mut Terminal) -> Result<(), Failure> {
    let doing = format!("compare the copies of fabric `{}`", segment(id, "networkFabrics"));
    let answer = client.post("/keyturn/v1/archives:verify", Some(&json!({"fabricId": id}))).await;
    let answer = answer.map_err(|error| Failure::client(&doing, &error))?.body;
    let is_wrong = |copy: &&Value| copy.pointer("/found").and_then(Value::as_str) != Some("Same");
    let (all, wrong) =
        (list(&answer, "/value").len(), list(&answer, "/value").iter().filter(is_wrong).count());
    terminal.result(answer, |answer| {
        let rows = list(answer, "/value").iter().map(|copy| {
            ["/secretName", "/secretVersion", "/copyVersion", "/found"].map(|at| text(copy, at))
        });
        table(["Secret", "Version", "Copy", "Found"], rows.collect())
    })?;
    if wrong == 0 {
        terminal.say(&format!("{all} copies are as they should be"));
        return Ok(());
    }
    let hint = "look at who else writes to that vault; the own vault has all values, and the next \
                rotation copies new ones";
    let message = format!("failed to {doing}: {wrong} of {all} are not the same");
    Err(Failure::new(Exit::Failed, message).hint(hint))
}
