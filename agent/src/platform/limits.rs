//! What a platform's devices take, and how often one may be wrong there.

use std::time::Duration;

/// What a platform's devices take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Shortest password, in characters.
    pub password_length_min: usize,
    /// Longest password, in characters.
    pub password_length_max: usize,
    /// Characters that a password must not have.
    pub password_forbidden: String,
    /// Kinds of hashes that the platform stores, strongest first.
    pub hash_kinds: Vec<String>,
    /// Most sessions that we hold on one device at once.
    pub sessions_max: usize,
    /// Longest time that one command may take.
    pub command_max: Duration,
    /// The commit timer, where the platform has one and a job does not say otherwise.
    pub commit_timer: Duration,
    /// The lockout policy; unknown if absent.
    pub lockout: Option<Lockout>,
}

/// When a device stops taking logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Failed logins that lock.
    pub failures_max: u32,
    /// The time in which they are counted.
    pub window: Duration,
    /// What they are counted for, and so what is locked.
    pub scope: LockoutScope,
}

/// What a device counts failed logins for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockoutScope {
    /// Each account by itself.
    User,
    /// The address that the logins come from, for all accounts together.
    Source,
}
