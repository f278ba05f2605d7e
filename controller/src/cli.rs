//! The command line: a client of the daemon's API, in the words that operators know.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed
//! (partial success included), 2 usage, 3 not found.

mod apply;
mod archive;
mod args;
mod audit;
mod device;
mod fabric;
mod failure;
mod legacy;
mod operation;
mod progress;
mod resource;
mod retention;
mod secret;
mod target;
mod terminal;
mod token;
mod vault;
mod wait;

use std::path::Path;

use self::args::AuditCommand;
use crate::client::{Client, Place};
use crate::data_dir;

#[cfg(feature = "demo")]
pub use self::args::Demo;
pub use self::args::{ClientCommand, Command, Format, Global, Keyturn, Serve, Vault};
pub use self::failure::{Exit, Failure};
pub use self::progress::Progress;
pub use self::terminal::Terminal;
pub use self::vault::vault;
pub use self::wait::follow;

/// Carries a command out.
///
/// # Errors
/// Returns [`Failure`], which says how the process should end.
pub async fn run(
    global: &Global,
    command: ClientCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    // What lies in a file is checked without any daemon.
    if let ClientCommand::Audit { command: AuditCommand::Verify(wanted) } = &command
        && let Some(file) = &wanted.file
    {
        return audit::verify_file(file, wanted, terminal);
    }
    let client = connect(global)?;
    let mut commands = command.split();
    match (commands.pop(), commands.is_empty()) {
        (Some(only), true) => carry_out(&client, only, terminal).await,
        (last, _several) => {
            commands.extend(last);
            carry_out_each(&client, commands, terminal).await
        }
    }
}

/// Carries out commands one after the other, also after one that failed: each is about another
/// resource.
async fn carry_out_each(
    client: &Client,
    commands: Vec<ClientCommand>,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let all = commands.len();
    let mut failures = Vec::new();
    terminal.collect();
    for command in commands {
        if let Err(failure) = carry_out(client, command, terminal).await {
            failure.write(terminal.err());
            failures.push(failure.exit());
        }
    }
    terminal.show_collected()?;
    match failures.first() {
        None => Ok(()),
        Some(exit) => {
            let failed = failures.len();
            Err(Failure::new(*exit, format!("do this for {failed} of {all} resources")))
        }
    }
}

async fn carry_out(
    client: &Client,
    command: ClientCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        ClientCommand::Audit { command } => audit::run(client, command, terminal).await,
        ClientCommand::Fabric { command } => fabric::run(client, command, terminal).await,
        ClientCommand::Device { command } => device::run(client, command, terminal).await,
        ClientCommand::Archive { command } => archive::run(client, command, terminal).await,
        ClientCommand::Retention { command } => retention::run(client, command, terminal).await,
        ClientCommand::Legacy { command } => legacy::run(client, command, terminal).await,
        ClientCommand::Secret { command } => secret::run(client, command, terminal).await,
        ClientCommand::Token { command } => token::run(client, command, terminal).await,
        ClientCommand::Operation { command } => operation::run(client, command, terminal).await,
    }
}

fn connect(global: &Global) -> Result<Client, Failure> {
    let dir = global.data_dir.clone().unwrap_or_else(data_dir::usual);
    let server = match &global.server {
        Some(server) => server.clone(),
        None => running(&dir)?,
    };
    let place = Place {
        server,
        ca: global.ca.clone().unwrap_or_else(|| dir.join(data_dir::CA_FILE)),
        token_file: global.token_file.clone().unwrap_or_else(|| dir.join(data_dir::TOKEN_FILE)),
    };
    Client::new(&place).map_err(|error| Failure::client("reach the daemon", &error))
}

/// Finds the daemon that serves from a data directory.
fn running(dir: &Path) -> Result<String, Failure> {
    let file = dir.join(data_dir::URL_FILE);
    std::fs::read_to_string(&file).map_err(|source| {
        let failure = Failure::new(
            Exit::Failed,
            format!("find a running daemon by `{}`: {source}", file.display()),
        );
        failure.hint(
            "start one with `keyturn serve`, or say where it is with `--server` (KEYTURN_SERVER) \
             or `--data-dir`",
        )
    })
}

#[cfg(test)]
mod tests;
