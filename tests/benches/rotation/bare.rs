//! The base of the ratio: a bare russh client that holds the same dialogue.
//!
//! It reads, stages 21 accounts in a configuration session, commits with a timer, reads back, logs
//! in anew, confirms, saves and reads the startup configuration, prompt by prompt; it keeps no
//! journal, checks no reply, and takes any host key.

use std::sync::Arc;
use std::time::Instant;

use russh::client::{Handle, Handler, KeyboardInteractiveAuthResponse};
use russh::{Channel, ChannelMsg, client};

use crate::lab::Lab;
use crate::{Cost, cpu_ms};

const NEW: &str = "Bare-client.Password1";

struct AnyKey;

impl Handler for AnyKey {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Rotates all switches of the lab and measures it.
pub(crate) async fn run(lab: &Lab) -> Cost {
    let read = |name: &str| std::fs::read_to_string(lab.path().join(name)).expect("a file");
    let inventory: toml::Table = read("fabric.toml").parse().expect("an inventory");
    let passwords: toml::Table = read("passwords.toml").parse().expect("passwords");
    let profiles = passwords["profiles"].as_table().expect("profiles");
    let users: Vec<String> =
        profiles.keys().filter(|name| *name != "TerminalServer").cloned().collect();
    let old = profiles["admin"].as_str().expect("a password").to_owned();
    let hash = sha_crypt_hash();
    let (users, old) = (Arc::new(users), Arc::new(old));
    let (cpu, wall) = (cpu_ms(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for device in inventory["devices"].as_array().expect("devices") {
        if device["role"].as_str() == Some("TS") {
            continue;
        }
        let port = device["ssh"]["port"].as_integer().expect("a port");
        let (users, old, hash) = (Arc::clone(&users), Arc::clone(&old), hash.clone());
        tasks.spawn(async move {
            rotate(u16::try_from(port).expect("a port"), &users, &old, &hash).await
        });
    }
    let mut done = 0;
    while let Some(joined) = tasks.join_next().await {
        if let Ok(Some(())) = joined {
            done += 1;
        }
    }
    let devices = done.max(1);
    let wall_s = wall.elapsed().as_secs_f64();
    Cost { cpu_ms: (cpu_ms() - cpu) / devices as f64, wall_s, done }
}

fn sha_crypt_hash() -> String {
    use sha_crypt::{Algorithm, CustomizedPasswordHasher, Params, ShaCrypt};
    let hasher = ShaCrypt::new(Algorithm::Sha512Crypt, Params::RECOMMENDED);
    let salt = b"benchmark";
    let hash = hasher
        .hash_password_customized(NEW.as_bytes(), salt, None, None, Params::RECOMMENDED)
        .expect("a hash");
    hash.as_str().replacen("$rounds=5000$", "$", 1)
}

async fn log_in(port: u16, password: &str) -> Option<Handle<AnyKey>> {
    let config = client::Config { nodelay: true, ..client::Config::default() };
    let address = ("127.0.0.1", port);
    let mut session = client::connect(Arc::new(config), address, AnyKey).await.ok()?;
    let mut reply = session.authenticate_keyboard_interactive_start("admin", None).await.ok()?;
    loop {
        reply = match reply {
            KeyboardInteractiveAuthResponse::Success => return Some(session),
            KeyboardInteractiveAuthResponse::Failure { .. } => return None,
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers = prompts.iter().map(|_prompt| password.to_owned()).collect();
                session.authenticate_keyboard_interactive_respond(answers).await.ok()?
            }
        };
    }
}

async fn rotate(port: u16, users: &[String], old: &str, hash: &str) -> Option<()> {
    let session = log_in(port, old).await?;
    let mut shell = session.channel_open_session().await.ok()?;
    shell.request_pty(false, "vt100", 200, 24, 0, 0, &[]).await.ok()?;
    shell.request_shell(false).await.ok()?;
    prompt(&mut shell).await?;
    for line in ["enable", "terminal length 0", "terminal width 32767"] {
        say(&mut shell, line).await?;
    }
    say(&mut shell, "show configuration sessions detail | json").await?;
    say(&mut shell, "show running-config section username").await?;
    say(&mut shell, "configure session bare").await?;
    for user in users {
        say(&mut shell, &format!("username {user} secret sha512 {hash}")).await?;
    }
    say(&mut shell, "commit timer 00:05:00").await?;
    say(&mut shell, "show running-config section username").await?;
    let fresh = log_in(port, NEW).await?;
    fresh.disconnect(russh::Disconnect::ByApplication, "", "").await.ok()?;
    say(&mut shell, "configure session bare commit").await?;
    say(&mut shell, "write memory").await?;
    say(&mut shell, "show running-config section username").await?;
    say(&mut shell, "show startup-config | include ^username").await?;
    session.disconnect(russh::Disconnect::ByApplication, "", "").await.ok()
}

async fn say(shell: &mut Channel<client::Msg>, line: &str) -> Option<()> {
    shell.data_bytes(format!("{line}\r").into_bytes()).await.ok()?;
    prompt(shell).await
}

/// Reads until the last line ends in a prompt.
async fn prompt(shell: &mut Channel<client::Msg>) -> Option<()> {
    let mut seen = Vec::new();
    loop {
        match shell.wait().await? {
            ChannelMsg::Data { data } => {
                seen.extend_from_slice(&data);
                let text = String::from_utf8_lossy(&seen);
                let last = text.rsplit(['\r', '\n']).next().unwrap_or("").trim_end();
                if last.ends_with('#') || last.ends_with('>') {
                    return Some(());
                }
            }
            ChannelMsg::Eof | ChannelMsg::Close => return None,
            _ => {}
        }
    }
}
