//! Which requests a row of the table is about.

use super::Request;

pub(super) fn any(_request: &Request) -> bool {
    true
}

pub(super) fn rotates(request: &Request) -> bool {
    matches!(request, Request::Rotate | Request::RotateOlder)
}

pub(super) fn rotates_older(request: &Request) -> bool {
    matches!(request, Request::RotateOlder)
}

pub(super) fn resyncs_device(request: &Request) -> bool {
    matches!(request, Request::ResyncDevice(_))
}

/// What a device that is out of service cannot be asked.
pub(super) fn needs_service(request: &Request) -> bool {
    matches!(request, Request::Reboot(_, reboot) if !reboot.ztp) || resyncs_device(request)
}

pub(super) fn wipes(request: &Request) -> bool {
    matches!(request, Request::Reboot(_, reboot) if reboot.ztp)
}

pub(super) fn brings_passwords(request: &Request) -> bool {
    rotates(request) || matches!(request, Request::Resync | Request::ResyncDevice(_))
}

/// What must not begin while a commit or an upgrade is under way.
pub(super) fn excludes_changes(request: &Request) -> bool {
    brings_passwords(request) || matches!(request, Request::Commit | Request::Upgrade)
}

pub(super) fn ends_commit(request: &Request) -> bool {
    matches!(request, Request::EndCommit)
}

pub(super) fn ends_upgrade(request: &Request) -> bool {
    matches!(request, Request::EndUpgrade)
}

pub(super) fn deletes_device(request: &Request) -> bool {
    matches!(request, Request::DeleteDevice(_))
}

pub(super) fn deletes_fabric(request: &Request) -> bool {
    matches!(request, Request::DeleteFabric)
}

pub(super) fn takes_device_out(request: &Request) -> bool {
    matches!(request, Request::Disable(_) | Request::Rma(_))
}

pub(super) fn replaces(request: &Request) -> bool {
    matches!(request, Request::Rma(_))
}

/// A device is upgraded, and rebooted, as a part of the fabric's upgrade, so that this does not block
/// it.
pub(super) fn touches_device(request: &Request) -> bool {
    matches!(request, Request::UpgradeDevice(_) | Request::Reboot(..))
}

pub(super) fn upgrades(request: &Request) -> bool {
    matches!(request, Request::Upgrade)
}
