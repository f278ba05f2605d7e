//! Reboots: what is sent, and what counts for having happened.

use protocol::job::Work;
use protocol::report::{Finish, Reason, Report};

use super::bench::{APPLY, Bench, Order};
use super::switch::Fault;
use super::{names, reason};

async fn reboot(fault: Fault, graceful: bool, ztp: bool) -> (Bench, Vec<Report>, Finish) {
    let mut bench = Bench::new(fault).await;
    let job = bench.job(Order { work: Work::Reboot { graceful, ztp }, ..APPLY });
    let (reports, finish) = bench.run(job).await;
    (bench, reports, finish)
}

/// Returns the lines of interest, in order.
fn told(bench: &Bench) -> Vec<String> {
    let said = bench.said().into_iter();
    said.filter(|line| line.starts_with("write") || line.starts_with("reload")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_done_when_the_device_has_ended_the_session() {
    let cases: [(bool, bool, &[&str]); 4] = [
        (true, false, &["write memory", "reload now"]),
        (false, false, &["reload now"]),
        (true, true, &["write erase now", "reload now"]),
        (false, true, &["write erase now", "reload now"]),
    ];
    for (graceful, ztp, lines) in cases {
        let (bench, reports, finish) = reboot(Fault::None, graceful, ztp).await;
        assert_eq!(finish, Finish::Done, "{graceful} {ztp}");
        assert_eq!(names(&reports), ["logged-in", "reached", "changing"]);
        assert_eq!(told(&bench), lines, "{graceful} {ztp}");
        let expect = if ztp { (0, 0) } else { (1, 1) };
        assert_eq!(bench.truth("admin").await, expect, "{graceful} {ztp}");
        assert_eq!(bench.logins(), ["ssh admin true"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_shows_by_its_login_prompt_that_the_session_has_ended() {
    let (bench, _reports, finish) = reboot(Fault::NoSsh, false, false).await;
    assert_eq!(finish, Finish::Done);
    assert_eq!(bench.logins(), ["line admin true"]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_stays_or_says_no_is_not_taken_for_rebooted() {
    let check = async |fault: Fault, ztp: bool, expect: Reason| {
        let (_bench, reports, finish) = reboot(fault, false, ztp).await;
        assert_eq!(reason(&finish), (true, expect), "{fault:?}: {finish:?}");
        assert_eq!(names(&reports).last(), Some(&"changing"), "{fault:?}");
    };
    check(Fault::StaysUp, false, Reason::TimedOut).await;
    check(Fault::DeniesReload, false, Reason::CommandRefused).await;
    // What is erased is erased, whatever came of the line behind it.
    check(Fault::DeniesReload, true, Reason::CommandRefused).await;
}

#[tokio::test(start_paused = true)]
async fn a_graceful_reboot_is_not_begun_where_nothing_can_be_saved() {
    let (bench, reports, finish) = reboot(Fault::DiskFull, true, false).await;
    assert_eq!(reason(&finish), (false, Reason::SaveFailed));
    assert!(!names(&reports).contains(&"changing"));
    assert_eq!(told(&bench), ["write memory"]);
}

#[tokio::test(start_paused = true)]
async fn a_platform_without_the_operation_is_not_even_logged_in_to() {
    for platform in ["linux", "opengear"] {
        let mut bench = Bench::new(Fault::None).await;
        let work = Work::Reboot { graceful: false, ztp: true };
        let mut job = bench.job(Order { work, ..APPLY });
        platform.clone_into(&mut job.access.platform);
        let (_reports, finish) = bench.run(job).await;
        assert_eq!(reason(&finish), (false, Reason::NotSupported), "{platform}");
        assert!(bench.logins().is_empty(), "{platform}");
    }
}
