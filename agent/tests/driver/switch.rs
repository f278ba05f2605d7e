//! A small switch in memory: accounts, configuration sessions, a commit timer, and what may go
//! wrong with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::hash::{Hashes, Verdict};
use agent::learned::Learned;
use agent::transport::{
    Connection, ConnectionKind, ExecReply, Gate, Login, OpenError, Stream, Transport,
};
use async_trait::async_trait;
use protocol::job::Path;
use protocol::password::Password;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

pub(super) const USERS: [&str; 3] = ["TelcoRO", "TelcoRW", "admin"];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    NoSsh,
    WrongKey,
    BadUser,
    HangsWhileStaging,
    DeniesCommit,
    CutsAtCommit,
    ChangesNothing,
    OldLoginsOnly,
    DiskFull,
    StaysUp,
    DeniesReload,
}

pub(super) type Users = BTreeMap<String, String>;

pub(super) struct Switch {
    pub(super) running: Users,
    pub(super) startup: Users,
    /// Users as they were before a commit that is not confirmed yet, and its session's name.
    pub(super) armed: Option<(Users, String)>,
    pub(super) fault: Fault,
    pub(super) said: Vec<String>,
    pub(super) logins: Vec<String>,
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) switch: Arc<Mutex<Switch>>,
    pub(super) hashes: Arc<Hashes>,
}

fn secret(user: &str, set: u32) -> String {
    format!("Pass-{user}.{set}")
}

pub(super) fn password(user: &str, set: u32) -> Password {
    Password::new(secret(user, set)).unwrap()
}

#[async_trait]
impl Transport for World {
    async fn open(&self, login: &Login<'_>) -> Result<Box<dyn Connection>, OpenError> {
        let ssh = matches!(login.path, Path::Ssh { .. });
        let (fault, stored) = {
            let switch = self.switch.lock().unwrap();
            let kept = switch.armed.as_ref().map(|(before, _)| before);
            let good = kept.filter(|_| switch.fault == Fault::OldLoginsOnly);
            (switch.fault, good.unwrap_or(&switch.running).get(login.user).cloned())
        };
        match fault {
            Fault::NoSsh if ssh => return Err(OpenError::Unreachable("nobody".to_owned())),
            Fault::WrongKey if ssh => {
                let (expected, got) = ("one".to_owned(), "other".to_owned());
                return Err(OpenError::HostKey { expected, got });
            }
            _ => {}
        }
        let gate = Gate::Device(login.user);
        login.attempts.count(gate).await?;
        let verdict = self.hashes.verify(&stored.unwrap_or_default(), login.password).await;
        let right = verdict.unwrap() == Verdict::Same;
        let path = if ssh { "ssh" } else { "line" };
        let entry = format!("{path} {} {right}", login.user);
        self.switch.lock().unwrap().logins.push(entry);
        if !right {
            return Err(OpenError::Refused { user: login.user.to_owned() });
        }
        login.attempts.succeeded(gate).await;
        Ok(Box::new(Session { world: self.clone(), line: !ssh }))
    }
}

struct Session {
    world: World,
    line: bool,
}

#[async_trait]
impl Connection for Session {
    async fn shell(&mut self) -> Result<Box<dyn Stream>, OpenError> {
        let (ours, theirs) = duplex(64 * 1024);
        let switch = Arc::clone(&self.world.switch);
        tokio::spawn(command_line(theirs, switch, self.line));
        Ok(Box::new(ours))
    }

    async fn exec(
        &mut self,
        _command: &str,
        _stdin: Option<&[u8]>,
        _deadline: Instant,
    ) -> Result<ExecReply, OpenError> {
        Err(OpenError::Unusable("it is a switch".to_owned()))
    }

    fn kind(&self) -> ConnectionKind {
        if self.line { ConnectionKind::Line } else { ConnectionKind::Network }
    }

    fn learned(&self) -> Learned {
        Learned::default()
    }

    async fn close(&mut self) {}
}

/// Serves one session until it is closed or told to end.
async fn command_line(mut stream: DuplexStream, switch: Arc<Mutex<Switch>>, line: bool) {
    let mut staged: Option<(String, Users)> = None;
    let mut prompt = if line { String::new() } else { "sw1#".to_owned() };
    if stream.write_all(prompt.as_bytes()).await.is_err() {
        return;
    }
    let mut said = String::new();
    while let Ok(byte) = stream.read_u8().await {
        match byte {
            0x15 | 0x03 => said.clear(),
            b'\r' => {
                let command = std::mem::take(&mut said);
                let reply = answer(&command, &mut staged, &mut switch.lock().unwrap());
                match reply {
                    Reply::Cut => return,
                    Reply::Rebooted if !line => return,
                    Reply::Hangs => sleep(Duration::from_secs(3600)).await,
                    Reply::LoggedOut | Reply::Rebooted => prompt = "sw1 login: ".to_owned(),
                    Reply::Text(_) => {
                        prompt = match &staged {
                            Some((name, _)) => {
                                format!("sw1(config-s-{})#", name.get(..6).unwrap_or(name))
                            }
                            None => "sw1#".to_owned(),
                        }
                    }
                }
                let text = if let Reply::Text(text) = reply { text } else { String::new() };
                let text = format!("{command}\r\n{text}{prompt}");
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            byte => said.push(char::from(byte)),
        }
    }
}

enum Reply {
    Text(String),
    Cut,
    Hangs,
    LoggedOut,
    Rebooted,
}

fn shown(users: &Users) -> String {
    let lines = users.iter().map(|(user, hash)| {
        let role = if user.contains("RO") { "network-operator" } else { "network-admin" };
        format!("username {user} role {role} secret sha512 {hash}\r\n")
    });
    lines.collect()
}

fn answer(command: &str, staged: &mut Option<(String, Users)>, switch: &mut Switch) -> Reply {
    if command.is_empty() {
        return Reply::Text(String::new());
    }
    switch.said.push(command.to_owned());
    let words: Vec<&str> = command.split(' ').collect();
    let text = match words.as_slice() {
        ["exit"] => return Reply::LoggedOut,
        ["show", "running-config", ..] => shown(&switch.running),
        ["show", "startup-config", ..] => shown(&switch.startup),
        ["show", "configuration", "sessions", ..] => match &switch.armed {
            Some((_, name)) => format!("{{\"commitTimerSessionName\": \"{name}\"}}\r\n"),
            None => "{}\r\n".to_owned(),
        },
        ["configure", "session", name] => {
            *staged = Some(((*name).to_owned(), switch.running.clone()));
            String::new()
        }
        ["configure", "session", _, "commit"] => {
            switch.armed = None;
            String::new()
        }
        ["configure", "session", _, "abort"] => {
            if let Some((before, _)) = switch.armed.take() {
                switch.running = before;
            }
            String::new()
        }
        ["abort"] => {
            *staged = None;
            String::new()
        }
        ["username", "TelcoRW", ..] if switch.fault == Fault::BadUser => {
            "% Invalid input (at token 1: 'TelcoRW')\r\n".to_owned()
        }
        ["username", ..] if switch.fault == Fault::HangsWhileStaging => return Reply::Hangs,
        ["username", user, .., hash] => {
            if let Some((_, users)) = staged {
                users.insert((*user).to_owned(), (*hash).to_owned());
            }
            String::new()
        }
        ["commit", "timer", _] => return commit(staged, switch),
        ["write", "erase", "now"] => {
            switch.startup = Users::new();
            String::new()
        }
        ["reload", "now"] if switch.fault == Fault::DeniesReload => {
            "% Authorization denied for command 'reload'\r\n".to_owned()
        }
        ["reload", "now"] if switch.fault != Fault::StaysUp => {
            switch.running = switch.startup.clone();
            switch.armed = None;
            return Reply::Rebooted;
        }
        ["write", "memory"] if switch.fault == Fault::DiskFull => {
            "% Error copying (No space left on device)\r\n".to_owned()
        }
        ["write", "memory"] => {
            switch.startup = switch.running.clone();
            "Copy completed successfully.\r\n".to_owned()
        }
        _ => String::new(),
    };
    Reply::Text(text)
}

fn commit(staged: &mut Option<(String, Users)>, switch: &mut Switch) -> Reply {
    if switch.fault == Fault::DeniesCommit {
        return Reply::Text("% Authorization denied for command 'commit'\r\n".to_owned());
    }
    if let Some((name, users)) = staged.take()
        && switch.fault != Fault::ChangesNothing
    {
        let before = std::mem::replace(&mut switch.running, users);
        switch.armed = Some((before, name));
    }
    match switch.fault {
        Fault::CutsAtCommit => Reply::Cut,
        _ => Reply::Text(String::new()),
    }
}
