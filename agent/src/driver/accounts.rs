//! The accounts of a job with all that their lines need.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{PasswordSet, ProfileName};
use protocol::job::Account;
use protocol::password::Password;
use protocol::report::{Reason, Stop};
use zeroize::Zeroizing;

use super::Task;
use super::observe::Rows;
use super::stop::{bad_job, stop};
use crate::platform::{Filling, Slot};

/// The longest text of attributes that is re-emitted.
const ATTRIBUTES_BYTES_MAX: usize = 256;

/// One account whose password is to be set.
pub(super) struct Change<'a> {
    pub(super) account: &'a Account,
    pub(super) target: PasswordSet,
    pub(super) password: &'a Password,
    pub(super) hash: Arc<str>,
    pub(super) attributes: String,
    pub(super) index: Option<String>,
}

impl Task<'_> {
    /// Returns the password of an account in a set.
    pub(super) fn password(
        &self,
        profile: &ProfileName,
        set: PasswordSet,
    ) -> Result<&Password, Stop> {
        self.bundle.password(profile, set).ok_or_else(|| {
            bad_job(&format!("the job has no password of profile `{profile}` in set {set}"))
        })
    }

    /// Checks that the job can be carried out at all.
    pub(super) fn check(&self) -> Result<(), Stop> {
        for account in &self.job.accounts {
            if !is_account_name(&account.user) {
                let profile = &account.profile;
                return Err(bad_job(&format!("the user name of profile `{profile}` is not one")));
            }
            for set in account.candidates.iter().chain(&account.target) {
                self.password(&account.profile, *set)?;
            }
        }
        match self.job.access.paths.is_empty() {
            true => Err(bad_job("the job has no path to the device")),
            false => Ok(()),
        }
    }

    /// Gathers what the lines of the change need; the session's own account comes last.
    pub(super) async fn changes(
        &self,
        rows: &Rows,
        session_user: &str,
    ) -> Result<Vec<Change<'_>>, Stop> {
        let mut changes = Vec::with_capacity(self.job.accounts.len());
        for account in &self.job.accounts {
            let Some(target) = account.target else { continue };
            let password = self.password(&account.profile, target)?;
            self.check_limits(account, password)?;
            let hash = self.kit.hashes.sha512_crypt(&account.profile, target, password).await;
            let hash = hash.map_err(|error| stop(Reason::TimedOut, &error.to_string()))?;
            let row = rows.of(&account.user);
            let attributes = row.and_then(|row| row.attributes.clone()).unwrap_or_default();
            if !are_attributes(&attributes) {
                let detail = format!("the line of `{}` has unexpected words", account.user);
                return Err(stop(Reason::UnexpectedOutput, &detail));
            }
            let index = row.and_then(|row| row.index.clone());
            changes.push(Change { account, target, password, hash, attributes, index });
        }
        changes.sort_by_key(|change| change.account.user == session_user);
        Ok(changes)
    }

    fn check_limits(&self, account: &Account, password: &Password) -> Result<(), Stop> {
        let limits = &self.platform.limits;
        let value = password.expose();
        let length = value.chars().count();
        let allowed = (limits.password_length_min..=limits.password_length_max).contains(&length);
        if allowed && !value.contains(|c| limits.password_forbidden.contains(c)) {
            return Ok(());
        }
        let (profile, platform) = (&account.profile, &self.platform.name);
        Err(bad_job(&format!("platform `{platform}` takes no such password as `{profile}` has")))
    }
}

/// Tells whether a text can be an account's name in a line, without being anything else in it.
fn is_account_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._@-".contains(c))
}

/// Tells whether words that the device wrote can be said back to it.
fn are_attributes(text: &str) -> bool {
    text.len() <= ATTRIBUTES_BYTES_MAX
        && (text.is_empty() || text.starts_with(' '))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " ._/:@-".contains(c))
}

/// The values of one line.
pub(super) struct Values<'a> {
    pub(super) session: &'a str,
    pub(super) timer: Duration,
    pub(super) user: Option<&'a str>,
    pub(super) index: Option<&'a str>,
    pub(super) change: Option<&'a Change<'a>>,
}

impl<'a> Values<'a> {
    /// Makes the values of a line that belongs to no account.
    pub(super) fn general(session: &'a str, timer: Duration) -> Self {
        Self { session, timer, user: None, index: None, change: None }
    }
}

impl Filling for Values<'_> {
    fn value(&self, slot: Slot) -> Option<Zeroizing<String>> {
        let seconds = self.timer.as_secs();
        let text = match slot {
            Slot::User => self.change.map(|change| change.account.user.as_str()).or(self.user)?,
            Slot::New => self.change?.password.expose(),
            Slot::NewSha512Crypt => &self.change?.hash,
            Slot::Attributes => &self.change?.attributes,
            Slot::Index => self.change.map_or(self.index, |change| change.index.as_deref())?,
            Slot::Session => self.session,
            Slot::Enable => return None,
            Slot::Timer => {
                let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                return Some(Zeroizing::new(format!(
                    "{hours:02}:{minutes:02}:{:02}",
                    seconds % 60
                )));
            }
            Slot::TimerSeconds => return Some(Zeroizing::new(seconds.to_string())),
            Slot::TimerMinutes => return Some(Zeroizing::new(seconds.div_ceil(60).to_string())),
        };
        Some(Zeroizing::new(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_written_as_each_platform_wants_it() {
        let check = |seconds: u64, slot: Slot, expect: &str| {
            let values = Values::general("kt-1", Duration::from_secs(seconds));
            assert_eq!(values.value(slot).unwrap().as_str(), expect);
        };
        check(300, Slot::Timer, "00:05:00");
        check(3725, Slot::Timer, "01:02:05");
        check(300, Slot::TimerSeconds, "300");
        check(301, Slot::TimerMinutes, "6");
        assert!(Values::general("kt-1", Duration::ZERO).value(Slot::Enable).is_none());
        assert!(Values::general("kt-1", Duration::ZERO).value(Slot::User).is_none());
    }

    #[test]
    fn names_and_attributes_are_nothing_but_that() {
        for name in ["admin", "AzureOperatorRO", "a.b_c-d@e", "_x"] {
            assert!(is_account_name(name), "{name}");
        }
        for name in ["", "-x", "a b", "a;b", "a\nb", "a'b", "a$b", "a:b"] {
            assert!(!is_account_name(name), "{name:?}");
        }
        for text in ["", " privilege 15 role network-admin shell /bin/bash"] {
            assert!(are_attributes(text), "{text}");
        }
        for text in ["x", " a;b", " a\nb", " $x", " \"q\""] {
            assert!(!are_attributes(text), "{text:?}");
        }
    }
}
