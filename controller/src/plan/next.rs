//! Says what comes next on one device, from its secrets' phases alone. Level-triggered: after a
//! restart the same question has the same answer, so there is no script to be replayed.

use protocol::credential::Phase;
use protocol::id::ProfileName;

use crate::model::Device;

/// What comes next on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The outcome of something earlier is unknown: wait for quiet, then find out what it holds.
    Settle,
    /// What a settling found was interrupted: find out again at once.
    Observe,
    /// These secrets are staged: have the agent keep their values, then expose them.
    Expose(Vec<ProfileName>),
    /// These secrets are exposed: apply them.
    Apply(Vec<ProfileName>),
    /// Nothing can be done now for these; try again later, within the operation's retries.
    Later(Vec<ProfileName>),
    /// Some secret has somebody else's password, or no candidate works, and nothing is left to do
    /// for the others: an operator is needed.
    Stuck,
    /// Nothing is open.
    Done,
}

/// Returns what comes next on `device`. Doubt goes before change: nothing is applied to a device
/// while any of its secrets is in doubt, because the session's own account might be it.
#[must_use]
pub fn next(device: &Device) -> Next {
    let with = |wanted: fn(Phase) -> bool| -> Vec<ProfileName> {
        let secrets = device.secrets.iter();
        let chosen = secrets.filter(|(_profile, secret)| wanted(secret.credential.phase));
        chosen.map(|(profile, _secret)| profile.clone()).collect()
    };
    let any =
        |wanted: fn(Phase) -> bool| device.credentials().any(|credential| wanted(credential.phase));
    if any(|phase| matches!(phase, Phase::Quiet)) {
        return Next::Settle;
    }
    if any(|phase| {
        matches!(phase, Phase::Waiting | Phase::Probing | Phase::Verifying(_) | Phase::Saving(_))
    }) {
        return Next::Observe;
    }
    let later = with(|phase| phase == Phase::BackOff);
    if !later.is_empty() {
        return Next::Later(later);
    }
    let staged = with(|phase| phase == Phase::Staged);
    if !staged.is_empty() {
        return Next::Expose(staged);
    }
    let exposed = with(|phase| phase == Phase::Exposed);
    if !exposed.is_empty() {
        return Next::Apply(exposed);
    }
    if any(|phase| phase == Phase::Drift) {
        return Next::Stuck;
    }
    Next::Done
}
