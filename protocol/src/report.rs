//! What an agent says about a job while it runs and when it ends.
//!
//! Reports are evidence, not verdicts: an agent says what it saw; only
//! [`crate::credential`] decides what a secret's state is.

use serde::{Deserialize, Serialize};

use crate::id::{PasswordSet, ProfileName};

/// One thing that an agent saw. The reports of a job are sent in the order of the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The job has begun on the path with this index in the job's list.
    Reached {
        /// Index into [`crate::job::Access::paths`].
        path: usize,
    },
    /// The device itself shows that no older session and no pending change of ours is left.
    Quiet,
    /// The line that changes the device is about to be sent: from here on the outcome is unknown
    /// until evidence says otherwise.
    Changing,
    /// The device said that the change is in its running configuration (perhaps until a timer
    /// fires).
    Applied,
    /// A login in a connection of its own succeeded with this candidate.
    LoggedIn {
        /// The account.
        profile: ProfileName,
        /// The candidate.
        set: PasswordSet,
    },
    /// A login was refused. It has cost one attempt.
    LoginRefused {
        /// The account.
        profile: ProfileName,
        /// The candidate.
        set: PasswordSet,
    },
    /// A login ended without an answer. It may have cost an attempt.
    LoginLost {
        /// The account.
        profile: ProfileName,
        /// The candidate.
        set: PasswordSet,
    },
    /// The stored hashes, read in a session that was opened by one of the logins above.
    ReadBack {
        /// One entry for each account that was looked for.
        observations: Vec<Observation>,
    },
    /// The device said that the running configuration was saved. A [`Report::ReadBack`] with the
    /// startup hashes follows.
    Saved,
    /// The job has ended; nothing follows.
    Finished(Finish),
}

/// What is stored on the device for one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The account.
    pub profile: ProfileName,
    /// In the running configuration.
    pub running: Match,
    /// In the startup configuration.
    pub startup: Match,
}

/// Which candidate a stored hash belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Match {
    /// This set's password.
    Set(PasswordSet),
    /// None of the candidates: somebody else's password.
    Foreign,
    /// The account does not exist.
    Absent,
    /// It was not read, or it cannot be read on this platform.
    NotRead,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// All of the work was done and proven.
    Done,
    /// The job stopped before the line that changes the device was sent: the device holds what it
    /// held before.
    NothingSent(Stop),
    /// The job stopped at or after that line: what the device holds is unknown. A settling job
    /// never ends so.
    Unsure(Stop),
}

/// Why a job stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The kind of reason.
    pub reason: Reason,
    /// For a person: what was tried, what was expected, what came; scrubbed of control characters
    /// and secrets, at most 300 characters.
    pub detail: String,
}

/// The kinds of reasons for which a job stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// No path led to a device that answers.
    CouldNotConnect,
    /// The host key is not the pinned one; no password was sent.
    HostKeyMismatch,
    /// The device refused the logins that were allowed.
    AuthenticationRefused,
    /// One more login could lock the account: the budget of the window is spent.
    LoginBudgetSpent,
    /// The device says that the account is locked.
    Locked,
    /// A stored hash matches no candidate: somebody else changed the password.
    ForeignChange,
    /// An account does not exist on the device.
    UserMissing,
    /// The device refused a line.
    CommandRefused,
    /// The device took the change, but its read-back or a fresh login says otherwise.
    NotApplied,
    /// Saving, or reading the startup configuration back, failed.
    SaveFailed,
    /// The connection was cut.
    ConnectionLost,
    /// Something did not answer in time.
    TimedOut,
    /// The output could not be understood.
    UnexpectedOutput,
    /// The quiet time is not over and the device shows an older session of ours.
    NotQuiet,
    /// The line is in use by somebody else, or the device has no free session.
    Busy,
    /// The job is from an older epoch than the agent has obeyed.
    StaleEpoch,
    /// The step was begun before (the agent was restarted in between): not carried out again.
    Repeated,
    /// The job cannot be carried out as it is: unknown platform, missing password, no path.
    BadJob,
    /// The platform has no lines for what was asked.
    NotSupported,
    /// The agent's own disk refused a record that must be durable first.
    LedgerFailed,
    /// The vault did not give the passwords that the job needs: nothing was sent.
    VaultUnavailable,
}

impl Reason {
    /// Tells whether trying again a little later, without an operator, may help.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::CouldNotConnect
                | Self::ConnectionLost
                | Self::TimedOut
                | Self::NotApplied
                | Self::SaveFailed
                | Self::UnexpectedOutput
                | Self::CommandRefused
                | Self::NotQuiet
                | Self::Busy
                | Self::Repeated
                | Self::VaultUnavailable
        )
    }
}
