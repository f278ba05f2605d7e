//! Declaring a fabric or a device by itself, as the API does: through the same checks and the same
//! adoption as a whole inventory, beside what was declared before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::id::{FabricId, OperationId};
use protocol::password::Password;
use protocol::status::DeviceRole;

use super::{Applied, Declarer, Keeper, Service, ServiceError};
use crate::execute::Values;
use crate::inventory::{
    ArchiveChange, CurrentPasswords, DeviceSpec, FabricSpec, Inventory, SecretArchive,
};
use crate::journal::Entry;
use crate::model::{Event, Fabric, Origin};
use crate::naming;
use crate::plan::{self, Request};
use crate::template::{Scope, UserProfile};
use crate::vault::Tag;

/// The account of a fabric's terminal servers, and the password that it has now.
#[derive(Debug)]
pub struct Login {
    /// The account's name.
    pub user: String,
    /// Its password.
    pub password: Password,
}

impl Service {
    /// Declares a fabric, and takes the password of its terminal servers where one is told: as the
    /// current one of those that are declared, else it waits in the vault for the first of them.
    /// The same twice changes nothing.
    ///
    /// # Errors
    /// Returns [`ServiceError`]; nothing was changed then, but for values in the vault that nothing
    /// refers to.
    pub async fn declare_fabric(
        &self,
        spec: FabricSpec,
        login: Option<Login>,
    ) -> Result<Applied, ServiceError> {
        let _alone = {
            let known = || self.read(&spec.id, |fabric| fabric.spec.secret_archive.clone());
            let archive = || known().unwrap_or_else(|_none| spec.secret_archive.clone());
            self.alone_with_archive(&spec.id, archive).await?
        };
        // Older names come with whole inventories, and what is this fabric's already needs no right.
        let by = Declarer::of_some("keyturn", &|_name| false);
        let id = spec.id.clone();
        // What is known of it may have changed since the caller looked.
        let spec = self.read(&id, |fabric| fabric.spec.clone()).unwrap_or(spec);
        let fabric = Inventory {
            fabric: spec,
            devices: Vec::new(),
            passwords: None,
            passwords_reference: None,
        };
        fabric
            .check(Some(&self.platforms()))
            .map_err(|source| ServiceError::Inventory { source })?;
        let Some(login) = login else {
            return self.adopt(&fabric, &CurrentPasswords::default(), &by).await;
        };
        let profile = self.shared_by_terminal_servers(&fabric.fabric, &login.user)?;
        let is_server = |spec: &DeviceSpec| spec.role == DeviceRole::TS;
        let mut devices = self.specs(&id).unwrap_or_default();
        devices.retain(is_server);
        if !devices.is_empty() {
            let passwords = CurrentPasswords::of_profile(profile.name.clone(), login.password);
            return self.adopt(&Inventory { devices, ..fabric }, &passwords, &by).await;
        }
        let applied = self.adopt(&fabric, &CurrentPasswords::default(), &by).await?;
        self.keep_for_later(&self.keeper(&id)?, profile, login.password).await?;
        Ok(applied)
    }

    /// Declares one device of a fabric anew, beside the others, and verifies it unless it is
    /// proven.
    ///
    /// # Errors
    /// Returns [`ServiceError`]; nothing was changed then, but for values in the vault that nothing
    /// refers to.
    pub async fn declare_device(
        &self,
        fabric: &FabricId,
        spec: DeviceSpec,
        passwords: BTreeMap<String, Password>,
        by: &Declarer<'_>,
    ) -> Result<Applied, ServiceError> {
        let objected = |source| ServiceError::Inventory { source };
        let _alone = self.declaring.lock().await;
        let flags = self.read(fabric, |fabric| fabric.spec.feature_flags.clone())?;
        let applicable = self.parts.template.applicable(spec.role, &flags);
        let known: Vec<&str> = applicable.map(|profile| profile.name.as_str()).collect();
        let passwords =
            CurrentPasswords::of_device(&spec.name, passwords, &known).map_err(objected)?;
        let mut devices = self.specs(fabric)?;
        devices.retain(|other| other.name != spec.name);
        devices.push(spec.clone());
        let declared = self.read(fabric, |fabric| fabric.spec.clone())?;
        let whole =
            Inventory { fabric: declared, devices, passwords: None, passwords_reference: None };
        let checked = whole.check_last(Some(&self.platforms()));
        checked.map_err(|objection| objected(objection.alone()))?;
        self.adopt(&Inventory { devices: vec![spec], ..whole }, &passwords, by).await
    }

    /// Changes which vault of the customer's the secrets of a fabric are copied to, from the next
    /// rotation on. A vault that was not used so before is tried out first. The same twice changes
    /// nothing.
    ///
    /// # Errors
    /// Returns [`ServiceError::Inventory`] for what names no vault, [`ServiceError::Archive`] for one
    /// that does not take secrets, and [`ServiceError::Refused`] while an operation runs; nothing was
    /// changed then.
    pub async fn declare_archive(
        &self,
        fabric: &FabricId,
        change: &ArchiveChange,
    ) -> Result<(), ServiceError> {
        let policy = self.parts.policy;
        let admit = move |fabric: &Fabric| {
            plan::guard::admit(fabric, &policy, &Request::Verify(BTreeSet::new()))
                .map_err(|refusal| ServiceError::Refused { refusal })
        };
        let changed = |before: Option<&SecretArchive>| {
            change.apply(before).map_err(|source| ServiceError::Inventory { source })
        };
        let keeper = self.keeper(fabric)?;
        let known = || keeper.journal.read(|fabric| fabric.spec.secret_archive.clone());
        if changed(known().as_ref())? == known() {
            return Ok(());
        }
        // Before anything is tried out, and once more when it is written.
        keeper.journal.read(admit)?;
        let wanted = || changed(known().as_ref()).ok().flatten();
        let _alone = self.alone_with_archive(fabric, wanted).await?;
        // It may have been deleted meanwhile.
        let keeper = self.keeper(fabric)?;
        let before = keeper.journal.read(|fabric| fabric.spec.clone());
        let archive = changed(before.secret_archive.as_ref())?;
        let spec = FabricSpec { secret_archive: archive, ..before };
        let (at, name) = ((self.parts.clock)(), fabric.name().clone());
        let decide = move |fabric: &Fabric| {
            admit(fabric)?;
            Ok((vec![Entry::Durable(Event::FabricDeclared { spec, at })], ()))
        };
        let written = keeper.journal.write(decide).await;
        written.map_err(|source| ServiceError::Journal { source })??;
        tracing::info!(fabric = %name, "the secret archive was declared anew");
        // What waits after a failure may go on another way now.
        self.retry_archive(fabric)
    }

    /// Returns the archive that was told over the API: an inventory that names none leaves it alone.
    pub(super) fn archive_over_api(&self, fabric: &FabricId) -> Option<SecretArchive> {
        let archive = self.read(fabric, |fabric| fabric.spec.secret_archive.clone());
        archive.ok().flatten().filter(|archive| archive.over_api.is_some())
    }

    fn specs(&self, fabric: &FabricId) -> Result<Vec<DeviceSpec>, ServiceError> {
        self.read(fabric, |fabric| {
            fabric.devices.values().map(|device| device.spec.clone()).collect()
        })
    }

    /// Returns the profile with this account whose password all terminal servers share: that of one
    /// server alone cannot be told without the server.
    fn shared_by_terminal_servers(
        &self,
        fabric: &FabricSpec,
        user: &str,
    ) -> Result<&UserProfile, ServiceError> {
        let shared = |profile: &&UserProfile| {
            profile.applies(DeviceRole::TS, &fabric.feature_flags) && profile.scope == Scope::Fabric
        };
        let profiles = || self.parts.template.profiles.iter().filter(shared);
        profiles().find(|profile| profile.user == user).ok_or_else(|| {
            let known = profiles().map(|profile| profile.user.clone()).collect();
            let user = user.chars().filter(|c| !c.is_control()).take(64).collect();
            ServiceError::UnknownUser { user, known }
        })
    }

    /// Stores a password for a device that will be declared later, unless it is stored already.
    async fn keep_for_later(
        &self,
        keeper: &Keeper,
        profile: &UserProfile,
        password: Password,
    ) -> Result<(), ServiceError> {
        let vault = |source| ServiceError::Vault { source };
        let fabric = keeper.journal.read(Clone::clone);
        let name = naming::name(&fabric.id, &profile.name, None);
        let known = fabric.foretold.get(&profile.name).and_then(|set| fabric.sets.get(set));
        if let Some(version) = known.and_then(|record| record.shared.get(&profile.name)) {
            let values = Values::new(Arc::clone(&self.parts.vault));
            let known = values.open(&[(name.clone(), version.clone())]).await.map_err(vault)?;
            if known.iter().flatten().any(|known| known.matches(&password)) {
                return Ok(());
            }
        }
        let operation = OperationId(uuid::Uuid::new_v4());
        let tag = Tag::new(&format!("{operation}/foretold"));
        let versions = self.parts.vault.put_all(&[(name, tag, &password)]).await.map_err(vault)?;
        let (policy, profile) = (self.parts.policy, profile.name.clone());
        let decide = move |fabric: &Fabric| {
            // While an operation runs, nothing may change under it.
            plan::guard::admit(fabric, &policy, &Request::Verify(BTreeSet::new()))
                .map_err(|refusal| ServiceError::Refused { refusal })?;
            let stored = versions.into_iter().map(|version| (profile.clone(), version)).collect();
            let (set, origin) = (fabric.next_set(), Origin::Adopted);
            let (shared, own) = (stored, BTreeMap::new());
            let stored = Event::SetStored {
                set,
                operation,
                origin,
                shared,
                own,
                older_names: BTreeMap::new(),
            };
            let events = [stored, Event::Foretold { profile, set }];
            Ok((events.into_iter().map(Entry::Durable).collect(), ()))
        };
        keeper.journal.write(decide).await.map_err(|source| ServiceError::Journal { source })?
    }
}
