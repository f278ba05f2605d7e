//! What the audit says of an operation: which devices are about to get which password set, before
//! any of them is told, and how it ended.

use protocol::id::{OperationId, ResourceName};

use super::{Executor, Run, failure, verdict};
use crate::audit::{DEVICES_MAX, Entry, Outcome as Audited};
use crate::error::chain;
use crate::model::{OperationKind, OperationState, Outcome};

/// Who does what nobody asks for at that moment.
const KEYTURN: &str = "keyturn";

impl Executor {
    /// Records that the passwords of a set are about to leave the vault for a wave's devices, or that
    /// these are about to be rebooted; before that, makes sure that neither the vault nor the journal
    /// is an older copy, and that one from before this moment will be found out.
    ///
    /// # Errors
    /// Returns the outcome for these devices if that cannot be written: nothing may be done.
    pub(super) async fn record_exposure(
        &self,
        run: &Run,
        wave: &[ResourceName],
    ) -> Result<(), Outcome> {
        // A verification brings no new password to any device.
        if run.kind == OperationKind::Verify {
            return Ok(());
        }
        let journal = &self.inner.journal;
        let (fabric, at) = (journal.read(|fabric| fabric.id.clone()), journal.revision());
        let marked = self.inner.gate.rollback.before_exposure(&fabric, at).await;
        marked.map_err(|error| failure::rolled_back(run.kind, &error))?;
        let (action, set) = match run.kind {
            OperationKind::Reboot => ("Keyturn/devices/reboot/action", None),
            _ => ("Keyturn/passwords/expose/action", Some(run.set)),
        };
        // After a restart some have ended before.
        let left: Vec<ResourceName> = self.inner.journal.read(|fabric| {
            let outcomes = fabric.operation(run.operation).map(|operation| &operation.outcomes);
            let has_ended = |name: &ResourceName| outcomes.is_some_and(|o| o.contains_key(name));
            wave.iter().filter(|name| !has_ended(name)).cloned().collect()
        });
        for devices in left.chunks(DEVICES_MAX) {
            let mut entry = self.entry(run.operation, action);
            entry.set = set;
            entry.devices = devices.to_vec();
            if let Err(error) = self.inner.gate.auditor.write(entry).await {
                return Err(failure::not_audited(run.kind, &chain(&error)));
            }
        }
        Ok(())
    }

    /// Records how an operation has ended.
    pub(super) async fn record_end(&self, id: OperationId) {
        let state = self.inner.journal.read(|fabric| fabric.operation(id).map(verdict));
        let mut entry = self.entry(id, "Keyturn/operations/end");
        entry.outcome = match state {
            Some(OperationState::Succeeded) => Audited::Succeeded,
            _ => Audited::Failed,
        };
        self.inner.gate.auditor.write_after(entry).await;
    }

    fn entry(&self, operation: OperationId, action: &str) -> Entry {
        let fabric = self.inner.journal.read(|fabric| fabric.id.to_string());
        let mut entry = Entry::requested(KEYTURN, action, &fabric, (self.inner.clock)());
        entry.operation = Some(operation);
        entry
    }
}
