//! What the audit says of an operation: which devices are about to get which password set, before
//! any of them is told, and how it ended.

use protocol::id::ResourceName;

use super::{Executor, Run, failure};
use crate::audit::{DEVICES_MAX, Entry, Outcome as Audited};
use crate::model::{OperationKind, OperationState, Outcome};

/// Who does what nobody asks for at that moment.
const KEYTURN: &str = "keyturn";

impl Executor {
    /// Records that the passwords of a set are about to leave the vault for a wave's devices.
    ///
    /// # Errors
    /// Returns the outcome for these devices if that cannot be written: nothing may be exposed.
    pub(super) async fn record_exposure(
        &self,
        run: &Run,
        wave: &[ResourceName],
    ) -> Result<(), Outcome> {
        // A verification sends nothing that the device's operator has not told.
        if run.kind == OperationKind::Verify {
            return Ok(());
        }
        for devices in wave.chunks(DEVICES_MAX) {
            let mut entry = self.entry(run, "Keyturn/passwords/expose/action");
            entry.set = Some(run.set);
            entry.devices = devices.to_vec();
            if let Err(error) = self.inner.auditor.write(entry).await {
                let error = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
                return Err(failure::not_audited(&error));
            }
        }
        Ok(())
    }

    /// Records how an operation has ended.
    pub(super) async fn record_end(&self, run: &Run) {
        let state = self.inner.journal.read(|fabric| Some(fabric.operation(run.operation)?.state));
        let mut entry = self.entry(run, "Keyturn/operations/end");
        entry.outcome = match state {
            Some(OperationState::Succeeded) => Audited::Succeeded,
            _ => Audited::Failed,
        };
        self.inner.auditor.write_after(entry).await;
    }

    fn entry(&self, run: &Run, action: &str) -> Entry {
        let fabric = self.inner.journal.read(|fabric| fabric.id.to_string());
        let mut entry = Entry::requested(KEYTURN, action, &fabric, (self.inner.clock)());
        entry.operation = Some(run.operation);
        entry
    }
}
