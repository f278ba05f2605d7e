//! A Linux system with accounts of its own, beside the host's: a mount, process and host-name
//! namespace with a private copy of `/etc` and empty `/run`, `/home` and `/var/log`.
//!
//! Nothing of it remains. Its first process ends when the test does, however that ends, and takes
//! every process and mount of the namespaces with it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::process::{Running, as_root, inside, need, run};
use crate::wait;

/// Sets the namespaces up, says so, and stays until its standard input is closed.
const FIRST_PROCESS: &str = r#"
set -eu
umask 022
staging=$1
mount -t tmpfs -o mode=0755 tmpfs "$staging"
cp -a /etc "$staging/etc"
mount --bind "$staging/etc" /etc
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0755 tmpfs /home
mount -t tmpfs -o mode=0755 tmpfs /var/log
mkdir -p /run/sshd /run/lock
touch /var/log/lastlog /var/log/wtmp /run/utmp
install -m 0600 /dev/null /var/log/btmp
hostname lab-linux
printf '127.0.0.1 localhost lab-linux\n' > /etc/hosts
rm -f /etc/nologin /etc/profile.d/*
printf 'Welcome to a private system.\n' > /etc/motd
echo up
while read -r line; do :; done
"#;

/// A Linux system of its own.
#[derive(Debug)]
pub struct Linux {
    first: Child,
    _stdin: Option<ChildStdin>,
    staging: PathBuf,
}

impl Linux {
    /// Sets a system up. `dir` is a directory of the test's own, in which the system's log files
    /// and keys may be put.
    ///
    /// # Panics
    /// When that is not possible here, with why.
    #[track_caller]
    #[must_use]
    pub fn up(dir: &Path) -> Self {
        need(&[("unshare", "util-linux"), ("nsenter", "util-linux"), ("chpasswd", "passwd")]);
        need(&[("getent", "libc-bin"), ("useradd", "passwd"), ("hostname", "hostname")]);
        let staging = dir.join("system");
        std::fs::create_dir_all(&staging).expect("a directory of our own");
        let mut command = as_root("unshare");
        command.args(["--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", FIRST_PROCESS, "sh"]).arg(&staging);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut first = command.spawn().expect("`unshare` can be run");
        let mut line = String::new();
        if let Some(out) = first.stdout.take() {
            let _nothing = BufReader::new(out).read_line(&mut line);
        }
        let stdin = first.stdin.take();
        if line != "up\n" {
            let _ended = first.kill();
            let said = first.wait_with_output().map(|output| output.stderr).unwrap_or_default();
            panic!(
                "this test needs the right to make namespaces and mount in them \
                 (CAP_SYS_ADMIN): {}",
                String::from_utf8_lossy(&said).trim()
            );
        }
        Self { first, _stdin: stdin, staging }
    }

    /// Makes a command that runs inside.
    #[must_use]
    pub fn inside(&self, program: &str) -> Command {
        inside(self.first.id(), program)
    }

    /// Runs a shell script inside, and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn shell(&self, script: &str, input: &str) -> String {
        let said = run(self.inside("sh").args(["-euc", script]), input);
        said.expect(0).out
    }

    /// Makes accounts with passwords; `administrators` may do everything by `sudo`, without being
    /// asked for a password.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn add_accounts(&self, accounts: &[(&str, &str)], administrators: &[&str]) {
        need(&[("sudo", "sudo")]);
        for (user, _password) in accounts {
            self.shell(&format!("useradd --badname --create-home --shell /bin/bash {user}"), "");
        }
        let lines: String =
            accounts.iter().map(|(user, password)| format!("{user}:{password}\n")).collect();
        self.shell("chpasswd", &lines);
        let rules: String =
            administrators.iter().map(|user| format!("{user} ALL=(ALL) NOPASSWD: ALL\n")).collect();
        self.shell("cat > /etc/sudoers.d/lab && chmod 0440 /etc/sudoers.d/lab", &rules);
    }

    /// Returns the stored hash of an account.
    ///
    /// # Panics
    /// When there is no such account.
    #[track_caller]
    #[must_use]
    pub fn stored(&self, user: &str) -> String {
        self.shell(&format!("getent shadow {user}"), "").trim().to_owned()
    }

    /// Makes a host key, and returns its public half as inventories have it.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn host_key(&self, dir: &Path, name: &str) -> String {
        need(&[("ssh-keygen", "openssh-client")]);
        let file = dir.join(name);
        let file = file.display();
        self.shell(&format!("ssh-keygen -q -t ed25519 -N '' -C '' -f {file}"), "");
        self.shell(&format!("cat {file}.pub"), "").trim().to_owned()
    }

    /// Starts OpenSSH's server on a port of loopback, 0 for a free one, with a host key that
    /// [`Linux::host_key`] has made.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn sshd(&self, dir: &Path, host_key: &str, port: u16) -> Sshd {
        need(&[("sshd", "openssh-server"), ("ssh", "openssh-client")]);
        // A free port is free when it is chosen; somebody may take it before sshd does.
        let started = (0..5).find_map(|_| {
            let port = if port == 0 { free_port() } else { port };
            self.sshd_on(dir, host_key, port).map(|process| (process, port))
        });
        let (process, port) = started.expect("sshd gets a port within five attempts");
        let public = std::fs::read_to_string(dir.join(format!("{host_key}.pub")));
        let public = public.expect("the host key was made before").trim().to_owned();
        Sshd { port, host_key: public, process }
    }

    fn sshd_on(&self, dir: &Path, host_key: &str, port: u16) -> Option<Running> {
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}/{host_key}\nPidFile /run/sshd.pid\n\
             UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication yes\n\
             PubkeyAuthentication no\nMaxAuthTries 3\nLogLevel DEBUG1\n",
            dir.display()
        );
        let config = dir.join(format!("{host_key}.conf"));
        std::fs::write(&config, text).expect("a directory of our own");
        let mut command = self.inside("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(&config);
        let mut process = Running::start(&format!("sshd-{host_key}"), &mut command, dir);
        let listens = wait::until("sshd to listen or to end", wait::STEP_MAX, || {
            if process.ended().is_some() {
                return Some(false);
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(|_stream| true)
        });
        listens.then_some(process)
    }
}

impl Drop for Linux {
    fn drop(&mut self) {
        // Its first process ends with its input, and everything inside with it.
        self._stdin = None;
        let ended = || self.first.try_wait().ok().flatten();
        if wait::within(Duration::from_secs(10), ended).is_none() {
            let _roots_behind_sudo = self.first.kill();
        }
        let _still_mounted = std::fs::remove_dir(&self.staging);
    }
}

/// A running OpenSSH server.
#[derive(Debug)]
pub struct Sshd {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The public host key, as inventories have it.
    pub host_key: String,
    process: Running,
}

impl Sshd {
    /// Returns what the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.printed()
    }

    /// Ends the server.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn end(mut self, linux: &Linux) {
        linux.shell("kill $(cat /run/sshd.pid)", "");
        wait::until("sshd to end", wait::STEP_MAX, || self.process.ended());
    }

    /// Logs in by the `ssh` client with a password, runs `id -un`, and returns what the client said.
    /// The password goes through a file of the test's own, as `SSH_ASKPASS` wants it.
    ///
    /// # Panics
    /// When the client cannot be run.
    #[track_caller]
    #[must_use]
    pub fn log_in(&self, dir: &Path, user: &str, password: &str) -> crate::process::Said {
        let (known, secret, ask) = (dir.join("known_hosts"), dir.join("secret"), dir.join("ask"));
        let line = format!("[127.0.0.1]:{} {}\n", self.port, self.host_key);
        std::fs::write(&known, line).expect("a directory of our own");
        std::fs::write(&secret, format!("{password}\n")).expect("a directory of our own");
        write_script(&ask, &format!("#!/bin/sh\ncat {}\n", secret.display()));
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=20"]);
        ssh.args(["-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no"]);
        ssh.args(["-o", "StrictHostKeyChecking=yes"]);
        ssh.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        ssh.args(["-p", &self.port.to_string(), &format!("{user}@127.0.0.1"), "id", "-un"]);
        ssh.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0");
        let said = run(&mut ssh, "");
        std::fs::remove_file(&secret).expect("it was there");
        said
    }
}

fn write_script(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o700).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a directory of our own");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
    listener.local_addr().expect("it is bound").port()
}
