use std::fs;
use std::sync::Mutex;

use protocol::id::SecretVersion;

use super::super::super::key::PassphraseSource;
use super::super::super::{Tag, Vault, contract};
use super::super::{Place, VAULT_FILE};
use super::*;
use crate::naming::SecretName;

const VALUES: [&str; 3] = ["Canary-one-4711", "Canary-two-4712", "Canary-three-4713"];

/// A data directory with a vault of three values and three data keys.
struct Home {
    dir: tempfile::TempDir,
    versions: Vec<(SecretName, SecretVersion)>,
    source: KeySource,
}

fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}

async fn open(dir: &Path, source: &KeySource) -> Result<EmbeddedVault, VaultError> {
    let file = path(dir, VAULT_FILE);
    EmbeddedVault::open_with(&file, source, Place::default(), contract::clock()).await
}

/// The same source of a key in a copy of the data directory.
fn moved(source: &KeySource, dir: &Path) -> KeySource {
    source.at(dir.join(source.path().file_name().unwrap()))
}

fn passphrase(dir: &Path, name: &str, text: &str) -> PassphraseSource {
    crate::disk::replace_private(&dir.join(name), text.as_bytes()).unwrap();
    PassphraseSource::File(dir.join(name))
}

async fn home(locked: bool) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let file = path(dir.path(), "vault.key");
    let source = match locked {
        false => KeySource::File(file),
        true => {
            let from = passphrase(dir.path(), "old.passphrase", "nine tall giraffes");
            KeySource::Passphrase { file, from }
        }
    };
    let mut vault = open(dir.path(), &source).await.unwrap();
    Arc::get_mut(&mut vault.keys).unwrap().values_max = 1;
    let mut versions = Vec::new();
    for (n, value) in VALUES.iter().enumerate() {
        let (name, tag) = (SecretName::for_tests(&format!("lab-{n}")), Tag::new("op"));
        let version = vault.put(&name, &tag, &contract::password(value)).await.unwrap();
        versions.push((name, version));
    }
    vault.close().await.unwrap();
    Home { dir, versions, source }
}

impl Home {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn rekey(&self, new: &NewKey, steps: &Steps) -> Result<Rekeyed, VaultError> {
        open(self.path(), &self.source).await?.rekey(&self.source, new, None, steps).await
    }

    async fn assert_whole(&self, dir: &Path, source: &KeySource) -> Option<Settled> {
        let vault = open(dir, source).await.unwrap();
        let values = vault.get_all(&self.versions).await.unwrap();
        assert!(values.iter().zip(VALUES).all(|(got, text)| got.expose() == text));
        assert_eq!(vault.verify().await.unwrap(), 3);
        let settled = vault.settled();
        vault.close().await.unwrap();
        settled
    }
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Tells whether any file of the directory contains these bytes.
fn on_disk(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let content = fs::read(entry.unwrap().path()).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn a_new_key_opens_every_value_and_the_old_one_opens_nothing() {
    let home = home(false).await;
    let old = text(home.source.path());
    let sealed: Vec<(Vec<u8>,)> = {
        let vault = open(home.path(), &home.source).await.unwrap();
        let read = vault.database.read(async move |mut session: Session| {
            Ok::<_, VaultError>(
                sqlx::query_as("SELECT wrapped FROM data_key")
                    .fetch_all(session.connection())
                    .await
                    .unwrap(),
            )
        });
        let sealed = read.await.unwrap();
        vault.close().await.unwrap();
        sealed
    };
    assert!(sealed.len() == 3 && sealed.iter().all(|(key,)| on_disk(home.path(), key)));
    let done = home.rekey(&NewKey::Random, &Steps::default()).await.unwrap();
    assert_eq!((done.data_keys, done.key.as_path()), (3, home.source.path()));
    let new = text(home.source.path());
    assert!(new.contains(&done.id) && old.contains(&done.was) && done.id != done.was);
    assert!(!path(home.path(), "vault.key.next").exists());
    assert!(!sealed.iter().any(|(key,)| on_disk(home.path(), key)), "sealed with the old key");
    assert_eq!(home.assert_whole(home.path(), &home.source).await, None);
    fs::write(home.source.path(), old).unwrap();
    let error = open(home.path(), &home.source).await.unwrap_err();
    assert!(matches!(error, VaultError::KeyWrong { .. }), "{error}");
    fs::write(home.source.path(), new).unwrap();
    home.assert_whole(home.path(), &home.source).await;
}

#[tokio::test]
async fn a_key_file_becomes_a_passphrase_and_the_other_way_round() {
    let home = home(false).await;
    let from = passphrase(home.path(), "new.passphrase", "eight small badgers\n");
    let new = NewKey::Passphrase(from.clone());
    home.rekey(&new, &Steps::default()).await.unwrap();
    let error = open(home.path(), &home.source).await.unwrap_err();
    assert!(matches!(error, VaultError::PassphraseMissing { .. }), "{error}");
    let locked = KeySource::Passphrase { file: home.source.path().to_owned(), from };
    home.assert_whole(home.path(), &locked).await;
    passphrase(home.path(), "new.passphrase", "eight small hedgehogs");
    let error = open(home.path(), &locked).await.unwrap_err();
    assert!(matches!(error, VaultError::PassphraseWrong { .. }), "{error}");
    passphrase(home.path(), "new.passphrase", "eight small badgers");
    let vault = open(home.path(), &locked).await.unwrap();
    vault.rekey(&locked, &NewKey::Random, None, &Steps::default()).await.unwrap();
    home.assert_whole(home.path(), &home.source).await;
}

/// Every step, in order.
async fn all_steps(home: &Home, new: &NewKey) -> Vec<RekeyStep> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hear = seen.clone();
    let steps = Steps::told(move |step| {
        hear.lock().unwrap().push(step);
        Ok(())
    });
    home.rekey(new, &steps).await.unwrap();
    std::mem::take(&mut seen.lock().unwrap())
}

#[tokio::test]
async fn a_change_of_the_key_that_is_killed_or_fails_at_any_step_leaves_one_key_that_opens() {
    let committed = |step| matches!(step, RekeyStep::EmptyLog | RekeyStep::TakePlace);
    let all = all_steps(&home(false).await, &NewKey::Random).await;
    assert_eq!(all.len(), 3 + 5, "{all:?}");
    for (at, step) in all.iter().enumerate() {
        let home = home(false).await;
        let old = text(home.source.path());
        let (count, killed) = (Mutex::new(0), Arc::new(Mutex::new(None)));
        let (dir, left) = (home.path().to_owned(), killed.clone());
        let steps = Steps::told(move |_step| {
            let mut count = count.lock().unwrap();
            *count += 1;
            if *count <= at {
                return Ok(());
            }
            // What a kill leaves at this instant; the error is a failure at it.
            left.lock().unwrap().get_or_insert_with(|| copy(&dir));
            Err(VaultError::Cipher { doing: "go on" })
        });
        home.rekey(&NewKey::Random, &steps).await.unwrap_err();
        let killed = killed.lock().unwrap().take().unwrap();
        for dir in [killed.path(), home.path()] {
            let source = moved(&home.source, dir);
            let settled = home.assert_whole(dir, &source).await;
            let wanted = match (*step, committed(*step)) {
                (RekeyStep::MakeKey, _) => None,
                (_, false) => Some(Settled::OldKey),
                (_, true) => Some(Settled::NewKey),
            };
            assert_eq!(settled, wanted, "{step:?}");
            assert_eq!(text(source.path()) == old, !committed(*step), "{step:?}");
            assert!(!path(dir, "vault.key.next").exists());
            // Settled for good, and the change can be made again.
            assert_eq!(home.assert_whole(dir, &source).await, None);
            let vault = open(dir, &source).await.unwrap();
            vault.rekey(&source, &NewKey::Random, None, &Steps::default()).await.unwrap();
            home.assert_whole(dir, &source).await;
        }
    }
}

#[tokio::test]
async fn a_change_of_the_passphrase_that_is_killed_is_told_by_which_passphrase_it_takes() {
    for stop in [RekeyStep::ReplaceProof, RekeyStep::TakePlace] {
        let home = home(true).await;
        let from = passphrase(home.path(), "new.passphrase", "eight small badgers");
        let steps = Steps::told(move |step| match step == stop {
            true => Err(VaultError::Cipher { doing: "go on" }),
            false => Ok(()),
        });
        home.rekey(&NewKey::Passphrase(from.clone()), &steps).await.unwrap_err();
        let new = KeySource::Passphrase { file: home.source.path().to_owned(), from };
        let (right, wrong) = match stop {
            RekeyStep::TakePlace => (&new, &home.source),
            _ => (&home.source, &new),
        };
        let error = open(home.path(), wrong).await.unwrap_err();
        assert!(matches!(error, VaultError::PassphraseWrong { .. }), "{stop:?}: {error}");
        home.assert_whole(home.path(), right).await;
    }
}

#[tokio::test]
async fn the_new_key_may_be_made_elsewhere_and_the_old_file_stays() {
    let home = home(false).await;
    let old = text(home.source.path());
    let to = path(home.path(), "elsewhere.key");
    for _again in 0..2 {
        let stop = Steps::told(|step| match step {
            RekeyStep::Commit => Err(VaultError::Cipher { doing: "go on" }),
            _ => Ok(()),
        });
        let vault = open(home.path(), &home.source).await.unwrap();
        vault.rekey(&home.source, &NewKey::Random, Some(&to), &stop).await.unwrap_err();
        home.assert_whole(home.path(), &home.source).await;
    }
    let made = text(&to);
    let credential = KeySource::Credential(home.source.path().to_owned());
    let vault = open(home.path(), &credential).await.unwrap();
    let error = vault.rekey(&credential, &NewKey::Random, None, &Steps::default()).await;
    assert!(matches!(error.unwrap_err(), VaultError::KeyFixed { .. }));
    let vault = open(home.path(), &credential).await.unwrap();
    let done = vault.rekey(&credential, &NewKey::Random, Some(&to), &Steps::default()).await;
    assert!(made.contains(&done.unwrap().id), "the key that was there was taken");
    assert_eq!(text(home.source.path()), old);
    home.assert_whole(home.path(), &KeySource::File(to)).await;
}

#[tokio::test]
async fn damage_is_told_from_a_wrong_key_while_two_keys_are_there() {
    let home = home(false).await;
    let steps = Steps::told(|step| match step {
        RekeyStep::TakePlace => Err(VaultError::Cipher { doing: "go on" }),
        _ => Ok(()),
    });
    home.rekey(&NewKey::Random, &steps).await.unwrap_err();
    let next = path(home.path(), "vault.key.next");
    let good = text(&next);
    fs::write(&next, good.replace(' ', "_")).unwrap();
    let error = open(home.path(), &home.source).await.unwrap_err();
    assert!(matches!(error, VaultError::KeyWrong { .. }), "{error}");
    assert!(next.exists(), "a key that may be the vault's is never removed");
    fs::write(&next, good).unwrap();
    assert_eq!(home.assert_whole(home.path(), &home.source).await, Some(Settled::NewKey));
}
