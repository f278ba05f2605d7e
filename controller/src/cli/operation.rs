//! `keyturn operation`

use serde_json::Value;

use super::args::{OperationCommand, OperationTarget};
use super::failure::Failure;
use super::resource::{list, segment, text};
use super::terminal::{Terminal, table};
use super::wait;
use crate::client::Client;

pub(super) async fn run(
    client: &Client,
    command: OperationCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        OperationCommand::List => {
            let operations = client.list("/keyturn/v1/operations").await;
            let operations =
                operations.map_err(|error| Failure::client("list the operations", &error))?;
            terminal.result(Value::Array(operations), operations_table)
        }
        OperationCommand::Show(target) => {
            let failed = |error| Failure::client("show the operation", &error);
            let path = format!("/keyturn/v1/operations/{}", target.name());
            let known = client.get(&path).await.map_err(failed)?;
            let operation = client.get(&text(&known, "/id")).await.map_err(failed)?;
            terminal.result(operation, operation_table)
        }
        OperationCommand::Wait(target) => {
            let name = target.name();
            wait::until_end(client, name, &format!("carry operation {name} out"), terminal).await
        }
    }
}

impl OperationTarget {
    /// Returns the last part of what was given, without a query.
    fn name(&self) -> &str {
        let path = self.operation.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or(path)
    }
}

fn operations_table(operations: &Value) -> String {
    let header = ["Operation", "Kind", "On", "Status", "Done", "Failed", "Started", "Ended"];
    let row = |operation: &Value| {
        let device = text(operation, "/deviceId");
        let on = if device == "-" {
            segment(&text(operation, "/fabricId"), "networkFabrics")
        } else {
            segment(&device, "networkDevices")
        };
        [
            text(operation, "/name"),
            text(operation, "/kind"),
            on,
            text(operation, "/status"),
            text(operation, "/succeeded"),
            text(operation, "/failed"),
            text(operation, "/startTime"),
            text(operation, "/endTime"),
        ]
    };
    table(header, list(operations, "").iter().map(row).collect())
}

fn operation_table(operation: &Value) -> String {
    let results = list(operation, "/operations").iter();
    let failed = results.filter(|result| text(result, "/status") != "Succeeded").map(|result| {
        let id = text(result, "/resourceId");
        let name = id.rsplit('/').next().unwrap_or_default().to_owned();
        [name, text(result, "/error/code"), text(result, "/error/message")]
    });
    let failed: Vec<[String; 3]> = failed.collect();
    let summary = wait::summary(operation);
    if failed.is_empty() {
        return summary;
    }
    format!("{summary}\n{}", table(["Failed", "Code", "Message"], failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_known_by_its_name_or_its_id_or_its_address() {
        for given in ["abc", "/subscriptions/s/operationStatuses/abc", "https://h/x/abc?t=1"] {
            let target = OperationTarget { operation: given.to_owned() };
            assert_eq!(target.name(), "abc");
        }
    }
}
