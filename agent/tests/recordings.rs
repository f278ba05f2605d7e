//! The law of the dialogue: the outcome is the same however the byte stream is cut.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test panic as the test itself does"
)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::dialogue::{After, Dialogue, DialogueError, Line, Manner, Output};
use agent::platform::{Pattern, Platform, Platforms};
use proptest::prelude::*;
use zeroize::Zeroizing;

const SETTLE: Duration = Duration::from_millis(200);
const TIME_MAX: Duration = Duration::from_secs(30);

/// One exchange: lines said together, the device's bytes, what is expected.
#[derive(Debug, Default, Clone)]
struct Exchange {
    host: Option<String>,
    lines: Vec<(String, Option<String>)>,
    question: Option<(String, String)>,
    bytes: Vec<u8>,
    then: Vec<u8>,
    closed: bool,
    expect: Vec<String>,
}

fn read(text: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut current = Exchange::default();
    for line in text.lines() {
        let starts = line.starts_with("> ") || line == "greet" || line.starts_with("host ");
        if starts && !current.expect.is_empty() {
            exchanges.push(std::mem::take(&mut current));
        }
        if let Some(host) = line.strip_prefix("host ") {
            current.host = Some(host.to_owned());
        } else if let Some(said) = line.strip_prefix("> ") {
            let (said, mode) = said.split_once(" -> ").map_or((said, None), |(s, m)| (s, Some(m)));
            current.lines.push((said.to_owned(), mode.map(str::to_owned)));
        } else if let Some(question) = line.strip_prefix("? ") {
            let (question, answer) = question.split_once(" = ").unwrap();
            current.question = Some((question.to_owned(), answer.to_owned()));
        } else if let Some(bytes) = line.strip_prefix("< ") {
            current.bytes.extend(unescape(bytes));
        } else if let Some(bytes) = line.strip_prefix("then ") {
            current.then.extend(unescape(bytes));
        } else if line == "closed" {
            current.closed = true;
        } else if line.starts_with("= ") || line.starts_with("| ") || line == "|" {
            current.expect.push(line.trim_end().to_owned());
        } else {
            assert!(line.is_empty() || line.starts_with('#') || line == "greet", "{line}");
        }
    }
    exchanges.push(current);
    exchanges
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            b'r' => b'\r',
            b'n' => b'\n',
            b'e' => 0x1b,
            b't' => b'\t',
            b'\\' => b'\\',
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => panic!("unknown escape {}", char::from(other)),
        });
    }
    bytes
}

/// Plays a recording; `cut` says into which pieces the bytes of each exchange fall.
fn play(
    platform: &Arc<Platform>,
    exchanges: &[Exchange],
    cut: &dyn Fn(usize, &[u8]) -> Vec<Vec<u8>>,
) -> Vec<Vec<String>> {
    let host = exchanges.first().and_then(|exchange| exchange.host.clone());
    let manner = Manner { pipeline: platform.pipeline, settle: SETTLE, host };
    let mut dialogue = Dialogue::new(Arc::clone(platform), manner);
    let mut now = Duration::ZERO;
    exchanges
        .iter()
        .enumerate()
        .map(|(index, exchange)| {
            now += Duration::from_secs(5);
            if exchange.lines.is_empty() {
                dialogue.greet(false, TIME_MAX, now);
            } else {
                dialogue.say(lines(platform, exchange), now);
            }
            let pieces = cut(index, &exchange.bytes).into();
            outcome(&mut dialogue, platform, exchange, pieces, &mut now)
        })
        .collect()
}

fn lines(platform: &Platform, exchange: &Exchange) -> Vec<Line> {
    let made = exchange.lines.iter().map(|(text, mode)| {
        let after = match mode.as_deref() {
            None => After::AnyMode,
            Some("continuation") => After::Continuation,
            Some(name) => After::Mode(platform.mode_named(name).unwrap()),
        };
        let mut line = Line::new(Zeroizing::new(text.clone()), after, TIME_MAX);
        if let Some((question, answer)) = &exchange.question {
            let question = Pattern::new(question).unwrap();
            line = line.answered(question, Zeroizing::new(answer.clone()));
        }
        line
    });
    made.collect()
}

/// Feeds the pieces one millisecond apart, all within the settling time.
fn outcome(
    dialogue: &mut Dialogue,
    platform: &Platform,
    exchange: &Exchange,
    mut pieces: VecDeque<Vec<u8>>,
    now: &mut Duration,
) -> Vec<String> {
    let mut writes = 0;
    loop {
        match dialogue.next(*now) {
            Output::Write(_) => {
                writes += 1;
                if writes == 2 {
                    dialogue.received(&exchange.then, *now);
                }
            }
            Output::Wait(until) => {
                if let Some(piece) = pieces.pop_front() {
                    *now += Duration::from_millis(1);
                    dialogue.received(&piece, *now);
                } else if exchange.closed {
                    dialogue.closed();
                } else {
                    *now = until;
                }
            }
            Output::Done(Ok(replies)) => {
                // What comes behind the last prompt is dropped by the next line.
                for piece in pieces {
                    dialogue.received(&piece, *now);
                }
                let greeting = exchange.lines.is_empty();
                let shown = replies.iter().flat_map(|reply| shown(platform, reply));
                return shown.filter(|line| !greeting || line.starts_with('=')).collect();
            }
            Output::Done(Err(error)) => return vec![format!("= {}", kind(&error))],
        }
    }
}

fn shown(platform: &Platform, reply: &agent::dialogue::Reply) -> Vec<String> {
    let mode = reply.mode.and_then(|mode| platform.mode(mode)).map(|mode| mode.name.as_str());
    let noisy = if reply.noisy { " noisy" } else { "" };
    let mut lines = vec![format!("= ok {}{noisy}", mode.unwrap_or_default()).trim_end().to_owned()];
    lines.extend(reply.lines.iter().map(|line| format!("| {line}").trim_end().to_owned()));
    lines
}

fn kind(error: &DialogueError) -> &'static str {
    match error {
        DialogueError::Refused { .. } => "refused",
        DialogueError::NotConfirmed { .. } => "not-confirmed",
        DialogueError::WrongMode { .. } => "wrong-mode",
        DialogueError::OutOfStep { .. } => "out-of-step",
        DialogueError::Paged => "paged",
        DialogueError::TimedOut { .. } => "timed-out",
        DialogueError::Closed { .. } => "closed",
        DialogueError::TooLong => "too-long",
    }
}

fn recordings() -> Vec<(String, Arc<Platform>, Vec<Exchange>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let platforms = Platforms::built_in().unwrap();
    let mut found = Vec::new();
    for platform in platforms.iter() {
        let mut files: Vec<_> = std::fs::read_dir(folder.join(&platform.name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            found.push((file.display().to_string(), Arc::clone(platform), read(&text)));
        }
    }
    assert!(found.len() >= 19, "only {} recordings", found.len());
    found
}

fn expected(exchanges: &[Exchange]) -> Vec<Vec<String>> {
    exchanges.iter().map(|exchange| exchange.expect.clone()).collect()
}

#[test]
fn every_recording_has_its_outcome_in_one_piece_and_byte_by_byte() {
    for (name, platform, exchanges) in recordings() {
        let whole = play(&platform, &exchanges, &|_, bytes| vec![bytes.to_vec()]);
        assert_eq!(whole, expected(&exchanges), "{name}");
        let bytewise =
            play(&platform, &exchanges, &|_, bytes| bytes.iter().map(|byte| vec![*byte]).collect());
        assert_eq!(bytewise, expected(&exchanges), "{name}, byte by byte");
    }
}

#[test]
fn the_outcome_is_the_same_wherever_the_stream_is_cut_in_two() {
    for (name, platform, exchanges) in recordings() {
        for (index, exchange) in exchanges.iter().enumerate() {
            for at in 0..=exchange.bytes.len() {
                let cut = |this: usize, bytes: &[u8]| match this == index {
                    true => vec![bytes[..at].to_vec(), bytes[at..].to_vec()],
                    false => vec![bytes.to_vec()],
                };
                let played = play(&platform, &exchanges, &cut);
                assert_eq!(played, expected(&exchanges), "{name}, exchange {index} cut at {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn the_outcome_is_the_same_however_the_stream_is_cut(
        sizes in proptest::collection::vec(1_usize..40, 1..200)
    ) {
        for (name, platform, exchanges) in recordings() {
            let cut = |_, bytes: &[u8]| {
                let mut pieces = Vec::new();
                let mut rest = bytes;
                for size in sizes.iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (piece, after) = rest.split_at((*size).min(rest.len()));
                    pieces.push(piece.to_vec());
                    rest = after;
                }
                pieces
            };
            prop_assert_eq!(play(&platform, &exchanges, &cut), expected(&exchanges), "{}", name);
        }
    }
}
