//! Where to find things without looking through every fabric.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use protocol::id::{DeviceId, FabricId, OperationId};

/// Before every other name in the order of names: those begin with a letter, and no character that
/// is allowed comes before `-`.
const FIRST_NAME: &str = "a--";

/// Returns the fabrics in the resource group of a device; it can be in no other. They lie together
/// in the order of ids, so that there is nothing to be kept up to date.
pub(super) fn beside<'f, T>(
    fabrics: &'f BTreeMap<FabricId, T>,
    device: &DeviceId,
) -> impl Iterator<Item = (&'f FabricId, &'f T)> {
    let (subscription, group) = (device.subscription().to_owned(), device.group().clone());
    let first = FabricId::new(&subscription, group.as_str(), FIRST_NAME);
    let from = first.ok().map(|first| fabrics.range(first..)).into_iter().flatten();
    from.take_while(move |(id, _)| {
        id.subscription().eq_ignore_ascii_case(&subscription) && *id.group() == group
    })
}

/// The fabrics of operations. An operation never moves to another fabric, so that an entry is true
/// for ever; whether the operation is still kept is the fabric's word.
#[derive(Debug, Default)]
pub(super) struct OperationIndex(RwLock<HashMap<OperationId, FabricId>>);

impl OperationIndex {
    /// Notes an operation. To be called before anybody can know its id.
    pub(super) fn note(&self, id: OperationId, fabric: &FabricId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, fabric.clone());
    }

    /// Forgets operations that are not kept, or never were.
    pub(super) fn forget(&self, ids: &[OperationId]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        ids.iter().for_each(|id| {
            known.remove(id);
        });
    }

    /// Forgets all operations of a fabric.
    pub(super) fn forget_fabric(&self, fabric: &FabricId) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_id, of| of != fabric);
    }

    /// Returns the fabric of an operation.
    pub(super) fn fabric_of(&self, id: OperationId) -> Option<FabricId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(group: &str, name: &str) -> FabricId {
        FabricId::new("00000000-0000-0000-0000-00000000000A", group, name).unwrap()
    }

    #[test]
    fn the_fabrics_beside_a_device_are_those_of_its_group_in_any_case() {
        let names = [
            ("lab", "a--"),
            ("LAB", "East"),
            ("lab", "zzz"),
            ("la", "East"),
            ("lab-2", "a-1"),
            ("lab.", "East"),
        ];
        let fabrics: BTreeMap<FabricId, ()> = names
            .iter()
            .filter_map(|(group, name)| {
                FabricId::new("00000000-0000-0000-0000-00000000000A", group, name).ok()
            })
            .chain([FabricId::new("00000000-0000-0000-0000-00000000000B", "lab", "abc").unwrap()])
            .map(|id| (id, ()))
            .collect();
        let device = DeviceId::new("00000000-0000-0000-0000-00000000000a", "Lab", "ce-01").unwrap();
        let found: Vec<FabricId> = beside(&fabrics, &device).map(|(id, ())| id.clone()).collect();
        assert_eq!(found, [id("lab", "a--"), id("lab", "East"), id("lab", "zzz")]);
    }

    #[test]
    fn an_operation_that_is_forgotten_is_found_no_more() {
        let (index, fabric) = (OperationIndex::default(), id("lab", "East"));
        let ids: Vec<OperationId> =
            (0..3).map(|at| OperationId(uuid::Uuid::from_u128(at))).collect();
        ids.iter().for_each(|operation| index.note(*operation, &fabric));
        index.forget(&ids[..1]);
        let found = ids.iter().map(|operation| index.fabric_of(*operation));
        assert_eq!(found.collect::<Vec<_>>(), [None, Some(fabric.clone()), Some(fabric.clone())]);
        index.forget_fabric(&fabric);
        assert_eq!(index.fabric_of(ids[1]), None);
    }
}
