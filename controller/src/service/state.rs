//! What becomes of fabrics and devices besides their passwords: locks, commits, upgrades, devices
//! that go out of service and come back, and what is noted on them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::credential;
use protocol::id::{DeviceId, FabricId, OperationId, ResourceName};
use protocol::status::AdministrativeState;

use super::{Service, ServiceError, every_secret};
use crate::journal::Entry;
use crate::model::{Event, Fabric, Lock, Notes, Parameter, Timestamp, Upgrade};
use crate::plan::{self, Policy, Request};

/// What an operator does to a device's administrative state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateAction {
    /// Put it into service; what it holds is verified.
    Enable,
    /// Take it out of service.
    Disable,
    /// Replace it.
    Rma,
}

/// What is to be noted on a resource; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteChange {
    /// All tags.
    pub tags: Option<BTreeMap<String, String>>,
    /// The description, or none any more.
    pub annotation: Option<Option<String>>,
    /// A device's serial number.
    pub serial_number: Option<String>,
    /// All that a fabric was declared with and that is only shown again.
    pub parameters: Option<BTreeMap<String, Parameter>>,
}

/// What has become of a commit of a fabric's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAction {
    /// It has begun.
    Begin,
    /// It has ended, and the configuration is on the devices.
    Complete,
    /// It has ended, and nothing was changed.
    RollBack,
    /// It has begun and ended.
    AtOnce,
}

/// What has become of an upgrade of a fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeAction {
    /// It has begun.
    Start {
        /// The version that it leads to.
        version: String,
    },
    /// It has ended as it should.
    Complete,
    /// It has failed.
    Fail,
}

impl Service {
    /// Takes a device out of service, into replacement, or back. Returns the operation that
    /// verifies a device that has come back, or brings the newest set to one that was replaced.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] or [`ServiceError::NotFound`].
    pub async fn set_administrative_state(
        &self,
        device: &DeviceId,
        action: StateAction,
    ) -> Result<Option<OperationId>, ServiceError> {
        let fabric = self.find_device(device)?;
        let keeper = self.keeper(&fabric)?;
        let (policy, at, name) = (self.parts.policy, (self.parts.clock)(), device.name().clone());
        let decide = move |fabric: &Fabric| change_state(fabric, &policy, &name, action, at);
        let written = keeper.journal.write(decide).await;
        let replaced = written.map_err(|source| ServiceError::Journal { source })??;
        if action != StateAction::Enable {
            return Ok(None);
        }
        let request = match replaced {
            true => Request::ResyncDevice(device.name().clone()),
            false => Request::Verify(BTreeSet::from([device.name().clone()])),
        };
        self.submit(&fabric, request, None).await.map(Some)
    }

    /// Locks or unlocks a fabric.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`], or that the journal cannot be written.
    pub async fn set_lock(
        &self,
        fabric: &FabricId,
        lock: Lock,
        locked: bool,
    ) -> Result<(), ServiceError> {
        self.record(fabric, None, vec![Event::LockSet { lock, locked }]).await
    }

    /// Notes what becomes of a commit of the fabric's configuration, which others carry out: no
    /// password is changed while it is in progress.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] where a commit may not begin now, or none is in progress.
    pub async fn set_commit(
        &self,
        fabric: &FabricId,
        commit: CommitAction,
    ) -> Result<(), ServiceError> {
        let begun = Event::CommitSet { in_progress: true, committed: false };
        let ended = |committed| Event::CommitSet { in_progress: false, committed };
        let (request, events) = match commit {
            CommitAction::Begin => (Request::Commit, vec![begun]),
            CommitAction::Complete => (Request::EndCommit, vec![ended(true)]),
            CommitAction::RollBack => (Request::EndCommit, vec![ended(false)]),
            CommitAction::AtOnce => (Request::Commit, vec![begun, ended(true)]),
        };
        self.record(fabric, Some(request), events).await
    }

    /// Notes what becomes of an upgrade of the fabric, which others carry out: no password is
    /// changed while it is in progress, and none is rotated after it has failed.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] where an upgrade may not begin now, or none is in progress.
    pub async fn set_upgrade(
        &self,
        fabric: &FabricId,
        upgrade: UpgradeAction,
    ) -> Result<(), ServiceError> {
        let (request, upgrade, version) = match upgrade {
            UpgradeAction::Start { version } => (Request::Upgrade, Upgrade::Running, Some(version)),
            UpgradeAction::Complete => (Request::EndUpgrade, Upgrade::None, None),
            UpgradeAction::Fail => (Request::EndUpgrade, Upgrade::Failed, None),
        };
        let event = Event::UpgradeSet { upgrade, version };
        self.record(fabric, Some(request), vec![event]).await
    }

    /// Notes that others have upgraded a device.
    ///
    /// # Errors
    /// Returns [`ServiceError::Refused`] while an operation of the fabric runs or a commit is in
    /// progress, and [`ServiceError::NotFound`].
    pub async fn set_device_version(
        &self,
        device: &DeviceId,
        version: String,
    ) -> Result<(), ServiceError> {
        let (fabric, device) = (self.find_device(device)?, device.name().clone());
        let request = Request::UpgradeDevice(device.clone());
        let event = Event::DeviceUpgraded { device, version };
        self.record(&fabric, Some(request), vec![event]).await
    }

    /// Changes what is noted on a fabric or on one of its devices.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`], or that the journal cannot be written.
    pub async fn note(
        &self,
        fabric: &FabricId,
        device: Option<&ResourceName>,
        change: NoteChange,
    ) -> Result<(), ServiceError> {
        let keeper = self.keeper(fabric)?;
        let (at, device) = ((self.parts.clock)(), device.cloned());
        let decide = move |fabric: &Fabric| {
            let (known, serial) = match &device {
                None => (&fabric.notes, None),
                Some(name) => {
                    let device = fabric.devices.get(name).ok_or_else(|| {
                        let id = fabric.device_id(name).to_string();
                        ServiceError::NotFound { what: "device", id }
                    })?;
                    (&device.notes, Some(&device.spec.serial_number))
                }
            };
            let notes = Notes {
                tags: change.tags.unwrap_or_else(|| known.tags.clone()),
                annotation: change.annotation.unwrap_or_else(|| known.annotation.clone()),
                parameters: change.parameters.unwrap_or_else(|| known.parameters.clone()),
            };
            let serial_number = change.serial_number.filter(|new| serial != Some(new));
            if notes == *known && serial_number.is_none() {
                return Ok((Vec::new(), ()));
            }
            let event = Event::Noted { device, notes, serial_number, at };
            Ok((vec![Entry::Durable(event)], ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }

    async fn record(
        &self,
        fabric: &FabricId,
        request: Option<Request>,
        events: Vec<Event>,
    ) -> Result<(), ServiceError> {
        let keeper = self.keeper(fabric)?;
        let policy = self.parts.policy;
        let decide = move |fabric: &Fabric| {
            if let Some(request) = &request {
                plan::guard::admit(fabric, &policy, request)
                    .map_err(|refusal| ServiceError::Refused { refusal })?;
            }
            Ok((events.into_iter().map(Entry::Durable).collect(), ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }
}

/// Also tells whether another device, which waits for its passwords, comes into service.
fn change_state(
    fabric: &Fabric,
    policy: &Policy,
    name: &ResourceName,
    action: StateAction,
    at: Timestamp,
) -> Result<(Vec<Entry>, bool), ServiceError> {
    let (request, state, event) = match action {
        StateAction::Enable => (
            Request::Enable(name.clone()),
            AdministrativeState::Enabled,
            credential::Event::Release,
        ),
        StateAction::Disable => {
            (Request::Disable(name.clone()), AdministrativeState::Disabled, credential::Event::Hold)
        }
        StateAction::Rma => {
            (Request::Rma(name.clone()), AdministrativeState::RMA, credential::Event::Hold)
        }
    };
    plan::guard::admit(fabric, policy, &request)
        .map_err(|refusal| ServiceError::Refused { refusal })?;
    let mut entries = Vec::new();
    let mut replaced = false;
    if let Some(device) = fabric.devices.get(name) {
        entries = every_secret(device, name, event, at);
        let waits = device.credentials().any(|credential| credential.pending.is_some());
        replaced = waits && action == StateAction::Enable;
    }
    if replaced {
        // Passwords will be brought to it: what blocks a resync blocks this.
        plan::guard::admit(fabric, policy, &Request::Resync)
            .map_err(|refusal| ServiceError::Refused { refusal })?;
    }
    let device = name.clone();
    entries.push(Entry::Durable(Event::AdministrativeStateSet { device, state }));
    Ok((entries, replaced))
}
