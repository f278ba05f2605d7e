//! What an application will do, decided before anything is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::credential::Phase;
use protocol::id::{PasswordSet, ProfileName, ResourceName, SecretVersion};
use protocol::password::Password;
use protocol::status::{AdministrativeState, DeviceRole, SynchronizationStatus};

use crate::execute::Values;
use crate::inventory::{CurrentPasswords, DeviceSpec, Inventory};
use crate::model::{Device, Fabric, Secret};
use crate::naming::{self, OlderName, SecretName};
use crate::service::older::older_name;
use crate::service::{Service, ServiceError};
use crate::template::{Scope, UserProfile};

/// A password that an operator has told and that the vault does not have for this secret.
pub(super) struct Told<'p> {
    pub(super) device: ResourceName,
    pub(super) profile: ProfileName,
    pub(super) name: SecretName,
    /// Whether the name is for this device alone.
    pub(super) is_own: bool,
    pub(super) value: &'p Password,
}

/// What an application will do, decided before anything is written.
#[derive(Default)]
pub(super) struct Draft<'p> {
    pub(super) told: Vec<Told<'p>>,
    /// Passwords that the vault has already, under older names.
    pub(super) found: Vec<(ResourceName, ProfileName, SecretVersion)>,
    pub(super) created: Vec<ResourceName>,
    pub(super) changed: Vec<ResourceName>,
    pub(super) unproven: BTreeSet<ResourceName>,
    /// Devices in whose place, by this application, other ones stand.
    pub(super) replaced: BTreeSet<ResourceName>,
    /// Devices that are reached in another way than before.
    pub(super) moved: BTreeSet<ResourceName>,
    pub(super) declared: Vec<(DeviceSpec, Vec<(ProfileName, SecretSpecDraft)>)>,
}

/// What one device's draft is made from.
#[derive(Clone, Copy)]
struct Case<'c, 'p> {
    before: &'c Fabric,
    inventory: &'c Inventory,
    passwords: &'p CurrentPasswords,
    spec: &'c DeviceSpec,
    values: &'c Values,
    lost: &'c BTreeSet<Whose>,
}

/// One secret: the device, and the profile.
type Whose = (ResourceName, ProfileName);

pub(super) struct SecretSpecDraft {
    pub(super) user: String,
    pub(super) secret_type: String,
    pub(super) privileged: bool,
    pub(super) name: SecretName,
    /// The set that holds its password already; `None`: the one that is stored with this draft.
    pub(super) adopted: Option<PasswordSet>,
}

impl Service {
    /// Decides what an application will do; nothing is written.
    pub(super) async fn draft<'p>(
        &self,
        before: &Fabric,
        inventory: &Inventory,
        passwords: &'p CurrentPasswords,
    ) -> Result<Draft<'p>, ServiceError> {
        self.check_older_names(inventory)?;
        let mut draft = Draft::default();
        let values = Values::new(Arc::clone(&self.parts.vault));
        let lost = lost(before, inventory, passwords, &values).await?;
        for spec in &inventory.devices {
            let device = before.devices.get(&spec.name);
            if let Some(device) = device {
                fixed(device, spec)?;
                if is_replaced(device, spec) {
                    draft.replaced.insert(spec.name.clone());
                } else if is_moved(device, spec) {
                    draft.moved.insert(spec.name.clone());
                }
            }
            let case = Case { before, inventory, passwords, spec, values: &values, lost: &lost };
            let (mut secrets, told) = (Vec::new(), draft.told.len());
            for profile in
                self.parts.template.applicable(spec.role, &inventory.fabric.feature_flags)
            {
                secrets.extend(self.draft_secret(&case, profile, &mut draft).await?);
            }
            let is_told = draft.told.len() > told;
            note(&mut draft, spec, device, secrets, is_told);
        }
        let names = draft
            .told
            .iter()
            .map(|told| ((&told.profile, told.is_own.then_some(&told.device)), told.name.clone()));
        naming::check_names(names).map_err(|source| ServiceError::Names { source })?;
        Ok(draft)
    }

    /// Drafts one profile of one device: its password, if that is new, and itself, if that is.
    async fn draft_secret<'p>(
        &self,
        case: &Case<'_, 'p>,
        profile: &UserProfile,
        draft: &mut Draft<'p>,
    ) -> Result<Option<(ProfileName, SecretSpecDraft)>, ServiceError> {
        let Case { before, inventory, passwords, spec, values, lost } = *case;
        let own = (profile.scope == Scope::Device).then_some(&spec.name);
        let name = naming::name(&before.id, &profile.name, own);
        let older = older_name(before, inventory, &profile.name);
        let place = older.and_then(|older| older.of(&spec.name));
        let told = passwords.get(&spec.name, &profile.name);
        let device = before.devices.get(&spec.name);
        let secret = device.and_then(|device| device.secrets.get(&profile.name));
        let found = match (secret, &place) {
            (None, Some(place)) => self.newest(place, told, values).await?,
            _ => None,
        };
        let foretold = foretold(before, spec, profile, secret);
        // Of another device in the place of a known one nothing is known.
        let replaced = draft.replaced.contains(&spec.name);
        let is_new = match (secret.filter(|_| !replaced), told) {
            (None, _) if found.is_some() => false,
            (None, None) if foretold.is_some() => false,
            (None, None) => {
                return Err(ServiceError::PasswordMissing {
                    device: spec.name.clone(),
                    profile: profile.name.clone(),
                });
            }
            (None, Some(_)) => true,
            // Also where it is one that was disproved: it may have been set again.
            (Some(_), Some(_)) if lost.contains(&(spec.name.clone(), profile.name.clone())) => true,
            (Some(secret), Some(value))
                if !is_proven(secret) || draft.moved.contains(&spec.name) =>
            {
                let is_new = !is_known(before, spec, &profile.name, secret, value, values).await?;
                if is_new && !takes_candidates(secret) {
                    return Err(ServiceError::PasswordNotTaken {
                        device: spec.name.clone(),
                        profile: profile.name.clone(),
                    });
                }
                is_new
            }
            (Some(_), _) => false,
        };
        let adopted = foretold.filter(|_set| told.is_none() && found.is_none());
        if let Some(version) = found {
            draft.found.push((spec.name.clone(), profile.name.clone(), version));
        }
        if let (true, Some(value)) = (is_new, told) {
            draft.told.push(Told {
                device: spec.name.clone(),
                profile: profile.name.clone(),
                is_own: own.is_some() || older.is_some_and(OlderName::is_own),
                name: place.unwrap_or_else(|| name.clone()),
                value,
            });
        }
        let made = || SecretSpecDraft {
            user: profile.user.clone(),
            secret_type: profile.secret_type.to_string(),
            privileged: profile.privileged(),
            name,
            adopted,
        };
        Ok(secret.is_none().then(|| (profile.name.clone(), made())))
    }
}

/// Versions that are asked for at once.
const AT_ONCE: usize = 1_000;

/// Finds the secrets that are proven with a version which is not in the vault any more: of the
/// password that such a device has nothing is known, and a told one is as good as any.
async fn lost(
    before: &Fabric,
    inventory: &Inventory,
    passwords: &CurrentPasswords,
    values: &Values,
) -> Result<BTreeSet<Whose>, ServiceError> {
    let known = inventory.devices.iter().filter_map(|spec| before.devices.get(&spec.name));
    let secrets = known.flat_map(|device| {
        let proven = device.secrets.iter().filter(|(_profile, secret)| is_proven(secret));
        proven.filter_map(move |(profile, secret)| {
            let name = &device.spec.name;
            passwords.get(name, profile)?;
            let place = before.located(name, profile, secret.credential.current?)?;
            Some(((name.clone(), profile.clone()), place))
        })
    });
    let (secrets, places): (Vec<Whose>, Vec<_>) = secrets.unzip();
    let mut lost = BTreeSet::new();
    for (secrets, places) in secrets.chunks(AT_ONCE).zip(places.chunks(AT_ONCE)) {
        let opened = values.open(places).await.map_err(|source| ServiceError::Vault { source })?;
        let gone = secrets.iter().zip(&opened).filter(|(_whose, value)| value.is_err());
        lost.extend(gone.map(|(whose, _value)| whose.clone()));
    }
    Ok(lost)
}

/// The password of a terminal server may be told with its fabric, before the device is declared.
fn foretold(
    before: &Fabric,
    spec: &DeviceSpec,
    profile: &UserProfile,
    secret: Option<&Secret>,
) -> Option<PasswordSet> {
    let waits = secret.is_none() && spec.role == DeviceRole::TS && profile.scope == Scope::Fabric;
    before.foretold.get(&profile.name).copied().filter(|_set| waits)
}

fn is_proven(secret: &Secret) -> bool {
    secret.credential.phase == Phase::Settled
}

/// Tells whether the protocol takes one more candidate now: not of a device that is out of service,
/// and not in the middle of finding out.
fn takes_candidates(secret: &Secret) -> bool {
    matches!(secret.credential.phase, Phase::Settled | Phase::BackOff | Phase::Drift)
}

/// Tells whether a told password is one of the versions that the secret has already.
async fn is_known(
    fabric: &Fabric,
    spec: &DeviceSpec,
    profile: &ProfileName,
    secret: &Secret,
    value: &Password,
    values: &Values,
) -> Result<bool, ServiceError> {
    let versions: Vec<(SecretName, SecretVersion)> = secret
        .credential
        .candidates()
        .into_iter()
        .filter_map(|set| fabric.located(&spec.name, profile, set))
        .collect();
    let opened = values.open(&versions).await.map_err(|source| ServiceError::Vault { source })?;
    // What is lost is known to nobody: the told password may be that one, or another.
    Ok(opened.iter().flatten().any(|known| known.matches(value)))
}

fn note(
    draft: &mut Draft<'_>,
    spec: &DeviceSpec,
    device: Option<&Device>,
    secrets: Vec<(ProfileName, SecretSpecDraft)>,
    is_told: bool,
) {
    let changed = device.is_none_or(|device| device.spec != *spec) || !secrets.is_empty();
    let moved = draft.moved.contains(&spec.name);
    let unproven = device.is_none_or(|device| {
        let in_service = device.administrative_state == AdministrativeState::Enabled;
        !secrets.is_empty()
            || ((moved || is_told) && in_service)
            || device.credentials().any(|credential| {
                matches!(credential.phase, Phase::BackOff | Phase::Drift)
                    && credential.status() == SynchronizationStatus::OutOfSync
            })
    });
    if device.is_none() {
        draft.created.push(spec.name.clone());
    } else if changed {
        draft.changed.push(spec.name.clone());
    }
    if unproven {
        draft.unproven.insert(spec.name.clone());
    }
    if changed || draft.replaced.contains(&spec.name) {
        draft.declared.push((spec.clone(), secrets));
    }
}

/// Tells whether a device is reached in another way than before: what was proven may have been
/// another device's.
fn is_moved(device: &Device, spec: &DeviceSpec) -> bool {
    let way = |spec: &DeviceSpec| (spec.ssh.clone(), spec.serial.clone(), spec.console.clone());
    way(&device.spec) != way(spec)
}

/// Tells whether an operator says that another device stands in the place of one that is being
/// replaced: it shows another host key, or, where it has none, another serial number. A device that
/// was wiped is another one as far as its passwords go.
fn is_replaced(device: &Device, spec: &DeviceSpec) -> bool {
    let key = |spec: &DeviceSpec| spec.ssh.as_ref().map(|ssh| ssh.host_key.clone());
    let other = match (key(&device.spec), key(spec)) {
        (None, None) => {
            let known = device.former_serial_number.as_ref().unwrap_or(&device.spec.serial_number);
            *known != spec.serial_number
        }
        (was, is) => was != is,
    };
    device.administrative_state == AdministrativeState::RMA && (other || device.wiped)
}

/// A name stands for one device: another platform or role would be another device. One that waited
/// for its first password set may join the fabric; none goes back to waiting.
fn fixed(device: &Device, spec: &DeviceSpec) -> Result<(), ServiceError> {
    let kind = |bootstrap| if bootstrap { "bootstrap device" } else { "network device" };
    let joins = device.spec.bootstrap && !spec.bootstrap;
    let fixed = [
        ("the kind", kind(device.spec.bootstrap), kind(spec.bootstrap || joins)),
        ("the platform", device.spec.platform.as_str(), spec.platform.as_str()),
        ("the role", device.spec.role.as_str(), spec.role.as_str()),
    ];
    for (what, was, given) in fixed {
        if was != given {
            return Err(ServiceError::Fixed {
                device: spec.name.clone(),
                what,
                was: was.to_owned(),
                given: given.to_owned(),
            });
        }
    }
    Ok(())
}
