//! `keyturn audit`

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{AuditCommand, AuditExport, AuditVerify};
use super::failure::{Exit, Failure};
use super::resource::{list, text};
use super::terminal::{Terminal, table};
use crate::audit::{Broken, LINE_BYTES_MAX, Link, PublicKey, Verifier};
use crate::client::Client;
use crate::data_dir::{AUDIT_END_FILE, AUDIT_PUBLIC_KEY_FILE};

pub(super) async fn run(
    client: &Client,
    command: AuditCommand,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match command {
        AuditCommand::Export(wanted) => export(client, &wanted, terminal).await,
        AuditCommand::Verify(wanted) => verify(client, &wanted, terminal).await,
    }
}

/// Reads the next part of the daemon's audit.
async fn page(client: &Client, from: u64) -> Result<Value, Failure> {
    let path = format!("/keyturn/v1/audit?from={from}");
    client.get(&path).await.map_err(|error| Failure::client("read the audit", &error))
}

async fn export(
    client: &Client,
    wanted: &AuditExport,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let doing = |file: &Path, source: &std::io::Error| {
        Failure::new(Exit::Failed, format!("write `{}`: {source}", file.display()))
    };
    let mut out = match &wanted.out {
        None => None,
        Some(file) => {
            let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            Some((file, opened.map_err(|source| doing(file, &source))?))
        }
    };
    let (mut from, mut records) = (0, 0);
    loop {
        let page = page(client, from).await?;
        let lines = list(&page, "/lines");
        if lines.is_empty() {
            break;
        }
        for line in lines.iter().filter_map(Value::as_str) {
            match &mut out {
                None => terminal.line(line)?,
                Some((file, out)) => {
                    writeln!(out, "{line}").map_err(|source| doing(file, &source))?;
                }
            }
            records += 1;
        }
        from = next(&page)?;
    }
    if let Some((file, out)) = out {
        out.sync_all().map_err(|source| doing(file, &source))?;
        terminal.say(&format!("exported {records} records to `{}`", file.display()));
    }
    Ok(())
}

fn next(page: &Value) -> Result<u64, Failure> {
    let next = page.pointer("/next").and_then(Value::as_u64);
    next.ok_or_else(|| {
        Failure::new(Exit::Failed, "read the audit: the daemon's answer has no next")
    })
}

async fn verify(
    client: &Client,
    wanted: &AuditVerify,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut answer = page(client, 0).await?;
    let key = match &wanted.public_key {
        Some(file) => read(file)?,
        None => parse("the daemon's public key", &text(&answer, "/publicKey"))?,
    };
    let end = match wanted.end {
        Some(end) => end,
        None => parse("the daemon's end of the audit", &text(&answer, "/end"))?,
    };
    let mut verifier = Verifier::new(key).reaching(end);
    loop {
        let lines = list(&answer, "/lines");
        if lines.is_empty() {
            break;
        }
        for line in lines.iter().filter_map(Value::as_str) {
            verifier.next(line).map_err(|broken| found(&broken))?;
        }
        answer = page(client, next(&answer)?).await?;
    }
    tell(verifier.finish().map_err(|broken| found(&broken))?, key, terminal)
}

/// Checks a file.
pub(super) fn verify_file(
    file: &Path,
    wanted: &AuditVerify,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let unread = |source: std::io::Error| {
        Failure::new(Exit::Failed, format!("read `{}`: {source}", file.display()))
    };
    let beside = |name: &str| file.with_file_name(name);
    let key = read(wanted.public_key.as_deref().unwrap_or(&beside(AUDIT_PUBLIC_KEY_FILE)))?;
    let kept = beside(AUDIT_END_FILE);
    let end: Option<Link> = match wanted.end {
        Some(end) => Some(end),
        None if kept.exists() => Some(read(&kept)?),
        None => None,
    };
    let mut verifier = Verifier::new(key);
    match end {
        Some(end) => verifier = verifier.reaching(end),
        None => terminal.say(
            "warning: no end is known, so that records cut off at the end are not found; give \
             one with --end",
        ),
    }
    let mut lines = BufReader::new(File::open(file).map_err(unread)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than any line has, so that a longer one is told as what it is.
        let most = LINE_BYTES_MAX as u64 + 2;
        if (&mut lines).take(most).read_until(b'\n', &mut line).map_err(unread)? == 0 {
            break;
        }
        verifier.next(&String::from_utf8_lossy(&line)).map_err(|broken| found(&broken))?;
    }
    tell(verifier.finish().map_err(|broken| found(&broken))?, key, terminal)
}

fn read<T: std::str::FromStr<Err: std::error::Error>>(file: &Path) -> Result<T, Failure> {
    let text = fs::read_to_string(file).map_err(|source| {
        Failure::new(Exit::Failed, format!("read `{}`: {source}", file.display()))
            .hint("say where it is with --public-key")
    })?;
    parse(&format!("`{}`", file.display()), &text)
}

fn parse<T: std::str::FromStr<Err: std::error::Error>>(
    what: &str,
    text: &str,
) -> Result<T, Failure> {
    let parsed = text.parse();
    parsed.map_err(|error: T::Err| Failure::of(&format!("understand {what}"), &error, None))
}

fn found(broken: &Broken) -> Failure {
    Failure::of("verify the audit", broken, None).hint(
        "records before that line are whole. Keep the log as it is, find out who could write to \
         it, and compare it with an earlier export",
    )
}

fn tell(end: Link, key: PublicKey, terminal: &mut Terminal) -> Result<(), Failure> {
    let result = json!({
        "records": end.sequence,
        "end": end.to_string(),
        "publicKey": key.to_string(),
        "whole": true,
    });
    terminal.result(result, |result| {
        let rows = [
            ("Records", end.sequence.to_string()),
            ("End", text(result, "/end")),
            ("Public key", text(result, "/publicKey")),
        ];
        table(["Whole", "yes"], rows.map(|(name, value)| [name.to_owned(), value]).to_vec())
    })
}
