use std::fs;

use super::*;
use crate::audit::Verifier;
use crate::data_dir::{AUDIT_END_FILE, AUDIT_FILE, AUDIT_KEY_FILE};
use crate::model::Timestamp;

fn entry(at: u64) -> Entry {
    Entry::requested("owner", "Keyturn/x/action", &format!("/{at}"), Timestamp(0))
}

async fn verify(auditor: &Auditor) -> Result<Link, Broken> {
    let mut verifier = Verifier::new(auditor.public_key()).reaching(auditor.end());
    let mut from = 0;
    loop {
        let page = auditor.page(from).await.unwrap();
        if page.lines.is_empty() {
            return verifier.finish();
        }
        for line in &page.lines {
            verifier.next(line)?;
        }
        from = page.next;
    }
}

#[tokio::test]
async fn records_are_numbered_in_the_order_in_which_they_became_durable_and_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let auditor = open(dir.path()).await.unwrap();
    let writing: Vec<_> = (0..100)
        .map(|at| {
            let auditor = auditor.clone();
            tokio::spawn(async move { auditor.write(entry(at)).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for written in writing {
        numbers.push(written.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<u64>>());
    let end = auditor.end();
    drop(auditor);
    let again = open(dir.path()).await.unwrap();
    assert_eq!(again.end(), end);
    assert_eq!(again.write(entry(7)).await.unwrap(), 101);
    assert_eq!(verify(&again).await, Ok(again.end()));
    assert!(matches!(again.page(1).await, Err(AuditError::Place { from: 1 })));
    assert!(matches!(again.page(u64::MAX).await, Err(AuditError::Place { .. })));
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_taken_away_and_what_was_cut_is_found_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let auditor = open(dir.path()).await.unwrap();
    for at in 0..3 {
        auditor.write(entry(at)).await.unwrap();
    }
    let end = auditor.end();
    drop(auditor);
    let log = dir.path().join(AUDIT_FILE);
    let whole = fs::read_to_string(&log).unwrap();
    fs::write(&log, format!("{whole}{{\"record\":{{\"sequence\":4,")).unwrap();
    let again = open(dir.path()).await.unwrap();
    assert_eq!((again.end(), fs::read_to_string(&log).unwrap()), (end, whole.clone()));
    drop(again);
    let check = |text: &str, wanted: &str| {
        fs::write(&log, text).unwrap();
        let (dir, wanted) = (dir.path().to_owned(), wanted.to_owned());
        async move {
            let error = open(&dir).await.unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error}: {}", source.unwrap_or_default());
            assert!(text.contains(&wanted), "{text}");
            assert!(error.hint().is_some());
        }
    };
    let two = whole.lines().take(2).map(|line| format!("{line}\n")).collect::<String>();
    check(&two, "its end was cut off").await;
    check("", "its end was cut off").await;
    // Without its last line feed the last record is no more; the rest of it stays as evidence.
    check(whole.trim_end(), "its end was cut off").await;
    assert_eq!(fs::read_to_string(&log).unwrap(), whole.trim_end());
    check(&whole.replace("owner", "other"), "does not have its hash").await;
    check("rubbish\n", "no record").await;
    fs::remove_file(&log).unwrap();
    assert!(matches!(open(dir.path()).await.unwrap_err(), AuditError::Lost { .. }));
    fs::write(&log, &whole).unwrap();
    for (name, kept) in [(AUDIT_END_FILE, &end.to_string()), (AUDIT_KEY_FILE, &String::new())] {
        let file = dir.path().join(name);
        let before = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(matches!(open(dir.path()).await.unwrap_err(), AuditError::Lost { .. }), "{kept}");
        fs::write(&file, "rubbish").unwrap();
        assert!(matches!(open(dir.path()).await.unwrap_err(), AuditError::Damaged { .. }));
        fs::write(&file, before).unwrap();
    }
    assert_eq!(open(dir.path()).await.unwrap().end(), end);
}

#[tokio::test]
async fn what_cannot_be_written_is_told_and_nothing_follows_an_unknown_end() {
    let (auditor, paper) = Auditor::in_memory().unwrap();
    paper.faults().once(0, PaperFault::Full);
    assert!(auditor.write(entry(0)).await.is_err());
    assert_eq!(auditor.write(entry(1)).await.unwrap(), 1);
    assert_eq!(verify(&auditor).await, Ok(auditor.end()));
    paper.faults().once(0, PaperFault::FailAfter);
    assert!(auditor.write(entry(2)).await.is_err());
    let error = auditor.write(entry(3)).await.unwrap_err();
    assert!(error.to_string().contains("keep the audit") && error.hint().is_some());
    assert_eq!(paper.text().lines().count(), 2, "nothing was written after it");
}
