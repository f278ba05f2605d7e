//! What reading costs: `cargo bench -p keyturn-tests --bench reads`.
//!
//! A daemon with its store, vault, HTTPS and APIs runs in a process of its own, before 100 fabrics
//! of 100 devices that an agent of this benchmark vouches for; one more fabric's verification never
//! ends. This process asks over keep-alive connections: of 100 requests 45 show a fabric, 40 a
//! device, 14 how far an operation is (half of them of the one that runs), and one lists the
//! devices of a group, a page of 100. The base of the ratio is the same server with a router that
//! answers the same bytes from a map, in a process of its own too. Server and client share the
//! processors, and these machines are shared: read the ratio and the CPU time, not the seconds.
//! Nothing here passes or fails; what was hoped for is 5,000 requests in a second with a 99th
//! percentile under 10 ms on two processors, and a flat resident memory.
//!
//! ```text
//! KEYTURN_BENCH_REQUESTS=1000000   requests to the daemon (default 1,000,000)
//! KEYTURN_BENCH_CONNECTIONS=16     connections (default 16)
//! KEYTURN_BENCH_FABRICS=100        fabrics of 100 devices (default 100)
//! KEYTURN_BENCH_RUNS=3             runs of the base and of a tenth of the requests, of which the
//!                                  median is printed (default 3)
//! ```

mod agent;
mod load;
mod server;

use load::{Cost, Load};
use server::{Server, Who};

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    if server::is_this_process() {
        server::run();
        return;
    }
    let number = |name: &str, usual: usize| {
        std::env::var(name).ok().map_or(usual, |text| text.parse().expect("a number"))
    };
    let (requests, connections) =
        (number("KEYTURN_BENCH_REQUESTS", 1_000_000), number("KEYTURN_BENCH_CONNECTIONS", 16));
    let (fabrics, runs) =
        (number("KEYTURN_BENCH_FABRICS", 100), number("KEYTURN_BENCH_RUNS", 3).max(1));
    let keyturn = Server::start(Who::Keyturn, fabrics, None);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut load = Load::new(&keyturn, fabrics, connections);
    runtime.block_on(load.enlist());
    let answers = tempfile::NamedTempFile::new().expect("a file for the answers");
    runtime.block_on(load.keep_answers(answers.path()));
    let bare = Server::start(Who::Bare, 0, Some(answers.path()));
    let base = load.at(&bare);

    println!("who       requests  requests/s  p50 ms  p99 ms  CPU us/request  resident MiB");
    let few = (requests / 10).max(1);
    let one = |load: &Load| runtime.block_on(load.run(few));
    let base = median("bare", (0..runs).map(|_| one(&base)).collect());
    let ours = median("keyturn", (0..runs).map(|_| one(&load)).collect());
    println!("ratio of CPU time: {:.2}", ours.cpu_us / base.cpu_us);
    println!("\nall {requests} requests to the daemon, a tenth at a time:");
    for _tenth in 0..10 {
        println!("{}", one(&load).row("keyturn"));
    }
    println!("\neach kind of request by itself:");
    for (kind, load) in load.kinds() {
        println!("{}", runtime.block_on(load.run((few / 5).max(1))).row(kind));
    }
}

/// Prints and returns the run in the middle by its CPU time.
fn median(who: &str, mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
    let cost = costs.swap_remove(costs.len() / 2);
    println!("{}", cost.row(who));
    cost
}
