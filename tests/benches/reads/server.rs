//! The servers that are measured, each in a process of its own.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use controller::config::{Config, Flags};
use controller::daemon::{Daemon, Hands, OtherError, Served, ServedVault, World};
use controller::edge::{self, KnownNames};
use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::OperationState;
use controller::service::Service;
use controller::template::{PlatformLimits, SecretsTemplate};
use protocol::id::OperationId;
use serde::{Deserialize, Serialize};

use crate::agent;

/// Tells a child process of this benchmark what to serve, and from where.
const VARIABLE: &str = "KEYTURN_BENCH_SERVER";

/// Devices in each fabric.
pub(crate) const DEVICES: usize = 100;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Who {
    /// The same server, with a router that has every answer in a map.
    Bare,
    /// The daemon.
    Keyturn,
}

#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    who: Who,
    dir: PathBuf,
    fabrics: usize,
    answers: Option<PathBuf>,
}

/// What a server says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) url: String,
    /// An operation of each fabric; the first one is running.
    pub(crate) operations: Vec<String>,
}

/// One answer of the daemon's, for the bare server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A server, ended with its handle.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    child: Child,
    pub(crate) ready: Ready,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub(crate) fn start(who: Who, fabrics: usize, answers: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the server");
        let wanted = Wanted {
            who,
            dir: dir.path().to_owned(),
            fabrics,
            answers: answers.map(Path::to_owned),
        };
        let mut child = Command::new(std::env::current_exe().expect("the path of this program"))
            .env(VARIABLE, serde_json::to_string(&wanted).expect("JSON"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line from the server");
        let ready = serde_json::from_str(&line).expect("what it says when it is ready");
        Self { dir, child, ready }
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).expect("a file of the daemon's")
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has ended by itself needs no more ending.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Tells whether this process is one of the servers.
pub(crate) fn is_this_process() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Serves until the process is ended.
pub(crate) fn run() {
    let wanted: Wanted =
        serde_json::from_str(&std::env::var(VARIABLE).expect("what to serve")).expect("JSON");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(serve(wanted));
}

async fn serve(wanted: Wanted) {
    let listen = Some("127.0.0.1:0".parse().expect("an address"));
    let flags = Flags { data_dir: Some(wanted.dir.clone()), listen };
    let mut config = Config::without_file(&flags);
    config.rotation.device_timeout = Duration::from_secs(3600);
    config.rotation.canary = false;
    let daemon = Daemon::start(&config, &wanted).await.expect("a daemon");
    let mut operations = Vec::new();
    for at in 0..wanted.fabrics {
        operations.push(declare(daemon.service(), at).await.to_string());
    }
    let ready = Ready { url: format!("https://{}", daemon.address()), operations };
    println!("{}", serde_json::to_string(&ready).expect("JSON"));
    std::future::pending::<()>().await;
}

impl World for Wanted {
    fn platforms(&self, _config: &Config) -> Result<Vec<PlatformLimits>, OtherError> {
        Ok(agent::platforms())
    }

    async fn agent(&self, _config: &Config) -> Result<Hands, OtherError> {
        Ok(agent::start())
    }

    fn routes(&self, served: Served<'_>) -> Router {
        let Some(answers) = &self.answers else {
            let names = KnownNames {
                platforms: served.platforms,
                profiles: served.profiles,
                references: Some(served.references),
            };
            return edge::routes(served.service, served.admission, names);
        };
        let text = std::fs::read_to_string(answers).expect("the answers");
        let kept: Vec<Kept> = serde_json::from_str(&text).expect("JSON");
        let answer = |kept: Kept| {
            let status = StatusCode::from_u16(kept.status).expect("a status");
            (kept.path, (status, Bytes::from(kept.body)))
        };
        let known: Arc<HashMap<String, (StatusCode, Bytes)>> =
            Arc::new(kept.into_iter().map(answer).collect());
        Router::new().fallback(move |uri: Uri| {
            let found = uri.path_and_query().and_then(|path| known.get(path.as_str())).cloned();
            async move {
                let (status, body) = found.unwrap_or((StatusCode::NOT_FOUND, Bytes::new()));
                (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
            }
        })
    }

    fn key_vault(&self, _served: ServedVault<'_>) -> Router {
        Router::new()
    }
}

/// Declares a fabric; returns the operation that verifies it. The first fabric's never ends.
async fn declare(service: &Service, at: usize) -> OperationId {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let mut text = format!("[fabric]\nid = \"{}\"\nlocation = \"local\"\n", fabric(at));
    for number in 0..DEVICES {
        let name = device_name(at, number);
        let written = write!(
            text,
            "[[devices]]\nname = \"{name}\"\nrole = \"CE\"\nplatform = \"arista-eos\"\n\
             serial-number = \"Arista;7280;1;{name}\"\nssh = {{ address = \"10.{at}.0.{number}\", \
             host-key = \"{KEY}\" }}\n"
        );
        written.expect("a text grows");
    }
    let mut passwords = "[profiles]\n".to_owned();
    for profile in SecretsTemplate::builtin().expect("the template").profiles {
        writeln!(passwords, "{0} = \"Factory-{0}.1\"", profile.name).expect("a text grows");
    }
    let inventory = Inventory::parse("fabric.toml", Path::new("/"), &text, None);
    let inventory = inventory.expect("an inventory");
    let passwords = CurrentPasswords::parse("passwords.toml", &passwords, &inventory, None);
    let id = inventory.fabric.id.clone();
    let applied = service.apply(inventory, passwords.expect("passwords")).await;
    let operation = applied.expect("a fabric").operation.expect("a verification");
    let mut changes = service.changes(&id).expect("the fabric");
    let running = |service: &Service| {
        let (_fabric, operation) = service.operation(operation).expect("the operation");
        operation.state == OperationState::Running
    };
    while at > 0 && running(service) {
        changes.changed().await.expect("the fabric stays");
    }
    operation
}

/// The ARM id of a fabric. Ten fabrics share a resource group.
pub(crate) fn fabric(at: usize) -> String {
    format!("{}/networkFabrics/fabric-{at:03}", group(at))
}

/// The ARM id of a device.
pub(crate) fn device(at: usize, number: usize) -> String {
    format!("{}/networkDevices/{}", group(at), device_name(at, number))
}

/// The provider in a fabric's resource group.
pub(crate) fn group(at: usize) -> String {
    format!(
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/site-{}/providers/\
         Microsoft.ManagedNetworkFabric",
        at / 10
    )
}

fn device_name(at: usize, number: usize) -> String {
    let kind = if at == 0 { agent::SILENT } else { "ce" };
    format!("{kind}-{at:03}-{number:02}")
}
