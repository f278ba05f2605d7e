//! Has an agent bring a device to its pending passwords, and turns its reports into evidence.

use std::collections::BTreeSet;

use protocol::credential::{Event, Phase};
use protocol::id::{PasswordSet, ProfileName, ResourceName};
use protocol::job::{Account, Verification, Work};
use protocol::report::{Finish, Match, Observation, Reason, Report, Stop};

use super::feed::Fed;
use super::{Executor, Run};
use crate::agents::{AgentError, Reports};
use crate::journal::JournalError;
use crate::model::Evidence;

/// What is known while an applying job runs.
struct Applying {
    accounts: Vec<Account>,
    verification: Verification,
    applied: bool,
    fresh: BTreeSet<ProfileName>,
    /// The last hashes that were read in this job.
    seen: Vec<Observation>,
}

impl Executor {
    /// Applies what is staged or exposed on a device. Returns why it stopped, if it did.
    pub(super) async fn apply(
        &self,
        run: &Run,
        device: &ResourceName,
        step: u32,
    ) -> Result<Option<Stop>, JournalError> {
        let job = match self.job(run, device, step, Work::Apply).await {
            Ok(job) => job,
            Err(stop) => return Ok(Some(stop)),
        };
        let accounts: Vec<Account> =
            job.accounts.iter().filter(|account| account.target.is_some()).cloned().collect();
        let prepared = match self.inner.agent.prepare(job).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Some(not_taken(&error))),
        };
        let all = |event: Event| -> Vec<Fed> {
            accounts.iter().map(|account| (account.profile.clone(), event)).collect()
        };
        let expose = all(Event::Expose).into_iter().chain(all(Event::Send)).collect();
        if let Err(error) = self.feed(device, expose, None).await {
            prepared.forget().await;
            return Err(error);
        }
        let verification = self.inner.settings.verification;
        let state = Applying {
            accounts,
            verification,
            applied: false,
            fresh: BTreeSet::new(),
            seen: Vec::new(),
        };
        match prepared.commit().await {
            Ok(reports) => self.hear_applying(device, state, reports).await,
            Err(error) => {
                let stop = not_taken(&error);
                self.unsure(device, &state.accounts, stop.reason).await?;
                Ok(Some(stop))
            }
        }
    }

    async fn hear_applying(
        &self,
        device: &ResourceName,
        mut state: Applying,
        mut reports: Reports,
    ) -> Result<Option<Stop>, JournalError> {
        loop {
            match reports.next().await {
                Report::Applied => {
                    state.applied = true;
                    self.feed(device, state.all(Event::Applied), None).await?;
                }
                Report::LoggedIn { profile, set } => {
                    state.logged_in(profile, set);
                    self.evidence(device, &state).await?;
                }
                Report::ReadBack { observations } => {
                    state.seen = observations;
                    self.evidence(device, &state).await?;
                }
                Report::Finished(finish) => {
                    self.touch(device);
                    return self.finish_applying(device, &state, finish).await;
                }
                // What an applying job's logins have cost is counted by the agent's ledger.
                Report::LoginRefused { .. }
                | Report::LoginLost { .. }
                | Report::Reached { .. }
                | Report::Quiet
                | Report::Changing
                | Report::Saved => {}
            }
        }
    }

    async fn finish_applying(
        &self,
        device: &ResourceName,
        state: &Applying,
        finish: Finish,
    ) -> Result<Option<Stop>, JournalError> {
        match finish {
            Finish::Done => {
                // Whatever the agent's claim, a secret without evidence is not settled.
                self.unsure(device, &state.accounts, Reason::NotApplied).await?;
                Ok(None)
            }
            Finish::NothingSent(stop) => {
                self.feed(device, state.all(Event::NotSent(stop.reason)), None).await?;
                let foreign = state
                    .seen
                    .iter()
                    .filter(|seen| matches!(seen.running, Match::Foreign | Match::Absent));
                let drifted = foreign.map(read_back).collect();
                self.feed(device, drifted, None).await?;
                Ok(Some(stop))
            }
            Finish::Unsure(stop) => {
                self.unsure(device, &state.accounts, stop.reason).await?;
                Ok(Some(stop))
            }
        }
    }

    /// Takes hashes as evidence as soon as the policy lets them prove something; the session's
    /// account apart, since it has proven itself by a login too.
    async fn evidence(&self, device: &ResourceName, state: &Applying) -> Result<(), JournalError> {
        let (by_login, by_read_back): (Vec<_>, Vec<_>) =
            state.proven().into_iter().partition(|seen| state.fresh.contains(&seen.profile));
        self.feed(device, by_login.iter().map(read_back).collect(), Some(Evidence::Login)).await?;
        let read_back = by_read_back.iter().map(read_back).collect();
        self.feed(device, read_back, Some(Evidence::ReadBack)).await
    }

    /// Sends every secret that is still open after a job to its settling.
    async fn unsure(
        &self,
        device: &ResourceName,
        accounts: &[Account],
        reason: Reason,
    ) -> Result<(), JournalError> {
        let event = |account: &Account| (account.profile.clone(), Event::Unsure(reason));
        self.feed(device, accounts.iter().map(event).collect(), None).await
    }
}

impl Applying {
    fn all(&self, event: Event) -> Vec<Fed> {
        self.accounts.iter().map(|account| (account.profile.clone(), event)).collect()
    }

    /// A login counts as fresh only with the new password, after the device has taken it.
    fn logged_in(&mut self, profile: ProfileName, set: PasswordSet) {
        let is_target =
            |account: &Account| account.profile == profile && account.target == Some(set);
        if self.applied && self.accounts.iter().any(is_target) {
            self.fresh.insert(profile);
        }
    }

    /// The observations that prove something by the verification policy: taken after a fresh login,
    /// and with the startup configuration.
    fn proven(&self) -> Vec<Observation> {
        let counts = |seen: &&Observation| {
            let fresh = match self.verification {
                Verification::ReadbackLogin => !self.fresh.is_empty(),
                Verification::LoginAll => self.fresh.contains(&seen.profile),
            };
            fresh && seen.startup != Match::NotRead
        };
        self.seen.iter().filter(counts).cloned().collect()
    }
}

pub(super) fn read_back(seen: &Observation) -> Fed {
    let event = Event::ReadBack { running: seen.running, startup: seen.startup };
    (seen.profile.clone(), event)
}

pub(super) fn not_taken(error: &AgentError) -> Stop {
    match error {
        AgentError::Refused(stop) => stop.clone(),
        error => Stop { reason: Reason::ConnectionLost, detail: format!("failed to {error}") },
    }
}

/// Tells whether a phase is one in which a job's end leaves something open.
pub(super) fn is_open(phase: Phase) -> bool {
    matches!(phase, Phase::Waiting | Phase::Probing | Phase::Verifying(_) | Phase::Saving(_))
}
