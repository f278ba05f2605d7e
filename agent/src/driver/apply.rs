//! Brings every account to its target, proves it and saves it.

use protocol::id::PasswordSet;
use protocol::job::{Account, Verification};
use protocol::report::{Finish, Match, Observation, Reason, Report, Stop};

use super::Task;
use super::accounts::{Change, Values};
use super::door::{Entered, Key};
use super::observe::Rows;
use super::session::{Each, Session, login_failed, remember};
use super::stop::stop;
use crate::platform::OperationKind;
use crate::transport::{Connection, ConnectionKind};

/// Carries an applying job out.
pub(super) async fn apply(task: &Task<'_>) -> Finish {
    if let Err(stop) = task.check() {
        return Finish::NothingSent(stop);
    }
    let mut entered = match task.enter_to_apply().await {
        Ok(entered) => entered,
        Err(stop) => return Finish::NothingSent(stop),
    };
    let changes = match task.look_before(&mut entered).await {
        Ok(changes) => changes,
        Err(stop) => {
            entered.session.close().await;
            return Finish::NothingSent(stop);
        }
    };
    if let Err((sent, stop)) = task.set(&mut entered.session, &changes).await {
        remember(task, entered.session.learned()).await;
        if !sent {
            task.give_up(&mut entered.session).await;
        }
        entered.session.close().await;
        return if sent { Finish::Unsure(stop) } else { Finish::NothingSent(stop) };
    }
    task.report(Report::Applied);
    match task.prove(entered, &changes).await {
        Ok(()) => Finish::Done,
        Err(stop) => Finish::Unsure(stop),
    }
}

impl<'t> Task<'t> {
    fn values<'a>(&self, session: &'a str) -> Values<'a> {
        Values::general(session, self.timer())
    }

    /// Clears what an earlier attempt of ours left behind, reads what is stored, and refuses to
    /// overwrite what nobody here has set.
    async fn look_before(&self, entered: &mut Entered<'t>) -> Result<Vec<Change<'_>>, Stop> {
        let session = &mut entered.session;
        self.abort_stale(session).await?;
        let rows = self.read_stored(session, OperationKind::ReadHashes).await?;
        let observations = self.observations(Some(&rows), None).await?;
        if let Err(stop) = self.check_before(&observations) {
            self.report(Report::ReadBack { observations });
            return Err(stop);
        }
        self.changes(&rows, &entered.key.account.user).await
    }

    fn check_before(&self, observations: &[Observation]) -> Result<(), Stop> {
        for (account, observation) in self.job.accounts.iter().zip(observations) {
            if account.target.is_none() {
                continue;
            }
            let user = &account.user;
            match observation.running {
                Match::Absent => {
                    let detail = format!("account `{user}` does not exist on the device");
                    return Err(stop(Reason::UserMissing, &detail));
                }
                Match::Foreign if !account.overwrite => {
                    let detail = format!("the stored password of `{user}` is none of ours");
                    return Err(stop(Reason::ForeignChange, &detail));
                }
                Match::Foreign | Match::Set(_) | Match::NotRead => {}
            }
        }
        Ok(())
    }

    /// Arms the rollback where that comes first, stages, commits.
    async fn set(&self, session: &mut Session, changes: &[Change<'_>]) -> Result<(), (bool, Stop)> {
        let name = self.session_name();
        let values = self.values(&name);
        let armed = session.perform(OperationKind::ArmRollback, &values, &Each::None).await;
        armed.map_err(|stop| (false, stop))?;
        session.set_passwords(&values, changes, || self.report(Report::Changing)).await
    }

    /// Gives the transaction of this job up, as far as the device lets us.
    async fn give_up(&self, session: &mut Session) {
        let name = self.session_name();
        let aborted = session.perform(OperationKind::Abort, &self.values(&name), &Each::None).await;
        if let Err(stop) = aborted {
            let device = self.job.device.name();
            tracing::debug!(%device, why = %stop.detail, "a transaction could not be given up");
        }
    }

    /// Proves the change: read-back, fresh login, confirm, save, startup read-back.
    async fn prove(&self, entered: Entered<'t>, changes: &[Change<'_>]) -> Result<(), Stop> {
        let Entered { mut session, path, key } = entered;
        let read = self.read_back(&mut session, changes).await;
        if let Err(stop) = read {
            self.give_up(&mut session).await;
            session.close().await;
            return Err(stop);
        }
        let entered = Entered { session, path, key };
        let mut session = self.log_in_anew(entered, changes).await?;
        let finished = self.make_permanent(&mut session, changes).await;
        session.close().await;
        finished
    }

    /// Reads the running hashes and expects every target.
    async fn read_back(&self, session: &mut Session, changes: &[Change<'_>]) -> Result<(), Stop> {
        let rows = self.read_stored(session, OperationKind::ReadHashes).await?;
        let same_store = !session.has(OperationKind::ReadStartup);
        let startup = same_store.then_some(&rows);
        let observations = self.observations(Some(&rows), startup).await?;
        self.report(Report::ReadBack { observations: observations.clone() });
        expect(changes, &observations, |seen| seen.running).map_err(|user| {
            stop(Reason::NotApplied, &format!("`{user}` does not read back as it was set"))
        })
    }

    /// Logs in anew while the first session stays open, and returns the session to go on with.
    async fn log_in_anew(
        &self,
        entered: Entered<'t>,
        changes: &[Change<'_>],
    ) -> Result<Session, Stop> {
        let Entered { mut session, path, key } = entered;
        let keys = self.keys_to_prove(key, changes);
        let line = session.kind() == ConnectionKind::Line;
        for key in keys {
            if line {
                session.close().await;
                let connection = self.log_in(path, key).await;
                let connection = connection.map_err(|error| login_failed(&error))?;
                session = Session::open(self, connection).await?;
                continue;
            }
            match self.log_in(path, key).await {
                Ok(mut connection) => Connection::close(connection.as_mut()).await,
                Err(error) => {
                    self.give_up(&mut session).await;
                    session.close().await;
                    return Err(login_failed(&error));
                }
            }
        }
        Ok(session)
    }

    /// Returns the logins that prove the change. On a line the last one is privileged, since its
    /// session goes on.
    fn keys_to_prove<'a>(&self, key: Key<'a>, changes: &[Change<'a>]) -> Vec<Key<'a>> {
        let all = changes.iter().map(|change| Key { account: change.account, set: change.target });
        let own = |account: &Account| account.profile == key.account.profile;
        match self.job.rules.verification {
            Verification::LoginAll => all.collect(),
            Verification::ReadbackLogin => {
                let mut all: Vec<Key<'a>> = all.collect();
                let place = all.iter().position(|key| own(key.account));
                let place = place.or_else(|| all.iter().rposition(|key| key.account.privileged));
                let place = place.unwrap_or(all.len().saturating_sub(1));
                if place < all.len() { vec![all.swap_remove(place)] } else { Vec::new() }
            }
        }
    }

    /// Confirms the commit timer, saves, and reads both copies back.
    async fn make_permanent(
        &self,
        session: &mut Session,
        changes: &[Change<'_>],
    ) -> Result<(), Stop> {
        let name = self.session_name();
        session.perform(OperationKind::Confirm, &self.values(&name), &Each::None).await?;
        if !session.has(OperationKind::Save) {
            return Ok(());
        }
        let saved = session.perform(OperationKind::Save, &self.values(&name), &Each::None).await;
        if saved.is_ok() {
            self.report(Report::Saved);
        }
        let observations = self.read_both(session).await?;
        self.report(Report::ReadBack { observations: observations.clone() });
        expect(changes, &observations, |seen| seen.running).map_err(|user| {
            stop(Reason::NotApplied, &format!("`{user}` was changed by somebody after us"))
        })?;
        expect(changes, &observations, |seen| seen.startup).map_err(|user| {
            let why = saved.err().map(|stop| stop.detail);
            let why = why.unwrap_or_else(|| "the device said that it was saved".to_owned());
            stop(Reason::SaveFailed, &format!("`{user}` is not in the startup copy: {why}"))
        })
    }

    /// Reads the running and the startup copy and compares both with the candidates.
    pub(super) async fn read_both(&self, session: &mut Session) -> Result<Vec<Observation>, Stop> {
        let running = self.read_stored(session, OperationKind::ReadHashes).await?;
        if !session.has(OperationKind::ReadStartup) {
            return self.observations(Some(&running), Some(&running)).await;
        }
        let startup = self.read_stored(session, OperationKind::ReadStartup).await?;
        self.observations(Some(&running), Some(&startup)).await
    }

    /// Reads what a device stores for its accounts, finding their numbers first where it has them.
    pub(super) async fn read_stored(
        &self,
        session: &mut Session,
        kind: OperationKind,
    ) -> Result<Rows, Stop> {
        let values = self.values("");
        let index = session.read(OperationKind::Index, &values, &Each::None).await?;
        let numbered = session.has(OperationKind::Index);
        let known = self.job.accounts.iter().filter_map(|account| {
            let index = index.of(&account.user).and_then(|row| row.index.clone());
            (index.is_some() || !numbered).then(|| (account.user.clone(), index))
        });
        let accounts: Vec<(String, Option<String>)> = known.collect();
        let mut rows = session.read(kind, &values, &Each::Read(&accounts)).await?;
        // A device without any account is none; it is the reply that cannot be understood. A
        // startup copy may be empty, though: one that was never saved.
        if rows.0.is_empty() && kind == OperationKind::ReadHashes {
            return Err(stop(Reason::UnexpectedOutput, "no account in what the device shows"));
        }
        for row in &mut rows.0 {
            let named = accounts.iter().find(|(_, index)| index.is_some() && *index == row.index);
            if let (None, Some((user, _))) = (&row.user, named) {
                row.user = Some(user.clone());
            }
        }
        Ok(rows)
    }
}

/// Expects every change to be in one copy; returns the first account that is not.
fn expect(
    changes: &[Change<'_>],
    observations: &[Observation],
    copy: impl Fn(&Observation) -> Match,
) -> Result<(), String> {
    for change in changes {
        let seen = observations.iter().find(|seen| seen.profile == change.account.profile);
        let wanted: PasswordSet = change.target;
        if seen.map(&copy) != Some(Match::Set(wanted)) {
            return Err(change.account.user.clone());
        }
    }
    Ok(())
}
