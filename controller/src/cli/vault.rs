//! `keyturn vault`

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::args::{AcceptRestored, BackUp, Global, Rekey, Restore, Vault, VaultCommand};
use super::failure::{Exit, Failure};
use super::resource::text;
use super::terminal::{Terminal, table};
use crate::age::Recipient;
use crate::config::{Config, Flags};
use crate::offline::{DataDir, NewFile, OfflineError};
use crate::vault::embedded::Settled;
use crate::vault::key::{NewKey, PassphraseSource};

/// Carries a command about the embedded vault out.
///
/// # Errors
/// Returns [`Failure`], which says how the process should end.
pub async fn vault(global: &Global, vault: Vault, terminal: &mut Terminal) -> Result<(), Failure> {
    let flags = Flags { data_dir: global.data_dir.clone(), listen: None };
    let config = Config::find(vault.config.as_deref(), &flags);
    let config =
        config.map_err(|error| Failure::of("", &error, error.hint().map(str::to_owned)))?;
    match vault.command {
        VaultCommand::Rekey(wanted) => rekey(&config, &wanted, terminal).await,
        VaultCommand::Backup(wanted) => back_up(global, &config, &wanted, terminal).await,
        VaultCommand::Restore(wanted) => restore(&config, &wanted, terminal).await,
        VaultCommand::AcceptRestored(wanted) => accept(&config, &wanted, terminal).await,
    }
}

fn failed(error: &OfflineError) -> Failure {
    let exit = match error {
        OfflineError::Missing { .. } => Exit::NotFound,
        _ => Exit::Failed,
    };
    Failure::of("", error, error.hint()).ending(exit)
}

async fn rekey(config: &Config, wanted: &Rekey, terminal: &mut Terminal) -> Result<(), Failure> {
    let dir = DataDir::take(config).await.map_err(|error| failed(&error))?;
    let new = match (&wanted.new_passphrase_file, wanted.new_passphrase, wanted.new_wrapped) {
        (Some(file), _, _) => NewKey::Passphrase(PassphraseSource::File(file.clone())),
        (None, true, _) => NewKey::Passphrase(PassphraseSource::Terminal),
        (None, false, true) => dir.new_wrapped().map_err(|error| failed(&error))?,
        (None, false, false) => NewKey::Random,
    };
    let rekeyed = dir.rekey(&new, wanted.to_key_file.as_deref()).await;
    let (rekeyed, settled) = rekeyed.map_err(|error| failed(&error))?;
    match settled {
        None => {}
        Some(Settled::OldKey) => terminal.say("an earlier change of the key had not been done"),
        Some(Settled::NewKey) => terminal.say("an earlier change of the key had been done"),
    }
    terminal.say(
        "the old key, beside the new one with `.was-` and its id in its name, opens older copies of the \
         vault's file only; keep it elsewhere for as long as you keep them",
    );
    if wanted.to_key_file.is_some() {
        terminal.say("tell the daemon where the new key is before you start it: see docs/vault.md");
    }
    let result = json!({
        "keyFile": rekeyed.key,
        "keyId": rekeyed.id,
        "previousKeyId": rekeyed.was,
        "dataKeys": rekeyed.data_keys,
    });
    terminal.result(result, |result: &Value| {
        let rows = [
            ("Key id", text(result, "/keyId")),
            ("Previous key id", text(result, "/previousKeyId")),
            ("Data keys sealed anew", text(result, "/dataKeys")),
        ];
        let rows = rows.map(|(name, value)| [name.to_owned(), value]).to_vec();
        table(["Key file", &text(result, "/keyFile")], rows)
    })
}

async fn back_up(
    global: &Global,
    config: &Config,
    wanted: &BackUp,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let parse = |text: &String| {
        let parsed: Result<Recipient, _> = text.parse();
        parsed.map_err(|error| Failure::of("", &error, error.hint()).ending(Exit::Usage))
    };
    let recipients: Vec<Recipient> =
        wanted.recipients.iter().map(parse).collect::<Result<_, _>>()?;
    let own = match &global.server {
        Some(_) => None,
        None => match DataDir::take(config).await {
            Err(OfflineError::InUse { .. }) => None,
            taken => Some(taken.map_err(|error| failed(&error))?),
        },
    };
    match own {
        Some(dir) => {
            dir.back_up(recipients, &wanted.to).await.map_err(|error| failed(&error))?;
        }
        None => fetch(global, &recipients, wanted).await?,
    }
    terminal.say(&format!("wrote `{}`", wanted.to.display()));
    terminal.say("it has every password and what opens them; try the restore once, elsewhere");
    Ok(())
}

/// Has the daemon make the backup.
async fn fetch(global: &Global, recipients: &[Recipient], wanted: &BackUp) -> Result<(), Failure> {
    let client = super::connect(global)?;
    let (new, mut file) = NewFile::begin(&wanted.to).map_err(|error| failed(&error))?;
    let recipients: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    let body = json!({ "recipients": recipients });
    let fetched = client.fetch("/keyturn/v1/vault:backup", &body, &mut file).await;
    fetched.map_err(|error| Failure::client("back the vault up", &error))?;
    new.finish().map_err(|error| failed(&error))
}

async fn restore(
    config: &Config,
    wanted: &Restore,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let dir = DataDir::take_or_make(config).await.map_err(|error| failed(&error))?;
    let restored = dir.restore(&wanted.from, &wanted.identity_file).await;
    let backup = restored.map_err(|error| failed(&error))?;
    terminal.say(
        "bring `store.db` back too, then run `keyturn vault accept-restored`: it says what \
         devices may have that is not in this vault",
    );
    let created = time::OffsetDateTime::from_unix_timestamp(
        i64::try_from(backup.created).unwrap_or(i64::MAX),
    );
    let created = created.ok().and_then(|at| at.format(&Rfc3339).ok());
    let result = json!({ "values": backup.values, "backedUpAt": created });
    terminal.result(result, |result: &Value| {
        let rows =
            [("Values", text(result, "/values")), ("Backed up at", text(result, "/backedUpAt"))];
        table(["Restored", "yes"], rows.map(|(name, value)| [name.to_owned(), value]).to_vec())
    })
}

async fn accept(
    config: &Config,
    wanted: &AcceptRestored,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let dir = DataDir::take(config).await.map_err(|error| failed(&error))?;
    let accepted = dir.accept_restored(wanted.despite_loss).await;
    let accepted = accepted.map_err(|error| failed(&error))?;
    for lost in &accepted.lost {
        terminal.say(&format!("lost: {lost}"));
    }
    if let Some(store) = &accepted.new_store {
        terminal.say(&format!("there was no store: `{}` is new and empty", store.display()));
    }
    if accepted.suspicion.is_none() {
        terminal.say("the vault and the store were the newest ones that are known");
    }
    let result = json!({
        "accepted": accepted.suspicion.map(|suspicion| suspicion.to_string()),
        "lost": accepted.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "newStore": accepted.new_store,
    });
    terminal.result(result, |result: &Value| {
        let lost = accepted.lost.len().to_string();
        let rows = vec![["Passwords lost".to_owned(), lost]];
        table(["Accepted", &text(result, "/accepted")], rows)
    })
}
