use std::fs;
use std::sync::Mutex;

use protocol::id::SecretVersion;

use super::super::super::{Tag, Vault, contract};
use super::super::{Place, VAULT_FILE};
use super::*;
use crate::naming::SecretName;

const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

fn identities() -> Vec<Identity> {
    Identity::parse_all(IDENTITY).unwrap()
}

fn recipients() -> Vec<Recipient> {
    identities().iter().map(|identity| identity.recipient().clone()).collect()
}

/// Bytes that somebody else keeps.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn open(dir: &Path) -> EmbeddedVault {
    EmbeddedVault::open(dir, Place::default(), contract::clock()).await.unwrap()
}

type Located = (SecretName, SecretVersion);

/// A vault with two data keys: versions, a disabled one and a purged one.
async fn filled(dir: &Path) -> (EmbeddedVault, Vec<Located>) {
    let mut vault = open(dir).await;
    Arc::get_mut(&mut vault.keys).unwrap().values_max = 4;
    let mut located = Vec::new();
    for n in 0..7 {
        let (name, tag) =
            (SecretName::for_tests(&format!("lab-{}", n % 3)), Tag::new(&format!("{n}")));
        let value = contract::password(&format!("Canary-{n}"));
        located.push((name.clone(), vault.put(&name, &tag, &value).await.unwrap()));
    }
    vault.disable(&located[5].0, &located[5].1).await.unwrap();
    vault.purge(&located[6].0, &located[6].1).await.unwrap();
    vault.raise_mark(41, "noted").await.unwrap();
    (vault, located)
}

async fn backed_up(vault: &EmbeddedVault) -> Vec<u8> {
    let paper = Paper::default();
    let made = vault.back_up_all(recipients(), Box::new(paper.clone())).await.unwrap();
    assert_eq!(made.values, 6);
    std::mem::take(&mut paper.0.lock().unwrap())
}

async fn restore(dir: &Path, from: Vec<u8>) -> Result<Backup, VaultError> {
    let source = KeySource::File(dir.join("vault.key"));
    let from = io::Cursor::new(from);
    EmbeddedVault::restore(&dir.join(VAULT_FILE), &source, identities(), from, contract::clock())
        .await
}

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn what_was_backed_up_while_the_vault_is_used_is_restored_with_a_key_of_its_own() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (vault, located) = filled(dir.path()).await;
    let backup = backed_up(&vault).await;
    // Later than the backup.
    let name = SecretName::for_tests("lab-9");
    let late = vault.put(&name, &Tag::new("9"), &contract::password("late")).await.unwrap();
    assert!(!files(dir.path()).iter().any(|name| name.contains("backup")), "nothing is left");
    restore(to.path(), backup).await.unwrap();
    let restored = open(to.path()).await;
    let key = fs::read(to.path().join("vault.key")).unwrap();
    assert_ne!(key, fs::read(dir.path().join("vault.key")).unwrap());
    for (n, (name, version)) in located.iter().enumerate() {
        let got = restored.get(name, version).await;
        match n {
            5 => assert!(matches!(got, Err(VaultError::Disabled { .. })), "{got:?}"),
            6 => assert!(matches!(got, Err(VaultError::Purged { .. })), "{got:?}"),
            _ => assert_eq!(got.unwrap().expose(), format!("Canary-{n}")),
        }
        let (was, is) =
            (vault.versions(name).await.unwrap(), restored.versions(name).await.unwrap());
        assert_eq!(was, is, "versions, tags and times of {n}");
    }
    assert!(matches!(restored.get(&name, &late).await, Err(VaultError::NotFound { .. })));
    assert_eq!(restored.mark().await.unwrap(), vault.mark().await.unwrap());
    assert_eq!(restored.verify().await.unwrap(), 6);
    // The restored vault goes on as any other.
    restored.put(&name, &Tag::new("10"), &contract::password("on")).await.unwrap();
}

#[tokio::test]
async fn nothing_of_a_backup_can_be_read_without_the_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, located) = filled(dir.path()).await;
    let backup = backed_up(&vault).await;
    for text in ["Canary", "lab-0", "SQLite", "keyturn", located[0].1.0.as_ref()] {
        assert!(!has(&backup, text.as_bytes()), "{text}");
    }
    let mut opened = Vec::new();
    age::open(&identities(), backup.as_slice()).unwrap().read_to_end(&mut opened).unwrap();
    assert!(has(&opened, b"lab-0") && !has(&opened, b"Canary"));
    let key = fs::read_to_string(dir.path().join("vault.key")).unwrap();
    let digits = key.lines().nth(1).unwrap();
    assert!(!has(&opened, digits.as_bytes()), "the vault's own key is not in it");
    let other = Identity::parse_all(
        "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0",
    );
    let to = tempfile::tempdir().unwrap();
    let source = KeySource::File(to.path().join("vault.key"));
    let file = to.path().join(VAULT_FILE);
    let from = io::Cursor::new(backup);
    let restored =
        EmbeddedVault::restore(&file, &source, other.unwrap(), from, contract::clock()).await;
    let error = restored.unwrap_err();
    assert!(matches!(&error, VaultError::Backup { source: AgeError::NotForUs }), "{error:?}");
    assert!(error.hint().unwrap().contains("identity"));
    assert_eq!(files(to.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_that_was_cut_or_changed_anywhere_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _located) = filled(dir.path()).await;
    let good = backed_up(&vault).await;
    let to = tempfile::tempdir().unwrap();
    let places = (0..good.len()).step_by(good.len() / 40).chain([good.len() - 1]);
    for at in places {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let mut longer = good.clone();
        longer.extend_from_slice(b"more");
        for bad in [changed, good[..at].to_vec(), longer] {
            let error = restore(to.path(), bad).await.unwrap_err();
            assert!(matches!(error, VaultError::Backup { .. }), "{at}: {error:?}");
            assert_eq!(files(to.path()), Vec::<String>::new(), "{at}");
        }
    }
    restore(to.path(), good).await.unwrap();
}

/// Seals something else as a backup is sealed.
fn forged(content: &[u8]) -> Vec<u8> {
    let mut sealer = age::seal(&recipients(), Vec::new()).unwrap();
    sealer.write_all(content).unwrap();
    sealer.finish().unwrap()
}

#[tokio::test]
async fn what_is_sealed_rightly_and_is_no_backup_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _located) = filled(dir.path()).await;
    let mut good = Vec::new();
    let backup = backed_up(&vault).await;
    age::open(&identities(), backup.as_slice()).unwrap().read_to_end(&mut good).unwrap();
    let header_ends = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let about = good[header_ends..].iter().position(|byte| *byte == b'\n').unwrap();
    let (first, rest) = good.split_at(header_ends);
    let (about, file) = rest.split_at(about + 1);
    let about = String::from_utf8(about.to_vec()).unwrap();
    let another_key = about.replacen(|c: char| c.is_ascii_digit(), "f", 1);
    let fewer = about.replace("\"values\":6", "\"values\":7");
    assert!(about != another_key && about != fewer);
    let mut flipped = file.to_vec();
    flipped[4096] ^= 1;
    let cases: [&[&[u8]]; 7] = [
        &[b""],
        &[b"hello\n", about.as_bytes(), file],
        &[first, b"{}\n", file],
        &[first, another_key.as_bytes(), file],
        &[first, fewer.as_bytes(), file],
        &[first, about.as_bytes(), &flipped],
        &[first, about.as_bytes(), &file[..file.len() / 2]],
    ];
    let to = tempfile::tempdir().unwrap();
    for (n, case) in cases.iter().enumerate() {
        let error = restore(to.path(), forged(&case.concat())).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("Canary") && error.hint().is_some(), "{n}: {text}");
        assert_eq!(files(to.path()), Vec::<String>::new(), "{n}: {text}");
    }
    restore(to.path(), forged(&good)).await.unwrap();
}

#[tokio::test]
async fn a_vault_that_is_there_is_never_restored_over_and_a_key_that_is_there_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _located) = filled(dir.path()).await;
    let backup = backed_up(&vault).await;
    vault.close().await.unwrap();
    let before = fs::read(dir.path().join(VAULT_FILE)).unwrap();
    let error = restore(dir.path(), backup.clone()).await.unwrap_err();
    assert!(matches!(error, VaultError::VaultThere { .. }), "{error}");
    assert_eq!(fs::read(dir.path().join(VAULT_FILE)).unwrap(), before);
    let to = tempfile::tempdir().unwrap();
    let key = fs::read(dir.path().join("vault.key")).unwrap();
    crate::disk::replace_private(&to.path().join("vault.key"), &key).unwrap();
    restore(to.path(), backup).await.unwrap();
    assert_eq!(fs::read(to.path().join("vault.key")).unwrap(), key);
    assert_eq!(open(to.path()).await.verify().await.unwrap(), 6);
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_leaves_nothing_and_says_so() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (vault, _located) = filled(dir.path()).await;
    let error = vault.back_up_all(recipients(), Box::new(Full)).await.unwrap_err();
    assert!(matches!(error, VaultError::Backup { source: AgeError::Io { .. } }), "{error:?}");
    let error = vault.back_up_all(Vec::new(), Box::new(Paper::default())).await.unwrap_err();
    assert!(matches!(error, VaultError::Backup { source: AgeError::Nobody { .. } }), "{error:?}");
    assert!(!files(dir.path()).iter().any(|name| name.contains("backup")));
    assert_eq!(vault.verify().await.unwrap(), 6);
}

/// Keeps what a kill leaves at the instant of the first write.
struct Killed {
    dir: PathBuf,
    left: Arc<Mutex<Option<tempfile::TempDir>>>,
}

impl Write for Killed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let to = tempfile::tempdir().unwrap();
        for name in files(&self.dir) {
            fs::copy(self.dir.join(&name), to.path().join(&name)).unwrap();
        }
        self.left.lock().unwrap().get_or_insert(to);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_a_killed_backup_has_left_is_removed_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, located) = filled(dir.path()).await;
    let left = Arc::new(Mutex::new(None));
    let killed = Killed { dir: dir.path().to_owned(), left: left.clone() };
    vault.back_up_all(recipients(), Box::new(killed)).await.unwrap();
    let left = left.lock().unwrap().take().unwrap();
    let copy = left.path().join("vault.db.backup.new");
    assert!(fs::metadata(&copy).unwrap().len() > 0);
    // What a kill between the two names of a vault that is being made leaves: both are one file.
    fs::hard_link(left.path().join(VAULT_FILE), left.path().join("vault.db.new")).unwrap();
    fs::write(left.path().join("vault.db.backup"), "somebody's own").unwrap();
    let again = open(left.path()).await;
    let names = files(left.path());
    assert!(!names.iter().any(|name| name.contains(".new")), "{names:?}");
    assert!(names.contains(&"vault.db.backup".to_owned()), "only drafts are ours: {names:?}");
    assert_eq!(again.verify().await.unwrap(), 6);
    again.get(&located[0].0, &located[0].1).await.unwrap();
    assert!(!has(&backed_up(&again).await, b"Canary"));
}
