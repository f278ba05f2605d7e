//! An agent that vouches for every device at once, so that fabrics are what they are after their
//! adoption, and never answers for the devices of one fabric.

use std::collections::BTreeMap;

use controller::daemon::Hands;
use controller::template::PlatformLimits;
use protocol::frame::{FromAgent, ToAgent, VERSION};
use protocol::job::Job;
use protocol::report::{Finish, Match, Observation, Report};
use protocol::seal::Opener;
use tokio::sync::mpsc;

/// The devices whose names begin so are never heard of again.
pub(crate) const SILENT: &str = "silent";

/// Starts the agent.
pub(crate) fn start() -> Hands {
    let (to, to_agent) = mpsc::channel(64);
    let (from_agent, from) = mpsc::channel(64);
    tokio::spawn(answer(to_agent, from_agent));
    Hands { to, from, platforms: platforms() }
}

/// What its one platform takes as passwords.
pub(crate) fn platforms() -> Vec<PlatformLimits> {
    let platform = |name: &str| PlatformLimits {
        platform: name.to_owned(),
        length_min: 8,
        length_max: 64,
        allowed: PlatformLimits::all_but("?"),
        first_letter_only: false,
        hash_kinds: Vec::new(),
    };
    vec![platform("arista-eos"), platform("opengear")]
}

async fn answer(mut to_agent: mpsc::Receiver<ToAgent>, from_agent: mpsc::Sender<FromAgent>) {
    let opener = Opener::from_seed(&[3; 32]).expect("a key");
    let hello =
        FromAgent::Hello { version: VERSION, agent: "bench".to_owned(), key: opener.key().clone() };
    from_agent.send(hello).await.expect("the controller listens");
    let mut prepared: BTreeMap<_, Box<Job>> = BTreeMap::new();
    while let Some(frame) = to_agent.recv().await {
        let frames = match frame {
            ToAgent::Welcome { .. } => Vec::new(),
            ToAgent::Prepare(job) => {
                let id = job.id;
                prepared.insert(id, job);
                vec![FromAgent::Prepared { job: id, refused: None }]
            }
            ToAgent::Forget { job } => {
                prepared.remove(&job);
                Vec::new()
            }
            ToAgent::Commit { job: id } => {
                let job = prepared.remove(&id).expect("a job that was prepared");
                let reports = if job.device.name().as_str().starts_with(SILENT) {
                    Vec::new()
                } else {
                    vouch(&job)
                };
                reports.into_iter().map(|report| FromAgent::Report { job: id, report }).collect()
            }
        };
        for frame in frames {
            if from_agent.send(frame).await.is_err() {
                return;
            }
        }
    }
}

/// The first password that is tried opens the device, and it holds the first of each account.
fn vouch(job: &Job) -> Vec<Report> {
    let observed = || {
        let observation = |account: &protocol::job::Account| {
            let found = account.candidates.first().map_or(Match::Absent, |set| Match::Set(*set));
            Observation { profile: account.profile.clone(), running: found, startup: found }
        };
        Report::ReadBack { observations: job.accounts.iter().map(observation).collect() }
    };
    let probe = job.probes.first().expect("something to try");
    let logged_in = Report::LoggedIn { profile: probe.profile.clone(), set: probe.set };
    let mut reports = vec![logged_in, observed()];
    if job.rules.save {
        reports.extend([Report::Saved, observed()]);
    }
    reports.push(Report::Finished(Finish::Done));
    reports
}
