//! Whole jobs against a small switch in memory, under paused time: what is sent, in which order,
//! and what is reported when something goes wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail by panicking")]

mod bench;
mod reboot;
mod switch;

use std::time::Duration;

use protocol::frame::ToAgent;
use protocol::id::{Epoch, PasswordSet, ProfileName};
use protocol::job::{JobId, Verification, Work};
use protocol::report::{Finish, Match, Reason, Report};

use bench::{APPLY, Bench, Order};
use switch::{Fault, USERS, password};

fn reason(finish: &Finish) -> (bool, Reason) {
    match finish {
        Finish::NothingSent(stop) => (false, stop.reason),
        Finish::Unsure(stop) => (true, stop.reason),
        Finish::Done => panic!("it was done"),
    }
}

fn names(reports: &[Report]) -> Vec<&'static str> {
    let name = |report: &Report| match report {
        Report::Reached { .. } => "reached",
        Report::Quiet => "quiet",
        Report::Changing => "changing",
        Report::Applied => "applied",
        Report::LoggedIn { .. } => "logged-in",
        Report::LoginRefused { .. } => "login-refused",
        Report::LoginLost { .. } => "login-lost",
        Report::ReadBack { .. } => "read-back",
        Report::Saved => "saved",
        Report::Finished(_) => "finished",
    };
    reports.iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_is_staged_committed_proven_confirmed_and_saved_in_this_order() {
    let mut bench = Bench::new(Fault::None).await;
    let job = bench.job(APPLY);
    let (reports, finish) = bench.run(job).await;
    assert_eq!(finish, Finish::Done);
    let expect = [
        "logged-in",
        "reached",
        "changing",
        "applied",
        "read-back",
        "logged-in",
        "saved",
        "read-back",
    ];
    assert_eq!(names(&reports), expect);
    for user in USERS {
        assert_eq!(bench.truth(user).await, (2, 2), "{user}");
    }
    let said = bench.said();
    let words: Vec<String> =
        said.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let place = |text: &str| words.iter().position(|line| line == text).unwrap();
    let order = [
        "configure session",
        "username TelcoRO",
        "username TelcoRW",
        "username admin",
        "commit timer",
        "write memory",
        "show startup-config",
    ];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{words:?}");
    let admin = said.iter().find(|line| line.starts_with("username admin")).unwrap();
    assert!(admin.starts_with("username admin role network-admin secret sha512 $6$"), "{admin}");
    assert!(!said.iter().any(|line| line.contains("Pass-")), "no password is typed in clear");
    assert_eq!(bench.logins(), ["ssh admin true", "ssh admin true"]);
}

#[tokio::test(start_paused = true)]
async fn every_account_logs_in_where_the_rules_want_it() {
    let mut bench = Bench::new(Fault::None).await;
    let job = bench.job(Order { verification: Verification::LoginAll, ..APPLY });
    assert_eq!(bench.run(job).await.1, Finish::Done);
    let expect = ["ssh admin true", "ssh TelcoRO true", "ssh TelcoRW true", "ssh admin true"];
    assert_eq!(bench.logins(), expect);
}

#[tokio::test(start_paused = true)]
async fn without_ssh_the_serial_line_serves_and_is_logged_in_to_anew() {
    let mut bench = Bench::new(Fault::NoSsh).await;
    let job = bench.job(APPLY);
    let (reports, finish) = bench.run(job).await;
    assert_eq!(finish, Finish::Done);
    assert!(reports.contains(&Report::Reached { path: 1 }), "{reports:?}");
    assert_eq!(bench.logins(), ["line admin true", "line admin true"]);
    assert_eq!(bench.truth("admin").await, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_commit_has_sent_nothing_and_one_behind_it_is_unsure() {
    let check = async |fault: Fault, sent: bool, expect: Reason, truth: (u32, u32)| {
        let mut bench = Bench::new(fault).await;
        let job = bench.job(APPLY);
        let (reports, finish) = bench.run(job).await;
        assert_eq!(reason(&finish), (sent, expect), "{fault:?}: {finish:?}");
        assert_eq!(names(&reports).contains(&"changing"), sent, "{fault:?}");
        assert_eq!(bench.truth("admin").await, truth, "{fault:?}");
        let shown = format!("{reports:?} {finish:?}");
        assert!(!shown.contains("Pass-") && !shown.contains("$6$"), "{fault:?}: {shown}");
    };
    check(Fault::WrongKey, false, Reason::HostKeyMismatch, (1, 1)).await;
    check(Fault::BadUser, false, Reason::CommandRefused, (1, 1)).await;
    check(Fault::HangsWhileStaging, false, Reason::TimedOut, (1, 1)).await;
    check(Fault::DeniesCommit, true, Reason::CommandRefused, (1, 1)).await;
    check(Fault::CutsAtCommit, true, Reason::ConnectionLost, (2, 1)).await;
    check(Fault::ChangesNothing, true, Reason::NotApplied, (1, 1)).await;
    // The fresh login fails, so the lifeline gives the change up at once.
    check(Fault::OldLoginsOnly, true, Reason::NotApplied, (1, 1)).await;
    check(Fault::DiskFull, true, Reason::SaveFailed, (2, 1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_host_key_stops_before_any_login_on_any_path() {
    let mut bench = Bench::new(Fault::WrongKey).await;
    let job = bench.job(APPLY);
    bench.run(job).await;
    assert!(bench.logins().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_password_that_somebody_else_has_set_is_not_overwritten() {
    let mut bench = Bench::new(Fault::None).await;
    let foreign = password("TelcoRO", 9);
    let profile = ProfileName::new("TelcoRO").unwrap();
    let hash = bench.world.hashes.sha512_crypt(&profile, PasswordSet(9), &foreign).await.unwrap();
    let users = |bench: &Bench, hash: &str| {
        let mut switch = bench.world.switch.lock().unwrap();
        switch.running.insert("TelcoRO".to_owned(), hash.to_owned());
    };
    users(&bench, &hash);
    let job = bench.job(APPLY);
    let (reports, finish) = bench.run(job).await;
    assert_eq!(reason(&finish), (false, Reason::ForeignChange));
    let Some(Report::ReadBack { observations }) = reports.last() else { panic!("{reports:?}") };
    assert_eq!(observations[0].running, Match::Foreign);
    assert!(!bench.said().iter().any(|line| line.starts_with("username")));

    let mut job = bench.job(APPLY);
    for account in &mut job.accounts {
        account.overwrite = true;
    }
    assert_eq!(bench.run(job).await.1, Finish::Done);
    assert_eq!(bench.truth("TelcoRO").await, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_does_not_exist_is_not_made() {
    let mut bench = Bench::new(Fault::None).await;
    bench.world.switch.lock().unwrap().running.remove("TelcoRW");
    let job = bench.job(APPLY);
    let (_, finish) = bench.run(job).await;
    assert_eq!(reason(&finish), (false, Reason::UserMissing));
    assert!(!bench.said().iter().any(|line| line.starts_with("username")));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_belief_costs_one_guess_on_each_path_and_no_account_two() {
    let mut bench = Bench::new(Fault::None).await;
    let job = bench.job(Order { held: 2, ..APPLY });
    let (reports, finish) = bench.run(job).await;
    assert_eq!(reason(&finish), (false, Reason::AuthenticationRefused));
    assert_eq!(bench.logins(), ["ssh admin false", "line TelcoRW false"]);
    assert_eq!(names(&reports), ["login-refused", "login-refused"]);
    // The budget of both accounts is spent: no further guess is made before the window is over.
    let job = bench.job(Order { held: 2, ..APPLY });
    let (_, finish) = bench.run(job).await;
    assert_eq!(reason(&finish), (false, Reason::LoginBudgetSpent));
    assert_eq!(bench.logins().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_after_the_deadline() {
    let mut bench = Bench::new(Fault::None).await;
    let job = bench.job(Order { time_max: Duration::from_millis(100), ..APPLY });
    let (reports, finish) = bench.run(job).await;
    assert_eq!(reason(&finish), (false, Reason::TimedOut));
    assert!(!names(&reports).contains(&"changing"));
    assert_eq!(bench.truth("admin").await, (1, 1));
}

#[tokio::test(start_paused = true)]
async fn settling_finds_out_what_is_held_and_saves_it() {
    let mut bench = Bench::new(Fault::DiskFull).await;
    let job = bench.job(APPLY);
    assert_eq!(reason(&bench.run(job).await.1), (true, Reason::SaveFailed));
    bench.world.switch.lock().unwrap().fault = Fault::None;
    let probes = [("TelcoRW", 1), ("admin", 2), ("admin", 1)];
    let mut job = bench.job(Order { work: Work::Settle, probes: &probes, ..APPLY });
    for account in &mut job.accounts {
        account.candidates = vec![PasswordSet(2), PasswordSet(1)];
    }
    let (reports, finish) = bench.run(job).await;
    assert_eq!(finish, Finish::Done);
    let expect = ["login-refused", "logged-in", "reached", "read-back", "saved", "read-back"];
    assert_eq!(names(&reports), expect);
    let Some(Report::ReadBack { observations }) = reports.last() else { panic!("{reports:?}") };
    let both = |set| (Match::Set(PasswordSet(set)), Match::Set(PasswordSet(set)));
    assert!(observations.iter().all(|seen| (seen.running, seen.startup) == both(2)));
}

/// The commit was cut off, so that its timer still runs when the device is settled.
#[tokio::test(start_paused = true)]
async fn settling_confirms_an_armed_change_of_ours_only_where_every_account_is_proven() {
    for (foreign, expect, told) in [(false, (2, 2), "commit"), (true, (1, 1), "abort")] {
        let mut bench = Bench::new(Fault::CutsAtCommit).await;
        let job = bench.job(APPLY);
        assert!(reason(&bench.run(job).await.1).0, "the commit is unsure");
        {
            let mut switch = bench.world.switch.lock().unwrap();
            switch.fault = Fault::None;
            switch.said.clear();
            if foreign {
                switch.running.insert("TelcoRW".to_owned(), "$6$someone$else".to_owned());
            }
        }
        let probes = [("admin", 2), ("admin", 1)];
        let mut job = bench.job(Order { work: Work::Settle, probes: &probes, ..APPLY });
        for account in &mut job.accounts {
            account.candidates = vec![PasswordSet(2), PasswordSet(1)];
        }
        let (_reports, finish) = bench.run(job).await;
        assert_eq!(finish, Finish::Done, "foreign: {foreign}");
        assert_eq!(bench.truth("admin").await, expect, "foreign: {foreign}");
        let ends =
            bench.said().into_iter().filter(|line| line.starts_with("configure session kt-"));
        let ends: Vec<String> = ends.collect();
        assert!(ends.len() == 1 && ends[0].ends_with(told), "foreign: {foreign}: {ends:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_carried_out_at_most_once() {
    let mut bench = Bench::new(Fault::None).await;
    let job = bench.job(APPLY);
    let (id, repeat) = (job.id, job.clone());
    assert_eq!(bench.run(job).await.1, Finish::Done);
    let said = bench.said().len();
    assert_eq!(bench.commit(id).await, (Vec::new(), Finish::Done), "answered from the ledger");
    let mut other = repeat.clone();
    other.id = JobId(uuid::Uuid::from_u128(77));
    for job in [repeat, other] {
        assert_eq!(reason(&bench.run(job).await.1), (false, Reason::Repeated));
    }
    let unknown = bench.commit(JobId(uuid::Uuid::from_u128(78))).await;
    assert_eq!(reason(&unknown.1), (false, Reason::BadJob));
    assert_eq!(bench.said().len(), said);
}

#[tokio::test(start_paused = true)]
async fn jobs_of_an_older_controller_and_jobs_that_make_no_sense_are_refused() {
    let mut bench = Bench::new(Fault::None).await;
    let mut job = bench.job(APPLY);
    job.access.platform = "arista_eos".to_owned();
    let (_, finish) = bench.run(job).await;
    let Finish::NothingSent(stop) = finish else { panic!("{finish:?}") };
    assert_eq!(stop.reason, Reason::BadJob);
    assert!(stop.detail.contains("did you mean `arista-eos`?"), "{}", stop.detail);
    // Sealed for another step.
    let mut job = bench.job(APPLY);
    job.step += 100;
    assert_eq!(reason(&bench.run(job).await.1), (false, Reason::BadJob));
    // Sealed and sent before another controller took over.
    let late = bench.job(APPLY);
    let welcome = ToAgent::Welcome { version: 1, epoch: Epoch(2) };
    bench.link.to_agent.send(welcome).await.unwrap();
    assert_eq!(reason(&bench.run(late).await.1), (false, Reason::StaleEpoch));
}
