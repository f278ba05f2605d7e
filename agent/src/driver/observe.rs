//! Compares what a device stores with the candidates, spending no login.

use protocol::id::{PasswordSet, ProfileName};
use protocol::job::Account;
use protocol::report::{Match, Observation, Reason, Stop};

use super::Task;
use super::stop::stop;
use crate::hash::{Verdict, same_hash};
use crate::platform::Row;

/// What a device stores for its accounts.
#[derive(Debug, Default)]
pub(super) struct Rows(pub(super) Vec<Row>);

impl Rows {
    /// Returns the row of an account.
    pub(super) fn of(&self, user: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.user.as_deref() == Some(user))
    }
}

impl Task<'_> {
    /// Says for each account of the job which candidate the running and the startup copy have.
    /// `None` means that a copy was not read.
    pub(super) async fn observations(
        &self,
        running: Option<&Rows>,
        startup: Option<&Rows>,
    ) -> Result<Vec<Observation>, Stop> {
        let mut observations = Vec::with_capacity(self.job.accounts.len());
        for account in &self.job.accounts {
            observations.push(Observation {
                profile: account.profile.clone(),
                running: self.compare(account, running).await?,
                startup: self.compare(account, startup).await?,
            });
        }
        Ok(observations)
    }

    async fn compare(&self, account: &Account, rows: Option<&Rows>) -> Result<Match, Stop> {
        let Some(rows) = rows else { return Ok(Match::NotRead) };
        let Some(row) = rows.of(&account.user) else { return Ok(Match::Absent) };
        match &row.hash {
            Some(hash) => self.identify(account, hash).await,
            None => Ok(if row.nopassword { Match::Foreign } else { Match::NotRead }),
        }
    }

    async fn identify(&self, account: &Account, hash: &str) -> Result<Match, Stop> {
        let profile = &account.profile;
        if let Some(target) = account.target
            && self.is_ours(profile, target, hash).await?
        {
            return Ok(Match::Set(target));
        }
        let mut unknown = false;
        let others = account.candidates.iter().filter(|set| Some(**set) != account.target);
        // The target last: a hash of it that is not the one we send was made by an earlier run of
        // this agent, which is rare.
        for set in others.chain(&account.target) {
            let password = self.password(profile, *set)?;
            match self.kit.hashes.verify(hash, password).await {
                Ok(Verdict::Same) => return Ok(Match::Set(*set)),
                Ok(Verdict::Other) => {}
                Ok(Verdict::Unknown) => unknown = true,
                Err(error) => return Err(stop(Reason::TimedOut, &error.to_string())),
            }
        }
        Ok(if unknown { Match::NotRead } else { Match::Foreign })
    }

    /// Tells whether a stored hash is, byte for byte, the one that we send for a set.
    async fn is_ours(
        &self,
        profile: &ProfileName,
        set: PasswordSet,
        hash: &str,
    ) -> Result<bool, Stop> {
        let password = self.password(profile, set)?;
        let ours = self.kit.hashes.sha512_crypt(profile, set, password).await;
        ours.map(|ours| same_hash(&ours, hash))
            .map_err(|error| stop(Reason::TimedOut, &error.to_string()))
    }
}
