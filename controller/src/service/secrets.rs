//! The vault's secrets for whoever asks through an edge of their own: with the rules that keep what
//! a device needs from being taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::id::{FabricId, PasswordSet, ProfileName, ResourceName, SecretVersion};

use super::reveal::shown;
use super::{Service, ServiceError};
use crate::auditor::Auditor;
use crate::model::Fabric;
use crate::naming::SecretName;
use crate::plan::retention::Stay;
use crate::plan::standing;
use crate::vault::secrets::{Change, Deleted, Described, Page, Properties, SecretValue, Secrets};
use crate::vault::{Label, VaultError};

/// How many deleted secrets are looked at at once when their time is over.
const SWEEP: usize = 100;

/// Where secrets are handed out and taken in.
#[derive(Clone, Debug)]
pub struct Desk {
    service: Arc<Service>,
    secrets: Arc<dyn Secrets>,
}

/// What a version of a secret opens now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The fabric of the devices.
    pub fabric: FabricId,
    /// The profile whose password it is.
    pub profile: ProfileName,
    /// The password set that it belongs to.
    pub set: PasswordSet,
    /// The devices that it opens, in their order.
    pub opens: Vec<ResourceName>,
    /// The devices that it may open: what they have is not known now.
    pub may_open: Vec<ResourceName>,
}

impl Desk {
    /// Opens a desk before a vault, for the fabrics of a service.
    #[must_use]
    pub fn new(service: Arc<Service>, secrets: Arc<dyn Secrets>) -> Self {
        Self { service, secrets }
    }

    /// Returns the record of who did what.
    #[must_use]
    pub fn auditor(&self) -> &Auditor {
        self.service.auditor()
    }

    /// Returns the base URI of the secrets, without a slash at its end.
    #[must_use]
    pub fn uri(&self) -> String {
        self.service.parts.vault.uri()
    }

    /// Returns the fabric for whose devices versions of a secret were made, if it is there.
    ///
    /// # Errors
    /// Returns [`ServiceError::Vault`].
    pub async fn owner(&self, name: &SecretName) -> Result<Option<FabricId>, ServiceError> {
        let versions = self.secrets.all_versions(name).await.map_err(failed)?;
        Ok(versions.iter().find_map(|version| self.fabric_of(version)))
    }

    /// Returns the fabric that refers to a version, whoever has set it: one may have been adopted.
    fn fabric_of(&self, one: &Described) -> Option<FabricId> {
        let knows = |fabric: &Fabric| {
            fabric.eras().any(|era| !era.values_at(&one.name, &one.version).is_empty())
        };
        let ids = self.service.fabrics();
        ids.into_iter().find(|id| self.service.read(id, knows).unwrap_or(false))
    }

    /// Returns which version of a secret opens which devices now, as [`Service::reveal`] has it.
    #[must_use]
    pub fn openings(&self, name: &SecretName) -> BTreeMap<SecretVersion, Opening> {
        let mut found = BTreeMap::new();
        for id in self.service.fabrics() {
            // A fabric that was deleted meanwhile has no devices.
            let all = |_profile: &ProfileName| true;
            let add = |fabric: &Fabric| add_openings(fabric, name, all, &mut found);
            let _gone = self.service.read(&id, add);
        }
        found
    }

    /// Returns what one version opens; nothing for one that no fabric refers to.
    #[must_use]
    pub fn openings_of(&self, described: &Described) -> BTreeMap<SecretVersion, Opening> {
        let mut found = BTreeMap::new();
        for id in self.service.fabrics() {
            let _gone = self.service.read(&id, |fabric| {
                // Of a large fabric most secrets are not looked at: this is asked with every value.
                let values = fabric.values_at(&described.name, &described.version);
                let profiles: BTreeSet<ProfileName> =
                    values.into_iter().map(|value| value.profile).collect();
                if !profiles.is_empty() {
                    let is_one = |profile: &ProfileName| profiles.contains(profile);
                    add_openings(fabric, &described.name, is_one, &mut found);
                }
            });
        }
        found
    }

    /// Returns what the versions of a secret are to it, as far as they are of devices.
    #[must_use]
    pub fn labels(&self, name: &SecretName) -> BTreeMap<SecretVersion, Label> {
        let of = |fabric: &Fabric| standing::of_name(fabric, name);
        let ids = self.service.fabrics().into_iter();
        // A fabric that was deleted meanwhile has no devices.
        let found = ids.filter_map(|id| self.service.read(&id, of).ok());
        found.flatten().map(|(version, standing)| (version, standing.into())).collect()
    }

    /// Returns what one version is; nothing for one that no fabric refers to.
    #[must_use]
    pub fn label_of(&self, described: &Described) -> Option<Label> {
        let fabric = self.fabric_of(described)?;
        let of = |fabric: &Fabric| standing::of_name(fabric, &described.name);
        let found = self.service.read(&fabric, of).ok()?;
        let mut found = found.into_iter().filter(|(version, _)| *version == described.version);
        found.next().map(|(_version, standing)| standing.into())
    }

    /// Sets a secret.
    ///
    /// # Errors
    /// Returns [`ServiceError::SecretOfDevices`], or as [`Secrets::set`].
    pub async fn set(
        &self,
        name: &SecretName,
        value: SecretValue,
        properties: Properties,
    ) -> Result<Described, ServiceError> {
        let versions = self.secrets.all_versions(name).await.map_err(failed)?;
        if versions.iter().any(|version| !version.tag.is_of_client()) {
            return Err(ServiceError::SecretOfDevices { name: name.clone() });
        }
        self.secrets.set(name, value, properties).await.map_err(failed)
    }

    /// Opens a version of a secret, or the newest one.
    ///
    /// # Errors
    /// As [`Secrets::open_secret`].
    pub async fn open(
        &self,
        name: &SecretName,
        version: Option<&SecretVersion>,
    ) -> Result<(Described, SecretValue), ServiceError> {
        self.secrets.open_secret(name, version).await.map_err(failed)
    }

    /// Changes the properties of a version, or of the newest one.
    ///
    /// # Errors
    /// Returns [`ServiceError::SecretInUse`] or [`ServiceError::SecretUnsettled`] for a version that
    /// would be disabled, or as [`Secrets::change`].
    pub async fn change(
        &self,
        name: &SecretName,
        version: Option<&SecretVersion>,
        change: Change,
    ) -> Result<Described, ServiceError> {
        if change.enabled != Some(false) {
            return self.secrets.change(name, version, change).await.map_err(failed);
        }
        let all = self.secrets.all_versions(name).await.map_err(failed)?;
        let one = match version {
            Some(version) => all.iter().find(|one| one.version == *version),
            None => all.last(),
        };
        // What was looked at is what is changed, whatever has become the newest one meanwhile.
        let version = one.map(|one| one.version.clone()).or_else(|| version.cloned());
        let was_enabled = one.is_some_and(|one| one.properties.enabled);
        self.check_free(one.into_iter(), Taken::Away)?;
        let changed = self.secrets.change(name, version.as_ref(), change).await.map_err(failed)?;
        // A fabric may have come to need it in between; it finds out that it has it again.
        if let Err(needed) = self.check_free([&changed].into_iter(), Taken::Away) {
            let back = Change { enabled: Some(was_enabled), ..Change::default() };
            self.secrets.change(name, version.as_ref(), back).await.map_err(failed)?;
            return Err(needed);
        }
        Ok(changed)
    }

    /// Lists the secrets by their newest versions: see [`Secrets::list`].
    ///
    /// # Errors
    /// As [`Secrets::list`].
    pub async fn list(
        &self,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page<Described>, ServiceError> {
        self.secrets.list(after, count).await.map_err(failed)
    }

    /// Lists the versions of a secret: see [`Secrets::list_versions`].
    ///
    /// # Errors
    /// As [`Secrets::list_versions`].
    pub async fn list_versions(
        &self,
        name: &SecretName,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page<Described>, ServiceError> {
        self.secrets.list_versions(name, after, count).await.map_err(failed)
    }

    /// Deletes a secret, to be recovered within `retention` seconds.
    ///
    /// # Errors
    /// Returns [`ServiceError::SecretInUse`], [`ServiceError::SecretUnsettled`] or
    /// [`ServiceError::Rollback`], or as [`Secrets::delete`].
    pub async fn delete(&self, name: &SecretName, retention: u64) -> Result<Deleted, ServiceError> {
        self.check_all_free(name, Taken::Away).await?;
        let deleted = self.secrets.delete(name, retention).await.map_err(failed)?;
        // A rotation may have stored a version in between; it is taken back before it is missed.
        if let Err(needed) = self.check_all_free(name, Taken::Away).await {
            self.secrets.recover(name).await.map_err(failed)?;
            return Err(needed);
        }
        Ok(deleted)
    }

    /// Returns a deleted secret.
    ///
    /// # Errors
    /// As [`Secrets::deleted`].
    pub async fn deleted(&self, name: &SecretName) -> Result<Deleted, ServiceError> {
        self.secrets.deleted(name).await.map_err(failed)
    }

    /// Lists the deleted secrets: see [`Secrets::list_deleted`].
    ///
    /// # Errors
    /// As [`Secrets::list_deleted`].
    pub async fn list_deleted(
        &self,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page<Deleted>, ServiceError> {
        self.secrets.list_deleted(after, count).await.map_err(failed)
    }

    /// Takes a deletion back.
    ///
    /// # Errors
    /// As [`Secrets::recover`].
    pub async fn recover(&self, name: &SecretName) -> Result<Described, ServiceError> {
        self.secrets.recover(name).await.map_err(failed)
    }

    /// Purges a deleted secret.
    ///
    /// No version that a rotation makes meanwhile goes with it: nothing is stored under a deleted
    /// name, and what was stored before the deletion is looked at here.
    ///
    /// # Errors
    /// Returns [`ServiceError::SecretInUse`], [`ServiceError::SecretUnsettled`] or
    /// [`ServiceError::Rollback`], or as [`Secrets::purge_deleted`].
    pub async fn purge(&self, name: &SecretName) -> Result<(), ServiceError> {
        self.secrets.deleted(name).await.map_err(failed)?;
        self.check_all_free(name, Taken::ForEver).await?;
        self.secrets.purge_deleted(name).await.map_err(failed)
    }

    /// Seals a secret with all its versions.
    ///
    /// # Errors
    /// As [`Secrets::back_up`].
    pub async fn back_up(&self, name: &SecretName) -> Result<Vec<u8>, ServiceError> {
        self.secrets.back_up(name).await.map_err(failed)
    }

    /// Returns whose backup this is.
    ///
    /// # Errors
    /// As [`Secrets::name_of_backup`].
    pub async fn name_of_backup(&self, sealed: &[u8]) -> Result<SecretName, ServiceError> {
        self.secrets.name_of_backup(sealed).await.map_err(failed)
    }

    /// Brings a secret back from its backup.
    ///
    /// # Errors
    /// As [`Secrets::restore`].
    pub async fn restore(&self, sealed: &[u8]) -> Result<Described, ServiceError> {
        self.secrets.restore(sealed).await.map_err(failed)
    }

    /// Purges the deleted secrets whose time is over at `now`, in seconds since 1970; what devices
    /// need stays. Returns how many have gone.
    ///
    /// # Errors
    /// Returns [`ServiceError::Vault`]; the rest waits for the next time.
    pub async fn sweep(&self, now: u64) -> Result<usize, ServiceError> {
        let (mut gone, mut after) = (0, None);
        loop {
            let page = self.list_deleted(after.as_deref(), SWEEP).await?;
            for deleted in page.items.into_iter().filter(|deleted| deleted.purge_at <= now) {
                let name = deleted.newest.name;
                match self.purge(&name).await {
                    Ok(()) => gone += 1,
                    Err(ServiceError::Vault { source }) => return Err(failed(source)),
                    Err(error) => tracing::warn!(secret = name.as_str(), %error, "is kept"),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(gone);
            }
        }
    }

    async fn check_all_free(&self, name: &SecretName, taken: Taken) -> Result<(), ServiceError> {
        let all = self.secrets.all_versions(name).await.map_err(failed)?;
        self.check_free(all.iter(), taken)
    }

    /// Checks that no fabric needs any of these versions, whoever has set them.
    fn check_free<'v>(
        &self,
        versions: impl Iterator<Item = &'v Described>,
        taken: Taken,
    ) -> Result<(), ServiceError> {
        let stays =
            |version: &'v Described| (version, self.service.stays(&version.name, &version.version));
        let asked: Vec<(&Described, Option<Vec<Stay>>)> = versions.map(stays).collect();
        let is_ours = |(version, stays): &(&Described, Option<Vec<Stay>>)| {
            stays.is_some() || !version.tag.is_of_client()
        };
        if asked.iter().any(is_ours) {
            self.service.check_newest()?;
        }
        let (mut holders, mut others, mut unsettled) = (Vec::new(), Vec::new(), None);
        let mut name = None;
        for (version, stays) in asked {
            name.get_or_insert(&version.name);
            match stays {
                Some(stays) => stays.into_iter().for_each(|stay| match stay {
                    Stay::Held(holder) => holders.push(holder),
                    stay if stay.is_precaution() && taken == Taken::Away => {}
                    stay => others.push(stay),
                }),
                None if version.tag.is_of_client() => {}
                None => unsettled = Some(version.name.clone()),
            }
        }
        let Some(name) = name.cloned() else { return Ok(()) };
        match (holders.is_empty(), others.is_empty(), unsettled) {
            (false, ..) => Err(ServiceError::SecretInUse { name, holders }),
            (_, false, _) => Err(ServiceError::SecretKept { name, stays: others }),
            (.., Some(name)) => Err(ServiceError::SecretUnsettled { name }),
            (true, true, None) => Ok(()),
        }
    }
}

/// How a version is taken from those who may need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It can be brought back.
    Away,
    /// It is gone for ever: retention counts too.
    ForEver,
}

fn failed(source: VaultError) -> ServiceError {
    ServiceError::Vault { source }
}

fn add_openings(
    fabric: &Fabric,
    name: &SecretName,
    is_wanted: impl Fn(&ProfileName) -> bool,
    found: &mut BTreeMap<SecretVersion, Opening>,
) {
    let secrets = fabric.devices.iter().flat_map(|(device, known)| {
        known.secrets.iter().map(move |(profile, secret)| (device, profile, secret))
    });
    for (device, profile, secret) in secrets.filter(|(_device, profile, _)| is_wanted(profile)) {
        let sets = shown(&secret.credential);
        let is_certain = sets.len() == 1 && secret.credential.current.is_some();
        for set in sets {
            let Some((of, version)) = fabric.located(device, profile, set) else { continue };
            if of != *name {
                continue;
            }
            let opening = found.entry(version).or_insert_with(|| Opening {
                fabric: fabric.id.clone(),
                profile: profile.clone(),
                set,
                opens: Vec::new(),
                may_open: Vec::new(),
            });
            match is_certain {
                true => opening.opens.push(device.clone()),
                false => opening.may_open.push(device.clone()),
            }
        }
    }
}
