//! Operations: what the driver can ask of a device, each as a list of lines.

use std::sync::Arc;
use std::time::Duration;

use super::graph::ModeId;
use super::pattern::Pattern;
use super::slot::Template;

/// What the driver can ask of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// Makes the session fit for a program: no paging, wide lines. Run once after the login.
    Prepare,
    /// Reads under which number each account is kept.
    Index,
    /// Reads the accounts' hashes from the running configuration.
    ReadHashes,
    /// Reads the accounts' hashes from the copy that the device boots from.
    ReadStartup,
    /// Arms a rollback before anything is changed, on platforms that arm it separately.
    ArmRollback,
    /// Changes the passwords of all accounts, in one transaction where the platform has one.
    SetPasswords,
    /// Confirms a change that would otherwise be rolled back.
    Confirm,
    /// Gives up one configuration session or commit timer, by its name.
    Abort,
    /// Lists configuration sessions and commit timers that are pending.
    Pending,
    /// Lists who is logged in.
    Sessions,
    /// Saves the running configuration to the copy that the device boots from.
    Save,
    /// Reboots, with the configuration that it boots from. The last line is the one that reboots.
    Reboot,
    /// Wipes the configuration that it boots from, so that it is provisioned anew, and reboots. The
    /// last line is the one that reboots.
    RebootZtp,
    /// Ends the session.
    Logout,
}

impl OperationKind {
    /// The operations that every platform must have.
    pub const REQUIRED: [Self; 3] = [Self::ReadHashes, Self::SetPasswords, Self::Logout];

    /// Returns the operation's spelling in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Index => "index",
            Self::ReadHashes => "read-hashes",
            Self::ReadStartup => "read-startup",
            Self::ArmRollback => "arm-rollback",
            Self::SetPasswords => "set-passwords",
            Self::Confirm => "confirm",
            Self::Abort => "abort",
            Self::Pending => "pending",
            Self::Sessions => "sessions",
            Self::Save => "save",
            Self::Reboot => "reboot",
            Self::RebootZtp => "reboot-ztp",
            Self::Logout => "logout",
        }
    }

    /// Tells whether the operation needs a line from which on it is in force.
    #[must_use]
    pub fn commits(self) -> bool {
        matches!(self, Self::SetPasswords | Self::Reboot | Self::RebootZtp)
    }
}

/// One operation of a platform.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The mode that it starts in; any if absent.
    pub mode: Option<ModeId>,
    /// Its lines.
    pub steps: Vec<Step>,
    /// Patterns over the whole reply (`^` and `$` match at lines) whose named groups are its result.
    pub rows: Vec<Pattern>,
}

/// One line of an operation or an edge.
#[derive(Debug, Clone)]
pub struct Step {
    /// The line.
    pub send: Template,
    /// The line is sent once per account.
    pub each: bool,
    /// One line per account for the command's standard input (a here-document in a shell).
    pub stdin: Option<Template>,
    /// The mode after the line; unchanged if absent.
    pub to: Option<ModeId>,
    /// What the reply must have; its absence is a refusal.
    pub expect: Option<Pattern>,
    /// Further patterns of refusals, for this line alone.
    pub failures: Arc<[Pattern]>,
    /// Questions on the way, with their answers.
    pub answers: Vec<Answer>,
    /// From this line on the change is in force; it is not sent before every reply before it was
    /// found good, nor after the job's deadline.
    pub commits: bool,
    /// Longest time for this line, if not the platform's.
    pub time_max: Option<Duration>,
}

/// A question that a device asks on the way, and what is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The question, standing last on the screen.
    pub prompt: Pattern,
    /// What is answered.
    pub with: Template,
}
