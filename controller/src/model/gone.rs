//! Devices that are this fabric's no more. Nobody can ask them what they hold: what they may have
//! had when they went, their hardware may have for ever.

use protocol::credential::Label;
use protocol::id::{PasswordSet, ResourceName};
use serde::{Deserialize, Serialize};

use super::{Device, Fabric, Timestamp};

/// A device as it was when it went; one that had been wiped by then (`device.wiped`) has nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gone {
    /// The device, with the secrets that went with it.
    pub device: Device,
    /// Whether another device stands in its place under the same name; else it was deleted.
    pub replaced: bool,
    /// When it went.
    pub at: Timestamp,
}

/// What a state says that was written before it was remembered which devices are gone.
pub(super) fn before_memory() -> Option<PasswordSet> {
    Some(PasswordSet(u32::MAX))
}

/// Such a state's next event is the first that is remembered.
pub(super) fn begin_to_remember(fabric: &mut Fabric) {
    if fabric.unremembered == before_memory() {
        fabric.unremembered = fabric.newest_set();
    }
}

pub(super) fn deleted(fabric: &mut Fabric, device: Device, at: Timestamp) {
    if !device.secrets.is_empty() {
        fabric.gone.push(Gone { device, replaced: false, at });
    }
}

/// Remembers what a device had that another one has just taken the place of, if that is what
/// happened between `before` and now.
pub(super) fn replaced(before: &Device, now: &Device, at: Timestamp) -> Option<Gone> {
    let mut device = before.clone();
    device.secrets.retain(|profile, secret| {
        let labels = now.secrets.get(profile).map(|secret| &secret.credential.labels);
        let had = |set: &PasswordSet, label: Label| {
            let then = secret.credential.labels.get(set).copied();
            label == Label::OtherDevice && then.is_some_and(|then| then != Label::OtherDevice)
        };
        labels.is_some_and(|labels| labels.iter().any(|(set, label)| had(set, *label)))
    });
    (!device.secrets.is_empty()).then_some(Gone { device, replaced: true, at })
}

/// A fabric is declared under the name of a deleted one: another one, which keeps what is left of
/// the one before it for as long as that may be needed.
pub(super) fn begin_again(fabric: &mut Fabric, next: Fabric) {
    let mut before = std::mem::replace(fabric, next);
    fabric.epoch = before.epoch;
    fabric.latest = before.latest;
    fabric.former = std::mem::take(&mut before.former);
    fabric.purging = std::mem::take(&mut before.purging);
    before.operations.clear();
    if !before.purged && !before.sets.is_empty() {
        fabric.former.push(before);
    }
}

/// Whatever lies under its names now is somebody else's.
pub(super) fn purged(fabric: &mut Fabric) {
    fabric.purged = true;
    fabric.sets.clear();
    fabric.foretold.clear();
    fabric.gone.clear();
    fabric.former.clear();
    fabric.purging.clear();
    fabric.labelled.clear();
    fabric.unremembered = None;
}

pub(super) fn released(fabric: &mut Fabric, device: &ResourceName, gone_at: Option<Timestamp>) {
    let is_other = |gone: &Gone| {
        gone.device.spec.name != *device || gone_at.is_some_and(|gone_at| gone.at != gone_at)
    };
    fabric.gone.retain(is_other);
    fabric.former.iter_mut().for_each(|era| era.gone.retain(is_other));
}
