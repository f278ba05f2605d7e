//! How an operation that did not succeed on a device is told: the API's stable code and a message
//! that says what mends it.

use protocol::report::{Reason, Stop};

use super::set::SetError;
use crate::error::chain;
use crate::model::operation::Failure;
use crate::model::{OperationKind, Outcome};
use crate::rollback::RollbackError;

/// Returns the outcome of a device whose last job stopped for this reason.
pub(super) fn stopped(kind: OperationKind, stop: &Stop) -> Outcome {
    let (code, what, mend) = describe(stop.reason);
    let doing = match kind {
        OperationKind::Verify => "verify the current passwords",
        OperationKind::Rotate | OperationKind::Resync => "configure new passwords",
        OperationKind::Reboot => "reboot it, or to see it come back",
    };
    let what = what.replace("{doing}", doing);
    let detail = if stop.detail.is_empty() { String::new() } else { format!(" ({})", stop.detail) };
    failed(code, format!("{what}{detail} {mend}"))
}

/// Returns the outcome of a device with secrets that are not proven although no job stopped.
pub(super) fn unproven(reason: Option<Reason>) -> Outcome {
    let reason = reason.unwrap_or(Reason::NotApplied);
    stopped(OperationKind::Resync, &Stop { reason, detail: String::new() })
}

/// Returns the outcome of a device that was not told to reboot.
pub(super) fn reboot_not_sent(stop: &Stop) -> Outcome {
    once_more(stopped(OperationKind::Reboot, stop))
}

/// What was not sent is mended by sending it.
fn once_more(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(Failure { code, message }) => {
            failed(&code, message.replace("perform a resync operation", "request the reboot again"))
        }
        Outcome::Succeeded => outcome,
    }
}

/// Returns the outcome of a device that was told to reboot and not seen to do so.
pub(super) fn not_rebooted() -> Outcome {
    failed(
        "NotRebooted",
        "The device was told to reboot, and nobody has seen that it did. Please look at how long \
         it has been up before rebooting it again."
            .to_owned(),
    )
}

/// Returns the outcome of a device that was not begun because too many others had failed.
pub(super) fn halted(failures: usize, ended: usize) -> Outcome {
    failed(
        "OperationHalted",
        format!(
            "The operation was halted before this device: {failures} of {ended} devices had \
             failed. Please address the failures and perform a resync operation."
        ),
    )
}

/// Returns the outcome of a device whose redundancy partner must not be left alone in doubt.
pub(super) fn partner_in_doubt(partner: &protocol::id::ResourceName) -> Outcome {
    failed(
        "RedundancyPartnerInDoubt",
        format!(
            "The device was left alone because `{partner}` of its redundancy group could not be \
             settled in this operation. Please resync `{partner}` first, then this device."
        ),
    )
}

/// Returns the outcome of a device that went out of service while the operation ran.
pub(super) fn out_of_service() -> Outcome {
    failed(
        "DeviceDisabled",
        "The Network Device is in disabled administrative state. Please perform a resync \
         operation once it is enabled."
            .to_owned(),
    )
}

/// Returns the outcome of devices that were left alone because the audit cannot be written.
pub(super) fn not_audited(kind: OperationKind, error: &str) -> Outcome {
    let outcome = failed(
        "AuditUnavailable",
        format!(
            "The device was left alone because the audit could not be written (failed to {error}). \
             Please mend the disk of the audit and perform a resync operation."
        ),
    );
    if kind == OperationKind::Reboot { once_more(outcome) } else { outcome }
}

/// Returns the outcome of devices that were left alone because the vault or the store looks like an
/// older copy, or because that cannot be told.
pub(super) fn rolled_back(kind: OperationKind, error: &RollbackError) -> Outcome {
    let outcome = match error {
        RollbackError::Held { suspicion } => failed(
            "RollbackSuspected",
            format!(
                "The device was left alone: {suspicion}. Please bring the newest copy back, or \
                 accept what there is, and perform a resync operation."
            ),
        ),
        error => failed(
            "VaultUnavailable",
            format!(
                "The device was left alone: failed to {}.{} Please perform a resync operation then.",
                chain(error),
                sentence(error.hint())
            ),
        ),
    };
    if kind == OperationKind::Reboot { once_more(outcome) } else { outcome }
}

/// Returns the outcome of all devices where no password set could be made.
pub(super) fn no_set(error: &SetError) -> Outcome {
    let (code, cause, hint) = match error {
        SetError::Vault { source } => ("VaultUnavailable", chain(source), source.hint()),
        SetError::Policy { source } => ("PasswordPolicyUnsatisfiable", source.to_string(), None),
        SetError::Generate { source } => ("GeneratorFailed", source.to_string(), None),
        SetError::Platform { .. } => ("PlatformUnknown", error.to_string(), None),
        SetError::Name { source } => ("SecretNamesCollide", source.to_string(), None),
    };
    let (cause, mend) = (cause.trim_end_matches('.'), sentence(hint));
    let what = "No new passwords were made, no device was changed: failed to";
    failed(code, format!("{what} {cause}.{mend}"))
}

/// What mends something, as a sentence after another one.
fn sentence(hint: Option<String>) -> String {
    hint.map(|hint| format!(" To mend it: {hint}.")).unwrap_or_default()
}

/// Tells whether a failure may be the change's own fault, so that other devices may share it.
pub(super) fn speaks_for_others(outcome: &Outcome) -> bool {
    const DEVICE_ONLY: &[&str] = &[
        "CouldNotConnect",
        "HostKeyMismatch",
        "AuthenticationFailed",
        "AccountLocked",
        "LoginBudgetSpent",
        "PasswordChangedOutside",
        "UserMissing",
        "DeviceBusy",
        "DeviceDisabled",
        "RedundancyPartnerInDoubt",
        "OperationHalted",
    ];
    match outcome {
        Outcome::Succeeded => false,
        Outcome::Failed(failure) => !DEVICE_ONLY.contains(&failure.code.as_str()),
    }
}

fn failed(code: &str, message: String) -> Outcome {
    Outcome::Failed(Failure { code: code.to_owned(), message })
}

const RESYNC: &str = "Please perform a resync operation once this is mended.";

/// Code, what happened, what mends it.
type Told = (&'static str, &'static str, &'static str);

fn describe(reason: Reason) -> Told {
    about_the_way_in(reason).or_else(|| about_the_change(reason)).unwrap_or_else(|| ours(reason))
}

fn about_the_way_in(reason: Reason) -> Option<Told> {
    Some(match reason {
        Reason::CouldNotConnect => (
            "CouldNotConnect",
            "Could not connect to the device to {doing}.",
            "Check that it is reachable, then perform a resync operation.",
        ),
        Reason::HostKeyMismatch => (
            "HostKeyMismatch",
            "The device showed another host key than the pinned one; no password was sent.",
            "If the device was replaced, apply its new host key; otherwise treat it as an attack.",
        ),
        Reason::AuthenticationRefused => (
            "AuthenticationFailed",
            "The device refused every known password that the login budget allows.",
            "Apply the password that it has now, or repair it over its console.",
        ),
        Reason::LoginBudgetSpent => (
            "LoginBudgetSpent",
            "One more login could lock the account, so that none was made.",
            "Perform a resync operation once the lockout window is over.",
        ),
        Reason::Locked => (
            "AccountLocked",
            "The device says that the account is locked.",
            "Unlock the account or wait until it unlocks, then perform a resync operation.",
        ),
        Reason::NotQuiet | Reason::Busy => {
            ("DeviceBusy", "The device or its line is in use by another session.", RESYNC)
        }
        _ => return None,
    })
}

fn about_the_change(reason: Reason) -> Option<Told> {
    Some(match reason {
        Reason::ForeignChange => (
            "PasswordChangedOutside",
            "A password on the device is none that Keyturn knows; it was not overwritten.",
            "Apply the password that the device has now, then perform a resync operation.",
        ),
        Reason::UserMissing => (
            "UserMissing",
            "An account of the secrets template does not exist on the device.",
            "Create the account on the device, then perform a resync operation.",
        ),
        Reason::CommandRefused => ("CommandRefused", "The device refused a command.", RESYNC),
        Reason::NotApplied => {
            ("NotApplied", "The new passwords are not proven to be on the device.", RESYNC)
        }
        Reason::SaveFailed => (
            "SaveFailed",
            "The passwords are not proven to be in the startup configuration: after a reboot \
             older ones may return.",
            "Check the device's flash, then perform a resync operation.",
        ),
        Reason::ConnectionLost => {
            ("ConnectionLost", "The connection to the device was cut.", RESYNC)
        }
        Reason::TimedOut => ("TimedOut", "The device did not answer in time.", RESYNC),
        Reason::UnexpectedOutput => {
            ("UnexpectedOutput", "The device's output could not be understood.", RESYNC)
        }
        _ => return None,
    })
}

/// What is left lies with Keyturn's own parts.
fn ours(reason: Reason) -> Told {
    match reason {
        Reason::StaleEpoch => {
            ("StaleController", "Another controller has taken the fabric over.", RESYNC)
        }
        Reason::LedgerFailed => (
            "AgentDiskFailed",
            "The agent could not record the attempt durably, so that it made none.",
            "Free or repair the agent's disk, then perform a resync operation.",
        ),
        Reason::VaultUnavailable => (
            "VaultUnavailable",
            "The vault did not give the device's passwords, so that nothing was sent to it.",
            "Check the vault, then perform a resync operation.",
        ),
        Reason::NotSupported => (
            "NotSupported",
            "The device's platform cannot do what was asked.",
            "Do it by hand, or give the platform's file the operation.",
        ),
        Reason::Repeated => ("Interrupted", "The agent was restarted during the job.", RESYNC),
        _ => (
            "InvalidDevice",
            "The device cannot be driven as it is declared.",
            "Correct the inventory and apply it, then perform a resync operation.",
        ),
    }
}
