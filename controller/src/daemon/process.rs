//! What the process asks of the operating system.

use std::future::Future;
use std::io;

use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask,
};
use tokio::signal::unix::{SignalKind, signal};

/// Keeps passwords out of core dumps and other processes, files to their owner, and takes as many
/// open files as the system allows: a device under work takes two.
pub(super) fn harden() {
    umask(Mode::RWXG | Mode::RWXO);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let told = |what: &str, done: rustix::io::Result<()>| {
        if let Err(error) = done {
            tracing::warn!(%error, "could not {what}");
        }
    };
    told("turn core dumps off", setrlimit(Resource::Core, none));
    told("hide the process's memory", set_dumpable_behavior(DumpableBehavior::NotDumpable));
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit { current: files.maximum, ..files };
    told("raise the limit of open files", setrlimit(Resource::Nofile, all));
}

/// Begins to listen for SIGINT and SIGTERM; the future returns the first one's name.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}
