use std::fs;

use protocol::password::Password;

use super::*;
use crate::naming::SecretName;
use crate::store::{SqliteStore, sqlite::STORE_FILE};
use crate::vault::embedded::{Place, VAULT_FILE};
use crate::vault::{EmbeddedVault, Tag};

const FILES: [&str; 3] = [VAULT_FILE, STORE_FILE, MARK_FILE];

fn fabric() -> FabricId {
    FabricId::new("00000000-0000-0000-0000-00000000000a", "Lab", "East").unwrap()
}

/// A daemon's vault, store and guard, on disk.
struct Live {
    dir: PathBuf,
    vault: Arc<EmbeddedVault>,
    store: Arc<SqliteStore>,
    guard: RollbackGuard,
}

async fn archives(dir: &Path) -> (Arc<EmbeddedVault>, Arc<SqliteStore>) {
    let vault = EmbeddedVault::open(dir, Place::default(), Arc::new(|| 0)).await.unwrap();
    let store = SqliteStore::open(&dir.join(STORE_FILE)).await.unwrap();
    (Arc::new(vault), Arc::new(store))
}

async fn start(dir: &Path) -> Live {
    let (vault, store) = archives(dir).await;
    let guard = RollbackGuard::open(dir, vault.clone(), store.clone()).await.unwrap();
    let dir = dir.to_owned();
    Live { dir, vault, store, guard }
}

impl Live {
    /// Does what a rotation does: a value, an event, an exposure.
    async fn rotate(&self, n: usize) -> Result<(), RollbackError> {
        let name = SecretName::for_tests("lab-admin");
        let value = Password::new(format!("Canary-{n}")).unwrap();
        self.vault.put(&name, &Tag::new(&n.to_string()), &value).await.unwrap();
        let at = self.event(n).await;
        self.guard.before_exposure(&fabric(), at).await
    }

    async fn event(&self, n: usize) -> Revision {
        let seen = self.store.load(&fabric()).await.unwrap().revision;
        self.store.append(&fabric(), seen, &[format!("{{\"set\":{n}}}")]).await.unwrap()
    }

    /// Ends in order, so that nothing happens to the files any more.
    async fn end(self) {
        drop(self.guard);
        close(self.vault, self.store).await;
    }

    /// Copies the files as a kill at this instant would leave them.
    fn killed(&self) -> tempfile::TempDir {
        snapshot(&self.dir)
    }

    fn suspicion(&self) -> Option<Suspicion> {
        match self.guard.check() {
            Ok(()) => None,
            Err(RollbackError::Held { suspicion }) => Some(suspicion),
            Err(other) => panic!("{other}"),
        }
    }
}

async fn close(vault: Arc<EmbeddedVault>, store: Arc<SqliteStore>) {
    Arc::into_inner(vault).unwrap().close().await.unwrap();
    Arc::into_inner(store).unwrap().close().await.unwrap();
}

/// Starts on a directory, and says what is suspected of it.
async fn suspected(dir: &Path) -> Option<Suspicion> {
    let live = start(dir).await;
    let suspicion = live.suspicion();
    live.end().await;
    suspicion
}

fn snapshot(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// Brings files back from a snapshot, with their logs.
fn restore(from: &Path, names: &[&str], to: &Path) {
    for name in names {
        for suffix in ["", "-wal", "-shm"] {
            let _absent = fs::remove_file(to.join(format!("{name}{suffix}")));
            let kept = from.join(format!("{name}{suffix}"));
            if kept.exists() {
                fs::copy(kept, to.join(format!("{name}{suffix}"))).unwrap();
            }
        }
    }
}

/// A directory after two rotations, with a snapshot from between them.
async fn rolled() -> (tempfile::TempDir, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let live = start(dir.path()).await;
    live.rotate(1).await.unwrap();
    let before = live.killed();
    live.rotate(2).await.unwrap();
    let after = live.killed();
    live.end().await;
    (after, before)
}

#[tokio::test]
async fn whatever_older_files_are_brought_back_is_found_out_before_anything_is_exposed() {
    let cases: [(&[&str], &str); 6] = [
        (&[VAULT_FILE], "vault is an older"),
        (&[STORE_FILE], "store is an older"),
        (&[VAULT_FILE, STORE_FILE], "vault is an older"),
        (&[STORE_FILE, MARK_FILE], "store is an older"),
        // Found out by the service: the newest set is not in the vault.
        (&[VAULT_FILE, MARK_FILE], ""),
        // Nothing is lost.
        (&[MARK_FILE], ""),
    ];
    for (names, wanted) in cases {
        let (dir, before) = rolled().await;
        restore(before.path(), names, dir.path());
        let live = start(dir.path()).await;
        let found = live.suspicion().map(|found| found.to_string()).unwrap_or_default();
        assert!(
            found.contains(wanted) && found.is_empty() == wanted.is_empty(),
            "{names:?}: {found}"
        );
        if wanted.is_empty() {
            continue;
        }
        let error = live.rotate(3).await.unwrap_err();
        assert!(matches!(error, RollbackError::Held { .. }), "{names:?}: {error}");
        assert!(error.hint().unwrap().contains("keyturn vault accept-restored"));
    }
}

#[tokio::test]
async fn a_store_that_went_on_from_an_older_copy_is_still_found_out() {
    let (dir, before) = rolled().await;
    restore(before.path(), &[STORE_FILE], dir.path());
    for n in 10..20 {
        let live = start(dir.path()).await;
        assert!(matches!(live.suspicion(), Some(Suspicion::StoreOlder { .. })), "start {n}");
        live.event(n).await;
        live.end().await;
    }
}

#[tokio::test]
async fn the_newest_copies_are_taken_once_they_are_back() {
    let (dir, before) = rolled().await;
    let newest = snapshot(dir.path());
    restore(before.path(), &[VAULT_FILE, STORE_FILE], dir.path());
    assert!(suspected(dir.path()).await.is_some());
    restore(newest.path(), &[VAULT_FILE, STORE_FILE], dir.path());
    let live = start(dir.path()).await;
    assert_eq!(live.suspicion(), None);
    live.rotate(3).await.unwrap();
}

#[tokio::test]
async fn a_kill_at_any_instant_is_no_older_copy() {
    let dir = tempfile::tempdir().unwrap();
    let mut at = dir.path().to_owned();
    let mut kept = Vec::new();
    for n in 0..4 {
        let live = start(&at).await;
        assert_eq!(live.suspicion(), None, "{n}");
        live.rotate(n).await.unwrap();
        // Killed after the mark was raised and before it was noted, several times over.
        for _again in 0..3 {
            let noted = live.guard.0.as_ref().unwrap().noted.lock().await.clone();
            let (serial, note) = (noted.serial, noted.render().unwrap());
            live.vault.raise_mark(serial + 1, &note).await.unwrap();
            let killed = live.killed();
            let again = start(killed.path()).await;
            assert_eq!(again.suspicion(), None, "{n}");
            again.vault.raise_mark(serial + 9, &note).await.unwrap();
            let twice = again.killed();
            assert_eq!(suspected(twice.path()).await, None, "{n}");
        }
        live.event(100 + n).await;
        kept.push(live.killed());
        at = kept.last().unwrap().path().to_owned();
        live.end().await;
    }
}

#[tokio::test]
async fn a_note_that_cannot_be_written_exposes_nothing_and_does_not_look_like_an_older_copy() {
    let dir = tempfile::tempdir().unwrap();
    let live = start(dir.path()).await;
    live.rotate(1).await.unwrap();
    // A folder in the way of the draft: it cannot be made.
    let draft = dir.path().join(format!("{MARK_FILE}.new"));
    fs::create_dir_all(draft.join("x")).unwrap();
    for n in 2..5 {
        let error = live.rotate(n).await.unwrap_err();
        assert!(matches!(error, RollbackError::Disk { .. }), "{error}");
        assert_eq!(live.suspicion(), None);
    }
    fs::remove_dir_all(draft).unwrap();
    let killed = live.killed();
    assert_eq!(suspected(killed.path()).await, None);
    live.rotate(5).await.unwrap();
    assert_eq!(start(live.killed().path()).await.suspicion(), None);
}

#[tokio::test]
async fn a_lost_or_damaged_note_is_not_a_fresh_start() {
    let (dir, _before) = rolled().await;
    let path = dir.path().join(MARK_FILE);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x08;
        fs::write(&path, &bad).unwrap();
        let found = Noted::read(&path).unwrap();
        assert!(matches!(found, Err(Suspicion::NoteDamaged { .. })), "byte {at}");
        fs::write(&path, &good[..at]).unwrap();
        let found = Noted::read(&path).unwrap();
        assert!(matches!(found, Err(Suspicion::NoteDamaged { .. })), "cut at {at}");
    }
    assert!(matches!(suspected(dir.path()).await, Some(Suspicion::NoteDamaged { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(suspected(dir.path()).await, Some(Suspicion::NoteMissing { .. })));
    assert!(!path.exists(), "nothing is noted while something is suspected");
    fs::write(&path, &good).unwrap();
    assert_eq!(suspected(dir.path()).await, None);
}

#[tokio::test]
async fn another_vault_is_not_taken_for_the_one_that_was_noted() {
    let ((dir, _), (other, _)) = (rolled().await, rolled().await);
    restore(other.path(), &[VAULT_FILE, "vault.key"], dir.path());
    assert_eq!(suspected(dir.path()).await, Some(Suspicion::VaultOther));
}

#[tokio::test]
async fn what_is_accepted_is_the_newest_from_then_on() {
    for names in [&FILES[..1], &FILES[1..2], &FILES[..2]] {
        let (dir, before) = rolled().await;
        let newest = snapshot(dir.path());
        restore(before.path(), names, dir.path());
        let (vault, store) = archives(dir.path()).await;
        let accepted = RollbackGuard::accept(dir.path(), &*vault, &*store, &[]).await.unwrap();
        assert!(accepted.is_some(), "{names:?}");
        let again = RollbackGuard::accept(dir.path(), &*vault, &*store, &[]).await.unwrap();
        assert_eq!(again, None, "{names:?}");
        close(vault, store).await;
        let live = start(dir.path()).await;
        assert_eq!(live.suspicion(), None, "{names:?}");
        live.rotate(7).await.unwrap();
        live.end().await;
        // Neither what was refused nor what had been lost is the newest any more.
        for old in [&before, &newest] {
            restore(old.path(), names, dir.path());
            assert!(suspected(dir.path()).await.is_some(), "{names:?}");
        }
    }
}

#[tokio::test]
async fn a_vault_from_before_there_were_marks_gets_its_first_one() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, store) = archives(dir.path()).await;
    assert_eq!(vault.mark().await.unwrap().unwrap().serial, 0);
    close(vault, store).await;
    let live = start(dir.path()).await;
    assert_eq!(live.suspicion(), None);
    assert_eq!(live.vault.mark().await.unwrap().unwrap().serial, 1);
}

/// A vault that others run has no marks, and its URI alone tells it from another one.
#[derive(Debug)]
struct Elsewhere(&'static str);

#[async_trait::async_trait]
impl Vault for Elsewhere {
    async fn put_all(
        &self,
        _items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        Ok(Vec::new())
    }

    async fn get_all(
        &self,
        _items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        Ok(Vec::new())
    }

    async fn versions(&self, _: &SecretName) -> Result<Vec<crate::vault::VersionInfo>, VaultError> {
        Ok(Vec::new())
    }

    async fn disable(&self, _: &SecretName, _: &SecretVersion) -> Result<(), VaultError> {
        Ok(())
    }

    async fn purge(&self, _: &SecretName, _: &SecretVersion) -> Result<(), VaultError> {
        Ok(())
    }

    fn uri(&self) -> String {
        self.0.to_owned()
    }

    fn id(&self) -> String {
        self.0.to_owned()
    }
}

#[tokio::test]
async fn another_vault_in_place_of_the_one_with_the_passwords_exposes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&dir.path().join(STORE_FILE)).await.unwrap());
    let open = async |uri| {
        let vault = Arc::new(Elsewhere(uri));
        RollbackGuard::open(dir.path(), vault, store.clone()).await.unwrap()
    };
    let at = store.append(&fabric(), Revision::default(), &["{}".to_owned()]).await.unwrap();
    let guard = open("https://one.example").await;
    guard.before_exposure(&fabric(), at).await.unwrap();
    assert_eq!(guard.lost().await, None);
    open("https://one.example").await.check().unwrap();
    let held = |guard: RollbackGuard| match guard.check() {
        Err(RollbackError::Held { suspicion }) => suspicion,
        other => panic!("{other:?}"),
    };
    assert_eq!(held(open("https://two.example").await), Suspicion::VaultOther);
    let embedded = EmbeddedVault::open(dir.path(), Place::default(), Arc::new(|| 0)).await.unwrap();
    let guard = RollbackGuard::open(dir.path(), Arc::new(embedded), store.clone()).await.unwrap();
    assert_eq!(held(guard), Suspicion::VaultOther);
    let other = Elsewhere("https://two.example");
    let accepted = RollbackGuard::accept(dir.path(), &other, &*store, &[]).await.unwrap();
    assert_eq!(accepted, Some(Suspicion::VaultOther));
    open("https://two.example").await.check().unwrap();
}

/// A disk that hangs until somebody lets it go on.
struct Hanging(std::sync::mpsc::Sender<()>, Write);

fn hanging() -> Hanging {
    let (go_on, waits) = std::sync::mpsc::channel();
    let waits = std::sync::Mutex::new(waits);
    let write = move |file: &Path, text: &str| {
        // Nobody lets it go on any more: it need not wait.
        let _let_go = waits.lock().unwrap().recv();
        note::write(file, text)
    };
    Hanging(go_on, Arc::new(write))
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_exposures_up_for_a_time_and_never_the_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Arc::new(crate::vault::MemoryVault::new(Arc::new(|| 0)));
    let store = Arc::new(crate::store::MemoryStore::new());
    let at = store.append(&fabric(), Revision(0), &["{}".to_owned()]).await.unwrap();
    let Hanging(go_on, write) = hanging();
    // The start has a note of its own.
    go_on.send(()).unwrap();
    let guard = RollbackGuard::open_with(dir.path(), vault, store, write).await.unwrap();
    let exposes = || {
        let guard = guard.clone();
        tokio::spawn(async move { guard.before_exposure(&fabric(), at).await })
    };
    for late in [exposes(), exposes()] {
        while !late.is_finished() {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let error = late.await.unwrap().unwrap_err();
        let RollbackError::Disk { source: DiskError::TimedOut { .. } } = error else {
            panic!("{error:?}")
        };
    }
    drop(go_on);
    exposes().await.unwrap().unwrap();
    let noted = Noted::read(&dir.path().join(MARK_FILE)).unwrap().unwrap().unwrap();
    assert!(!noted.journals.is_empty());
}
