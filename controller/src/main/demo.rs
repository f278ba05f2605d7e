//! `keyturn demo`: the whole product on a simulated fabric, in one command.
//!
//! The fabric has real SSH servers on loopback and a real serial line for its terminal server. The
//! daemon, its store and vault and the built-in agent are the product's own; everything is asked
//! of it through its API. At the end the lab's own truth is asked, without a login: what would each
//! device accept now, and after a reboot?

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that is not there reads as null; it does not panic"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use controller::cli::{self, Exit, Failure, Progress, Terminal};
use controller::client::{Client, ClientError, Place};
use controller::config::{Config, Flags};
use controller::daemon::Daemon;
use controller::data_dir;
use fixtures::fault::{Fault, FaultKind};
use fixtures::lab::{Lab, LabError, LabOptions};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::product::Product;
use crate::proof;

/// The device that is made to fail: not the canary of its platform.
const BROKEN: &str = "ce-02";

/// Carries the demonstration out. Fails if anything is not as promised.
pub(crate) async fn run(wanted: &cli::Demo, terminal: &mut Terminal) -> Result<(), Failure> {
    let folder = Folder::make()?;
    let begun = Instant::now();
    let lab = up(&folder, usize::from(wanted.devices)).await?;
    terminal.line(&format!(
        "lab      {} devices are up ({:.1} s): SSH servers on loopback, the terminal server on a \
         serial line",
        wanted.devices,
        begun.elapsed().as_secs_f64()
    ))?;
    let config = config(&folder.data());
    let daemon = Daemon::start(&config, &Product);
    let daemon = daemon.await.map_err(|error| Failure::of("", &error, error.hint()))?;
    let client = client(&daemon)?;
    terminal.line(&format!("daemon   serves at {}", client.server()))?;
    let mut story = Story { client, lab, terminal, broken_promises: Vec::new() };
    let told = story.tell(&folder).await;
    let broken_promises = std::mem::take(&mut story.broken_promises);
    told?;
    if wanted.stay {
        stay(&folder, terminal).await?;
    } else {
        go_on(terminal)?;
    }
    daemon.stop().await;
    match broken_promises.as_slice() {
        [] => Ok(()),
        broken => {
            Err(Failure::new(Exit::Failed, format!("keep what is promised: {}", broken.join("; "))))
        }
    }
}

/// What happens, in order.
struct Story<'t> {
    client: Client,
    lab: Lab,
    terminal: &'t mut Terminal,
    broken_promises: Vec<String>,
}

impl Story<'_> {
    async fn tell(&mut self, folder: &Folder) -> Result<(), Failure> {
        let fabric = self.adopt(&folder.lab()).await?;
        self.plan(&fabric).await?;
        self.rotate(&fabric).await?;
        self.resync(&fabric).await?;
        self.prove(&fabric).await
    }

    async fn adopt(&mut self, dir: &Path) -> Result<String, Failure> {
        let doing = "adopt the fabric";
        let read = |name: &str| {
            let text = std::fs::read_to_string(dir.join(name)).map(Zeroizing::new);
            text.map_err(|error| Failure::of(doing, &error, None))
        };
        let (inventory, passwords) = (read("fabric.toml")?, read("passwords.toml")?);
        let body = json!({
            "inventory": inventory.as_str(),
            "inventoryFile": "fabric.toml",
            "baseDir": dir,
            "passwords": passwords.as_str(),
            "passwordsFile": "passwords.toml",
        });
        let path = "/keyturn/v1/fabrics:apply";
        let applied = self.client.post(path, Some(&body)).await;
        let applied = applied.map_err(|error| Failure::client(doing, &error))?.body;
        let operation = applied["operation"].as_str().unwrap_or_default().to_owned();
        let ended = self.follow(&operation, "adopt").await?;
        self.promise(ended["status"] == "Succeeded", "every device is adopted");
        let fabric = applied["fabricId"].as_str().unwrap_or_default().to_owned();
        let changes = self.lab.counters().changes;
        self.promise(changes == 0, "adoption changes no device");
        self.report("adopt", &fabric, "every current password proven, nothing changed").await?;
        Ok(fabric)
    }

    async fn plan(&mut self, fabric: &str) -> Result<(), Failure> {
        let path = format!("/keyturn/v1/fabrics{fabric}/plan?request=rotate");
        let plan = self.client.get(&path).await;
        let plan = plan.map_err(|error| Failure::client("plan the rotation", &error))?;
        let waves = plan["waves"].as_array().cloned().unwrap_or_default();
        let sizes: Vec<String> =
            waves.iter().map(|wave| wave.as_array().map_or(0, Vec::len).to_string()).collect();
        let last = waves.last().and_then(|wave| wave[0].as_str()).unwrap_or_default();
        self.promise(last == "ts-01", "the terminal server comes last");
        let line = format!(
            "plan     password set {} in waves of {} devices: canaries first, `{last}` last",
            plan["passwordSet"],
            sizes.join(", ")
        );
        self.terminal.line(&line)
    }

    async fn rotate(&mut self, fabric: &str) -> Result<(), Failure> {
        let fault = Fault::from(FaultKind::RefuseConnection);
        self.lab.fault(BROKEN, fault).map_err(|error| lab_failure(&error))?;
        self.terminal.line(&format!("fault    `{BROKEN}` refuses connections from now on"))?;
        let ended = self.act(&format!("{fabric}/rotatePasswords"), "rotate").await?;
        let code = ended["error"]["code"].as_str().unwrap_or("Succeeded").to_owned();
        self.promise(code == "PartialSuccess", "a rotation with one dead device partly succeeds");
        let details = ended["error"]["details"].as_array().cloned().unwrap_or_default();
        let named = details.first().and_then(|detail| detail["target"].as_str());
        let named = named.is_some_and(|target| target.ends_with(BROKEN));
        self.promise(details.len() == 1 && named, "the dead device alone is named");
        let summary = self.summary(fabric).await?;
        self.promise(summary["uniquePasswordSetCount"] == 2, "split-key is visible (2 sets)");
        self.report("rotate", fabric, &format!("{code}: `{BROKEN}` keeps its old set")).await
    }

    async fn resync(&mut self, fabric: &str) -> Result<(), Failure> {
        self.lab.heal(BROKEN).map_err(|error| lab_failure(&error))?;
        self.terminal.line(&format!("heal     `{BROKEN}` answers again"))?;
        let ended = self.act(&format!("{fabric}/resyncPasswords"), "resync").await?;
        self.promise(ended["status"] == "Succeeded", "the resync succeeds");
        let summary = self.summary(fabric).await?;
        self.promise(summary["uniquePasswordSetCount"] == 1, "one set is in use again");
        let failed = summary["failedDeviceIds"].as_array().map_or(usize::MAX, Vec::len);
        self.promise(failed == 0, "every device is in sync");
        self.report("resync", fabric, "brought by a resync, which makes no passwords").await
    }

    async fn prove(&mut self, fabric: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        let proof = proof::prove(&self.client, &self.lab, fabric).await?;
        self.promise(proof.is_complete(), "every revealed password opens its device");
        let lockouts: u32 = self.lab.lockouts().iter().map(|lockout| lockout.lockouts).sum();
        self.promise(lockouts == 0, "no account was ever locked");
        let rejections = self.lab.counters().rejections;
        self.promise(rejections == 0, "no device ever refused a login");
        self.terminal.line(&format!(
            "check    every password of every device against the lab's own truth ({:.1} s)\n\n{}",
            begun.elapsed().as_secs_f64(),
            proof.table()
        ))?;
        let verdict = match self.broken_promises.as_slice() {
            [] => "Everything is as promised: no login was refused, nothing was locked, and what \
                   the vault says opens every device, now and after a reboot."
                .to_owned(),
            broken => format!("NOT as promised: {}", broken.join("; ")),
        };
        self.terminal.line(&format!("\n{verdict}"))
    }

    /// Asks for an action and waits for its end.
    async fn act(&mut self, path: &str, title: &str) -> Result<Value, Failure> {
        let answer = self.client.post(path, None::<&Value>).await;
        let answer = answer.map_err(|error| Failure::client(title, &error))?;
        self.follow(&answer.operation.unwrap_or_default(), title).await
    }

    async fn follow(&mut self, operation: &str, title: &str) -> Result<Value, Failure> {
        let mut progress = Progress::new(self.terminal, title);
        let ended = cli::follow(&self.client, operation, &mut progress).await;
        ended.map_err(|error: ClientError| Failure::client(title, &error))
    }

    async fn summary(&self, fabric: &str) -> Result<Value, Failure> {
        let summary = self.client.get(&format!("/keyturn/v1/fabrics{fabric}/summary")).await;
        summary.map_err(|error| Failure::client("ask for the summary", &error))
    }

    async fn report(&mut self, step: &str, fabric: &str, what: &str) -> Result<(), Failure> {
        let summary = self.summary(fabric).await?;
        let in_sync = summary["succeededDeviceIds"].as_array().map_or(0, Vec::len);
        self.terminal.line(&format!(
            "{step:<8} {in_sync} of {} devices in sync, {} password set(s) in use; {what}",
            summary["totalDevices"], summary["uniquePasswordSetCount"]
        ))
    }

    fn promise(&mut self, is_kept: bool, promise: &str) {
        if !is_kept {
            self.broken_promises.push(promise.to_owned());
        }
    }
}

async fn up(folder: &Folder, devices: usize) -> Result<Lab, Failure> {
    let options = LabOptions { dir: Some(folder.lab()), devices, ..LabOptions::default() };
    Lab::up(options).await.map_err(|error| lab_failure(&error))
}

/// The simulated devices answer within milliseconds, so that what waits for slow ones is shortened.
fn config(data: &Path) -> Config {
    let listen = Some(([127, 0, 0, 1], 0).into());
    let flags = Flags { data_dir: Some(data.to_owned()), listen };
    let mut config = Config::without_file(&flags);
    config.rotation.device_timeout = Duration::from_secs(60);
    config.rotation.quiet_time = Duration::from_secs(2);
    // The device that is made to fail stays so: usually it is tried twice more.
    config.rotation.retries_max = 0;
    config
}

fn client(daemon: &Daemon) -> Result<Client, Failure> {
    let place = Place {
        server: format!("https://{}", daemon.address()),
        ca: daemon.dir().join(data_dir::CA_FILE),
        token_file: daemon.dir().join(data_dir::TOKEN_FILE),
    };
    Client::new(&place).map_err(|error| Failure::client("reach the daemon", &error))
}

fn lab_failure(error: &LabError) -> Failure {
    Failure::of("bring the lab up", error, Some(error.hint()))
}

/// Leaves everything up until the process is told to end.
async fn stay(folder: &Folder, terminal: &mut Terminal) -> Result<(), Failure> {
    let data = folder.data();
    let data = data.display();
    terminal.line(&format!(
        "\nThe fabric and the daemon stay up until Ctrl-C. In another terminal:\n\
         \n  keyturn --data-dir {data} fabric show\
         \n  keyturn --data-dir {data} device show ce-01\
         \n  keyturn --data-dir {data} secret show --device ce-01 --user admin\
         \n  keyturn --data-dir {data} fabric rotate-password\
         \n  keyturn --data-dir {data} operation list"
    ))?;
    let told = tokio::signal::ctrl_c().await;
    told.map_err(|error| Failure::of("listen for signals", &error, None))
}

fn go_on(terminal: &mut Terminal) -> Result<(), Failure> {
    terminal.line(
        "\nGo on by hand (`keyturn demo --stay` leaves this fabric up to play with):\n\
         \n  cargo build --release --workspace                  all programs; from a clone only\
         \n  export PATH=\"$PWD/target/release:$PATH\"\
         \n  keyturn-lab up --dir lab &                         a simulated fabric of your own\
         \n  keyturn serve --data-dir data &                    the daemon\
         \n  keyturn --data-dir data fabric apply -f lab/fabric.toml\
         \n  keyturn --data-dir data fabric rotate-password\
         \n  keyturn --data-dir data fabric show\
         \n  keyturn --data-dir data secret show --device ce-01 --user admin\
         \n  keyturn-lab fault --dir lab ce-02 drop-after       and rotate again",
    )
}

/// A folder of the demonstration's own, removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("keyturn-demo-{}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        let doing = format!("make `{}`", path.display());
        made.map_err(|error| Failure::of(&doing, &error, None))?;
        Ok(Self(path))
    }

    fn lab(&self) -> PathBuf {
        self.0.join("lab")
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's temporary folder and only its owner's.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
