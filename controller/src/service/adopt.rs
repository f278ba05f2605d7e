//! Takes devices as they are: what an inventory says of them, and the passwords that they have.
//!
//! Order: everything is checked; then the passwords are durable in the vault; then the journal
//! names them; then each device is asked, without changing it. Applying the same twice changes
//! nothing: a secret that is proven keeps what it has, whatever a stale passwords file says, for as
//! long as the vault has it.

mod draft;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use protocol::credential;
use protocol::id::{FabricId, OperationId, PasswordSet, ProfileName, ResourceName, SecretVersion};
use protocol::password::Password;

use self::draft::{Draft, Told};
use super::older::{Declarer, adopts_older};
use super::{Keeper, Service, ServiceError};
use crate::inventory::{CurrentPasswords, DeviceSpec, Inventory};
use crate::journal::Entry;
use crate::model::event::SecretSpec;
use crate::model::{Event, Fabric, OperationKind, Origin, SetRecord, Timestamp};
use crate::naming::{OlderName, SecretName};
use crate::plan::{self, Request};
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

impl Service {
    /// Declares or updates a fabric and its devices for somebody who may everything, and verifies
    /// those that are not proven.
    ///
    /// # Errors
    /// As [`Service::apply_by`].
    pub async fn apply(
        &self,
        inventory: Inventory,
        passwords: CurrentPasswords,
    ) -> Result<Applied, ServiceError> {
        self.apply_by(inventory, passwords, &Declarer::of_everything("keyturn")).await
    }

    /// Declares or updates a fabric and its devices, and verifies those that are not proven.
    ///
    /// # Errors
    /// Returns [`ServiceError`]; nothing was changed then, but for values in the vault that nothing
    /// refers to.
    pub async fn apply_by(
        &self,
        mut inventory: Inventory,
        passwords: CurrentPasswords,
        by: &Declarer<'_>,
    ) -> Result<Applied, ServiceError> {
        inventory
            .check(Some(&self.platforms()))
            .map_err(|source| ServiceError::Inventory { source })?;
        let id = inventory.fabric.id.clone();
        let told = inventory.fabric.secret_archive.take();
        let archive = || told.clone().or_else(|| self.archive_over_api(&id));
        let _alone = self.alone_with_archive(&id, archive).await?;
        inventory.fabric.secret_archive = archive();
        self.adopt(&inventory, &passwords, by).await
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
        by: &Declarer<'_>,
    ) -> Result<Applied, ServiceError> {
        let id = inventory.fabric.id.clone();
        let at = (self.parts.clock)();
        let known = self.keeper(&id).ok();
        let before = match &known {
            Some(keeper) => keeper.journal.read(Clone::clone),
            None => Fabric::new(id.clone(), inventory.fabric.clone(), at),
        };
        self.check_device_names(&before, inventory)?;
        self.check_declarer(&before, inventory, by).await?;
        let draft = self.draft(&before, inventory, passwords).await?;
        let nothing = draft.declared.is_empty()
            && draft.told.is_empty()
            && draft.found.is_empty()
            && known.is_some()
            && before.spec == inventory.fabric;
        let applied = |operation| Applied {
            fabric: id.clone(),
            created: draft.created.clone(),
            changed: draft.changed.clone(),
            unchanged: inventory.devices.len() - draft.created.len() - draft.changed.len(),
            operation,
        };
        if let Some(running) = verifying(&before, inventory).filter(|_id| nothing) {
            return Ok(applied(Some(running)));
        }
        if !nothing {
            self.admit_declaration(&before, &draft)?;
            let found = draft.found.iter().map(|(_device, profile, _version)| profile);
            self.record_found(inventory, found, by).await?;
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

    /// Devices are told apart by their names in a resource group, whatever fabric they are of.
    fn check_device_names(
        &self,
        before: &Fabric,
        inventory: &Inventory,
    ) -> Result<(), ServiceError> {
        for spec in &inventory.devices {
            let other = self.find_device(&before.device_id(&spec.name));
            if other.is_ok_and(|fabric| fabric != before.id) {
                return Err(ServiceError::NameTaken { device: spec.name.clone() });
            }
        }
        Ok(())
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
        // From here on the new one keeps what is left of it.
        self.deleted.write().unwrap_or_else(PoisonError::into_inner).remove(&fabric.id);
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
        while !self.try_to_write(keeper, inventory, draft, at).await? {
            tracing::info!(fabric = %inventory.fabric.id.name(), "rotated meanwhile, once more");
        }
        Ok(())
    }

    /// Tells whether it was written: a rotation may have taken the set's number meanwhile.
    async fn try_to_write(
        &self,
        keeper: &Keeper,
        inventory: &Inventory,
        draft: &Draft<'_>,
        at: Timestamp,
    ) -> Result<bool, ServiceError> {
        let operation = OperationId(uuid::Uuid::new_v4());
        let told = draft.told.iter().map(|told| (told.device.clone(), told.profile.clone()));
        let found = draft.found.iter();
        let found = found.map(|(device, profile, _version)| (device.clone(), profile.clone()));
        let adopted: Vec<(ResourceName, ProfileName)> = told.chain(found).collect();
        // Nobody else adopts meanwhile: the caller holds `declaring`.
        let (set, record, older_names) = keeper.journal.read(|fabric| {
            let older_names = match adopts_older(fabric, inventory) {
                true => inventory.fabric.older_names.clone(),
                false => BTreeMap::new(),
            };
            let set = adopting_set(fabric, &adopted, &older_names);
            (set, fabric.sets.get(&set).cloned(), older_names)
        });
        let names = older_names.clone();
        let (shared, own) = self.store_told(operation, draft, record).await?;
        let mut events = vec![Event::FabricDeclared { spec: inventory.fabric.clone(), at }];
        if !draft.told.is_empty() || !draft.found.is_empty() {
            let origin = Origin::Adopted;
            events.push(Event::SetStored { set, operation, origin, shared, own, older_names });
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
        let (replaced, moved) = (draft.replaced.clone(), draft.moved.clone());
        let policy = self.parts.policy;
        let decide = move |fabric: &Fabric| {
            // An operation may have begun while the vault was written, or begun and ended.
            plan::guard::admit(fabric, &policy, &Request::Verify(BTreeSet::new()))
                .map_err(|refusal| ServiceError::Refused { refusal })?;
            if adopting_set(fabric, &adopted, &names) != set {
                return Ok((Vec::new(), false));
            }
            let mut entries: Vec<Entry> = events.into_iter().map(Entry::Durable).collect();
            entries.extend(adopt_again(fabric, &retold, &replaced, set, at));
            entries.extend(look_again(fabric, &moved, &retold, at));
            Ok::<_, ServiceError>((entries, true))
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
        for (device, profile, version) in &draft.found {
            own.entry(device.clone()).or_default().insert(profile.clone(), version.clone());
        }
        Ok((shared, own))
    }
}

fn adopting_set(
    fabric: &Fabric,
    adopted: &[(ResourceName, ProfileName)],
    older_names: &BTreeMap<ProfileName, OlderName>,
) -> PasswordSet {
    let secrets = adopted.iter().map(|(device, profile)| (device, profile));
    fabric.adopting_set(secrets, older_names)
}

type SharedVersions = BTreeMap<ProfileName, SecretVersion>;
type OwnVersions = BTreeMap<ResourceName, BTreeMap<ProfileName, SecretVersion>>;

/// Returns the operation that verifies all devices of an inventory just now, if there is one.
fn verifying(fabric: &Fabric, inventory: &Inventory) -> Option<OperationId> {
    let running = fabric.running_operation()?;
    let is_in = |spec: &DeviceSpec| running.waves.iter().flatten().any(|name| *name == spec.name);
    let all = !inventory.devices.is_empty() && inventory.devices.iter().all(is_in);
    (running.kind == OperationKind::Verify && all).then_some(running.id)
}

/// What was proven of a device that is reached in another way now may have been another device's:
/// it is asked again.
fn look_again(
    fabric: &Fabric,
    moved: &BTreeSet<ResourceName>,
    retold: &[(ResourceName, ProfileName)],
    at: Timestamp,
) -> Vec<Entry> {
    let entries = moved.iter().filter_map(|name| {
        let device = fabric.devices.get(name)?;
        let is_told = |profile: &ProfileName| {
            retold.iter().any(|(device, told)| device == name && told == profile)
        };
        let profiles = device.secrets.keys().filter(|profile| !is_told(profile));
        let events: Vec<_> =
            profiles.map(|profile| (profile.clone(), credential::Event::Rebooted)).collect();
        Some(crate::execute::durable(device, name, &events, None, at))
    });
    entries.flatten().map(Entry::Durable).collect()
}

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
