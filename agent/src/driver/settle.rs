//! Finds out what a device holds, changing no password.

use std::collections::BTreeMap;

use protocol::report::{Match, Observation, Reason, Report, Stop};

use super::accounts::Values;
use super::door::Entered;
use super::session::{Each, Session};
use super::stop::stop;
use super::{SESSION_PREFIX, Task};
use crate::platform::OperationKind;

/// Carries a settling job out.
pub(super) async fn settle(task: &Task<'_>) -> Result<(), Stop> {
    task.check()?;
    let Entered { mut session, key, .. } = task.enter_to_settle().await?;
    let settled = if key.account.privileged {
        task.look(&mut session).await
    } else {
        task.look_without_privilege().await
    };
    session.close().await;
    settled
}

impl Task<'_> {
    async fn look(&self, session: &mut Session) -> Result<(), Stop> {
        if self.job.rules.quiet {
            self.confirm_what_is_proven(session).await?;
            self.abort_stale(session).await?;
        } else {
            self.check_quiet(session).await?;
        }
        let observations = self.read_both(session).await?;
        self.report(Report::ReadBack { observations: observations.clone() });
        if self.job.rules.save && session.has(OperationKind::Save) && is_unsaved(&observations) {
            let values = Values::general("", self.timer());
            let saved = session.perform(OperationKind::Save, &values, &Each::None).await;
            if saved.is_ok() {
                self.report(Report::Saved);
            }
            let observations = self.read_both(session).await?;
            self.report(Report::ReadBack { observations: observations.clone() });
            if is_unsaved(&observations) {
                let why = saved.err().map(|stop| stop.detail);
                let why = why.unwrap_or_else(|| "the device said that it was saved".to_owned());
                return Err(stop(Reason::SaveFailed, &format!("save: {why}")));
            }
        }
        Ok(())
    }

    /// An account that may not read the others' hashes has proven itself, and no more.
    async fn look_without_privilege(&self) -> Result<(), Stop> {
        if !self.job.rules.quiet {
            return Err(stop(Reason::NotQuiet, "this account cannot see who else is logged in"));
        }
        let observations = self.observations(None, None).await?;
        self.report(Report::ReadBack { observations });
        Ok(())
    }

    /// Asks the device whether an older session of ours is left; if not, the quiet time is over.
    async fn check_quiet(&self, session: &mut Session) -> Result<(), Stop> {
        if !session.has(OperationKind::Sessions) {
            let detail = "the platform cannot show who else is logged in";
            return Err(stop(Reason::NotQuiet, detail));
        }
        let values = Values::general("", self.timer());
        let rows = session.read(OperationKind::Sessions, &values, &Each::None).await?;
        let is_ours = |user: &str| self.job.accounts.iter().any(|account| account.user == user);
        let own_is_marked = rows.0.iter().any(|row| row.own);
        let other = rows.0.iter().filter(|row| !row.own);
        let mut ours = other.filter(|row| row.user.as_deref().is_some_and(is_ours));
        if !own_is_marked || ours.next().is_some() {
            let detail = "another session of an account that we use is open on the device";
            return Err(stop(Reason::NotQuiet, detail));
        }
        self.abort_stale(session).await?;
        self.report(Report::Quiet);
        Ok(())
    }

    /// Confirms a change of ours that only waits for its timer: this session was opened by a fresh
    /// login while the change is in force, so where every stored hash is one of the candidates it
    /// is as proven as it would have been in the job that was cut off. Rolling back instead would
    /// change the passwords under our feet once more. What is not proven is left to be given up.
    async fn confirm_what_is_proven(&self, session: &mut Session) -> Result<(), Stop> {
        let armed: Vec<String> = self
            .ours(session)
            .await?
            .into_iter()
            .filter_map(|(name, armed)| armed.then_some(name))
            .collect();
        if armed.is_empty() || !self.job.rules.save {
            return Ok(());
        }
        let rows = self.read_stored(session, OperationKind::ReadHashes).await?;
        let observations = self.observations(Some(&rows), None).await?;
        if !observations.iter().all(|seen| matches!(seen.running, Match::Set(_))) {
            return Ok(());
        }
        for name in armed {
            tracing::info!(device = %self.job.device.name(), session = %name, "confirms");
            let values = Values::general(&name, self.timer());
            session.perform(OperationKind::Confirm, &values, &Each::None).await?;
        }
        Ok(())
    }

    /// Returns the configuration sessions of ours that are pending, and whether each is armed.
    async fn ours(&self, session: &mut Session) -> Result<BTreeMap<String, bool>, Stop> {
        let values = Values::general("", self.timer());
        let pending = session.read(OperationKind::Pending, &values, &Each::None).await?;
        let mut ours = BTreeMap::new();
        for row in pending.0 {
            if let Some(name) = row.session.filter(|name| name.starts_with(SESSION_PREFIX)) {
                *ours.entry(name).or_insert(false) |= row.armed;
            }
        }
        Ok(ours)
    }

    /// Gives up configuration sessions and commit timers that earlier jobs of ours left pending;
    /// others are never touched.
    pub(super) async fn abort_stale(&self, session: &mut Session) -> Result<(), Stop> {
        for name in self.ours(session).await?.into_keys() {
            tracing::info!(device = %self.job.device.name(), session = %name, "aborts a stale one");
            let values = Values::general(&name, self.timer());
            session.perform(OperationKind::Abort, &values, &Each::None).await?;
        }
        Ok(())
    }
}

/// Tells whether saving would help: everything that runs is known, and something is not what the
/// device would boot with.
fn is_unsaved(observations: &[Observation]) -> bool {
    let known = observations.iter().all(|seen| !matches!(seen.running, Match::Foreign));
    let differs =
        |seen: &Observation| matches!(seen.running, Match::Set(_)) && seen.startup != seen.running;
    known && observations.iter().any(differs)
}
