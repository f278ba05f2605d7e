//! The SSH transport against a real SSH server on loopback.

use std::sync::atomic::{AtomicU32, Ordering};

use protocol::id::DeviceId;
use protocol::password::Password;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, Msg, Response, Server as _, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::learned::Method;
use crate::platform::Platforms;
use crate::transport::{Attempts, Cost, Gate};

const SECRET: &str = "Right-Pass.1";

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As EOS: asks one question, then one request without any.
    Questions,
    /// Takes passwords only.
    Passwords,
    /// PAM that asks again in the same connection.
    AsksAgain,
    /// Says in its prompt that the account is locked.
    Locked,
    /// Takes the password and then wants a new one.
    Expired,
    /// Takes the password and says in a banner that it has expired.
    ExpiredBanner,
    /// Asks for a code.
    Code,
}

/// What the server heard.
#[derive(Debug, Default)]
struct Heard {
    passwords: Mutex<Vec<String>>,
    methods: Mutex<Vec<&'static str>>,
}

#[derive(Clone)]
struct TestServer {
    kind: Kind,
    heard: Arc<Heard>,
}

impl server::Server for TestServer {
    type Handler = Client;

    fn new_client(&mut self, _peer: Option<std::net::SocketAddr>) -> Client {
        Client { kind: self.kind, heard: Arc::clone(&self.heard), asked: 0 }
    }
}

struct Client {
    kind: Kind,
    heard: Arc<Heard>,
    asked: u32,
}

fn reject(methods: &[MethodKind]) -> Auth {
    Auth::Reject { proceed_with_methods: Some(MethodSet::from(methods)), partial_success: false }
}

fn ask(prompt: &'static str) -> Auth {
    let prompts = vec![(prompt.into(), false)];
    Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() }
}

impl Client {
    fn first_question(&self) -> Auth {
        match self.kind {
            Kind::Locked => ask("The account is locked due to 3 failed logins.\nPassword: "),
            Kind::Code => ask("Verification code: "),
            _ => ask("Password: "),
        }
    }

    fn answered(&mut self, answer: &str) -> Auth {
        lock(&self.heard.passwords).push(answer.to_owned());
        match (self.kind, answer == SECRET) {
            (Kind::Expired, true) => ask("Changing password for admin.\nNew password: "),
            (_, true) => {
                Auth::Partial { name: "".into(), instructions: "".into(), prompts: vec![].into() }
            }
            (Kind::AsksAgain, false) => ask("Password: "),
            (_, false) => reject(&[MethodKind::KeyboardInteractive]),
        }
    }
}

impl server::Handler for Client {
    type Error = russh::Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Self::Error> {
        lock(&self.heard.methods).push("none");
        Ok(reject(&[MethodKind::KeyboardInteractive]))
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Self::Error> {
        lock(&self.heard.methods).push("password");
        if self.kind != Kind::Passwords {
            return Ok(reject(&[MethodKind::KeyboardInteractive]));
        }
        lock(&self.heard.passwords).push(password.to_owned());
        let right = password == SECRET;
        Ok(if right { Auth::Accept } else { reject(&[MethodKind::Password]) })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(response) = response else {
            lock(&self.heard.methods).push("keyboard-interactive");
            return Ok(match self.kind {
                Kind::Passwords => reject(&[MethodKind::Password]),
                _ => self.first_question(),
            });
        };
        let answers: Vec<String> =
            response.map(|answer| String::from_utf8_lossy(&answer).into_owned()).collect();
        self.asked += 1;
        match answers.first() {
            None => Ok(Auth::Accept),
            Some(answer) => Ok(self.answered(answer)),
        }
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        let text = "You are required to change your password immediately.\n";
        Ok((self.kind == Kind::ExpiredBanner).then(|| text.to_owned()))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: server::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.data(channel, "sw1#".as_bytes().to_vec())?;
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.data(channel, data.to_ascii_uppercase())?;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if data == b"refused" {
            session.channel_failure(channel)?;
            return Ok(());
        }
        session.channel_success(channel)?;
        if data == b"silent" {
            return Ok(());
        }
        session.data(channel, data.to_vec())?;
        session.extended_data(channel, 1, b" and errors".to_vec())?;
        session.exit_status_request(channel, 3)?;
        session.eof(channel)?;
        session.close(channel)?;
        Ok(())
    }
}

/// A server on loopback, its port and its host key.
async fn serve(kind: Kind) -> (u16, String, Arc<Heard>) {
    let key = PrivateKey::random(&mut rand_core(), Algorithm::Ed25519).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    let methods = [MethodKind::KeyboardInteractive, MethodKind::Password];
    let config = Arc::new(server::Config {
        keys: vec![key],
        methods: MethodSet::from(methods.as_slice()),
        auth_rejection_time: Duration::ZERO,
        ..server::Config::default()
    });
    let heard = Arc::new(Heard::default());
    let mut server = TestServer { kind, heard: Arc::clone(&heard) };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let Ok((socket, peer)) = listener.accept().await else { return };
            let handler = server.new_client(Some(peer));
            let config = Arc::clone(&config);
            tokio::spawn(async move {
                if let Ok(session) = server::run_stream(config, socket, handler).await {
                    let _ended = session.await;
                }
            });
        }
    });
    (port, public, heard)
}

fn rand_core() -> impl russh::keys::ssh_key::rand_core::CryptoRng {
    russh::keys::key::safe_rng()
}

#[derive(Default)]
struct Counts {
    counted: AtomicU32,
    succeeded: AtomicU32,
    spent: bool,
}

#[async_trait]
impl Attempts for Counts {
    async fn count(&self, gate: Gate<'_>) -> Result<(), OpenError> {
        let (Gate::Device(user) | Gate::TerminalServer(_, user)) = gate;
        if self.spent {
            return Err(OpenError::BudgetSpent { user: user.to_owned() });
        }
        self.counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn succeeded(&self, _gate: Gate<'_>) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
    }
}

struct Outcome {
    opened: Result<Box<dyn Connection>, OpenError>,
    counted: u32,
    succeeded: u32,
}

async fn open(server: (u16, &str), secret: &str, learned: &Learned, spent: bool) -> Outcome {
    open_by(&Ssh::default(), server, secret, learned, spent).await
}

async fn open_by(
    ssh: &Ssh,
    (port, key): (u16, &str),
    secret: &str,
    learned: &Learned,
    spent: bool,
) -> Outcome {
    let platform = Platforms::built_in().unwrap().find("arista-eos").unwrap();
    let device = DeviceId::new("00000000-0000-0000-0000-000000000001", "lab", "ce-01").unwrap();
    let path = Path::Ssh { address: "127.0.0.1".to_owned(), port, host_key: key.to_owned() };
    let password = Password::new(secret.to_owned()).unwrap();
    let attempts = Counts { spent, ..Counts::default() };
    let login = Login {
        device: &device,
        path: &path,
        platform: &platform,
        user: "admin",
        password: &password,
        door: &[],
        learned,
        attempts: &attempts,
        deadline: Instant::now() + Duration::from_secs(30),
    };
    let opened = ssh.open(&login).await;
    let counted = attempts.counted.load(Ordering::Relaxed);
    Outcome { opened, counted, succeeded: attempts.succeeded.load(Ordering::Relaxed) }
}

async fn refused(kind: Kind, secret: &str) -> (OpenError, u32, Arc<Heard>) {
    let (port, key, heard) = serve(kind).await;
    let outcome = open((port, &key), secret, &Learned::default(), false).await;
    assert_eq!(outcome.succeeded, u32::from(kind == Kind::ExpiredBanner), "{kind:?}");
    let Err(error) = outcome.opened else { panic!("{kind:?} let us in") };
    (error, outcome.counted, heard)
}

#[tokio::test]
async fn both_methods_let_in_and_what_was_learned_saves_the_detour() {
    for (kind, method, detour) in [
        (Kind::Questions, Method::KeyboardInteractive, vec!["keyboard-interactive"]),
        (Kind::Passwords, Method::Password, vec!["keyboard-interactive", "password"]),
    ] {
        let (port, key, heard) = serve(kind).await;
        let first = open((port, &key), SECRET, &Learned::default(), false).await;
        let learned = first.opened.unwrap().learned();
        assert_eq!(learned.method, Some(method));
        assert!(learned.key_exchange.is_some());
        assert_eq!((first.counted, first.succeeded), (1, 1));
        assert_eq!(std::mem::take(&mut *lock(&heard.methods)), detour);
        let second = open((port, &key), SECRET, &learned, false).await;
        assert_eq!(second.opened.unwrap().learned(), learned);
        assert_eq!(lock(&heard.methods).len(), 1, "no detour the second time");
        assert_eq!(*lock(&heard.passwords), [SECRET, SECRET]);
    }
}

#[tokio::test]
async fn a_login_has_its_turn_until_it_is_used_or_its_session_has_gone() {
    let ssh = Ssh { handshakes: Arc::new(Semaphore::new(1)) };
    let free = || ssh.handshakes.available_permits();
    let (port, key, _) = serve(Kind::Questions).await;
    let learned = Learned::default();
    let mut used = open_by(&ssh, (port, &key), SECRET, &learned, false).await.opened.unwrap();
    assert_eq!(free(), 0);
    let _shell = used.shell().await.unwrap();
    assert_eq!(free(), 1);
    let mut proof = open_by(&ssh, (port, &key), SECRET, &learned, false).await.opened.unwrap();
    assert_eq!(free(), 0);
    proof.close().await;
    assert_eq!(free(), 1);
    assert!(!proof.is_open() && used.is_open());
    // Once more is nothing.
    proof.close().await;
    drop(open_by(&ssh, (port, &key), SECRET, &learned, false).await.opened);
    assert_eq!(free(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_and_costs_one_attempt() {
    for kind in [Kind::Questions, Kind::Passwords, Kind::AsksAgain] {
        let (error, counted, heard) = refused(kind, "Wrong-Pass.1").await;
        assert_eq!(error, OpenError::Refused { user: "admin".to_owned() }, "{kind:?}");
        assert_eq!(error.cost(), Cost::Attempt);
        assert_eq!(counted, 1);
        assert_eq!(*lock(&heard.passwords), ["Wrong-Pass.1"], "{kind:?}");
        assert!(!lock(&heard.methods).contains(&"none"));
    }
}

#[tokio::test]
async fn a_changed_host_key_stops_before_any_password() {
    let (port, key, heard) = serve(Kind::Passwords).await;
    let (_, other, _) = serve(Kind::Passwords).await;
    let outcome = open((port, &other), SECRET, &Learned::default(), false).await;
    let Err(OpenError::HostKey { expected, got }) = outcome.opened else { panic!("no mismatch") };
    assert_ne!(expected, got);
    assert!(expected.contains("SHA256:"), "{expected}");
    assert_eq!(outcome.counted, 0);
    assert!(lock(&heard.methods).is_empty());
    assert!(open((port, &key), SECRET, &Learned::default(), false).await.opened.is_ok());
    let outcome = open((port, "nonsense"), SECRET, &Learned::default(), false).await;
    assert!(matches!(outcome.opened, Err(OpenError::Unusable(_))));
}

#[tokio::test]
async fn prompts_that_want_something_else_are_not_answered() {
    let user = || "admin".to_owned();
    let (error, counted, heard) = refused(Kind::Locked, SECRET).await;
    assert_eq!(error, OpenError::Locked { user: user(), sent: false });
    assert_eq!((counted, lock(&heard.passwords).len()), (0, 0));
    assert_eq!(error.cost(), Cost::Nothing);
    let (error, _, heard) = refused(Kind::Expired, SECRET).await;
    assert_eq!(error, OpenError::Expired { user: user() });
    assert_eq!(*lock(&heard.passwords), [SECRET], "the old password was not proposed as a new one");
    let (error, _, _) = refused(Kind::ExpiredBanner, SECRET).await;
    assert_eq!(error, OpenError::Expired { user: user() });
    let (error, counted, heard) = refused(Kind::Code, SECRET).await;
    assert!(matches!(error, OpenError::NoMethod(_)), "{error:?}");
    assert_eq!((counted, lock(&heard.passwords).len()), (0, 0));
}

#[tokio::test]
async fn no_password_is_sent_once_the_budget_is_spent() {
    let (port, key, heard) = serve(Kind::Questions).await;
    let outcome = open((port, &key), SECRET, &Learned::default(), true).await;
    assert!(matches!(outcome.opened, Err(OpenError::BudgetSpent { .. })));
    assert!(lock(&heard.passwords).is_empty());
}

#[tokio::test]
async fn what_breaks_before_the_password_costs_nothing() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let closing = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"Exceeded MaxStartups\r\n").await.unwrap();
    });
    let (_, key, _) = serve(Kind::Questions).await;
    let outcome = open((port, &key), SECRET, &Learned::default(), false).await;
    let Err(error) = outcome.opened else { panic!("nobody was there") };
    assert!(matches!(error, OpenError::Cut(_)), "{error:?}");
    assert_eq!((error.cost(), outcome.counted), (Cost::Nothing, 0));
    closing.await.unwrap();
    let outcome = open((port, &key), SECRET, &Learned::default(), false).await;
    assert!(matches!(outcome.opened, Err(OpenError::Unreachable(_))));
}

#[tokio::test]
async fn a_shell_carries_bytes_both_ways_and_commands_have_an_end() {
    let (port, key, _) = serve(Kind::Questions).await;
    let outcome = open((port, &key), SECRET, &Learned::default(), false).await;
    let mut connection = outcome.opened.unwrap();
    let mut shell = connection.shell().await.unwrap();
    let mut prompt = [0; 4];
    shell.read_exact(&mut prompt).await.unwrap();
    assert_eq!(&prompt, b"sw1#");
    shell.write_all(b"show").await.unwrap();
    shell.read_exact(&mut prompt).await.unwrap();
    assert_eq!(&prompt, b"SHOW");
    let soon = || Instant::now() + Duration::from_secs(10);
    let reply = connection.exec("a command", Some(b"input"), soon()).await.unwrap();
    assert_eq!(reply, ExecReply { output: b"a command and errors".to_vec(), status: Some(3) });
    assert!(matches!(connection.exec("refused", None, soon()).await, Err(OpenError::Busy(_))));
    let now = Instant::now() + Duration::from_millis(200);
    assert!(matches!(connection.exec("silent", None, now).await, Err(OpenError::Lost(_))));
    connection.close().await;
}
