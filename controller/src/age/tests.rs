use std::io::Read;

use super::*;

// A key pair and files of `age` 1.1.1 (https://age-encryption.org), for these tests alone.
const IDENTITY: &str = "AGE-SECRET-KEY-1CJ3MT8J8TME5G2ATUA3WZJ8782FJVMYVPVQHR3R74CVYYUYP45JSRXQ5GC";
const RECIPIENT: &str = "age1xjxeswxrcymaw844xahu9yu6jn6zgg422cmscunf3cl3uuyjk3gqlyadv0";
/// `printf 'as age seals it' | age -r …`
const SEALED_BY_AGE: &str = concat!(
    "6167652d656e6372797074696f6e2e6f72672f76310a2d3e205832353531392066614265645541776a5a",
    "783242376a4f326772694d4757426e4a59562b67344c333163376873676a78456f0a444a7a4768546368",
    "5a546d6851693472344a757a497a5852676d517578687159544e706c2b4452374f50510a2d2d2d207057",
    "4434474a6a624f62414d6b3968644f2f33576e4f30433532623031325a6c43537835344c2b49674c510a",
    "8579086566baffba6bba48229bf4768f96de3c1e681ed03964fde7a7a93e58a18552974d03d4f7bf0236",
    "96f4626174",
);

fn identities() -> Vec<Identity> {
    Identity::parse_all(&format!("# created: some day\n# public key: {RECIPIENT}\n{IDENTITY}\n"))
        .unwrap()
}

fn sealed(text: &[u8]) -> Vec<u8> {
    let mut sealer = seal(&[RECIPIENT.parse().unwrap()], Vec::new()).unwrap();
    sealer.write_all(text).unwrap();
    sealer.finish().unwrap()
}

fn opened(sealed: &[u8]) -> Result<Vec<u8>, AgeError> {
    let mut text = Vec::new();
    open(&identities(), sealed)?
        .read_to_end(&mut text)
        .map_err(|source| AgeError::Io { source })?;
    Ok(text)
}

#[test]
fn a_file_of_the_age_program_opens() {
    let bytes = hex::decode(SEALED_BY_AGE).unwrap();
    assert_eq!(opened(&bytes).unwrap(), b"as age seals it");
}

#[test]
fn the_recipient_of_an_identity_is_the_one_that_age_says() {
    assert_eq!(identities()[0].recipient().to_string(), RECIPIENT);
    assert!(!format!("{:?}", identities()).contains("SECRET"));
    for wrong in [RECIPIENT, &IDENTITY.to_lowercase(), "AGE-SECRET-KEY-1", ""] {
        assert!(matches!(wrong.parse::<Identity>(), Err(AgeError::Identity)), "{wrong}");
    }
    assert!(matches!(Identity::parse_all("# none\n"), Err(AgeError::Nobody { .. })));
    for wrong in [IDENTITY, "age1", "ssh-ed25519 AAAA", "age1\u{1b}[2J"] {
        let error = wrong.parse::<Recipient>().unwrap_err();
        assert!(error.hint().unwrap().contains("age-keygen"));
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn contents_of_every_length_about_a_chunk_come_back() {
    const CHUNK: usize = 64 << 10;
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1] {
        let text: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        assert_eq!(opened(&sealed(&text)).unwrap(), text, "{length}");
    }
}

#[test]
fn a_file_for_several_opens_for_each_and_for_nobody_else() {
    let other: Identity =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
            .parse()
            .unwrap();
    let both = [other.recipient().clone(), RECIPIENT.parse().unwrap()];
    let mut sealer = seal(&both, Vec::new()).unwrap();
    sealer.write_all(b"for both").unwrap();
    let file = sealer.finish().unwrap();
    assert_eq!(opened(&file).unwrap(), b"for both");
    let mut text = Vec::new();
    open(&[other], file.as_slice()).unwrap().read_to_end(&mut text).unwrap();
    assert_eq!(text, b"for both");
    let mut sealer = seal(&both[..1], Vec::new()).unwrap();
    sealer.write_all(b"for one").unwrap();
    assert!(matches!(opened(&sealer.finish().unwrap()), Err(AgeError::NotForUs)));
    assert!(matches!(seal(&[], Vec::new()), Err(AgeError::Nobody { .. })));
}

#[test]
fn a_file_that_was_changed_anywhere_or_cut_or_lengthened_does_not_open_to_its_end() {
    let text = vec![7; (64 << 10) + 100];
    let good = sealed(&text);
    assert_eq!(opened(&good).unwrap(), text);
    for at in (0..400).chain((400..good.len()).step_by(997)) {
        let mut bad = good.clone();
        bad[at] ^= 0x04;
        assert!(opened(&bad).is_err(), "byte {at}");
        assert!(opened(&good[..at]).is_err(), "cut at {at}");
    }
    // Cut just behind the first chunk.
    let header = good.windows(4).position(|four| four == b"--- ").unwrap() + 48;
    assert!(opened(&good[..header + 16 + (64 << 10) + 16]).is_err());
    let mut longer = good.clone();
    longer.push(0);
    assert!(opened(&longer).is_err());
}

#[test]
fn what_is_no_age_file_is_called_so() {
    for text in ["", "hello", "age-encryption.org/v2\n-> X25519 a\n\n--- b\n", "\u{0}\u{1}\n"] {
        let error = opened(text.as_bytes()).unwrap_err();
        let is_told = matches!(error, AgeError::NotAge | AgeError::Damaged { .. });
        assert!(is_told, "{text:?}: {error}");
    }
    let endless = vec![b'x'; 1 << 20];
    assert!(opened(&endless).is_err());
}

#[test]
fn an_unfinished_file_does_not_open_to_its_end() {
    let mut file = Vec::new();
    let mut sealer = seal(&[RECIPIENT.parse().unwrap()], &mut file).unwrap();
    sealer.write_all(&vec![7; 200 << 10]).unwrap();
    drop(sealer);
    assert!(opened(&file).is_err());
}
