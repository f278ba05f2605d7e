//! Reboots a device, changing no password.

use protocol::report::{Finish, Reason, Report, Stop};

use super::Task;
use super::accounts::Values;
use super::session::{Each, Session};
use super::stop::stop;
use crate::platform::OperationKind;

/// Carries a rebooting job out. It is done only where the device was seen to end the session: that
/// it answers again proves nothing, since it may have been there all the time.
pub(super) async fn reboot(task: &Task<'_>, graceful: bool, ztp: bool) -> Finish {
    let kind = if ztp { OperationKind::RebootZtp } else { OperationKind::Reboot };
    // What would be wiped at once need not be saved.
    let mut session = match task.ready_to_reboot(kind, graceful && !ztp).await {
        Ok(session) => session,
        Err(stop) => return Finish::NothingSent(stop),
    };
    let values = Values::general("", task.timer());
    let ended = session.end_by(kind, &values, || task.report(Report::Changing)).await;
    session.close().await;
    match ended {
        Ok(()) => Finish::Done,
        Err((true, stop)) => Finish::Unsure(stop),
        Err((false, stop)) => Finish::NothingSent(stop),
    }
}

impl Task<'_> {
    /// Logs in, and saves what runs if that is wanted.
    async fn ready_to_reboot(&self, kind: OperationKind, save: bool) -> Result<Session, Stop> {
        if self.platform.operation(kind).is_none() {
            let (platform, kind) = (&self.platform.name, kind.as_str());
            let detail = format!("platform `{platform}` has no operation `{kind}`");
            return Err(stop(Reason::NotSupported, &detail));
        }
        self.check()?;
        let mut session = self.enter_to_apply().await?.session;
        let saved = if save { self.save_what_runs(&mut session).await } else { Ok(()) };
        match saved {
            Ok(()) => Ok(session),
            Err(stop) => {
                session.close().await;
                Err(stop)
            }
        }
    }

    /// A change of ours that waits for its confirmation is no configuration to be kept.
    async fn save_what_runs(&self, session: &mut Session) -> Result<(), Stop> {
        self.abort_stale(session).await?;
        let values = Values::general("", self.timer());
        let saved = session.perform(OperationKind::Save, &values, &Each::None).await;
        saved.map(drop).map_err(|why| stop(Reason::SaveFailed, &why.detail))
    }
}
