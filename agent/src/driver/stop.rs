//! Turns what went wrong into a report's reason and a text for a person.

use protocol::report::{Reason, Stop};

use crate::dialogue::{DialogueError, scrub};
use crate::ledger::LedgerError;
use crate::transport::{ConversationError, OpenError};

/// The most characters of a stop's detail.
const DETAIL_CHARS_MAX: usize = 300;

/// Makes a stop; the detail is scrubbed and cut.
pub(crate) fn stop(reason: Reason, detail: &str) -> Stop {
    // Scrubbing cuts at 200 characters of device text; our own words may be a little longer.
    let plain = detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect();
    Stop { reason, detail: plain }
}

/// Makes a stop for a job that cannot be carried out as it is.
pub(super) fn bad_job(detail: &str) -> Stop {
    stop(Reason::BadJob, detail)
}

/// Makes a stop for a login that failed.
pub(super) fn at_login(error: &OpenError) -> Stop {
    stop(error.reason(), &format!("failed to {error}"))
}

/// Makes a stop for a conversation that broke while something was being done.
pub(super) fn while_doing(doing: &str, error: &ConversationError) -> Stop {
    let reason = match error {
        ConversationError::Write(_) => Reason::ConnectionLost,
        ConversationError::Dialogue(error) => match error {
            DialogueError::Refused { .. } | DialogueError::NotConfirmed { .. } => {
                Reason::CommandRefused
            }
            DialogueError::WrongMode { .. }
            | DialogueError::OutOfStep { .. }
            | DialogueError::Paged
            | DialogueError::TooLong => Reason::UnexpectedOutput,
            DialogueError::TimedOut { .. } => Reason::TimedOut,
            DialogueError::Closed { .. } => Reason::ConnectionLost,
        },
    };
    stop(reason, &format!("{doing}: failed to {error}"))
}

/// Makes a stop for a single command that could not be run.
pub(super) fn while_running(doing: &str, error: &OpenError) -> Stop {
    let reason = match error {
        OpenError::Lost(why) if why.contains("did not end") => Reason::TimedOut,
        other => other.reason(),
    };
    stop(reason, &format!("{doing}: failed to {error}"))
}

/// Makes a stop for a refusal of a single command.
pub(super) fn refused(doing: &str, said: &str) -> Stop {
    let said = scrub(said, &[]);
    stop(Reason::CommandRefused, &format!("{doing}: the device said `{said}`"))
}

/// Makes a stop for a time that is over.
pub(super) fn time_over(doing: &str) -> Stop {
    stop(Reason::TimedOut, &format!("{doing}: the job's time is over"))
}

/// Makes a stop for a ledger that refused.
pub(crate) fn by_ledger(error: &LedgerError) -> Stop {
    let reason = match error {
        LedgerError::StaleEpoch { .. } => Reason::StaleEpoch,
        LedgerError::Repeated { .. } => Reason::Repeated,
        LedgerError::UnknownJob => Reason::BadJob,
        LedgerError::BudgetSpent { .. } => Reason::LoginBudgetSpent,
        LedgerError::File { .. } | LedgerError::Corrupt { .. } | LedgerError::Write(_) => {
            Reason::LedgerFailed
        }
    };
    stop(reason, &format!("failed to {error}"))
}
