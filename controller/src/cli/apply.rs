//! `keyturn fabric apply`

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::args::Apply;
use super::failure::Failure;
use super::resource::{list, segment, text};
use super::terminal::Terminal;
use super::wait;
use crate::client::Client;
use crate::inventory::{Inventory, InventoryError, private_text, stream_text};

/// What is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    inventory: &'a str,
    inventory_file: String,
    base_dir: &'a Path,
    #[serde(serialize_with = "open")]
    passwords: Zeroizing<String>,
    passwords_file: String,
}

fn open<S: Serializer>(text: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

pub(super) async fn run(
    client: &Client,
    apply: Apply,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let doing = format!("apply `{}`", apply.file.display());
    let failed = |error: InventoryError| Failure::of(&doing, &error, error.hint());
    let (inventory, base) = inventory(&apply.file).map_err(failed)?;
    let (passwords, passwords_file) = passwords(&apply, &inventory, &base).map_err(failed)?;
    let body = Declaration {
        inventory: &inventory,
        inventory_file: apply.file.display().to_string(),
        base_dir: &base,
        passwords,
        passwords_file,
    };
    let answer = client.post("/keyturn/v1/fabrics:apply", Some(&body)).await;
    drop(body);
    let applied = answer.map_err(|error| Failure::client(&doing, &error))?.body;
    terminal.say(&told(&applied));
    match applied.get("operation").and_then(Value::as_str) {
        Some(operation) if !apply.no_wait => {
            let doing = "verify the passwords that the devices have now";
            wait::until_end(client, operation, doing, terminal).await
        }
        _ => terminal.result(applied, told),
    }
}

/// Reads the inventory's text, and returns the folder that it is in.
fn inventory(path: &Path) -> Result<(Zeroizing<String>, PathBuf), InventoryError> {
    let name = path.display().to_string();
    let failed = |source| InventoryError::Read { file: name.clone(), source };
    let full = std::path::absolute(path).map_err(failed)?;
    let text = stream_text(&name, &mut File::open(path).map_err(failed)?)?;
    Ok((text, full.parent().unwrap_or_else(|| Path::new("/")).to_owned()))
}

/// Gets the passwords that the devices have now, and what errors call them.
fn passwords(
    apply: &Apply,
    inventory: &str,
    base: &Path,
) -> Result<(Zeroizing<String>, String), InventoryError> {
    if apply.passwords_stdin {
        let name = "standard input".to_owned();
        return Ok((stream_text(&name, &mut io::stdin().lock())?, name));
    }
    // Parsed here for the file that it names, and so that a broken one never leaves this host.
    let file = apply.file.display().to_string();
    let parsed = Inventory::parse(&file, base, inventory, None)?;
    match parsed.passwords {
        Some(file) => Ok((private_text(&file)?, file.display().to_string())),
        None => Ok((Zeroizing::default(), "the passwords (none were given)".to_owned())),
    }
}

fn told(applied: &Value) -> String {
    format!(
        "fabric `{}`: {} devices created, {} changed, {} as they were",
        segment(&text(applied, "/fabricId"), "networkFabrics"),
        list(applied, "/created").len(),
        list(applied, "/changed").len(),
        text(applied, "/unchanged")
    )
}
