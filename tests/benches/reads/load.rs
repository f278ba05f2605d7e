//! The load: so many connections, each of which asks again as soon as it has been answered.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Client;

use crate::server::{self, DEVICES, Kept, Server};

const QUERY: &str = "?api-version=2025-07-15";

/// Callers that take turns: one may read 10,000 times a second, which is no limit of the daemon's.
const CALLERS: usize = 8;

/// How many of a hundred requests are of which kind.
const MIX: [(&str, usize); 4] = [("fabric", 45), ("device", 40), ("operation", 14), ("list", 1)];

/// Requests to one server.
#[derive(Clone)]
pub(crate) struct Load {
    process: u32,
    url: String,
    ca: String,
    tokens: Vec<String>,
    connections: usize,
    /// The paths of each kind.
    paths: BTreeMap<&'static str, Vec<String>>,
    mix: Vec<&'static str>,
}

/// What so many requests have cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    requests: usize,
    a_second: f64,
    p50: Duration,
    p99: Duration,
    /// CPU time of the server, user and system, in microseconds for each request.
    pub(crate) cpu_us: f64,
    resident_mib: f64,
}

impl Load {
    pub(crate) fn new(server: &Server, fabrics: usize, connections: usize) -> Self {
        let status = |operation: &String| {
            format!(
                "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.\
                 ManagedNetworkFabric/locations/LOCAL/operationStatuses/{operation}{QUERY}"
            )
        };
        // Every other question is after the one that runs.
        let operations = &server.ready.operations;
        let operations = operations.iter().flat_map(|one| [one, &operations[0]]).map(status);
        let devices = (0..fabrics).flat_map(|at| (0..DEVICES).map(move |n| server::device(at, n)));
        let list = |at| format!("{}/networkDevices{QUERY}", server::group(at));
        let paths = BTreeMap::from([
            ("fabric", (0..fabrics).map(|at| server::fabric(at) + QUERY).collect()),
            ("device", devices.map(|path| path + QUERY).collect()),
            ("operation", operations.collect()),
            ("list", (0..fabrics).step_by(10).map(list).collect()),
        ]);
        Self {
            process: server.process(),
            url: server.ready.url.clone(),
            ca: server.read("ca.pem"),
            tokens: vec![server.read("admin.token").trim().to_owned()],
            connections,
            paths,
            mix: mix(),
        }
    }

    /// Returns the same load for another server.
    pub(crate) fn at(&self, server: &Server) -> Self {
        Self {
            process: server.process(),
            url: server.ready.url.clone(),
            ca: server.read("ca.pem"),
            ..self.clone()
        }
    }

    /// Makes the tokens of the callers.
    pub(crate) async fn enlist(&mut self) {
        let client = self.client();
        let mut tokens = Vec::new();
        for _caller in 0..CALLERS {
            let request = client.post(format!("{}/keyturn/v1/tokens", self.url));
            let request = request.bearer_auth(&self.tokens[0]).body(r#"{"role":"reader"}"#);
            let answer = request.send().await.expect("an answer");
            let made: serde_json::Value = answer.json().await.expect("a token");
            tokens.push(made["token"].as_str().expect("its text").to_owned());
        }
        self.tokens = tokens;
    }

    /// Returns the same load for each kind of request by itself.
    pub(crate) fn kinds(&self) -> Vec<(&'static str, Self)> {
        MIX.iter().map(|(kind, _)| (*kind, Self { mix: vec![kind], ..self.clone() })).collect()
    }

    /// Keeps what is answered to every path.
    pub(crate) async fn keep_answers(&self, file: &Path) {
        let client = self.client();
        let mut kept = Vec::new();
        for path in self.paths.values().flatten() {
            let (status, body) = self.ask(&client, 0, path).await;
            kept.push(Kept { path: path.clone(), status, body });
        }
        let text = serde_json::to_vec(&kept).expect("JSON");
        std::fs::write(file, text).expect("the answers are kept");
    }

    /// Sends so many requests and measures what they cost the server.
    pub(crate) async fn run(&self, requests: usize) -> Cost {
        let (cpu, start) = (self.cpu(), Instant::now());
        let mut tasks = tokio::task::JoinSet::new();
        for connection in 0..self.connections {
            let load = self.clone();
            let share = requests / self.connections + 1;
            tasks.spawn(async move { load.ask_often(connection, share).await });
        }
        let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
        let wall = start.elapsed();
        times.sort_unstable();
        Cost {
            requests: times.len(),
            a_second: times.len() as f64 / wall.as_secs_f64(),
            p50: times[times.len() / 2],
            p99: times[times.len() * 99 / 100],
            cpu_us: (self.cpu() - cpu).as_secs_f64() * 1e6 / times.len() as f64,
            resident_mib: self.resident_mib(),
        }
    }

    /// Each client has one connection, which it keeps.
    async fn ask_often(&self, connection: usize, requests: usize) -> Vec<Duration> {
        let client = self.client();
        let mut times = Vec::with_capacity(requests);
        for request in 0..requests {
            // Connections begin at different places, so that they do not ask in step.
            let at = request * self.connections + connection * 7919;
            let paths = &self.paths[self.mix[at / self.connections % self.mix.len()]];
            let start = Instant::now();
            let (status, _body) = self.ask(&client, connection, &paths[at % paths.len()]).await;
            times.push(start.elapsed());
            assert!(matches!(status, 200 | 202), "{status}");
        }
        times
    }

    async fn ask(&self, client: &Client, caller: usize, path: &str) -> (u16, String) {
        let token = &self.tokens[caller % self.tokens.len()];
        let request = client.get(format!("{}{path}", self.url)).bearer_auth(token);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    fn client(&self) -> Client {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        // Another connection was first, then: it is the same one.
        let _installed = provider.install_default();
        let ca = reqwest::Certificate::from_pem(self.ca.as_bytes()).expect("a certificate");
        let client = Client::builder().tls_certs_only([ca]).pool_max_idle_per_host(1);
        client.no_proxy().build().expect("a client")
    }

    /// CPU time of the server so far: all threads, user and system, in steps of 10 ms.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process));
        let stat = stat.expect("the server runs");
        let (_name, fields) = stat.rsplit_once(')').expect("a name");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 10)
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process));
        let status = status.expect("the server runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("");
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }
}

/// A hundred requests; those of a kind are spread over them.
fn mix() -> Vec<&'static str> {
    let kinds = MIX.iter().flat_map(|(kind, count)| vec![*kind; *count]).collect::<Vec<_>>();
    (0..kinds.len()).map(|at| kinds[at * 37 % kinds.len()]).collect()
}

impl Cost {
    pub(crate) fn row(&self, who: &str) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        format!(
            "{who:<9} {:>8}  {:>10.0}  {:>6.2}  {:>6.2}  {:>14.1}  {:>12.1}",
            self.requests,
            self.a_second,
            ms(self.p50),
            ms(self.p99),
            self.cpu_us,
            self.resident_mib
        )
    }
}
