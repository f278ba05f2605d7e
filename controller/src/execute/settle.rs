//! Has an agent find out what a device holds, within the login budget, changing no password.

use std::collections::BTreeMap;

use protocol::credential::{Credential, Event, Phase};
use protocol::id::{PasswordSet, ProfileName, ResourceName};
use protocol::job::{Probe, Work};
use protocol::report::{Finish, Match, Observation, Reason, Report, Stop};

use super::apply::{is_open, not_taken, read_back};
use super::feed::Fed;
use super::job::Opened;
use super::{Executor, Run};
use crate::agents::Reports;
use crate::journal::JournalError;
use crate::model::{Device, Evidence, Secret};

impl Executor {
    /// Settles a device whose quiet time is over. Returns why it stopped, if it did.
    pub(super) async fn settle(
        &self,
        run: &Run,
        device: &ResourceName,
        step: u32,
    ) -> Result<Option<Stop>, JournalError> {
        self.feed_where(device, |phase| phase == Phase::Quiet, Event::QuietOver).await?;
        // A login whose answer was lost with an earlier job may still be in flight.
        self.feed_where(device, |phase| matches!(phase, Phase::Verifying(_)), Event::LoginLost)
            .await?;
        self.feed_where(device, |phase| phase == Phase::Quiet, Event::QuietOver).await?;
        let lost = Event::Unsure(Reason::ConnectionLost);
        let stale = |phase| matches!(phase, Phase::Waiting | Phase::Saving(_));
        self.feed_where(device, stale, lost).await?;
        self.feed_where(device, |phase| phase == Phase::Quiet, Event::QuietOver).await?;

        let opened = match self.open(run, device, Work::Settle).await {
            Ok(opened) => opened,
            Err(stop) => return self.refund(device, &[], stop).await,
        };
        let probes = self.count_probes(device, &opened).await?;
        if probes.is_empty() {
            let only_lost = !self.choose(device, |_profile, _set| true).is_empty();
            if let Some(lost) = opened.lost().filter(|_lost| only_lost) {
                return self.refund(device, &[], lost).await;
            }
            self.park(device).await?;
            let detail = "no login is allowed before the lockout window is over".to_owned();
            return Ok(Some(Stop { reason: Reason::LoginBudgetSpent, detail }));
        }
        let job = match self.sealed(run, device, step, opened, probes.clone()) {
            Ok(job) => job,
            Err(stop) => return self.refund(device, &probes, stop).await,
        };
        let prepared = match self.inner.agent.prepare(job).await {
            Ok(prepared) => prepared,
            Err(error) => return self.refund(device, &probes, not_taken(&error)).await,
        };
        match prepared.commit().await {
            Ok(reports) => self.hear_settling(device, probes, reports).await,
            Err(error) => self.refund(device, &probes, not_taken(&error)).await,
        }
    }

    /// Chooses the logins of a settling job and counts them durably.
    async fn count_probes(
        &self,
        device: &ResourceName,
        opened: &Opened,
    ) -> Result<Vec<Probe>, JournalError> {
        let budget = self.budget(device);
        let chosen = self.choose(device, |profile, set| opened.has(profile, set));
        let events: Vec<Fed> = chosen
            .iter()
            .map(|probe| {
                let event = Event::Probe { budget, preferred: Some(probe.set) };
                (probe.profile.clone(), event)
            })
            .collect();
        self.feed(device, events, None).await?;
        let counted = |probe: &Probe| {
            self.inner.journal.read(|fabric| {
                let device = fabric.devices.get(device);
                let secret = device.and_then(|device| device.secrets.get(&probe.profile));
                secret.map(|secret| secret.credential.phase) == Some(Phase::Verifying(probe.set))
            })
        };
        Ok(chosen.into_iter().filter(counted).collect())
    }

    /// Chooses the logins that are allowed now with the passwords that the vault has.
    fn choose(
        &self,
        device: &ResourceName,
        has: impl Fn(&ProfileName, PasswordSet) -> bool,
    ) -> Vec<Probe> {
        let (budget, retries_max) = (self.budget(device), self.inner.settings.retries_max);
        self.inner.journal.read(|fabric| {
            let device = fabric.devices.get(device);
            device.map(|device| choose(device, budget, retries_max, has)).unwrap_or_default()
        })
    }

    /// Wrong guesses that the device's policy allows per account and window: always two fewer than
    /// lock it, so that a person keeps a try; one where the policy is not known.
    fn budget(&self, device: &ResourceName) -> u8 {
        let failures_max = self.inner.journal.read(|fabric| {
            let spec = fabric.devices.get(device).map(|device| &device.spec);
            spec.and_then(|spec| spec.lockout.as_ref()).map(|lockout| lockout.failures_max)
        });
        let budget = failures_max.map_or(1, |max| max.saturating_sub(2).max(1));
        u8::try_from(budget).unwrap_or(u8::MAX)
    }

    async fn hear_settling(
        &self,
        device: &ResourceName,
        probes: Vec<Probe>,
        mut reports: Reports,
    ) -> Result<Option<Stop>, JournalError> {
        let mut open = probes;
        let mut logged_in = BTreeMap::new();
        loop {
            match reports.next().await {
                Report::LoggedIn { profile, set } => {
                    logged_in.insert(profile.clone(), set);
                    let event = answered(&mut open, &profile, set, Event::LoginOk);
                    self.feed(device, event, Some(Evidence::Login)).await?;
                }
                Report::LoginRefused { profile, set } => {
                    let event = answered(&mut open, &profile, set, Event::LoginRefused);
                    self.feed(device, event, None).await?;
                }
                Report::LoginLost { profile, set } => {
                    let event = answered(&mut open, &profile, set, Event::LoginLost);
                    self.feed(device, event, None).await?;
                }
                Report::ReadBack { observations } => {
                    // The agent has found its way in: what it did not try, it will not try.
                    self.not_tried(device, &mut open).await?;
                    self.observed(device, &observations, &logged_in).await?;
                }
                Report::Finished(finish) => {
                    self.touch(device);
                    return self.finish_settling(device, open, finish).await;
                }
                Report::Reached { .. }
                | Report::Quiet
                | Report::Changing
                | Report::Applied
                | Report::Saved => {}
            }
        }
    }

    async fn observed(
        &self,
        device: &ResourceName,
        observations: &[Observation],
        logged_in: &BTreeMap<ProfileName, PasswordSet>,
    ) -> Result<(), JournalError> {
        let denied = |seen: &&Observation| {
            let opened = logged_in.get(&seen.profile);
            opened.is_some_and(|set| {
                !matches!(seen.running, Match::NotRead) && seen.running != Match::Set(*set)
            })
        };
        let liar = observations.iter().find(denied);
        if liar.is_some() || logged_in.is_empty() {
            // It let us in with another password than it shows, or nobody has said that it let us
            // in at all: what it shows proves nothing, for this account or for the others.
            let profile = liar.map(|seen| seen.profile.to_string());
            tracing::warn!(device = %device, profile, "hashes that no login bears out");
            return Ok(());
        }
        let (by_login, by_read_back): (Vec<_>, Vec<_>) =
            observations.iter().partition(|seen| logged_in.contains_key(&seen.profile));
        let events = |seen: Vec<&Observation>| seen.into_iter().map(read_back).collect();
        self.feed(device, events(by_login), Some(Evidence::Login)).await?;
        self.feed(device, events(by_read_back), Some(Evidence::ReadBack)).await
    }

    async fn finish_settling(
        &self,
        device: &ResourceName,
        mut open: Vec<Probe>,
        finish: Finish,
    ) -> Result<Option<Stop>, JournalError> {
        let stop = match finish {
            Finish::Done => None,
            Finish::NothingSent(stop) => Some(stop),
            Finish::Unsure(stop) => {
                // The agent is gone with its logins: each may have been made.
                let lost = open.drain(..).map(|probe| (probe.profile, Event::LoginLost)).collect();
                self.feed(device, lost, None).await?;
                Some(stop)
            }
        };
        self.not_tried(device, &mut open).await?;
        let refused = stop.as_ref().is_some_and(|stop| {
            matches!(stop.reason, Reason::AuthenticationRefused | Reason::Locked)
        });
        if refused {
            self.give_up_where_all_was_tried(device).await?;
        }
        let reason = stop.as_ref().map_or(Reason::SaveFailed, |stop| stop.reason);
        let event = Event::Unsure(reason);
        self.feed_where(device, is_open, event).await?;
        Ok(stop)
    }

    /// No login is allowed: the accounts that have spent their budget wait for their window, the
    /// others for what these will show.
    async fn park(&self, device: &ResourceName) -> Result<(), JournalError> {
        let budget = self.budget(device);
        let spent = self.inner.journal.read(|fabric| {
            let secrets = fabric.devices.get(device).map(|device| device.secrets.iter());
            let has_spent = |(profile, secret): (&ProfileName, &Secret)| {
                let credential = &secret.credential;
                let spent = credential.phase == Phase::Probing && credential.attempts >= budget;
                spent.then(|| profile.clone())
            };
            secrets.into_iter().flatten().filter_map(has_spent).collect::<Vec<_>>()
        });
        let event = |profile| (profile, Event::Probe { budget, preferred: None });
        self.feed(device, spent.into_iter().map(event).collect(), None).await?;
        self.feed_where(device, is_open, Event::Unsure(Reason::LoginBudgetSpent)).await
    }

    /// An account that refused every candidate has a password that is not ours.
    async fn give_up_where_all_was_tried(&self, device: &ResourceName) -> Result<(), JournalError> {
        let budget = self.budget(device);
        let exhausted = self.inner.journal.read(|fabric| {
            let secrets = fabric.devices.get(device).map(|device| device.secrets.iter());
            let all_tried = |(profile, secret): (&ProfileName, &Secret)| {
                let credential = &secret.credential;
                let tried = |set: &PasswordSet| credential.tried.contains(set);
                let is_exhausted = credential.phase == Phase::Probing
                    && !credential.tried.is_empty()
                    && credential.candidates().iter().all(tried);
                is_exhausted.then(|| profile.clone())
            };
            secrets.into_iter().flatten().filter_map(all_tried).collect::<Vec<_>>()
        });
        let event = |profile| (profile, Event::Probe { budget, preferred: None });
        self.feed(device, exhausted.into_iter().map(event).collect(), None).await
    }

    async fn not_tried(
        &self,
        device: &ResourceName,
        open: &mut Vec<Probe>,
    ) -> Result<(), JournalError> {
        let events = open.drain(..).map(|probe| (probe.profile, Event::LoginNotSent)).collect();
        self.feed(device, events, None).await
    }

    async fn refund(
        &self,
        device: &ResourceName,
        probes: &[Probe],
        stop: Stop,
    ) -> Result<Option<Stop>, JournalError> {
        self.not_tried(device, &mut probes.to_vec()).await?;
        self.feed_where(device, is_open, Event::Unsure(stop.reason)).await?;
        Ok(Some(stop))
    }

    /// Feeds one event to every secret of the device that is in such a phase.
    pub(super) async fn feed_where(
        &self,
        device: &ResourceName,
        is_meant: impl Fn(Phase) -> bool,
        event: Event,
    ) -> Result<(), JournalError> {
        let events = self.inner.journal.read(|fabric| {
            let secrets = fabric.devices.get(device).map(|device| device.secrets.iter());
            secrets
                .into_iter()
                .flatten()
                .filter(|(_profile, secret)| is_meant(secret.credential.phase))
                .map(|(profile, _secret)| (profile.clone(), event))
                .collect()
        });
        self.feed(device, events, None).await
    }
}

/// Removes an answered login from the open ones and returns its event.
fn answered(
    open: &mut Vec<Probe>,
    profile: &ProfileName,
    set: PasswordSet,
    event: Event,
) -> Vec<Fed> {
    let before = open.len();
    open.retain(|probe| probe.profile != *profile || probe.set != set);
    if open.len() < before { vec![(profile.clone(), event)] } else { Vec::new() }
}

/// Returns the candidates, the likeliest first. A change that did not arrive once is likely not to
/// arrive again: then the version that worked last goes first, so that a fault which repeats costs
/// one wrong guess in all.
fn by_likelihood(credential: &Credential, retries_max: u8) -> Vec<PasswordSet> {
    let mut sets = credential.candidates();
    if credential.pending.is_some() && credential.retries < retries_max {
        sets.sort_by_key(|set| Some(*set) != credential.current);
    }
    sets
}

/// Chooses which accounts log in with which candidates, so that one of the logins must work and no
/// account guesses wrong more often than its budget allows.
///
/// A change on a device is one transaction, so that most often all accounts hold the same set: each
/// candidate is tried with an account of its own. An account that is not in doubt goes first. What
/// the vault does not have cannot be tried.
fn choose(
    device: &Device,
    budget: u8,
    retries_max: u8,
    has: impl Fn(&ProfileName, PasswordSet) -> bool,
) -> Vec<Probe> {
    let mut accounts: Vec<(&ProfileName, &Credential)> = device
        .secrets
        .iter()
        .filter(|(_profile, secret)| secret.privileged)
        .map(|(profile, secret)| (profile, &*secret.credential))
        .filter(|(_profile, credential)| credential.attempts < budget)
        .collect();
    let settled = accounts.iter().filter(|(_profile, c)| c.phase == Phase::Settled);
    let mut proven = settled.filter_map(|(profile, c)| Some((*profile, c.current?)));
    if let Some((profile, set)) = proven.find(|(profile, set)| has(profile, *set)) {
        return vec![Probe { profile: profile.clone(), set }];
    }
    accounts.retain(|(_profile, credential)| credential.phase == Phase::Probing);
    let mut probes: Vec<Probe> = Vec::new();
    let mut wanted: Vec<PasswordSet> = Vec::new();
    for (_profile, credential) in &accounts {
        for set in by_likelihood(credential, retries_max) {
            if !wanted.contains(&set) {
                wanted.push(set);
            }
        }
    }
    for set in wanted {
        let free = accounts.iter().position(|(profile, credential)| {
            let unused = probes.iter().all(|probe| probe.profile != **profile);
            unused
                && has(profile, set)
                && credential.candidates().contains(&set)
                && !credential.tried.contains(&set)
        });
        if let Some((profile, _credential)) = free.and_then(|at| accounts.get(at)) {
            probes.push(Probe { profile: (*profile).clone(), set });
        }
    }
    probes
}
