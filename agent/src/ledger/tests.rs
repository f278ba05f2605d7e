use std::sync::atomic::{AtomicU64, Ordering};

use protocol::frame;
use protocol::id::{PasswordSet, ProfileName};
use protocol::job::{Access, Rules, Verification};
use protocol::report::{Reason, Stop};
use protocol::seal::{Binding, Bundle, Opener, Sealer};

use super::*;
use crate::platform::{Lockout, LockoutScope};

struct Fake(AtomicU64);

impl Clock for Fake {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn clock() -> Arc<Fake> {
    Arc::new(Fake(AtomicU64::new(1_000_000)))
}

fn device() -> DeviceId {
    DeviceId::new("00000000-0000-0000-0000-000000000001", "lab", "ce-01").unwrap()
}

fn job(step: u32, epoch: u64) -> Arc<Job> {
    let fabric = FabricId::new("00000000-0000-0000-0000-000000000001", "lab", "east").unwrap();
    let operation = OperationId(uuid::Uuid::from_u128(7));
    let device = device();
    let opener = Opener::from_seed(&[1; 32]).unwrap();
    let binding = Binding { device: &device, operation, step, epoch: Epoch(epoch) };
    let mut bundle = Bundle::default();
    let secret = protocol::password::Password::new("Canary-Pass.1".to_owned()).unwrap();
    bundle.accounts.push((ProfileName::new("admin").unwrap(), PasswordSet(1), secret));
    let sealed = Sealer::new(opener.key()).unwrap().seal(&bundle, &binding).unwrap();
    Arc::new(Job {
        id: JobId(uuid::Uuid::from_u128(u128::from(step))),
        operation,
        step,
        fabric,
        device,
        epoch: Epoch(epoch),
        access: Access { platform: "linux".to_owned(), paths: Vec::new(), lockout: None },
        accounts: Vec::new(),
        probes: Vec::new(),
        work: Work::Settle,
        rules: Rules {
            time_max_ms: 90_000,
            commit_timer_ms: 300_000,
            verification: Verification::ReadbackLogin,
            save: true,
            quiet: true,
        },
        sealed,
    })
}

fn done() -> Finish {
    Finish::NothingSent(Stop { reason: Reason::CouldNotConnect, detail: "x".to_owned() })
}

fn user_policy(failures_max: u32) -> Budget {
    let window = Duration::from_secs(900);
    Budget::of(Some(&Lockout { failures_max, window, scope: LockoutScope::User }))
}

#[tokio::test]
async fn epochs_and_steps_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = Ledger::open(&path, clock()).unwrap();
    ledger.prepare(&job(1, 5)).await.unwrap();
    ledger.prepare(&job(2, 5)).await.unwrap();
    ledger.prepare(&job(3, 5)).await.unwrap();
    assert_eq!(ledger.begin(job(1, 5).id).await.unwrap().step, 1);
    ledger.begin(job(2, 5).id).await.unwrap();
    ledger.end(job(1, 5).id, &done()).await.unwrap();
    ledger.forget(job(3, 5).id).await.unwrap();
    let stale = LedgerError::StaleEpoch { given: Epoch(4), obeyed: Epoch(5) };
    for _restart in 0..3 {
        let ledger = Ledger::open(&path, clock()).unwrap();
        assert_eq!(ledger.prepare(&job(1, 5)).await, Err(LedgerError::Repeated { step: 1 }));
        assert_eq!(ledger.begin(job(1, 5).id).await.err(), Some(LedgerError::Repeated { step: 1 }));
        assert_eq!(ledger.begin(job(2, 5).id).await.err(), Some(LedgerError::Repeated { step: 2 }));
        assert_eq!(ledger.begin(job(3, 5).id).await.err(), Some(LedgerError::UnknownJob));
        assert_eq!(ledger.finish(job(1, 5).id), Some(done()));
        assert_eq!(ledger.interrupted(), [job(2, 5).id]);
        assert_eq!(ledger.prepare(&job(4, 4)).await.err(), Some(stale.clone()));
    }
}

#[tokio::test]
async fn a_prepared_job_is_not_begun_once_a_higher_epoch_was_obeyed() {
    let ledger = Ledger::in_memory(clock());
    ledger.prepare(&job(1, 5)).await.unwrap();
    ledger.obey(&job(1, 5).fabric, Epoch(6)).await.unwrap();
    let stale = LedgerError::StaleEpoch { given: Epoch(5), obeyed: Epoch(6) };
    assert_eq!(ledger.begin(job(1, 5).id).await.err(), Some(stale));
}

#[tokio::test]
async fn the_file_holds_no_password_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = Ledger::open(&path, clock()).unwrap();
    ledger.prepare(&job(1, 5)).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("prepared") && !text.contains("Canary"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(text.len() < frame::FRAME_BYTES_MAX);
}

#[tokio::test]
async fn a_torn_last_line_is_dropped_and_a_broken_one_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = Ledger::open(&path, clock()).unwrap();
    let fabric = job(1, 1).fabric.clone();
    ledger.obey(&fabric, Epoch(3)).await.unwrap();
    ledger.obey(&fabric, Epoch(4)).await.unwrap();
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    let first_end = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in first_end..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        let ledger = Ledger::open(&path, clock()).unwrap();
        assert!(ledger.obey(&fabric, Epoch(2)).await.is_err(), "cut at {end}");
        ledger.obey(&fabric, Epoch(3)).await.unwrap();
    }
    let mut broken = b"not a record\n".to_vec();
    broken.extend_from_slice(&whole);
    std::fs::write(&path, broken).unwrap();
    let error = Ledger::open(&path, clock()).unwrap_err();
    assert!(matches!(error, LedgerError::Corrupt { line: 1, .. }), "{error}");
}

#[tokio::test]
async fn budgets_follow_the_devices_policy() {
    let check = async |budget: Budget, allowed: u32| {
        let ledger = Ledger::in_memory(clock());
        let who = Who::new(&device(), "admin", &budget);
        for _ in 0..allowed {
            ledger.attempt(&who, &budget).await.unwrap();
        }
        let refused = ledger.attempt(&who, &budget).await;
        assert!(matches!(refused, Err(LedgerError::BudgetSpent { .. })), "{budget:?}");
    };
    for (threshold, allowed) in [(1, 1), (2, 1), (3, 1), (4, 2), (10, 8)] {
        check(user_policy(threshold), allowed).await;
    }
    check(Budget::of(None), 1).await;
    assert_eq!(Budget::of(None).window, Duration::from_secs(1800));
    assert_eq!(user_policy(3).window, Duration::from_secs(990));
}

#[tokio::test(start_paused = true)]
async fn a_window_is_not_reopened_by_a_clock_that_is_set_back_nor_by_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let (fake, budget) = (clock(), user_policy(3));
    let who = Who::new(&device(), "admin", &budget);
    let ledger = Ledger::open(&path, Arc::clone(&fake) as Arc<dyn Clock>).unwrap();
    ledger.attempt(&who, &budget).await.unwrap();
    fake.0.store(10, Ordering::Relaxed);
    assert!(ledger.attempt(&who, &budget).await.is_err());
    // A clock that jumps ahead does not open it either, while this process can tell.
    fake.0.store(1_000_000 + 990_000, Ordering::Relaxed);
    assert!(ledger.attempt(&who, &budget).await.is_err());
    tokio::time::advance(Duration::from_secs(990)).await;
    ledger.attempt(&who, &budget).await.unwrap();
    fake.0.store(10, Ordering::Relaxed);
    drop(ledger);
    let ledger = Ledger::open(&path, Arc::clone(&fake) as Arc<dyn Clock>).unwrap();
    assert!(ledger.attempt(&who, &budget).await.is_err());
    fake.0.store(1_000_000 + 990_000 + 990_000, Ordering::Relaxed);
    ledger.attempt(&who, &budget).await.unwrap();
}

#[tokio::test]
async fn a_success_resets_its_account_and_no_other() {
    let ledger = Ledger::in_memory(clock());
    let budget = user_policy(3);
    let who = |user: &str| Who::new(&device(), user, &budget);
    ledger.attempt(&who("admin"), &budget).await.unwrap();
    ledger.attempt(&who("TelcoRW"), &budget).await.unwrap();
    ledger.succeeded(&who("admin")).await.unwrap();
    ledger.attempt(&who("admin"), &budget).await.unwrap();
    assert!(ledger.attempt(&who("TelcoRW"), &budget).await.is_err());
}

#[tokio::test]
async fn a_device_that_bans_addresses_counts_all_accounts_together() {
    let window = Duration::from_secs(60);
    let scope = LockoutScope::Source;
    let budget = Budget::of(Some(&Lockout { failures_max: 4, window, scope }));
    let ledger = Ledger::in_memory(clock());
    let who = |user: &str| Who::new(&device(), user, &budget);
    ledger.attempt(&who("root"), &budget).await.unwrap();
    ledger.succeeded(&who("root")).await.unwrap();
    ledger.attempt(&who("root"), &budget).await.unwrap();
    ledger.attempt(&who("operator"), &budget).await.unwrap();
    assert!(ledger.attempt(&who("other"), &budget).await.is_err());
}

#[tokio::test]
async fn many_appends_share_flushes_and_all_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = Ledger::open(&path, clock()).unwrap();
    let tasks = (0..500).map(|number| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let name = format!("ce-{number}");
            let id = DeviceId::new("00000000-0000-0000-0000-000000000001", "lab", &name).unwrap();
            let host = Some(name);
            ledger.learn(&id, Learned { host, ..Learned::default() }).await.unwrap();
            id
        })
    });
    let ids: Vec<DeviceId> =
        futures_util::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    let again = Ledger::open(&path, clock()).unwrap();
    for id in ids {
        assert_eq!(again.learned(&id).host.as_deref(), Some(id.name().as_str()));
    }
}

#[tokio::test]
async fn nothing_is_taken_after_a_write_has_failed() {
    // A full disk that needs no disk: every write to it fails.
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let state = Arc::new(Mutex::new(State::default()));
    let writer = Writer::on(full, Path::new("/dev/full"), state);
    let record = Record::Forgotten { job: job(1, 1).id };
    let first = writer.append(std::slice::from_ref(&record)).await;
    assert!(matches!(first, Err(LedgerError::Write(_))), "{first:?}");
    assert_eq!(writer.append(&[record]).await, first);
}
