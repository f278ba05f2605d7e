//! The login budget: how many wrong guesses an account may get from us in one window.

use std::collections::HashMap;
use std::time::Duration;

use protocol::id::DeviceId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::LedgerError;
use crate::platform::{Lockout, LockoutScope};

/// The window of a device whose policy nobody knows.
const UNKNOWN_WINDOW: Duration = Duration::from_secs(30 * 60);

/// Who logs in, as far as the device counts it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Who {
    /// The device.
    pub device: DeviceId,
    /// The account, or `None` where the device counts for our address.
    pub user: Option<String>,
}

impl Who {
    /// Returns who is counted for a login, by the device's policy.
    #[must_use]
    pub fn new(device: &DeviceId, user: &str, budget: &Budget) -> Self {
        let user = (budget.scope == LockoutScope::User).then(|| user.to_owned());
        Self { device: device.clone(), user }
    }
}

/// How many attempts may be in doubt at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Attempts in one window: the device's threshold less 2, so that people keep at least one
    /// try, and at least 1.
    pub attempts_max: u32,
    /// The device's window and a tenth.
    pub window: Duration,
    /// What the device counts for.
    pub scope: LockoutScope,
}

impl Budget {
    /// Returns the budget under a policy, or the smallest one where it is unknown.
    #[must_use]
    pub fn of(lockout: Option<&Lockout>) -> Self {
        let Some(lockout) = lockout else {
            let scope = LockoutScope::User;
            return Self { attempts_max: 1, window: UNKNOWN_WINDOW, scope };
        };
        Self {
            attempts_max: lockout.failures_max.saturating_sub(2).max(1),
            window: lockout.window + lockout.window / 10,
            scope: lockout.scope,
        }
    }
}

/// The attempts that may have been wrong, by who made them.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_who: HashMap<Who, Window>,
    /// The latest time that the clock has shown: a clock that is set back re-opens no window.
    latest_ms: u64,
}

#[derive(Debug, Clone, Default)]
struct Window {
    count: u32,
    until_ms: u64,
    /// The same window by this process's own monotonic clock.
    held_until: Option<Instant>,
}

impl Attempts {
    /// Refuses where one more attempt could be one too many.
    pub(super) fn check(
        &mut self,
        who: &Who,
        budget: &Budget,
        now_ms: u64,
    ) -> Result<(), LedgerError> {
        self.latest_ms = self.latest_ms.max(now_ms);
        let Some(window) = self.by_who.get(who) else { return Ok(()) };
        let by_clock = Duration::from_millis(window.until_ms.saturating_sub(self.latest_ms));
        let held = window.held_until.map_or(Duration::ZERO, |until| until - Instant::now());
        let wait = by_clock.max(held);
        if wait.is_zero() {
            self.by_who.remove(who);
            return Ok(());
        }
        if window.count < budget.attempts_max {
            return Ok(());
        }
        Err(LedgerError::BudgetSpent { wait })
    }

    /// Returns when the window that the next attempt belongs to ends: never before an earlier one.
    pub(super) fn window_end(&self, who: &Who, budget: &Budget, now_ms: u64) -> u64 {
        let from_ms = self.latest_ms.max(now_ms);
        let window_ms = u64::try_from(budget.window.as_millis()).unwrap_or(u64::MAX);
        let earlier = self.by_who.get(who).map_or(0, |window| window.until_ms);
        from_ms.saturating_add(window_ms).max(earlier)
    }

    pub(super) fn add(&mut self, who: &Who, count: u32, until_ms: u64) {
        let window = self.by_who.entry(who.clone()).or_default();
        window.count = window.count.saturating_add(count);
        window.until_ms = window.until_ms.max(until_ms);
    }

    /// Holds the window open on this process's own clock too.
    pub(super) fn hold(&mut self, who: &Who, time: Duration) {
        if let Some(window) = self.by_who.get_mut(who) {
            window.held_until = Instant::now().checked_add(time).max(window.held_until);
        }
    }

    /// Takes a success into account: it resets an account's count, while for an address only the
    /// attempt itself is known to have been right.
    pub(super) fn succeed(&mut self, who: &Who) {
        if who.user.is_some() {
            self.by_who.remove(who);
        } else if let Some(window) = self.by_who.get_mut(who) {
            window.count = window.count.saturating_sub(1);
        }
    }

    /// Returns all windows, for a compaction.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Who, u32, u64)> {
        let open = self.by_who.iter().filter(|(_, window)| window.count > 0);
        open.map(|(who, window)| (who, window.count, window.until_ms))
    }
}
