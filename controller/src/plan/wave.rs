//! Splits devices into waves: a canary of each platform first, then growing waves, never two
//! members of a redundancy group in one wave, every terminal server last and alone.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::ResourceName;
use protocol::status::DeviceRole;

use super::{Policy, with_role};
use crate::model::Fabric;

pub(super) fn waves(
    fabric: &Fabric,
    policy: &Policy,
    devices: &[ResourceName],
) -> Vec<Vec<ResourceName>> {
    let terminal_servers = with_role(fabric, devices, DeviceRole::TS);
    let mut left: Vec<ResourceName> =
        devices.iter().filter(|name| !terminal_servers.contains(*name)).cloned().collect();
    let mut waves = Vec::new();
    let mut size = left.len().min(policy.wave_max).max(1);
    if policy.canary {
        let canaries = take_canaries(fabric, &mut left);
        size = canaries.len().max(1).saturating_mul(policy.wave_growth.max(1));
        waves.push(canaries);
    }
    while !left.is_empty() {
        waves.push(take_wave(fabric, &mut left, size.min(policy.wave_max).max(1)));
        size = size.saturating_mul(policy.wave_growth.max(1));
    }
    waves.extend(terminal_servers.into_iter().map(|name| vec![name]));
    waves
}

/// One device of each platform, of different redundancy groups.
fn take_canaries(fabric: &Fabric, left: &mut Vec<ResourceName>) -> Vec<ResourceName> {
    let mut by_platform: BTreeMap<String, ResourceName> = BTreeMap::new();
    let mut groups = BTreeSet::new();
    for name in left.iter() {
        let Some(device) = fabric.devices.get(name) else { continue };
        let taken = by_platform.contains_key(&device.spec.platform);
        if !taken && joins(fabric, name, &mut groups) {
            by_platform.insert(device.spec.platform.clone(), name.clone());
        }
    }
    let canaries: Vec<ResourceName> = by_platform.into_values().collect();
    left.retain(|name| !canaries.contains(name));
    canaries
}

/// The first `size` devices whose redundancy groups are not yet in the wave. At least one device
/// is taken, so that the caller comes to an end.
fn take_wave(fabric: &Fabric, left: &mut Vec<ResourceName>, size: usize) -> Vec<ResourceName> {
    let mut groups = BTreeSet::new();
    let mut wave = Vec::new();
    left.retain(|name| {
        let take = wave.len() < size && joins(fabric, name, &mut groups);
        if take {
            wave.push(name.clone());
        }
        !take
    });
    wave
}

/// Tells whether a device may join a wave that has members of `groups`, and notes its own.
fn joins(fabric: &Fabric, name: &ResourceName, groups: &mut BTreeSet<String>) -> bool {
    let group = fabric.devices.get(name).and_then(|device| device.spec.redundancy_group.clone());
    group.is_none_or(|group| groups.insert(group))
}
