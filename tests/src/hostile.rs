//! Whatever reads input that others wrote, each as a function of any bytes. Tests mutate what is
//! right and feed it to them, and so do the fuzzers of `tests/fuzz`; none may panic, and what is
//! taken must be taken the same way again. Each tells whether it took the bytes.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use agent::dialogue::{After, Dialogue, Line, Manner, Output};
use agent::platform::{Platform, Platforms};
use controller::config::{Config, Flags};
use controller::inventory::{CurrentPasswords, DocumentError, Inventory};
use controller::template::SecretsTemplate;
use protocol::frame::{FromAgent, ToAgent};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

pub mod api;
pub mod key_vault;
pub mod sealed;

/// A password that stands in the seeds; no error may show it.
pub const SECRET: &str = "Never-shown.1";

/// An inventory that is right.
pub const INVENTORY: &str = include_str!("hostile/inventory.toml");

static PLATFORMS: LazyLock<Platforms> =
    LazyLock::new(|| Platforms::built_in().expect("the platforms"));

const SETTLE: Duration = Duration::from_millis(200);
const TIME_MAX: Duration = Duration::from_secs(30);

/// A target: its name, the function, and what it takes when all is right.
pub type Target = (&'static str, fn(&[u8]) -> bool, Vec<Vec<u8>>);

/// Returns all targets that need nothing around them.
#[must_use]
pub fn targets() -> Vec<Target> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    vec![
        ("inventory", inventory, texts(&[INVENTORY])),
        ("passwords", passwords, texts(&[include_str!("hostile/passwords.toml")])),
        ("configuration", configuration, texts(&[include_str!("hostile/keyturn.toml")])),
        ("template", template, texts(&[include_str!("../../controller/templates/default.toml")])),
        (
            "platform",
            platform,
            texts(&[
                include_str!("../../agent/platforms/arista-eos.toml"),
                include_str!("../../agent/platforms/opengear.toml"),
                include_str!("../../agent/platforms/linux.toml"),
            ]),
        ),
        (
            "dialogue",
            dialogue,
            texts(&[
                "\x00\x05\r\nce-01>\x00show version\r\nArista\r\nce-01>",
                "\x01\x03login: \r\n# \x00show version\r\nslot#2 busy\r\n# ",
                "\x02\x09\x1b[0m$ \x00show version\r\n--More--\r\n$ ",
            ]),
        ),
        (
            "frames",
            frames,
            texts(&[
                r#"{"Welcome":{"version":1,"epoch":7}}"#,
                r#"{"Commit":{"job":"00000000-0000-0000-0000-000000000001"}}"#,
                r#"{"Report":{"job":"00000000-0000-0000-0000-000000000001","report":"Changing"}}"#,
                r#"{"Prepared":{"job":"00000000-0000-0000-0000-000000000001","refused":null}}"#,
            ]),
        ),
        ("pkcs12", sealed::pkcs12, sealed::archives()),
        ("age", sealed::age, vec![sealed::sealed(b"a text"), sealed::sealed(&[7; 70_000])]),
        ("recipients", sealed::recipients, texts(&[sealed::RECIPIENT, sealed::IDENTITY])),
        ("challenge", sealed::challenge, texts(&sealed::CHALLENGES)),
    ]
}

/// Reads an inventory.
#[must_use]
pub fn inventory(bytes: &[u8]) -> bool {
    let platforms = ["arista-eos", "opengear", "linux"];
    let read = |text: &str| Inventory::parse("f", Path::new("/"), text, Some(&platforms));
    told(text(bytes).map(read)).is_some()
}

/// Reads the passwords for an inventory that is right.
#[must_use]
pub fn passwords(bytes: &[u8]) -> bool {
    let inventory = Inventory::parse("f", Path::new("/"), INVENTORY, None).expect("an inventory");
    told(text(bytes).map(|text| CurrentPasswords::parse("p", text, &inventory, None))).is_some()
}

/// Reads a configuration; what is taken is taken again as it is written out.
#[must_use]
pub fn configuration(bytes: &[u8]) -> bool {
    let read = |text: &str| Config::parse("c", Path::new("/"), text, &Flags::default());
    let Some(config) = told(text(bytes).map(read)) else { return false };
    let written = config.effective(Path::new("/"));
    let again = read(&written).expect("what was written is read");
    assert_eq!(again.effective(Path::new("/")), written);
    true
}

/// Reads a secrets template.
#[must_use]
pub fn template(bytes: &[u8]) -> bool {
    told(text(bytes).map(|text| SecretsTemplate::parse("t", text))).is_some()
}

/// Reads a platform file.
#[must_use]
pub fn platform(bytes: &[u8]) -> bool {
    match text(bytes).map(|text| Platform::parse("p", text)) {
        Some(Err(error)) => {
            assert!(!error.to_string().is_empty());
            false
        }
        read => read.is_some(),
    }
}

/// Reads frames of both directions; one that is taken is taken again as it is written out.
#[must_use]
pub fn frames(bytes: &[u8]) -> bool {
    again::<ToAgent>(bytes) || again::<FromAgent>(bytes)
}

/// Holds a conversation with a device that says anything. The first byte chooses the platform, the
/// second where the stream is cut; then come what is said to the greeting, a zero, and the reply to
/// a line. The outcome is the same however the stream is cut.
#[must_use]
pub fn dialogue(bytes: &[u8]) -> bool {
    let [which, cut, said @ ..] = bytes else { return false };
    let platforms: Vec<_> = PLATFORMS.iter().collect();
    let platform = platforms[usize::from(*which) % platforms.len()];
    let mut parts = said.splitn(2, |byte| *byte == 0);
    let greeting = parts.next().unwrap_or_default();
    let reply = parts.next().unwrap_or_default();
    let whole = converse(platform, &[greeting], &[reply]);
    let (a, b) = greeting.split_at(usize::from(*cut) % (greeting.len() + 1));
    let (c, d) = reply.split_at(usize::from(*cut) % (reply.len() + 1));
    assert_eq!(converse(platform, &[a, b], &[c, d]), whole);
    true
}

fn converse(platform: &Arc<Platform>, greeting: &[&[u8]], reply: &[&[u8]]) -> Vec<String> {
    let manner = Manner { pipeline: platform.pipeline, settle: SETTLE, host: None };
    let mut dialogue = Dialogue::new(Arc::clone(platform), manner);
    let mut now = Duration::ZERO;
    dialogue.greet(false, TIME_MAX, now);
    let mut outcomes = vec![outcome(&mut dialogue, greeting, &mut now)];
    let line = Zeroizing::new("show version".to_owned());
    now += TIME_MAX;
    dialogue.say(vec![Line::new(line, After::AnyMode, TIME_MAX)], now);
    outcomes.push(outcome(&mut dialogue, reply, &mut now));
    outcomes
}

/// Feeds the pieces one millisecond apart, all within the settling time.
fn outcome(dialogue: &mut Dialogue, pieces: &[&[u8]], now: &mut Duration) -> String {
    let mut pieces: VecDeque<&[u8]> = pieces.iter().copied().collect();
    loop {
        match dialogue.next(*now) {
            Output::Write(_) => {}
            Output::Wait(until) => match pieces.pop_front() {
                Some(piece) => {
                    *now += Duration::from_millis(1);
                    dialogue.received(piece, *now);
                }
                None => *now = until,
            },
            Output::Done(done) => {
                // What comes behind the last prompt is dropped by the next line.
                pieces.into_iter().for_each(|piece| dialogue.received(piece, *now));
                return match done {
                    Ok(replies) => {
                        let shown = |reply: &agent::dialogue::Reply| {
                            format!("{:?} {} {:?}", reply.mode, reply.noisy, reply.lines)
                        };
                        replies.iter().map(shown).collect()
                    }
                    Err(error) => error.to_string(),
                };
            }
        }
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Returns what was read, and checks what an error says.
fn told<T>(read: Option<Result<T, DocumentError>>) -> Option<T> {
    match read? {
        Ok(read) => Some(read),
        Err(error) => {
            let said = format!("{error} {error:?} {}", error.hint().unwrap_or_default());
            assert!(!said.contains(SECRET), "a password is in an error");
            None
        }
    }
}

fn again<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) -> bool {
    let Ok(frame) = serde_json::from_slice::<T>(bytes) else { return false };
    let written = serde_json::to_string(&frame).expect("a frame is written");
    let again: T = serde_json::from_str(&written).expect("what was written is read");
    let rewritten = serde_json::to_string(&again).expect("a frame is written");
    assert_eq!(rewritten, written);
    true
}
