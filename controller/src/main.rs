//! `keyturn`: the daemon, its command line, and the demonstration.
//!
//! This is the only place that knows the agent, the edges and (for the demonstration) the simulated
//! world; the library is handed them.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use controller::cli::{self, Command, Exit, Failure, Keyturn, Terminal};
use controller::daemon::{self, DaemonError, Options};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

#[cfg(feature = "demo")]
#[path = "main/demo.rs"]
mod demo;
#[path = "main/product.rs"]
mod product;
#[cfg(feature = "demo")]
#[path = "main/proof.rs"]
mod proof;

fn main() -> ExitCode {
    let arguments = Keyturn::parse();
    let mut terminal = Terminal::new(&arguments.global);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return end(&Failure::of("start the runtime", &error, None)),
    };
    // Behind a pointer: else the runtime's code, which is compiled several times over, has all that
    // is awaited below in it each time, some two megabytes of the program.
    let work: LocalBoxFuture<'_, _> = run(arguments, &mut terminal).boxed_local();
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure),
    }
}

async fn run(arguments: Keyturn, terminal: &mut Terminal) -> Result<(), Failure> {
    let global = arguments.global;
    match arguments.command {
        Command::Serve(serve) => {
            let options =
                Options { config: serve.config, data_dir: global.data_dir, listen: serve.listen };
            if serve.check {
                let checked = daemon::check(&options, &product::Product).await;
                return terminal.line(checked.map_err(|error| refused(&error))?.trim_end());
            }
            start_log("info", terminal);
            serve_until_told(&options, terminal).await
        }
        #[cfg(feature = "demo")]
        Command::Demo(demo) => {
            start_log("error", terminal);
            demo::run(&demo, terminal).await
        }
        Command::Vault(vault) => cli::vault(&global, vault, terminal).await,
        Command::Client(command) => cli::run(&global, command, terminal).await,
    }
}

async fn serve_until_told(options: &Options, terminal: &mut Terminal) -> Result<(), Failure> {
    let ready = |url: &str| {
        // Whoever waits for the line has gone: the daemon serves all the same.
        let _closed = terminal.line(&format!("ready {url}"));
    };
    daemon::serve(options, &product::Product, ready).await.map_err(|error| refused(&error))
}

fn start_log(usual: &str, terminal: &mut Terminal) {
    if !daemon::start_log(usual) {
        terminal.say("warning: KEYTURN_LOG cannot be read; for example `info,controller=debug`");
    }
}

fn refused(error: &DaemonError) -> Failure {
    Failure::of("", error, error.hint().or_else(|| product::hint(error)))
}

fn end(failure: &Failure) -> ExitCode {
    failure.write(&mut std::io::stderr() as &mut dyn Write);
    let exit: Exit = failure.exit();
    ExitCode::from(exit.code())
}
