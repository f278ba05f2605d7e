//! Waiting for an operation, and what its end means.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::failure::Failure;
use super::progress::{OperationProgress, Progress};
use super::resource::{list, text};
use super::terminal::Terminal;
use crate::client::{ApiFailure, Client, ClientError};

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a daemon may be away (a restart) before waiting ends. Operations survive it.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// Waits until an operation has ended, and returns it as the API has it.
///
/// # Errors
/// Returns [`ClientError`] for an operation that there is not, and for a server that stays away.
pub async fn follow(
    client: &Client,
    operation: &str,
    progress: &mut Progress<'_>,
) -> Result<Value, ClientError> {
    let path = format!("/keyturn/v1/operations/{operation}");
    let mut seen = Instant::now();
    loop {
        match client.get(&path).await {
            Ok(answer) => {
                seen = Instant::now();
                let now = OperationProgress::read(answer).map_err(|source| {
                    ClientError::Answer { server: client.server().to_owned(), source }
                })?;
                progress.show(&now);
                if now.has_ended() {
                    progress.finish();
                    return client.get(&now.id).await;
                }
            }
            Err(error) if error.is_lost() && seen.elapsed() < AWAY_MAX => progress.away(),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for an operation and shows how it ended. `doing` completes "failed to …".
pub(super) async fn until_end(
    client: &Client,
    operation: &str,
    doing: &str,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut progress = Progress::new(terminal, doing);
    let ended = follow(client, operation, &mut progress).await;
    drop(progress);
    let ended = ended.map_err(|error| Failure::client(doing, &error))?;
    let verdict = verdict(&ended, doing);
    terminal.result(ended, summary)?;
    verdict
}

/// Says whether an operation that has ended has succeeded.
fn verdict(ended: &Value, doing: &str) -> Result<(), Failure> {
    match text(ended, "/status").as_str() {
        "Succeeded" => Ok(()),
        _ => {
            let error = ended.get("error").unwrap_or(&Value::Null);
            Err(Failure::operation(doing, &ApiFailure::of(error)))
        }
    }
}

/// One line for people.
pub(super) fn summary(operation: &Value) -> String {
    let results = list(operation, "/operations");
    let succeeded = results.iter().filter(|result| text(result, "/status") == "Succeeded").count();
    let devices = if results.is_empty() {
        String::new()
    } else {
        format!(": {succeeded} of {} devices", results.len())
    };
    format!("{}{devices} (operation {})", text(operation, "/status"), text(operation, "/name"))
}
