//! `keyturn-agent`: drives devices for a Keyturn controller.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Drives devices for a Keyturn controller.
#[derive(Debug, Parser)]
#[command(name = "keyturn-agent", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the platform files of a folder and lists the platforms that would be known.
    CheckPlatforms {
        /// The folder with the site's own `*.toml` files.
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let Command::CheckPlatforms { dir } = Arguments::parse().command;
    match check_platforms(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _unwritten = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn check_platforms(dir: &std::path::Path) -> Result<(), String> {
    let platforms = agent::site::load(Some(dir)).map_err(|error| describe(&error))?;
    let mut out = std::io::stdout().lock();
    for platform in platforms.iter() {
        writeln!(out, "{}\t{}", platform.name, platform.file)
            .map_err(|error| format!("error: failed to write the list: {error}"))?;
    }
    Ok(())
}

/// Prints an error with its chain and what mends it.
fn describe(error: &agent::site::SiteError) -> String {
    let mut text = format!("error: failed to {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("\n\nhint: {hint}"));
    }
    text
}
