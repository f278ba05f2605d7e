use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;

/// A key that stands nowhere else.
fn signer() -> Signer {
    let pkcs8 =
        aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new());
    Signer::from_pkcs8(pkcs8.unwrap().as_ref()).unwrap()
}

fn entry(at: usize) -> Entry {
    let mut entry = Entry::requested("owner", "Keyturn/x/action", "/subscriptions/x", Timestamp(0));
    entry.client_request = at.is_multiple_of(2).then(|| format!("client {at}"));
    entry.devices = (0..at % 3).map(|at| format!("ce-{at:02}").parse().unwrap()).collect();
    entry
}

fn chain(signer: &Signer, records: usize) -> (Vec<String>, Link) {
    let mut end = Link::START;
    let mut lines = Vec::new();
    for at in 0..records {
        let (line, next) = signer.write(&end, &entry(at)).unwrap();
        lines.push(line);
        end = next;
    }
    (lines, end)
}

fn check(key: PublicKey, lines: &[String], known: Link) -> Result<Link, Broken> {
    let mut verifier = Verifier::new(key).reaching(known);
    for line in lines {
        verifier.next(line)?;
    }
    verifier.finish()
}

#[test]
fn a_chain_that_nobody_touched_is_whole_and_may_have_grown() {
    let signer = signer();
    let (lines, end) = chain(&signer, 7);
    assert_eq!(check(signer.public_key(), &lines, end), Ok(end));
    let (_less, before) = chain(&signer, 5);
    assert_eq!(check(signer.public_key(), &lines, before), Ok(end));
    assert_eq!(check(signer.public_key(), &[], Link::START), Ok(Link::START));
    assert_eq!(end.to_string().parse(), Ok(end));
}

#[test]
fn each_break_has_its_name_and_its_line() {
    let signer = signer();
    let key = signer.public_key();
    let (lines, end) = chain(&signer, 5);
    let broken = |lines: &[String]| {
        let broken = check(key, lines, end).unwrap_err();
        (broken.line, broken.fault)
    };
    let mut edited = lines.clone();
    edited[2] = edited[2].replacen("owner", "other", 1);
    assert_eq!(broken(&edited), (3, Fault::Hash));
    let mut out = lines.clone();
    out.remove(1);
    assert_eq!(broken(&out), (2, Fault::Sequence { expected: 2, got: 3 }));
    let mut moved = lines.clone();
    moved.swap(2, 3);
    assert_eq!(broken(&moved), (3, Fault::Sequence { expected: 3, got: 4 }));
    assert_eq!(broken(&lines[..4]), (5 + 1 - 1, Fault::Cut { expected: 5, got: 4 }));
    let mut spaced = lines.clone();
    spaced[0] = spaced[0].replacen(",\"", ", \"", 1);
    assert_eq!(broken(&spaced), (1, Fault::Form));
    let (others, _end) = chain(&self::signer(), 5);
    assert_eq!(broken(&others), (1, Fault::Signature));
    // Written by the same key, but another history.
    let (first, one) = signer.write(&Link::START, &entry(9)).unwrap();
    let (second, _two) = signer.write(&one, &entry(1)).unwrap();
    assert_eq!(broken(&[lines[0].clone(), second.clone()]), (2, Fault::Previous));
    let exchanged = check(key, &[first, second], Link { sequence: 2, ..end }).unwrap_err();
    assert_eq!((exchanged.line, exchanged.fault), (2, Fault::Exchanged { sequence: 2 }));
}

#[test]
fn texts_that_callers_choose_are_bounded_and_harmless() {
    let signer = signer();
    let mut entry = entry(0);
    entry.object = format!("\u{1b}[31m\n{}", "x".repeat(100_000));
    entry.devices = (0..5000)
        .map(|at| format!("{at:0>100}a").replacen('0', "d", 1))
        .map(|name| name.parse().unwrap())
        .collect();
    let (line, end) = signer.write(&Link::START, &entry).unwrap();
    assert!(line.len() < LINE_BYTES_MAX, "{}", line.len());
    let record = Verifier::new(signer.public_key()).next(&line).unwrap();
    assert!(!record.object.contains(char::is_control) && record.devices.len() == DEVICES_MAX);
    assert_eq!(end.sequence, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is done to the bytes of a log, it is found.
    #[test]
    fn every_edit_of_a_byte_and_every_cut_is_found(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        how in 0..3_u8,
    ) {
        let signer = signer();
        let (lines, end) = chain(&signer, 4);
        let mut bytes = lines.concat().into_bytes();
        let at = at.index(bytes.len());
        let before = bytes.clone();
        match how {
            0 => bytes[at] = byte,
            1 => bytes.truncate(at),
            _ => bytes.insert(at, byte),
        }
        prop_assume!(bytes != before);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The last line feed alone says nothing.
        prop_assume!(text.trim_end_matches('\n') != lines.concat().trim_end_matches('\n'));
        let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        prop_assert!(check(signer.public_key(), &lines, end).is_err());
    }
}
