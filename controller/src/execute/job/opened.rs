//! The passwords of a job, as far as the vault has them. One that is lost hides none of the others:
//! a device may well hold one that is there.

use std::collections::BTreeSet;

use protocol::id::{PasswordSet, ProfileName, SecretVersion};
use protocol::job::{Account, Path, Work};
use protocol::report::{Reason, Stop};
use protocol::seal::Bundle;

use super::Draft;
use crate::error::chain;
use crate::execute::values::Opened as Value;
use crate::naming::SecretName;
use crate::vault::VaultError;

/// What mends a password that is lost.
const LOST: &str =
    "; if it is lost for good, apply a password that was set on the device, and rotate";

/// A job's draft, without what cannot be opened.
pub(in crate::execute) struct Opened {
    pub(super) draft: Draft,
    pub(super) bundle: Bundle,
    /// Why a candidate that was not disproved cannot be opened, if there is one.
    lost: Option<Stop>,
}

impl Opened {
    /// Tells whether a password is there.
    pub(in crate::execute) fn has(&self, profile: &ProfileName, set: PasswordSet) -> bool {
        self.bundle.password(profile, set).is_some()
    }

    /// Returns why a password that the device may have cannot be opened, if there is one.
    pub(in crate::execute) fn lost(&self) -> Option<Stop> {
        self.lost.clone()
    }
}

/// Says that passwords cannot be opened, and what mends it.
pub(super) fn not_opened(error: &VaultError, mend: &str) -> Stop {
    let why = chain(error);
    let detail = format!("failed to open its passwords in the vault: {why}{mend}");
    Stop { reason: Reason::VaultUnavailable, detail }
}

impl Draft {
    /// Returns the versions that are to be opened.
    pub(super) fn wanted(&self) -> Vec<(SecretName, SecretVersion)> {
        let accounts = self.values.iter().map(|(_p, _s, name, version)| (name, version));
        let terminal = self.terminal_server.iter().map(|(_s, name, version)| (name, version));
        let all = accounts.chain(terminal);
        all.map(|(name, version)| (name.clone(), version.clone())).collect()
    }

    /// Takes what was opened of [`Draft::wanted`], in its order, and leaves out what could not be.
    ///
    /// # Errors
    /// Returns why there can be no job without it: the version that is to be brought is lost, or
    /// there is no way in.
    pub(super) fn with(mut self, opened: Vec<Value>) -> Result<Opened, Stop> {
        let (mut bundle, mut all_lost, mut lost) = (Bundle::default(), Vec::new(), None);
        let mut opened = opened.into_iter();
        for ((profile, set, ..), value) in self.values.iter().zip(opened.by_ref()) {
            match value {
                Ok(value) => bundle.accounts.push((profile.clone(), *set, value.duplicate())),
                Err(error) => {
                    tracing::warn!(profile = %profile, set = set.0, error = chain(&error), "lost");
                    all_lost.push(not_opened(&error, LOST));
                    let is_retired = self.retired.contains(&(profile.clone(), *set));
                    lost = lost.or_else(|| all_lost.last().filter(|_stop| !is_retired).cloned());
                }
            }
        }
        let mut servers_lost = Vec::new();
        for ((set, ..), value) in self.terminal_server.iter().zip(opened) {
            match value {
                Ok(value) => bundle.terminal_server.push((*set, value.duplicate())),
                Err(error) => servers_lost.push(not_opened(&error, LOST)),
            }
        }
        if let Some(stop) = all_lost.first() {
            self.leave_out(&bundle).then_some(()).ok_or_else(|| stop.clone())?;
        }
        if let Some(stop) = servers_lost.first().filter(|_lost| bundle.terminal_server.is_empty()) {
            self.leave_console_out().then_some(()).ok_or_else(|| stop.clone())?;
        }
        Ok(Opened { draft: self, bundle, lost })
    }

    /// Leaves out the candidates that are not there. Tells whether the job can do without them.
    fn leave_out(&mut self, bundle: &Bundle) -> bool {
        let has = |account: &Account, set| bundle.password(&account.profile, set).is_some();
        let mut ways_in = BTreeSet::new();
        for account in &mut self.accounts {
            if account.target.is_some_and(|target| !has(account, target)) {
                return false;
            }
            // Whoever changes or reboots a device enters with what worked last, and guesses nothing.
            let first = account.candidates.first().copied();
            if account.privileged && first.is_some_and(|first| has(account, first)) {
                ways_in.insert(account.profile.clone());
            }
            let mut candidates = std::mem::take(&mut account.candidates);
            candidates.retain(|set| has(account, *set));
            account.candidates = candidates;
        }
        // The last account is the session's.
        self.accounts.sort_by_key(|account| ways_in.contains(&account.profile));
        self.work == Work::Settle || !ways_in.is_empty()
    }

    /// Leaves the way through a terminal server out, which nobody can log in to. Tells whether there
    /// is another one.
    fn leave_console_out(&mut self) -> bool {
        self.access.paths.retain(|path| !matches!(path, Path::Console { .. }));
        !self.access.paths.is_empty()
    }
}
