//! The base of the ratio: a bare russh client that holds the same dialogue.
//!
//! It reads, stages 21 accounts in a configuration session, commits with a timer, reads back, logs
//! in anew, confirms, saves and reads the startup configuration, with as many lines at once as
//! Keyturn sends; it keeps no journal, checks no reply, and takes any host key.

use std::sync::Arc;

use russh::client::{Handle, Handler, KeyboardInteractiveAuthResponse};
use russh::{Channel, ChannelMsg, client};

use crate::case::{self, Cost};
use crate::lab::Lab;

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
    let mut measure = case::begin();
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
    measure.switches_done();
    measure.end(done)
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
    let channel = session.channel_open_session().await.ok()?;
    channel.request_pty(false, "vt100", 200, 24, 0, 0, &[]).await.ok()?;
    channel.request_shell(false).await.ok()?;
    let mut shell = Shell { channel, seen: Vec::new(), host: Vec::new() };
    shell.greet().await?;
    shell.say(&["enable", "terminal length 0", "terminal width 32767"]).await?;
    shell.say(&["show configuration sessions detail | json"]).await?;
    shell.say(&["show running-config section username"]).await?;
    let mut change = vec!["configure session bare".to_owned()];
    change.extend(users.iter().map(|user| format!("username {user} secret sha512 {hash}")));
    shell.say(&change.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    shell.say(&["commit timer 00:05:00"]).await?;
    shell.say(&["show running-config section username"]).await?;
    let fresh = log_in(port, NEW).await?;
    fresh.disconnect(russh::Disconnect::ByApplication, "", "").await.ok()?;
    shell.say(&["configure session bare commit"]).await?;
    shell.say(&["write memory"]).await?;
    shell.say(&["show running-config section username"]).await?;
    shell.say(&["show startup-config | include ^username"]).await?;
    session.disconnect(russh::Disconnect::ByApplication, "", "").await.ok()
}

/// A command line, and what it has said.
struct Shell {
    channel: Channel<client::Msg>,
    seen: Vec<u8>,
    host: Vec<u8>,
}

impl Shell {
    /// Reads the first prompt, which tells what the device calls itself.
    async fn greet(&mut self) -> Option<()> {
        let prompted = |seen: &[u8]| matches!(seen.trim_ascii_end().last(), Some(b'>' | b'#'));
        while !prompted(&self.seen) {
            self.hear().await?;
        }
        let start = self.seen.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.host = self.seen[start..].strip_suffix(b" ").unwrap_or(&self.seen[start..]).to_vec();
        self.host.pop();
        self.host.insert(0, b'\n');
        Some(())
    }

    /// Sends lines at once and reads until each has been answered by a prompt.
    async fn say(&mut self, lines: &[&str]) -> Option<()> {
        self.seen.clear();
        let text = lines.iter().flat_map(|line| [*line, "\r"]).collect::<String>();
        self.channel.data_bytes(text.into_bytes()).await.ok()?;
        let (mut prompts, mut looked) = (0, 0);
        loop {
            self.hear().await?;
            while let Some(at) = find(&self.seen[looked..], &self.host) {
                looked += at + self.host.len();
                prompts += 1;
            }
            if prompts >= lines.len() && self.seen.trim_ascii_end().ends_with(b"#") {
                return Some(());
            }
        }
    }

    async fn hear(&mut self) -> Option<()> {
        loop {
            match self.channel.wait().await? {
                ChannelMsg::Data { data } => {
                    self.seen.extend_from_slice(&data);
                    return Some(());
                }
                ChannelMsg::Eof | ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
