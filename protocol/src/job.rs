//! What an agent is asked to do on one device.
//!
//! A job is sent twice: first inside [`crate::frame::ToAgent::Prepare`], with its passwords sealed
//! to the agent's key; then, after the controller has journaled that the passwords may from now on
//! be on the device, [`crate::frame::ToAgent::Commit`] names it and the agent carries it out.
//!
//! # What an agent does for each kind of work
//!
//! [`Work::Apply`]: preflight login with an account's first candidate; read the stored hashes and
//! stop with [`crate::report::Reason::ForeignChange`] where one matches no candidate; stage all
//! target passwords in one transaction, the session's own account last; arm the device's rollback
//! timer; send the line that commits (after checking the deadline); read the hashes back; log in
//! anew with the target password in a second connection; confirm the timer; save; read the startup
//! configuration back; log out.
//!
//! [`Work::Settle`]: find out what the device holds now, changing no password. Log in with the
//! first of [`Job::probes`] that works; abort a transaction of our own that is still pending, but
//! confirm one whose timer runs where that login has just proven its passwords; compare the running and the startup hash of every account with all candidates,
//! save where the running configuration is known and the startup configuration differs (if
//! [`Rules::save`] says so), read the startup configuration back.
//!
//! [`Work::Reboot`]: reboot the device, changing no password. Log in as an applying job does; stop
//! with [`crate::report::Reason::NotSupported`] where the platform has no lines for it; where it is
//! graceful and nothing is wiped, give up what is pending of ours and save; send the lines that
//! wipe and reboot (after checking the deadline). It is done if the device ended the session within
//! a bound after the last of them, and else unsure. An agent looks at nothing afterwards.

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, Epoch, FabricId, OperationId, PasswordSet, ProfileName};
use crate::seal::Sealed;

/// The id of one job; unique for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub uuid::Uuid);

/// Everything that an agent needs for one device, passwords sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The job's own id.
    pub id: JobId,
    /// The operation that it is part of.
    pub operation: OperationId,
    /// Counts the jobs of this operation on this device, from 1. (operation, device, step) is
    /// carried out at most once; an agent answers a repeat from its ledger.
    pub step: u32,
    /// The fabric.
    pub fabric: FabricId,
    /// The device.
    pub device: DeviceId,
    /// The controller's fence; an agent refuses a job below the highest epoch that it has obeyed.
    pub epoch: Epoch,
    /// How the device is reached.
    pub access: Access,
    /// The accounts, in the order in which their passwords are changed: the least privileged
    /// first, the one that the session uses last.
    pub accounts: Vec<Account>,
    /// The logins that the controller has counted for a settling job, in order. The agent tries
    /// them one after the other until one works and makes no other guess.
    pub probes: Vec<Probe>,
    /// What to do.
    pub work: Work,
    /// Limits and policies.
    pub rules: Rules,
    /// The candidates' passwords (a [`crate::seal::Bundle`]), sealed to this agent.
    pub sealed: Sealed,
}

/// The kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Bring every account that has a [`Account::target`] to it, prove it and save it.
    Apply,
    /// Find out what the device holds, changing no password.
    Settle,
    /// Reboot the device.
    Reboot {
        /// Whether what runs is saved first.
        graceful: bool,
        /// Whether what the device boots with is wiped, so that it is provisioned anew (ZTP) and
        /// has the passwords of its factory. Nothing is saved then.
        ztp: bool,
    },
}

/// One account of the device, without its passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user profile that it belongs to.
    pub profile: ProfileName,
    /// The account's name on the device.
    pub user: String,
    /// Whether the account may change and read the others' secrets.
    pub privileged: bool,
    /// The sets whose passwords this account may have now, the likeliest first.
    pub candidates: Vec<PasswordSet>,
    /// The set that the account shall have; `None` leaves it alone. Its password is in the bundle
    /// too.
    pub target: Option<PasswordSet>,
    /// Whether a stored hash that matches no candidate may be overwritten (an operator approved).
    pub overwrite: bool,
}

/// One login that a settling job may try: already counted against the login budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The account.
    pub profile: ProfileName,
    /// The candidate.
    pub set: PasswordSet,
}

/// How a device is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The name of the platform file.
    pub platform: String,
    /// The ways to it, in the order to be tried. A later one is taken where an earlier one cannot
    /// connect, or refuses every candidate within the budget.
    pub paths: Vec<Path>,
    /// The device's own lockout policy, where the inventory overrides the platform's.
    pub lockout: Option<Lockout>,
}

/// One way to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Path {
    /// SSH to the device itself.
    Ssh {
        /// Host name or address.
        address: String,
        /// TCP port.
        port: u16,
        /// The pinned host key in OpenSSH's one-line form, without a comment.
        host_key: String,
    },
    /// A serial line attached to the agent's own host.
    Serial {
        /// The line's device file.
        path: String,
        /// Bits per second.
        baud: u32,
    },
    /// The device's serial console, through its terminal server over SSH.
    Console {
        /// The terminal server.
        terminal_server: DeviceId,
        /// Host name or address of the terminal server.
        address: String,
        /// TCP port of the terminal server's SSH.
        port: u16,
        /// The terminal server's pinned host key, as in [`Path::Ssh`].
        host_key: String,
        /// The user that leads to the line, for example `root:port02`. Its passwords are the
        /// bundle's `terminal_server` candidates.
        user: String,
    },
}

/// After how many refused logins a device locks an account (or bans the source).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockout {
    /// Refused logins that lead to the lock, 1 or more.
    pub failures_max: u32,
    /// The window in which they are counted, in milliseconds.
    pub window_ms: u64,
}

/// Limits and policies of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The whole job's time, in milliseconds of the agent's monotonic clock from the commit frame
    /// on. Checked immediately before the byte that changes the device.
    pub time_max_ms: u64,
    /// The device's rollback timer, in milliseconds, where the platform has one.
    pub commit_timer_ms: u64,
    /// How the change is verified.
    pub verification: Verification,
    /// (settle) Whether a startup configuration that differs is to be saved.
    pub save: bool,
    /// (settle) Whether the quiet time is over. If not, the agent only says whether the device
    /// itself shows that no older session of ours is left ([`crate::report::Report::Quiet`]) and
    /// goes on in that case; otherwise it stops with [`crate::report::Reason::NotQuiet`].
    pub quiet: bool,
}

/// How a change is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// The stored hashes of all accounts, and one fresh login as the session's account.
    ReadbackLogin,
    /// A fresh login of every account, one after the other.
    LoginAll,
}
