//! The daemon and its command line, over TLS, with the real store and vault.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use clap::Parser;
use controller::cli::{self, Command, Exit, Failure, Format, Keyturn, Terminal};
use controller::client::{Client, ClientError, Place};
use controller::config::{Config, Flags};
use controller::daemon::{Daemon, DaemonError, Hands, OtherError, Served, ServedVault, World};
use controller::edge::{self, KnownNames};
use controller::inventory::{CurrentPasswords, Inventory};
use controller::model::OperationState;
use controller::template::PlatformLimits;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::world::{Devices, Fault, fake_agent, world};

pub(crate) struct Fakes {
    pub(crate) devices: Devices,
}

impl World for Fakes {
    fn platforms(&self, _config: &Config) -> Result<Vec<PlatformLimits>, OtherError> {
        let limits = |platform: &str| PlatformLimits {
            platform: platform.to_owned(),
            length_min: 8,
            length_max: 64,
            allowed: PlatformLimits::all_but("?"),
            first_letter_only: false,
            hash_kinds: Vec::new(),
        };
        Ok(vec![limits("arista-eos"), limits("opengear")])
    }

    async fn agent(&self, config: &Config) -> Result<Hands, OtherError> {
        let (to, to_agent) = mpsc::channel(64);
        let (from_agent, from) = mpsc::channel(64);
        tokio::spawn(fake_agent(self.devices.clone(), None, to_agent, from_agent));
        Ok(Hands { to, from, platforms: self.platforms(config)? })
    }

    fn routes(&self, served: Served<'_>) -> Router {
        let names = KnownNames {
            platforms: served.platforms,
            profiles: served.profiles,
            references: Some(served.references),
        };
        edge::routes(served.service, served.admission, names)
    }

    fn key_vault(&self, _served: ServedVault<'_>) -> Router {
        Router::new()
    }
}

pub(crate) fn config(dir: &Path) -> Config {
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let mut config = Config::without_file(&Flags { data_dir: Some(dir.to_owned()), listen });
    config.rotation.retry_backoff = std::time::Duration::from_millis(10);
    config
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Ran {
    out: Value,
    err: String,
    result: Result<(), Failure>,
}

async fn keyturn(dir: &Path, line: &str) -> Ran {
    let words = ["keyturn", "--data-dir", dir.to_str().unwrap()];
    let parsed = Keyturn::parse_from(words.into_iter().chain(line.split_whitespace()));
    let (out, err) = (Sink::default(), Sink::default());
    let format = parsed.global.output.unwrap_or(Format::Json);
    let mut terminal = Terminal::to(Box::new(out.clone()), Box::new(err.clone()), format);
    let Command::Client(command) = parsed.command else { panic!("{line}") };
    let result = cli::run(&parsed.global, command, &mut terminal).await;
    let text = |sink: &Sink| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let out = serde_json::from_str(&text(&out)).unwrap_or(Value::String(text(&out)));
    Ran { out, err: text(&err), result }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fabric_is_adopted_rotated_and_resynced_from_the_command_line() {
    let lab = world(&["ce-01", "ce-02", "ts-01"]).await;
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("data");
    let fakes = Fakes { devices: lab.devices.clone() };
    let daemon = Daemon::start(&config(&dir), &fakes).await.unwrap();
    let inventory = temporary.path().join("fabric.toml");
    let named = lab
        .inventory
        .replace("location = ", "current-passwords-file = \"passwords.toml\"\nlocation = ");
    std::fs::write(&inventory, named).unwrap();
    let passwords = temporary.path().join("passwords.toml");
    std::fs::write(&passwords, &lab.passwords).unwrap();
    let apply = format!("fabric apply -f {}", inventory.display());

    set_mode(&passwords, 0o644);
    let exposed = keyturn(&dir, &apply).await.result.unwrap_err();
    assert!(format!("{exposed:?}").contains("chmod 600"), "{exposed:?}");
    set_mode(&passwords, 0o600);
    let applied = keyturn(&dir, &apply).await;
    assert_eq!(applied.result, Ok(()), "{}", applied.err);
    assert_eq!(applied.out["status"], "Succeeded");
    assert!(applied.err.contains("3 devices created"), "{}", applied.err);

    lab.devices.break_it("ce-02", Fault::Unreachable);
    let rotated = keyturn(&dir, "fabric rotate-password").await;
    assert_eq!(rotated.result.as_ref().unwrap_err().exit(), Exit::Failed);
    assert_eq!(rotated.out["error"]["code"], "PartialSuccess");
    assert!(rotated.err.contains("ce-02: CouldNotConnect"), "{}", rotated.err);
    let shown = keyturn(&dir, "fabric show lab").await.out;
    assert_eq!(
        (&shown["state"], &shown["uniquePasswordSetCount"]),
        (&"PartialSuccess".into(), &2.into())
    );
    assert_eq!(shown["secretRotationSummary"]["activePasswordSetCount"], 2);

    lab.devices.heal("ce-02");
    let resynced = keyturn(&dir, "device resync-password CE-02").await;
    assert_eq!(resynced.result, Ok(()), "{}", resynced.err);
    let devices = keyturn(&dir, "device list --fabric lab").await.out;
    assert_eq!(devices.as_array().unwrap().len(), 3);
    for device in ["ce-01", "ce-02"] {
        let revealed = keyturn(&dir, &format!("secret show --device {device} --user admin")).await;
        let value = revealed.out["value"].as_str().unwrap().to_owned();
        lab.devices.with(device, |held| {
            assert_eq!((&held.running["admin"], &held.startup["admin"]), (&value, &value));
        });
    }
    for line in [
        "operation list",
        "operation list -o table",
        "fabric show -o table",
        "device show ce-01 -o table",
        "fabric plan -o table",
        "secret show --device ts-01 --user root -o table",
    ] {
        let ran = keyturn(&dir, line).await;
        assert_eq!(ran.result, Ok(()), "{line}: {}", ran.err);
    }
    daemon.stop().await;
    assert!(!dir.join("server.url").exists());
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_ends_with_3_and_a_wrong_ca_or_token_with_1() {
    let lab = world(&["ce-01"]).await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fakes = Fakes { devices: lab.devices.clone() };
    let (here, there) = (one.path().join("a"), two.path().join("b"));
    let daemon = Daemon::start(&config(&here), &fakes).await.unwrap();
    let other = Daemon::start(&config(&there), &fakes).await.unwrap();
    for line in ["fabric show", "device show ce-09", "operation show 1"] {
        let failure = keyturn(&here, line).await.result.unwrap_err();
        assert_eq!(failure.exit(), Exit::NotFound, "{line}: {failure:?}");
    }
    let ca = there.join("ca.pem");
    let strange = keyturn(&here, &format!("fabric list --ca {}", ca.display())).await;
    assert_eq!(strange.result.unwrap_err().exit(), Exit::Failed);
    let token = there.join("admin.token");
    let strange = keyturn(&here, &format!("fabric list --token-file {}", token.display())).await;
    assert!(format!("{:?}", strange.result).contains("access token is invalid"));
    let plain = Place {
        server: format!("http://{}", daemon.address()),
        ca: here.join("ca.pem"),
        token_file: here.join("admin.token"),
    };
    assert!(Client::new(&plain).is_err(), "a token never goes over plain HTTP");
    daemon.stop().await;
    other.stop().await;
    let nobody = keyturn(&here, "fabric list").await.result.unwrap_err();
    assert!(format!("{nobody:?}").contains("keyturn serve"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_one_directory_is_refused_and_a_later_one_finds_everything() {
    let lab = world(&["ce-01"]).await;
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("data");
    let fakes = Fakes { devices: lab.devices.clone() };
    let daemon = Daemon::start(&config(&dir), &fakes).await.unwrap();
    let ca = std::fs::read(dir.join("ca.pem")).unwrap();
    let error = Daemon::start(&config(&dir), &fakes).await.unwrap_err();
    assert!(matches!(error, DaemonError::Store { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--data-dir"));
    adopt(&daemon, &lab).await;
    daemon.stop().await;
    let again = Daemon::start(&config(&dir), &fakes).await.unwrap();
    assert_eq!(std::fs::read(dir.join("ca.pem")).unwrap(), ca);
    assert_eq!(again.service().fabrics(), [lab.fabric()]);
    again.stop().await;
}

async fn adopt(daemon: &Daemon, lab: &crate::world::World) {
    let inventory = Inventory::parse("f", Path::new("/"), &lab.inventory, None).unwrap();
    let passwords = CurrentPasswords::parse("p", &lab.passwords, &inventory, None).unwrap();
    let service = daemon.service();
    let operation = service.apply(inventory, passwords).await.unwrap().operation.unwrap();
    let mut changes = service.changes(&lab.fabric()).unwrap();
    while service.operation(operation).unwrap().1.state == OperationState::Running {
        changes.changed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_or_a_vault_that_was_lost_is_told_at_every_start_and_none_is_made_in_its_place() {
    let lab = world(&["ce-01"]).await;
    let fakes = Fakes { devices: lab.devices.clone() };
    for lost in ["vault.db", "store.db"] {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("data");
        let daemon = Daemon::start(&config(&dir), &fakes).await.unwrap();
        adopt(&daemon, &lab).await;
        daemon.stop().await;
        std::fs::remove_file(dir.join(lost)).unwrap();
        for _start in 0..2 {
            let error = Daemon::start(&config(&dir), &fakes).await.unwrap_err();
            assert!(matches!(error, DaemonError::Lost { .. }), "{lost}: {error}");
            assert!(error.to_string().contains(lost), "{error}");
            assert!(!dir.join(lost).exists(), "{lost}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_speak_no_tls_do_no_harm() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let lab = world(&["ce-01"]).await;
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("data");
    let fakes = Fakes { devices: lab.devices.clone() };
    let daemon = Daemon::start(&config(&dir), &fakes).await.unwrap();
    let mut plain = tokio::net::TcpStream::connect(daemon.address()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is answered in the clear");
    let listed = keyturn(&dir, "fabric list").await;
    assert_eq!(listed.out, Value::Array(Vec::new()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_caller_who_has_sent_much() {
    let lab = world(&["ce-01"]).await;
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("data");
    let fakes = Fakes { devices: lab.devices.clone() };
    let daemon = Daemon::start(&config(&dir), &fakes).await.unwrap();
    let token_file = temporary.path().join("wrong.token");
    std::fs::write(&token_file, "wrong").unwrap();
    let server = format!("https://{}", daemon.address());
    let place = Place { server, ca: dir.join("ca.pem"), token_file };
    let client = Client::new(&place).unwrap();
    for bytes in [100, 30_000, 300_000, 3_000_000] {
        let body = serde_json::json!({ "inventory": "x".repeat(bytes) });
        for _ in 0..20 {
            let refused = client.post("/keyturn/v1/fabrics:apply", Some(&body)).await.unwrap_err();
            let ClientError::Api { failure } = refused else { panic!("{bytes}: {refused:?}") };
            assert_eq!((failure.status, failure.code.as_str()), (401, "AuthenticationFailed"));
        }
    }
    daemon.stop().await;
}
