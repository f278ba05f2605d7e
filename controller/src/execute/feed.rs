//! Feeds events to the state machines of one device's secrets, and turns their transitions into
//! journal entries: secrets that end in the same state share one entry.

use std::sync::Arc;
use std::time::Duration;

use protocol::credential::{Credential, Event as CredentialEvent};
use protocol::id::{ProfileName, ResourceName};

use super::Executor;
use crate::journal::{Entry, JournalError};
use crate::model::{Device, Event, Evidence, Secret, Timestamp};

/// A lockout window for devices whose inventory says nothing about theirs: twice the longest that
/// hardening guides ask for (900 s in DISA's STIG for Arista EOS).
const WINDOW_UNKNOWN: Duration = Duration::from_secs(30 * 60);

/// An event for one secret.
pub(crate) type Fed = (ProfileName, CredentialEvent);

impl Executor {
    /// Feeds events to a device's secrets and returns when what must be durable is. An event that
    /// means nothing in a secret's phase is passed over: late and repeated reports are normal.
    pub(super) async fn feed(
        &self,
        device: &ResourceName,
        events: Vec<Fed>,
        evidence: Option<Evidence>,
    ) -> Result<(), JournalError> {
        if events.is_empty() {
            return Ok(());
        }
        let (name, at) = (device.clone(), (self.inner.clock)());
        let decide = move |fabric: &crate::model::Fabric| {
            let entries = fabric
                .devices
                .get(&name)
                .map(|device| entries(device, &name, &events, evidence, at))
                .unwrap_or_default();
            Ok::<_, std::convert::Infallible>((entries, ()))
        };
        match self.inner.journal.write(decide).await? {
            Ok(()) => Ok(()),
            Err(never) => match never {},
        }
    }
}

/// Returns the journal events of those transitions that must be durable.
pub(crate) fn durable(
    device: &Device,
    name: &ResourceName,
    events: &[Fed],
    evidence: Option<Evidence>,
    at: Timestamp,
) -> Vec<Event> {
    let durable = |entry| match entry {
        Entry::Durable(event) => Some(event),
        Entry::Passing(_) => None,
    };
    entries(device, name, events, evidence, at).into_iter().filter_map(durable).collect()
}

fn entries(
    device: &Device,
    name: &ResourceName,
    events: &[Fed],
    evidence: Option<Evidence>,
    at: Timestamp,
) -> Vec<Entry> {
    struct Group {
        credential: Credential,
        is_durable: bool,
        evidence: Option<Evidence>,
        profiles: Vec<ProfileName>,
    }
    let mut groups: Vec<Group> = Vec::new();
    for (profile, secret) in &device.secrets {
        let Some(moved) = run(secret, profile, events) else { continue };
        let evidence = evidence.filter(|_| moved.proven);
        let same = groups.iter_mut().find(|group| {
            group.credential == moved.credential
                && group.is_durable == moved.is_durable
                && group.evidence == evidence
        });
        match same {
            Some(group) => group.profiles.push(profile.clone()),
            None => groups.push(Group {
                credential: moved.credential,
                is_durable: moved.is_durable,
                evidence,
                profiles: vec![profile.clone()],
            }),
        }
    }
    let entry = |group: Group| {
        let event = Event::Moved {
            device: name.clone(),
            profiles: group.profiles,
            credential: Arc::new(group.credential),
            evidence: group.evidence,
            at,
        };
        if group.is_durable { Entry::Durable(event) } else { Entry::Passing(event) }
    };
    groups.into_iter().map(entry).collect()
}

struct Moved {
    credential: Credential,
    is_durable: bool,
    proven: bool,
}

/// Runs all events for one secret, in order.
fn run(secret: &Secret, profile: &ProfileName, events: &[Fed]) -> Option<Moved> {
    let mut moved: Option<Moved> = None;
    for (_profile, event) in events.iter().filter(|(of, _event)| of == profile) {
        let credential = moved.as_ref().map_or(&*secret.credential, |moved| &moved.credential);
        let Ok(transition) = credential.step(*event) else { continue };
        let proves = transition
            .writes
            .iter()
            .any(|write| matches!(write, protocol::credential::Write::Verified(_)))
            || matches!(transition.writes.as_slice(), [protocol::credential::Write::Saved(_)]);
        moved = Some(Moved {
            is_durable: moved.as_ref().is_some_and(|moved| moved.is_durable)
                || !transition.writes.is_empty(),
            proven: moved.as_ref().is_some_and(|moved| moved.proven) || proves,
            credential: transition.next,
        });
    }
    moved
}

/// Tells whether the device's lockout window has passed since the last counted login of a secret.
/// The margin of a tenth covers clocks that differ.
pub(super) fn window_over(device: &Device, secret: &Secret, at: Timestamp) -> bool {
    let Some(last) = secret.last_attempt.filter(|_last| secret.credential.attempts > 0) else {
        return true;
    };
    let window = device.spec.lockout.as_ref().map_or(WINDOW_UNKNOWN, |lockout| lockout.window);
    let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    at.0.saturating_sub(last.0) >= window.saturating_add(window / 10)
}
