//! The verdict on every value.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use protocol::credential::{Event, Label};
use protocol::id::{DeviceId, FabricId};

use super::{Hold, Holder, of_value};
use crate::model::{Device, Fabric, Gone, Located, Secret, Timestamp, Upgrade, Value};

/// How long values are kept that no device may have any more. Both must be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest versions of each secret that are kept, whatever their age.
    pub versions_min: usize,
    /// How long a version is kept after it was last known to be of use: as old as a copy of a
    /// device's configuration may be that somebody brings back.
    pub time: Duration,
}

/// Invariant I8 of the rotation protocol: the least that is safe is what is usual.
impl Default for Retention {
    fn default() -> Self {
        Self { versions_min: 10, time: Duration::from_secs(90 * 24 * 3600) }
    }
}

/// What becomes of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where it is.
    pub located: Located,
    /// What it is, in the fabric's sets and in those of deleted ones that had its name; never none.
    pub values: Vec<Value>,
    /// Why it stays; none: it may go.
    pub stays: Vec<Stay>,
}

/// A reason for which a version stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stay {
    /// A device needs it.
    Held(Holder),
    /// A device whose record mentions it is in the middle of something, or out of service.
    Unsettled(DeviceId),
    /// Hardware that nobody remembers may have it: it is of before devices that are gone were
    /// remembered.
    Unremembered,
    /// It waits for a device that will be declared later.
    Foretold,
    /// It is of the set that a resync brings.
    Newest,
    /// There are only so many newer versions of the secret.
    Few {
        /// How many.
        newer: usize,
    },
    /// It was of use until a short time ago, and is kept until this time.
    Recent {
        /// Until when.
        until: Timestamp,
    },
    /// The fabric is locked, or something is under way that may bring older configurations back.
    Busy,
    /// Another fabric refers to it.
    Elsewhere(FabricId),
}

impl Stay {
    /// Returns a stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Held(holder) => match holder.hold {
                Hold::InUse => "InUse",
                Hold::Wanted => "Wanted",
                Hold::Candidate => "Candidate",
                Hold::Deleted(_at) => "DeviceDeleted",
                Hold::Replaced(_at) => "DeviceReplaced",
            },
            Self::Unsettled(_device) => "Unsettled",
            Self::Unremembered => "Unremembered",
            Self::Foretold => "Foretold",
            Self::Newest => "Newest",
            Self::Few { .. } => "FewNewer",
            Self::Recent { .. } => "Recent",
            Self::Busy => "FabricBusy",
            Self::Elsewhere(_fabric) => "OtherFabric",
        }
    }

    /// Returns the device that it is about.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Held(holder) => Some(&holder.device),
            Self::Unsettled(device) => Some(device),
            _ => None,
        }
    }

    /// Tells whether it is a reason to keep what no device needs: somebody may bring back an old
    /// configuration.
    #[must_use]
    pub fn is_precaution(&self) -> bool {
        matches!(self, Self::Few { .. } | Self::Recent { .. })
    }
}

/// Completes "it stays because …".
impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(holder) => write!(f, "the device {}", holder.hold),
            Self::Unsettled(_device) => {
                f.write_str("the device is out of service or being looked at")
            }
            Self::Unremembered => f.write_str("hardware that nobody remembers may have it"),
            Self::Foretold => f.write_str("a device that will be declared later has it"),
            Self::Newest => f.write_str("a resync brings it to devices that miss it"),
            Self::Few { newer } => write!(f, "only {newer} newer versions are kept"),
            Self::Recent { until } => write!(f, "it was of use lately: until {until}"),
            Self::Busy => f.write_str(
                "the fabric is locked, or has an operation, a commit or an upgrade under way",
            ),
            Self::Elsewhere(other) => write!(f, "fabric {} refers to it", other.name()),
        }
    }
}

/// What a verdict rests on.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The fabric, with the deleted ones that had its name before.
    pub fabric: &'a Fabric,
    /// How long values are kept.
    pub retention: Retention,
    /// The time now.
    pub now: Timestamp,
    /// Says which other fabric refers to a version, if one does.
    pub elsewhere: &'a dyn Fn(&Located) -> Option<FabricId>,
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({}, {:?}, {:?})", self.fabric.id, self.retention, self.now)
    }
}

/// One version, and all that it is, each with the fabric whose sets it is of.
type Versions<'a> = BTreeMap<Located, Vec<(&'a Fabric, Value)>>;

/// A reason to look for, the cheapest first.
type Check = fn(&Case<'_>, &Fabric, &Value) -> Vec<Stay>;

const CHECKS: [Check; 8] = [busy, newest, foretold, few, unremembered, recent, held, unsettled];

impl Case<'_> {
    /// Says of every version what becomes of it, in the order of names.
    #[must_use]
    pub fn review(&self) -> Vec<Verdict> {
        let versions = self.versions().into_iter();
        let verdict = |(located, values): (Located, Vec<(&Fabric, Value)>)| {
            let stays = self.stays(&located, &values).collect();
            let values = values.into_iter().map(|(_era, value)| value).collect();
            Verdict { located, values, stays }
        };
        versions.map(verdict).collect()
    }

    /// Returns the versions that may go.
    #[must_use]
    pub fn due(&self) -> Vec<Located> {
        let versions = self.versions().into_iter();
        let goes = |(located, values): &(Located, Vec<(&Fabric, Value)>)| {
            self.stays(located, values).next().is_none()
        };
        versions.filter(goes).map(|(located, _values)| located).collect()
    }

    /// Returns what is left of deleted fabrics, whatever devices may have: all that may go once an
    /// administrator says that none of it is needed. Not what somebody else refers to as well.
    #[must_use]
    pub fn left_behind(&self) -> Vec<Located> {
        let is_left = |(located, values): &(Located, Vec<(&Fabric, Value)>)| {
            values.iter().all(|(era, _value)| era.deleted) && (self.elsewhere)(located).is_none()
        };
        self.versions().into_iter().filter(is_left).map(|(located, _values)| located).collect()
    }

    /// Says why one version stays; `None` if the fabric does not refer to it.
    #[must_use]
    pub fn of(&self, located: &Located) -> Option<Vec<Stay>> {
        let at = |era: &'_ Fabric| era.values_at(&located.0, &located.1);
        let eras = self.fabric.eras().flat_map(|era| at(era).into_iter().map(move |it| (era, it)));
        let values: Vec<(&Fabric, Value)> = eras.collect();
        (!values.is_empty()).then(|| self.stays(located, &values).collect())
    }

    fn versions(&self) -> Versions<'_> {
        let mut versions: Versions<'_> = BTreeMap::new();
        for era in self.fabric.eras() {
            for value in era.values() {
                versions.entry(value.located.clone()).or_default().push((era, value));
            }
        }
        versions
    }

    /// Looks for reasons only as far as somebody asks.
    fn stays<'s>(
        &'s self,
        located: &'s Located,
        values: &'s [(&'s Fabric, Value)],
    ) -> impl Iterator<Item = Stay> + 's {
        let own = CHECKS.iter().flat_map(move |check| {
            values.iter().flat_map(move |(era, value)| check(self, era, value))
        });
        own.chain((self.elsewhere)(located).map(Stay::Elsewhere))
    }
}

/// Whether it is certain that nothing of a deleted fabric is on any device: it never had one, or
/// each was wiped before it was deleted, and nobody has told of one that was still to come. Then
/// nothing is kept.
fn left_nothing(era: &Fabric) -> bool {
    let is_left = era.gone.iter().any(|gone| !gone.device.wiped);
    let is_told_of = !era.foretold.is_empty();
    era.deleted && !is_left && !is_told_of && era.devices.is_empty() && era.unremembered.is_none()
}

fn busy(_case: &Case<'_>, era: &Fabric, _value: &Value) -> Vec<Stay> {
    let is_busy = era.running_operation().is_some()
        || era.administrative_lock
        || era.commit_in_progress
        || era.upgrade != Upgrade::None;
    only_if(is_busy && !era.deleted, Stay::Busy)
}

fn newest(_case: &Case<'_>, era: &Fabric, value: &Value) -> Vec<Stay> {
    only_if(!era.deleted && era.wanted_set() == Some(value.set), Stay::Newest)
}

fn foretold(_case: &Case<'_>, era: &Fabric, value: &Value) -> Vec<Stay> {
    let waits = era.foretold.get(&value.profile) == Some(&value.set) && value.owner.is_none();
    only_if(waits && !era.deleted, Stay::Foretold)
}

/// A deleted fabric has no newer versions to wait for.
fn few(case: &Case<'_>, era: &Fabric, value: &Value) -> Vec<Stay> {
    let has_one = |set: &&protocol::id::PasswordSet| match &value.owner {
        Some(device) => era.version(device, &value.profile, **set).is_some(),
        None => era.sets.get(set).is_some_and(|record| {
            let mut own = record.own.values();
            record.shared.contains_key(&value.profile)
                || own.any(|own| own.contains_key(&value.profile))
        }),
    };
    let newer = era.sets.keys().filter(|set| **set > value.set).filter(has_one).count();
    only_if(newer < case.retention.versions_min && !era.deleted, Stay::Few { newer })
}

fn unremembered(_case: &Case<'_>, era: &Fabric, value: &Value) -> Vec<Stay> {
    only_if(era.unremembered.is_some_and(|last| value.set <= last), Stay::Unremembered)
}

fn recent(case: &Case<'_>, era: &Fabric, value: &Value) -> Vec<Stay> {
    let time = i64::try_from(case.retention.time.as_millis()).unwrap_or(i64::MAX);
    let until = Timestamp(last_use(era, value).0.saturating_add(time));
    only_if(case.now < until && !left_nothing(era), Stay::Recent { until })
}

/// When a value was last known to be of use to anybody.
fn last_use(era: &Fabric, value: &Value) -> Timestamp {
    let stored = era.sets.get(&value.set).map(|record| record.stored);
    let deleted = era.deleted.then_some(era.modified);
    let label = |secret: &Secret| secret.credential.labels.get(&value.set).copied();
    let disproved = |device: &Device| {
        let secret = era.secret_with(device, value)?;
        let is_retired = label(secret) == Some(Label::Retired);
        is_retired.then(|| secret.retired.get(&value.set).copied().unwrap_or(era.latest))
    };
    let wiped = |gone: &Gone| {
        let secret = era.secret_with(&gone.device, value).filter(|_secret| gone.device.wiped)?;
        matches!(label(secret), Some(Label::Exposed | Label::Saved)).then_some(gone.at)
    };
    let devices = era.devices.values().chain(era.gone.iter().map(|gone| &gone.device));
    let disproved = devices.filter_map(disproved).chain(era.gone.iter().filter_map(wiped));
    disproved.chain(stored).chain(deleted).max().unwrap_or(era.latest)
}

fn held(_case: &Case<'_>, era: &Fabric, value: &Value) -> Vec<Stay> {
    of_value(era, value).into_iter().map(Stay::Held).collect()
}

/// The state machine has the last word: it forgets a version only where that is safe.
fn unsettled(_case: &Case<'_>, era: &Fabric, value: &Value) -> Vec<Stay> {
    let is_open = |device: &&Device| {
        let known = era.secret_with(device, value).filter(|secret| {
            let is_known = secret.credential.labels.contains_key(&value.set);
            is_known && super::held(device, secret, value.set).is_none()
        });
        known.is_some_and(|secret| secret.credential.step(Event::Purge(value.set)).is_err())
    };
    let open = era.devices.values().filter(is_open);
    open.map(|device| Stay::Unsettled(era.device_id(&device.spec.name))).collect()
}

fn only_if(applies: bool, stay: Stay) -> Vec<Stay> {
    if applies { vec![stay] } else { Vec::new() }
}
