//! `keyturn token`

use serde_json::{Value, json};

use super::args::{TokenCommand, TokenCreate, TokenRevoke, spelling};
use super::failure::Failure;
use super::resource::{list, segment, text};
use super::terminal::{Terminal, table};
use crate::client::Client;

const PATH: &str = "/keyturn/v1/tokens";

pub(super) async fn run(
    client: &Client,
    command: TokenCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(wanted) => create(client, &wanted, terminal).await,
        TokenCommand::List => show_all(client, terminal).await,
        TokenCommand::Revoke(wanted) => revoke(client, &wanted, terminal).await,
    }
}

async fn create(
    client: &Client,
    wanted: &TokenCreate,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut body = json!({
        "role": spelling(&wanted.role),
        // Anything shorter than a second is none.
        "lifetimeSeconds": wanted.expires.as_secs(),
    });
    if let Some(fields) = body.as_object_mut() {
        fields.extend(wanted.name.iter().map(|name| ("name".to_owned(), json!(name))));
        fields.extend(wanted.fabric.iter().map(|id| ("fabricId".to_owned(), json!(id))));
        let prefix = wanted.secret_prefix.iter();
        fields.extend(prefix.map(|prefix| ("secretPrefix".to_owned(), json!(prefix))));
    }
    let answer = client.post(PATH, Some(&body)).await;
    let answer = answer.map_err(|error| Failure::client("make a token", &error))?;
    terminal.say("this is the only time that the token is shown");
    terminal.result(answer.body, |token| {
        let rows = [
            ("Token", text(token, "/token")),
            ("Id", text(token, "/id")),
            ("Role", text(token, "/role")),
            ("Fabric", fabric(token)),
            ("Secrets", secrets(token)),
            ("Expires", text(token, "/expiresAt")),
        ];
        table(["Token", ""], rows.map(|(name, value)| [name.to_owned(), value]).to_vec())
    })
}

async fn show_all(client: &Client, terminal: &mut Terminal) -> Result<(), Failure> {
    let answer = client.get(PATH).await;
    let answer = answer.map_err(|error| Failure::client("list the tokens", &error))?;
    terminal.result(answer, |answer| {
        let rows = list(answer, "/value").iter().map(|token| {
            let expired = token.pointer("/expired").and_then(Value::as_bool) == Some(true);
            let expires = text(token, "/expiresAt");
            [
                text(token, "/id"),
                text(token, "/name"),
                text(token, "/role"),
                fabric(token),
                secrets(token),
                if expired { format!("{expires} (over)") } else { expires },
            ]
        });
        table(["Id", "Name", "Role", "Fabric", "Secrets", "Expires"], rows.collect())
    })
}

async fn revoke(
    client: &Client,
    wanted: &TokenRevoke,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let path = format!("{PATH}/{}", wanted.id);
    let doing = format!("revoke the token `{}`", wanted.id);
    client.delete(&path).await.map_err(|error| Failure::client(&doing, &error))?;
    terminal.say(&format!("revoked the token `{}`", wanted.id));
    Ok(())
}

fn secrets(token: &Value) -> String {
    match token.pointer("/secretPrefix").and_then(Value::as_str) {
        Some(prefix) => format!("{prefix}*"),
        None => "all".to_owned(),
    }
}

fn fabric(token: &Value) -> String {
    match token.pointer("/fabricId").and_then(Value::as_str) {
        Some(id) => segment(id, "networkFabrics"),
        None => "all".to_owned(),
    }
}
