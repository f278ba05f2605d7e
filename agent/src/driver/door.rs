//! Finds a way in: paths in order, accounts and candidates within the login budget.

use async_trait::async_trait;
use protocol::id::{DeviceId, PasswordSet};
use protocol::job::{Account, Path};
use protocol::password::Password;
use protocol::report::{Reason, Report, Stop};

use super::Task;
use super::session::Session;
use super::stop::{at_login, bad_job};
use crate::ledger::{Budget, Ledger, LedgerError, Who};
use crate::platform::{Lockout, LockoutScope};
use crate::transport::{Attempts, Connection, Cost, Gate, Login, OpenError};

/// How many refusals an applying job takes on one path: what the controller holds for true is not,
/// and the other accounts' attempts are needed to find out what is.
const REFUSALS_MAX: usize = 1;

/// One login that may be tried.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) account: &'a Account,
    pub(super) set: PasswordSet,
}

/// An open way in.
pub(super) struct Entered<'a> {
    pub(super) session: Session,
    pub(super) path: &'a Path,
    pub(super) key: Key<'a>,
}

/// Counts the attempts of one job in the ledger.
struct Counter<'a> {
    ledger: &'a Ledger,
    device: &'a DeviceId,
    budget: Budget,
    line: bool,
}

impl Counter<'_> {
    fn who(&self, gate: Gate<'_>) -> (Who, Budget) {
        // A device that bans addresses knows none on its serial line: that is its recovery path,
        // and counted for the account.
        let by_account = Budget { scope: LockoutScope::User, ..self.budget };
        let budget = if self.line { by_account } else { self.budget };
        match gate {
            Gate::Device(user) => (Who::new(self.device, user, &budget), budget),
            // Nobody has told this job the terminal server's policy.
            Gate::TerminalServer(server, user) => {
                let budget = Budget::of(None);
                (Who::new(server, user, &budget), budget)
            }
        }
    }
}

#[async_trait]
impl Attempts for Counter<'_> {
    async fn count(&self, gate: Gate<'_>) -> Result<(), OpenError> {
        let (who, budget) = self.who(gate);
        self.ledger.attempt(&who, &budget).await.map_err(|error| match error {
            LedgerError::BudgetSpent { .. } => {
                let (Gate::Device(user) | Gate::TerminalServer(_, user)) = gate;
                OpenError::BudgetSpent { user: user.to_owned() }
            }
            other => OpenError::Ledger(other.to_string()),
        })
    }

    async fn succeeded(&self, gate: Gate<'_>) {
        let (who, _budget) = self.who(gate);
        if let Err(error) = self.ledger.succeeded(&who).await {
            tracing::warn!(device = %self.device.name(), %error, "a success was not recorded");
        }
    }
}

impl<'t> Task<'t> {
    /// Returns the device's budget: the inventory's policy, else the platform's, else the smallest.
    fn budget(&self) -> Budget {
        let known = self.platform.limits.lockout;
        let given = self.job.access.lockout.map(|lockout| Lockout {
            failures_max: lockout.failures_max,
            window: std::time::Duration::from_millis(lockout.window_ms),
            scope: known.map_or(LockoutScope::User, |known| known.scope),
        });
        Budget::of(given.or(known).as_ref())
    }

    /// Makes one login on one path.
    pub(super) async fn log_in(
        &self,
        path: &Path,
        key: Key<'_>,
    ) -> Result<Box<dyn Connection>, OpenError> {
        let account = key.account;
        let missing = || OpenError::Unusable("the job has no password for the login".to_owned());
        let password = self.bundle.password(&account.profile, key.set).ok_or_else(missing)?;
        let door: Vec<&Password> =
            self.bundle.terminal_server.iter().map(|(_set, password)| password).collect();
        let learned = self.kit.ledger.learned(&self.job.device);
        let attempts = Counter {
            ledger: &self.kit.ledger,
            device: &self.job.device,
            budget: self.budget(),
            line: !matches!(path, Path::Ssh { .. }),
        };
        let login = Login {
            device: &self.job.device,
            path,
            platform: &self.platform,
            user: &account.user,
            password,
            door: &door,
            learned: &learned,
            attempts: &attempts,
            deadline: self.deadline,
        };
        let opened = self.kit.transports.for_path(path).open(&login).await;
        self.report_login(key, opened.as_ref().err());
        opened
    }

    fn report_login(&self, key: Key<'_>, error: Option<&OpenError>) {
        let (profile, set) = (key.account.profile.clone(), key.set);
        match error.map(OpenError::cost) {
            None => self.report(Report::LoggedIn { profile, set }),
            Some(Cost::Attempt) => self.report(Report::LoginRefused { profile, set }),
            Some(Cost::PerhapsAttempt) => self.report(Report::LoginLost { profile, set }),
            Some(Cost::Nothing) => {}
        }
    }

    /// Enters as one of the privileged accounts with its likeliest candidate; the one that the
    /// controller put last comes first.
    pub(super) async fn enter_to_apply(&self) -> Result<Entered<'t>, Stop> {
        let accounts = self.job.accounts.iter().rev().filter(|account| account.privileged);
        let keys: Vec<Key<'t>> = accounts
            .filter_map(|account| {
                let set = *account.candidates.first()?;
                Some(Key { account, set })
            })
            .collect();
        if keys.is_empty() {
            return Err(bad_job("the job has no privileged account with a candidate"));
        }
        self.enter(&keys, REFUSALS_MAX).await
    }

    /// Enters with the first probe that works and makes no other guess.
    pub(super) async fn enter_to_settle(&self) -> Result<Entered<'t>, Stop> {
        let mut keys = Vec::with_capacity(self.job.probes.len());
        for probe in &self.job.probes {
            let account = self.job.accounts.iter().find(|a| a.profile == probe.profile);
            let account = account.ok_or_else(|| bad_job("a probe names no account of the job"))?;
            keys.push(Key { account, set: probe.set });
        }
        if keys.is_empty() {
            return Err(bad_job("the job has no probe"));
        }
        self.enter(&keys, keys.len()).await
    }

    /// Tries the paths in order, and on each the keys until `refusals_max` of them were refused.
    /// Refused keys are tried last on a later path: the counter behind it may be the same.
    async fn enter(&self, keys: &[Key<'t>], refusals_max: usize) -> Result<Entered<'t>, Stop> {
        let mut keys = keys.to_vec();
        let mut worst: Option<OpenError> = None;
        for (index, path) in self.job.access.paths.iter().enumerate() {
            let mut refused: Vec<usize> = Vec::new();
            for (place, key) in keys.iter().enumerate() {
                if refused.len() >= refusals_max {
                    break;
                }
                match self.log_in(path, *key).await {
                    Ok(connection) => {
                        self.report(Report::Reached { path: index });
                        let session = Session::open(self, connection).await?;
                        return Ok(Entered { session, path, key: *key });
                    }
                    Err(error @ OpenError::HostKey { .. }) => return Err(at_login(&error)),
                    Err(error) => {
                        if error.cost() == Cost::Attempt {
                            refused.push(place);
                        }
                        let next_path = ends_the_path(&error);
                        worst = Some(worse(worst, error));
                        if next_path {
                            break;
                        }
                    }
                }
            }
            refused.reverse();
            for place in refused {
                let key = keys.remove(place);
                keys.push(key);
            }
        }
        let error = worst.unwrap_or_else(|| OpenError::Unusable("there is none".to_owned()));
        Err(at_login(&error))
    }
}

/// Tells whether a failure is the path's, so that no other account would fare better on it.
fn ends_the_path(error: &OpenError) -> bool {
    !matches!(
        error,
        OpenError::Refused { .. }
            | OpenError::Locked { .. }
            | OpenError::Expired { .. }
            | OpenError::BudgetSpent { .. }
    )
}

/// Returns the failure that says more about the device: a refusal more than a spent budget, and
/// that more than a path that leads nowhere.
fn worse(one: Option<OpenError>, other: OpenError) -> OpenError {
    let weight = |error: &OpenError| match error.reason() {
        Reason::LedgerFailed => 5,
        Reason::AuthenticationRefused | Reason::UnexpectedOutput => 4,
        Reason::Locked => 3,
        Reason::LoginBudgetSpent => 2,
        _ => 1,
    };
    match one {
        Some(one) if weight(&one) >= weight(&other) => one,
        _ => other,
    }
}
