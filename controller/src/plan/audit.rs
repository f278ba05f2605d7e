//! A second pair of eyes: checks any plan without sharing code with the planner.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::ResourceName;
use protocol::status::{AdministrativeState, DeviceRole};

use super::{Plan, Policy, Step};
use crate::model::Fabric;

/// What is wrong with a plan. A bug of ours: such a plan is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first step is not `Hold` or the last not `Release`.
    #[error("keep the fabric under maintenance during the whole plan")]
    Unguarded,
    /// A device is changed before its passwords are durable.
    #[error("make the password set before `{0}` is changed")]
    NotDurable(ResourceName),
    /// A device is in more than one wave.
    #[error("change `{0}` once")]
    Twice(ResourceName),
    /// A device is not in the fabric.
    #[error("find `{0}` in the fabric")]
    Unknown(ResourceName),
    /// A device that is out of service is changed.
    #[error("leave `{0}` alone: it is out of service")]
    OutOfService(ResourceName),
    /// A device that is in service is wiped.
    #[error("keep the configuration of `{0}`: it is in service")]
    InService(ResourceName),
    /// Two members of a redundancy group are in one wave.
    #[error("keep `{0}` and `{1}` of one redundancy group in different waves")]
    Together(ResourceName, ResourceName),
    /// A terminal server is not alone in its wave, or not last.
    #[error("change the terminal server `{0}` last and alone")]
    TerminalServer(ResourceName),
    /// More sets would be in use than allowed.
    #[error("keep to {0} password sets")]
    Sets(u32),
}

/// Checks a plan against the rules of the design.
///
/// # Errors
/// Returns the first rule that the plan breaks.
pub fn audit(fabric: &Fabric, policy: &Policy, plan: &Plan) -> Result<(), Fault> {
    if plan.steps.first() != Some(&Step::Hold) || plan.steps.last() != Some(&Step::Release) {
        return Err(Fault::Unguarded);
    }
    let mut durable = !plan.makes_set;
    let mut seen = BTreeSet::new();
    let mut terminal_servers_begun = false;
    for step in &plan.steps {
        match step {
            Step::Hold | Step::Release => {}
            Step::MakeSet => durable = true,
            Step::Wave { devices } => {
                for device in devices {
                    if !durable {
                        return Err(Fault::NotDurable(device.clone()));
                    }
                    if !seen.insert(device.clone()) {
                        return Err(Fault::Twice(device.clone()));
                    }
                }
                if plan.changes_devices {
                    terminal_servers(fabric, devices, &mut terminal_servers_begun)?;
                    together(fabric, devices)?;
                }
                in_service(fabric, devices, plan.wipes)?;
            }
        }
    }
    sets(fabric, policy, plan)
}

fn in_service(fabric: &Fabric, devices: &[ResourceName], wipes: bool) -> Result<(), Fault> {
    for name in devices {
        let device = fabric.devices.get(name).ok_or_else(|| Fault::Unknown(name.clone()))?;
        let is_in_service = device.administrative_state == AdministrativeState::Enabled;
        match (is_in_service, wipes) {
            (true, true) => return Err(Fault::InService(name.clone())),
            (false, false) => return Err(Fault::OutOfService(name.clone())),
            _ => {}
        }
    }
    Ok(())
}

fn terminal_servers(
    fabric: &Fabric,
    devices: &[ResourceName],
    begun: &mut bool,
) -> Result<(), Fault> {
    let is_one = |name: &&ResourceName| {
        fabric.devices.get(*name).is_some_and(|device| device.spec.role == DeviceRole::TS)
    };
    match devices.iter().find(is_one) {
        Some(name) if devices.len() > 1 => Err(Fault::TerminalServer(name.clone())),
        Some(_) => {
            *begun = true;
            Ok(())
        }
        None if *begun => {
            devices.first().map_or(Ok(()), |first| Err(Fault::TerminalServer(first.clone())))
        }
        None => Ok(()),
    }
}

fn together(fabric: &Fabric, devices: &[ResourceName]) -> Result<(), Fault> {
    let mut groups: BTreeMap<&str, &ResourceName> = BTreeMap::new();
    for name in devices {
        let group = fabric.devices.get(name).and_then(|d| d.spec.redundancy_group.as_deref());
        if let Some(other) = group.and_then(|group| groups.insert(group, name)) {
            return Err(Fault::Together(other.clone(), name.clone()));
        }
    }
    Ok(())
}

fn sets(fabric: &Fabric, policy: &Policy, plan: &Plan) -> Result<(), Fault> {
    let mut sets = fabric.active_sets();
    let before = sets.len();
    sets.insert(plan.set);
    let allowed = usize::try_from(policy.password_sets_max).unwrap_or(usize::MAX);
    if plan.makes_set && sets.len() > before.max(allowed) {
        return Err(Fault::Sets(policy.password_sets_max));
    }
    Ok(())
}
