use std::fs;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

use protocol::id::SecretVersion;
use zeroize::Zeroizing;

use super::super::super::key::{PassphraseSource, WrapError, Wrapped, Wrapper, Wrapping};
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

/// The key that was put aside, of which there is one.
fn aside(dir: &Path, what: &str) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |file: &PathBuf| file.display().to_string().contains(what);
    let all: Vec<PathBuf> = files.filter(is_one).collect();
    assert_eq!(all.len(), 1, "{what}");
    all.into_iter().next().unwrap()
}

fn was(dir: &Path) -> PathBuf {
    aside(dir, "vault.key.was-")
}

#[tokio::test]
async fn the_old_key_stays_and_opens_older_copies() {
    let home = home(false).await;
    let older = copy(home.path());
    let old = text(home.source.path());
    let done = home.rekey(&NewKey::Random, &Steps::default()).await.unwrap();
    let kept = was(home.path());
    assert!(kept.display().to_string().ends_with(&done.was), "{}", kept.display());
    assert_eq!(text(&kept), old);
    fs::copy(&kept, older.path().join("vault.key")).unwrap();
    home.assert_whole(older.path(), &moved(&home.source, older.path())).await;
}

#[tokio::test]
async fn the_newest_vaults_key_outlives_an_older_copy_in_its_place() {
    let home = home(false).await;
    let older = copy(home.path());
    let stopped = Steps::told(|step| match step {
        RekeyStep::TakePlace => Err(VaultError::Cipher { doing: "go on" }),
        _ => Ok(()),
    });
    home.rekey(&NewKey::Random, &stopped).await.unwrap_err();
    let newest = copy(home.path());
    // Somebody brings the older vault back; it opens with the key that it has.
    for file in ["vault.db", "vault.db-wal", "vault.db-shm"] {
        let (from, to) = (older.path().join(file), home.path().join(file));
        let _absent = fs::remove_file(&to);
        let _absent = fs::copy(from, to);
    }
    let settled = home.assert_whole(home.path(), &home.source).await;
    assert_eq!(settled, Some(Settled::OldKey));
    // The newest one has the other key, which is still there.
    let unused = aside(home.path(), "vault.key.unused-");
    let _absent = fs::remove_file(newest.path().join("vault.key.next"));
    fs::copy(unused, newest.path().join("vault.key")).unwrap();
    home.assert_whole(newest.path(), &moved(&home.source, newest.path())).await;
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

/// A service that wraps by a key of its own, which has versions.
#[derive(Debug, Default)]
struct Service {
    version: std::sync::atomic::AtomicUsize,
    is_down: std::sync::atomic::AtomicBool,
}

const SERVICE_DOWN: &str = "none";

#[async_trait::async_trait]
impl Wrapper for Arc<Service> {
    fn by(&self) -> String {
        "test https://wrapper".to_owned()
    }

    async fn wrap(&self, key: &[u8; 32]) -> Result<Wrapped, WrapError> {
        if self.is_down.load(Relaxed) {
            return Err(WrapError::Algorithm { given: SERVICE_DOWN.to_owned() });
        }
        let version = self.version.load(Relaxed);
        let mask = u8::try_from(version).unwrap() ^ 0x5a;
        let text = hex::encode(key.map(|byte| byte ^ mask));
        let (version, algorithm) = (version.to_string(), "XOR".to_owned());
        Ok(Wrapped { by: self.by(), version, algorithm, text })
    }

    async fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, WrapError> {
        if self.is_down.load(Relaxed) {
            return Err(WrapError::Algorithm { given: SERVICE_DOWN.to_owned() });
        }
        let mask = wrapped.version.parse::<u8>().unwrap() ^ 0x5a;
        let bytes = hex::decode(&wrapped.text).unwrap();
        Ok(Zeroizing::new(bytes.into_iter().map(|byte| byte ^ mask).collect()))
    }
}

fn service() -> (Arc<Service>, Wrapping) {
    let service = Arc::new(Service::default());
    (Arc::clone(&service), Wrapping::new(service))
}

/// Changes the key and stops at a step, once; returns what a kill would have left.
async fn killed_at(home: &Home, new: &NewKey, at: usize) -> tempfile::TempDir {
    let (count, killed) = (Mutex::new(0), Arc::new(Mutex::new(None)));
    let (dir, left) = (home.path().to_owned(), killed.clone());
    let steps = Steps::told(move |_step| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count <= at {
            return Ok(());
        }
        left.lock().unwrap().get_or_insert_with(|| copy(&dir));
        Err(VaultError::Cipher { doing: "go on" })
    });
    home.rekey(new, &steps).await.unwrap_err();
    let left = killed.lock().unwrap().take();
    left.unwrap()
}

#[tokio::test]
async fn a_change_to_from_and_of_a_wrapped_key_that_is_killed_at_any_step_leaves_one_that_opens() {
    for (from_wrapped, to_wrapped) in [(false, true), (true, false), (true, true)] {
        for at in 0..8 {
            let mut home = home(false).await;
            let (service, by) = service();
            let file = home.source.path().to_owned();
            // The configuration names the wrapping key before, during and after the change.
            home.source = KeySource::Wrapped { file, by: by.clone() };
            if from_wrapped {
                home.rekey(&NewKey::Wrapped(by.clone()), &Steps::default()).await.unwrap();
                service.version.store(1, Relaxed);
            }
            let new = if to_wrapped { NewKey::Wrapped(by.clone()) } else { NewKey::Random };
            let killed = killed_at(&home, &new, at).await;
            for dir in [killed.path(), home.path()] {
                let source = moved(&home.source, dir);
                home.assert_whole(dir, &source).await;
                assert!(!path(dir, "vault.key.next").exists());
                assert_eq!(home.assert_whole(dir, &source).await, None, "settled for good");
                let vault = open(dir, &source).await.unwrap();
                vault.rekey(&source, &new, None, &Steps::default()).await.unwrap();
                home.assert_whole(dir, &source).await;
                let text = text(source.path());
                assert_eq!(text.starts_with("keyturn-vault-wrapped 1 "), to_wrapped, "{text}");
                assert_eq!(source.lies_open(), !to_wrapped);
                // The version that has wrapped stands there: older files open, too.
                let version = if from_wrapped { " 1 XOR\n" } else { " 0 XOR\n" };
                assert_eq!(text.contains(version), to_wrapped, "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_service_that_does_not_unwrap_is_told_from_a_wrong_key_and_from_damage() {
    let mut home = home(false).await;
    let (service, by) = service();
    let file = home.source.path().to_owned();
    let plain = std::mem::replace(&mut home.source, KeySource::Wrapped { file, by: by.clone() });
    service.is_down.store(true, Relaxed);
    let before = text(plain.path());
    let error = home.rekey(&NewKey::Wrapped(by.clone()), &Steps::default()).await.unwrap_err();
    assert!(matches!(error, VaultError::Wrap { .. }), "{error}");
    assert_eq!(text(plain.path()), before);
    home.assert_whole(home.path(), &plain).await;
    service.is_down.store(false, Relaxed);
    home.rekey(&NewKey::Wrapped(by.clone()), &Steps::default()).await.unwrap();
    let good = text(plain.path());
    let old = before.lines().nth(1).unwrap().as_bytes();
    fs::remove_file(was(home.path())).unwrap();
    assert!(!on_disk(home.path(), old), "the old key");
    let told = async |source: &KeySource| {
        let error = open(home.path(), source).await.unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error
    };
    service.is_down.store(true, Relaxed);
    let error = told(&home.source).await;
    assert!(matches!(error, VaultError::Unwrap { .. }), "{error}");
    service.is_down.store(false, Relaxed);
    let error = told(&plain).await;
    assert!(matches!(error, VaultError::WrapperMissing { .. }), "{error}");
    // Another key of the service has wrapped it, and the file is as it was written.
    let other = WrapperElsewhere(Arc::clone(&service));
    let elsewhere = KeySource::Wrapped { file: plain.path().to_owned(), by: Wrapping::new(other) };
    let error = told(&elsewhere).await;
    assert!(matches!(error, VaultError::WrapperOther { .. }), "{error}");
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        fs::write(plain.path(), bytes).unwrap();
        let error = told(&home.source).await;
        assert!(matches!(error, VaultError::KeyDamaged { .. }), "byte {at}: {error}");
    }
    // A key of another vault, wrapped by the same service, and one that is not what was wrapped.
    fs::remove_file(plain.path()).unwrap();
    home.source.create(Path::new("vault.db")).await.unwrap();
    let error = told(&home.source).await;
    assert!(matches!(error, VaultError::KeyWrong { .. }), "{error}");
    fs::write(plain.path(), good).unwrap();
    home.assert_whole(home.path(), &home.source).await;
}

/// The same service by another name.
#[derive(Debug)]
struct WrapperElsewhere(Arc<Service>);

#[async_trait::async_trait]
impl Wrapper for WrapperElsewhere {
    fn by(&self) -> String {
        "test https://elsewhere".to_owned()
    }

    async fn wrap(&self, key: &[u8; 32]) -> Result<Wrapped, WrapError> {
        self.0.wrap(key).await
    }

    async fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, WrapError> {
        Wrapper::unwrap(&self.0, wrapped).await
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
