//! Takes devices as they are: what an inventory says of them, and the passwords that they have.
//!
//! Order: everything is checked; then the passwords are durable in the vault; then the journal
//! names them; then each device is asked, without changing it. Applying the same twice changes
//! nothing: a secret that is proven keeps what it has, whatever a stale passwords file says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::credential::{self, Phase};
use protocol::id::{FabricId, OperationId, PasswordSet, ProfileName, ResourceName, SecretVersion};
use protocol::password::Password;
use protocol::status::{AdministrativeState, DeviceRole, SynchronizationStatus};

use super::{Keeper, Service, ServiceError};
use crate::execute::Values;
use crate::inventory::{CurrentPasswords, DeviceSpec, Inventory};
use crate::journal::Entry;
use crate::model::event::SecretSpec;
use crate::model::{Device, Event, Fabric, Origin, Secret, SetRecord, Timestamp};
use crate::naming::{self, SecretName};
use crate::plan::{self, Request};
use crate::template::{Scope, UserProfile};
use crate::vault::Tag;

/// What an application of an inventory did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The fabric.
    pub fabric: FabricId,
    /// Devices that were not known before.
    pub created: Vec<ResourceName>,
    /// Devices of which something changed.
    pub changed: Vec<ResourceName>,
    /// How many devices are as they were.
    pub unchanged: usize,
    /// The operation that verifies the devices which are not proven.
    pub operation: Option<OperationId>,
}

/// A password that an operator has told and that the vault does not have for this secret.
struct Told<'p> {
    device: ResourceName,
    profile: ProfileName,
    name: SecretName,
    value: &'p Password,
}

/// What an application will do, decided before anything is written.
#[derive(Default)]
struct Draft<'p> {
    told: Vec<Told<'p>>,
    created: Vec<ResourceName>,
    changed: Vec<ResourceName>,
    unproven: BTreeSet<ResourceName>,
    /// Devices in whose place, by this application, other ones stand.
    replaced: BTreeSet<ResourceName>,
    declared: Vec<(DeviceSpec, Vec<(ProfileName, SecretSpecDraft)>)>,
}

struct SecretSpecDraft {
    user: String,
    secret_type: String,
    privileged: bool,
    name: SecretName,
    /// The set that holds its password already; `None`: the one that is stored with this draft.
    adopted: Option<PasswordSet>,
}

impl Service {
    /// Declares or updates a fabric and its devices, and verifies those that are not proven.
    ///
    /// # Errors
    /// Returns [`ServiceError`]; nothing was changed then, but for values in the vault that nothing
    /// refers to.
    pub async fn apply(
        &self,
        inventory: Inventory,
        passwords: CurrentPasswords,
    ) -> Result<Applied, ServiceError> {
        let _alone = self.declaring.lock().await;
        inventory
            .check(Some(&self.platforms()))
            .map_err(|source| ServiceError::Inventory { source })?;
        self.adopt(&inventory, &passwords).await
    }

    /// Returns the names of the agent's platforms.
    pub(super) fn platforms(&self) -> Vec<&str> {
        self.parts.platforms.iter().map(|limits| limits.platform.as_str()).collect()
    }

    /// Takes an inventory that was checked; the caller holds `declaring`.
    pub(super) async fn adopt(
        &self,
        inventory: &Inventory,
        passwords: &CurrentPasswords,
    ) -> Result<Applied, ServiceError> {
        let id = inventory.fabric.id.clone();
        let at = (self.parts.clock)();
        let known = self.keeper(&id).ok();
        let before = match &known {
            Some(keeper) => keeper.journal.read(Clone::clone),
            None => Fabric::new(id.clone(), inventory.fabric.clone(), at),
        };
        let draft = self.draft(&before, inventory, passwords).await?;
        let nothing = draft.declared.is_empty()
            && draft.told.is_empty()
            && known.is_some()
            && before.spec == inventory.fabric;
        let applied = |operation| Applied {
            fabric: id.clone(),
            created: draft.created.clone(),
            changed: draft.changed.clone(),
            unchanged: inventory.devices.len() - draft.created.len() - draft.changed.len(),
            operation,
        };
        if !nothing {
            self.admit_declaration(&before, &draft)?;
            let keeper = match known {
                Some(keeper) => keeper,
                None => self.declare(&before).await?,
            };
            self.write(&keeper, inventory, &draft, at).await?;
        }
        if draft.unproven.is_empty() {
            return Ok(applied(None));
        }
        let operation = self.submit(&id, Request::Verify(draft.unproven.clone()), None).await?;
        Ok(applied(Some(operation)))
    }

    async fn draft<'p>(
        &self,
        before: &Fabric,
        inventory: &Inventory,
        passwords: &'p CurrentPasswords,
    ) -> Result<Draft<'p>, ServiceError> {
        let mut draft = Draft::default();
        let values = Values::new(Arc::clone(&self.parts.vault));
        for spec in &inventory.devices {
            let device = before.devices.get(&spec.name);
            if let Some(device) = device {
                fixed(device, spec)?;
                if is_replaced(device, spec) {
                    draft.replaced.insert(spec.name.clone());
                }
            }
            let replaced = draft.replaced.contains(&spec.name);
            let mut secrets = Vec::new();
            for profile in
                self.parts.template.applicable(spec.role, &inventory.fabric.feature_flags)
            {
                let own = (profile.scope == Scope::Device).then_some(&spec.name);
                let name = naming::name(&before.id, &profile.name, own);
                let told = passwords.get(&spec.name, &profile.name);
                let secret = device.and_then(|device| device.secrets.get(&profile.name));
                let foretold = foretold(before, spec, profile, secret);
                // Of another device in the place of a known one nothing is known.
                let is_new = match (secret.filter(|_| !replaced), told) {
                    (None, None) if foretold.is_some() => false,
                    (None, None) => {
                        return Err(ServiceError::PasswordMissing {
                            device: spec.name.clone(),
                            profile: profile.name.clone(),
                        });
                    }
                    (None, Some(_)) => true,
                    (Some(secret), Some(value)) if !is_proven(secret) => {
                        !is_known(before, spec, &profile.name, secret, value, &values).await?
                    }
                    (Some(_), _) => false,
                };
                if let (true, Some(value)) = (is_new, told) {
                    let (device, profile) = (spec.name.clone(), profile.name.clone());
                    draft.told.push(Told { device, profile, name: name.clone(), value });
                }
                if secret.is_none() {
                    let spec = SecretSpecDraft {
                        user: profile.user.clone(),
                        secret_type: profile.secret_type.to_string(),
                        privileged: profile.privileged(),
                        name,
                        adopted: foretold.filter(|_set| told.is_none()),
                    };
                    secrets.push((profile.name.clone(), spec));
                }
            }
            note(&mut draft, spec, device, secrets);
        }
        self.check_names(before, &draft)?;
        Ok(draft)
    }

    fn check_names(&self, before: &Fabric, draft: &Draft<'_>) -> Result<(), ServiceError> {
        let own = |profile: &ProfileName| {
            let profile = self.parts.template.profile(profile);
            profile.is_some_and(|profile| profile.scope == Scope::Device)
        };
        let told = draft
            .told
            .iter()
            .map(|told| (&told.profile, own(&told.profile).then_some(&told.device)));
        naming::check_distinct(&before.id, told).map_err(|source| ServiceError::Names { source })
    }

    /// While an operation runs, nothing may change under it.
    fn admit_declaration(&self, before: &Fabric, draft: &Draft<'_>) -> Result<(), ServiceError> {
        let devices: BTreeSet<ResourceName> = draft
            .unproven
            .iter()
            .filter(|name| before.devices.contains_key(*name))
            .cloned()
            .collect();
        plan::guard::admit(before, &self.parts.policy, &Request::Verify(devices))
            .map_err(|refusal| ServiceError::Refused { refusal })
    }

    async fn declare(&self, fabric: &Fabric) -> Result<Keeper, ServiceError> {
        // The declaration comes first, so that the journal can be read back by itself.
        let declared = Event::FabricDeclared { spec: fabric.spec.clone(), at: fabric.created };
        let text = serde_json::to_string(&declared).map_err(|source| ServiceError::Journal {
            source: crate::journal::JournalError::Encode {
                fabric: fabric.id.to_string(),
                source: Arc::new(source),
            },
        })?;
        // Nothing yet, or what is left of a deleted fabric of that name.
        let before = self.parts.store.load(&fabric.id).await;
        let seen = before.map_err(|source| ServiceError::Store { source })?.revision;
        let declared = [text];
        let append = self.parts.store.append(&fabric.id, seen, &declared);
        append.await.map_err(|source| ServiceError::Store { source })?;
        let keeper = self.open(fabric.id.clone(), None).await?;
        self.keep(fabric.id.clone(), keeper.clone());
        Ok(keeper)
    }

    async fn write(
        &self,
        keeper: &Keeper,
        inventory: &Inventory,
        draft: &Draft<'_>,
        at: Timestamp,
    ) -> Result<(), ServiceError> {
        let operation = OperationId(uuid::Uuid::new_v4());
        // Nobody else adopts meanwhile: the caller holds `declaring`.
        let (set, record) = keeper.journal.read(|fabric| {
            let told = draft.told.iter().map(|told| (&told.device, &told.profile));
            let set = fabric.adopting_set(told);
            (set, fabric.sets.get(&set).cloned())
        });
        let (shared, own) = self.store_told(operation, draft, record).await?;
        let mut events = vec![Event::FabricDeclared { spec: inventory.fabric.clone(), at }];
        if !draft.told.is_empty() {
            let origin = Origin::Adopted;
            events.push(Event::SetStored { set, operation, origin, shared, own });
        }
        for (spec, secrets) in &draft.declared {
            let secrets = secrets.iter().map(|(profile, secret)| SecretSpec {
                profile: profile.clone(),
                user: secret.user.clone(),
                secret_type: secret.secret_type.clone(),
                privileged: secret.privileged,
                name: secret.name.clone(),
                adopted: secret.adopted.unwrap_or(set),
            });
            let (spec, secrets) = (spec.clone(), secrets.collect());
            events.push(Event::DeviceDeclared { spec, secrets, at });
        }
        let retold: Vec<(ResourceName, ProfileName)> =
            draft.told.iter().map(|told| (told.device.clone(), told.profile.clone())).collect();
        let replaced = draft.replaced.clone();
        let policy = self.parts.policy;
        let decide = move |fabric: &Fabric| {
            // An operation may have begun while the vault was written.
            plan::guard::admit(fabric, &policy, &Request::Verify(BTreeSet::new()))
                .map_err(|refusal| ServiceError::Refused { refusal })?;
            let mut entries: Vec<Entry> = events.into_iter().map(Entry::Durable).collect();
            entries.extend(adopt_again(fabric, &retold, &replaced, set, at));
            Ok::<_, ServiceError>((entries, ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }

    /// Stores the told passwords, beside those that the set holds already: one version for a value
    /// that devices share, one each otherwise.
    async fn store_told(
        &self,
        operation: OperationId,
        draft: &Draft<'_>,
        record: Option<SetRecord>,
    ) -> Result<(SharedVersions, OwnVersions), ServiceError> {
        let mut groups: Vec<(&Told<'_>, Vec<&ResourceName>)> = Vec::new();
        for told in &draft.told {
            let same = groups.iter_mut().find(|(first, _devices)| {
                first.name == told.name
                    && first.profile == told.profile
                    && first.value.matches(told.value)
            });
            match same {
                Some((_first, devices)) => devices.push(&told.device),
                None => groups.push((told, vec![&told.device])),
            }
        }
        let tag = |at: usize| Tag::new(&format!("{operation}/adopted/{at}"));
        let items: Vec<(SecretName, Tag, &Password)> = groups
            .iter()
            .enumerate()
            .map(|(at, (told, _devices))| (told.name.clone(), tag(at), told.value))
            .collect();
        let versions = self
            .parts
            .vault
            .put_all(&items)
            .await
            .map_err(|source| ServiceError::Vault { source })?;
        let (mut shared, mut own) =
            record.map(|record| (record.shared, record.own)).unwrap_or_default();
        for ((told, devices), version) in groups.iter().zip(versions) {
            if devices.len() > 1 && !shared.contains_key(&told.profile) {
                shared.insert(told.profile.clone(), version);
                continue;
            }
            for device in devices {
                let profiles = own.entry((*device).clone()).or_default();
                profiles.insert(told.profile.clone(), version.clone());
            }
        }
        Ok((shared, own))
    }
}

type SharedVersions = BTreeMap<ProfileName, SecretVersion>;
type OwnVersions = BTreeMap<ResourceName, BTreeMap<ProfileName, SecretVersion>>;

/// A told password of a secret that is known already is one more candidate; that of a device which
/// stands in another's place is the only one, and the fabric's newest set shall follow it.
fn adopt_again(
    fabric: &Fabric,
    retold: &[(ResourceName, ProfileName)],
    replaced: &BTreeSet<ResourceName>,
    set: PasswordSet,
    at: Timestamp,
) -> Vec<Entry> {
    let wanted = fabric.wanted_set().unwrap_or(set);
    let mut by_device: BTreeMap<&ResourceName, Vec<(ProfileName, credential::Event)>> =
        BTreeMap::new();
    for (device, profile) in retold {
        let event = if replaced.contains(device) {
            credential::Event::Replaced { bootstrap: set, set: wanted }
        } else {
            credential::Event::Adopt { set }
        };
        by_device.entry(device).or_default().push((profile.clone(), event));
    }
    let moved = by_device.into_iter().filter_map(|(name, events)| {
        let device = fabric.devices.get(name)?;
        Some(crate::execute::durable(device, name, &events, None, at))
    });
    moved.flatten().map(Entry::Durable).collect()
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
    matches!(secret.credential.phase, Phase::Settled | Phase::Held)
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
        .filter_map(|set| fabric.version(&spec.name, profile, set))
        .map(|version| (secret.name.clone(), version.clone()))
        .collect();
    let opened = values.open(&versions).await.map_err(|source| ServiceError::Vault { source })?;
    Ok(opened.iter().any(|known| known.matches(value)))
}

fn note(
    draft: &mut Draft<'_>,
    spec: &DeviceSpec,
    device: Option<&Device>,
    secrets: Vec<(ProfileName, SecretSpecDraft)>,
) {
    let changed = device.is_none_or(|device| device.spec != *spec) || !secrets.is_empty();
    let unproven = device.is_none_or(|device| {
        !secrets.is_empty()
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
    if changed {
        draft.declared.push((spec.clone(), secrets));
    }
}

/// Tells whether an operator says that another device stands in the place of one that is being
/// replaced: it shows another host key, or, where it has none, another serial number.
fn is_replaced(device: &Device, spec: &DeviceSpec) -> bool {
    let key = |spec: &DeviceSpec| spec.ssh.as_ref().map(|ssh| ssh.host_key.clone());
    let other = match (key(&device.spec), key(spec)) {
        (None, None) => device.spec.serial_number != spec.serial_number,
        (was, is) => was != is,
    };
    device.administrative_state == AdministrativeState::RMA && other
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
