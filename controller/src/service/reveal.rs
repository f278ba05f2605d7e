//! Says what opens a device now, and how that is known.

use std::io::Write;
use std::sync::Arc;

use protocol::credential::{Credential, Label};
use protocol::id::{DeviceId, FabricId, PasswordSet, ProfileName, ResourceName, SecretVersion};
use protocol::password::Password;
use protocol::status::SynchronizationStatus;

use super::{Service, ServiceError};
use crate::age::Recipient;
use crate::execute::Values;
use crate::model::{Device, Evidence, Fabric, Located, Proof, Secret};
use crate::naming::SecretName;
use crate::vault::{Backup, VaultError};

/// Where a secret's value is: what the API calls the secret archive reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveReference {
    /// The full URL of the secret version.
    pub key_vault_uri: String,
    /// The vault's ARM id.
    pub key_vault_id: String,
    /// The secret's name.
    pub secret_name: SecretName,
    /// The version.
    pub secret_version: SecretVersion,
}

/// What opens a device as one user.
#[derive(Debug)]
pub struct Revealed {
    /// The device.
    pub device: DeviceId,
    /// The user profile.
    pub profile: ProfileName,
    /// The account's name on the device.
    pub user: String,
    /// The password that worked last, or while none has been proven the likeliest.
    pub value: Password,
    /// Where that value is.
    pub reference: ArchiveReference,
    /// The public status.
    pub status: SynchronizationStatus,
    /// The last proof.
    pub last_proven: Option<Proof>,
    /// Every password that may open the device, the likeliest first. More than one only while the
    /// outcome of a change is unknown.
    pub candidates: Vec<Candidate>,
    /// Versions that may open it, too, and that cannot be read.
    pub missing: Vec<Missing>,
}

/// A password that may open a device.
#[derive(Debug)]
pub struct Candidate {
    /// The password.
    pub value: Password,
    /// Its secret's name in the vault.
    pub name: SecretName,
    /// Its version in the vault.
    pub version: SecretVersion,
    /// Its password set.
    pub set: PasswordSet,
    /// Why it may be the one.
    pub evidence: String,
}

/// A version that may open a device, and that cannot be read.
#[derive(Debug)]
pub struct Missing {
    /// Its version in the vault.
    pub version: SecretVersion,
    /// Its password set.
    pub set: PasswordSet,
    /// Why it may be the one.
    pub evidence: String,
    /// Why it cannot be read.
    pub reason: VaultError,
}

impl Service {
    /// Reveals what opens `device` as `user` (the account's name, or the profile's) now.
    ///
    /// # Errors
    /// Returns [`ServiceError::NotFound`], or that the vault does not open.
    pub async fn reveal(&self, device: &DeviceId, user: &str) -> Result<Revealed, ServiceError> {
        let fabric = self.find_device(device)?;
        let name = device.name();
        let not_found =
            || ServiceError::NotFound { what: "secret", id: format!("{user} on {name}") };
        let (profile, secret, wanted) = self
            .read(&fabric, |fabric| {
                let (profile, secret) = find(fabric, name, user)?;
                let sets = shown(&secret.credential);
                let located =
                    |set: &PasswordSet| Some((*set, fabric.located(name, profile, *set)?));
                let wanted: Vec<_> = sets.iter().filter_map(located).collect();
                Some((profile.clone(), secret.clone(), wanted))
            })?
            .ok_or_else(not_found)?;
        let opened = self.opened(device.clone(), profile, secret, wanted).await?;
        let mut revealed = opened.ok_or_else(not_found)?;
        let ArchiveReference { secret_name: name, secret_version: version, .. } =
            revealed.reference.clone();
        revealed.reference =
            self.read(&fabric, |fabric| self.archive_of(fabric, &name, &version))?;
        Ok(revealed)
    }

    /// Reveals what may open the hardware of a device that was deleted or replaced in a fabric, or in
    /// a deleted one of that name. Of several of its name it is the one that went last.
    ///
    /// # Errors
    /// As [`Service::reveal`].
    pub async fn reveal_gone(
        &self,
        fabric: &FabricId,
        device: &ResourceName,
        user: &str,
    ) -> Result<Revealed, ServiceError> {
        let not_found = || ServiceError::NotFound {
            what: "deleted or replaced device",
            id: format!("{user} on {device}"),
        };
        let keeper = self.any_keeper(fabric)?;
        let found = keeper.journal.read(|fabric| {
            let all = fabric.eras().flat_map(|era| era.gone.iter().map(move |gone| (era, gone)));
            let named = all.filter(|(_era, gone)| gone.device.spec.name == *device);
            let last = named.filter_map(|(era, gone)| {
                let (profile, secret) = find_in(&gone.device, user)?;
                let sets = shown(&secret.credential);
                let located = |set: &PasswordSet| {
                    Some((*set, era.place(device, profile, &secret.name, *set)?))
                };
                let wanted: Vec<_> = sets.iter().filter_map(located).collect();
                Some((gone.at, (profile.clone(), secret.clone(), wanted)))
            });
            last.max_by_key(|(at, _found)| *at).map(|(_at, found)| found)
        });
        let (profile, secret, wanted) = found.ok_or_else(not_found)?;
        let id = fabric.device(device);
        self.opened(id, profile, secret, wanted).await?.ok_or_else(not_found)
    }

    /// Opens the candidates of a secret; none if there are none. One that is lost hides no other.
    async fn opened(
        &self,
        device: DeviceId,
        profile: ProfileName,
        secret: Secret,
        wanted: Vec<(PasswordSet, Located)>,
    ) -> Result<Option<Revealed>, ServiceError> {
        let items: Vec<Located> = wanted.iter().map(|(_set, located)| located.clone()).collect();
        let values = Values::new(Arc::clone(&self.parts.vault))
            .open(&items)
            .await
            .map_err(|source| ServiceError::Vault { source })?;
        let (mut candidates, mut missing) = (Vec::new(), Vec::new());
        for ((set, (name, version)), value) in wanted.into_iter().zip(values) {
            let evidence = evidence(&secret, set);
            match value {
                Ok(value) => {
                    let value = value.duplicate();
                    candidates.push(Candidate { value, name, version, set, evidence });
                }
                Err(reason) => missing.push(Missing { version, set, evidence, reason }),
            }
        }
        let current = secret.credential.current;
        let chosen = candidates.iter().find(|candidate| Some(candidate.set) == current);
        let Some(chosen) = chosen.or(candidates.first()) else {
            let lost = missing.into_iter().next();
            return lost.map_or(Ok(None), |lost| Err(ServiceError::Vault { source: lost.reason }));
        };
        let value = chosen.value.duplicate();
        Ok(Some(Revealed {
            device,
            reference: self.archive(&chosen.name, &chosen.version),
            profile,
            user: secret.user.to_string(),
            value,
            status: secret.credential.status(),
            last_proven: secret.proof,
            candidates,
            missing,
        }))
    }

    /// Writes a backup of the whole vault into `to`, sealed to `recipients`.
    ///
    /// # Errors
    /// Returns [`ServiceError::Vault`]; what was written by then does not open.
    pub async fn back_up_vault(
        &self,
        recipients: Vec<Recipient>,
        to: Box<dyn Write + Send>,
    ) -> Result<Backup, ServiceError> {
        let made = self.parts.vault.back_up_all(recipients, to).await;
        made.map_err(|source| ServiceError::Vault { source })
    }

    /// Returns where the value is that is configured on the device now: the version that worked
    /// last, or while none has been proven the likeliest.
    #[must_use]
    pub fn reference(
        &self,
        fabric: &Fabric,
        device: &ResourceName,
        profile: &ProfileName,
    ) -> Option<ArchiveReference> {
        let secret = fabric.devices.get(device)?.secrets.get(profile)?;
        let credential = &secret.credential;
        let set = credential.current.or_else(|| credential.candidates().first().copied())?;
        let (name, version) = fabric.located(device, profile, set)?;
        Some(self.archive_of(fabric, &name, &version))
    }

    /// Returns where customers find a value: in their own vault, once that has confirmed it.
    fn archive_of(
        &self,
        fabric: &Fabric,
        name: &SecretName,
        version: &SecretVersion,
    ) -> ArchiveReference {
        let copy = fabric.copy_of(version);
        let Some((copy, archive)) = copy.zip(fabric.spec.secret_archive.as_ref()) else {
            return self.archive(name, version);
        };
        let (base, version) = (&copy.vault_uri, &copy.version);
        ArchiveReference {
            key_vault_uri: format!("{base}/secrets/{}/{version}", name.as_str()),
            key_vault_id: archive.key_vault_id.clone().unwrap_or_else(|| base.clone()),
            secret_name: name.clone(),
            secret_version: version.clone(),
        }
    }

    fn archive(&self, name: &SecretName, version: &SecretVersion) -> ArchiveReference {
        let base = self.parts.vault.uri();
        let base = base.trim_end_matches('/');
        ArchiveReference {
            key_vault_uri: format!("{base}/secrets/{}/{version}", name.as_str()),
            key_vault_id: self.parts.vault.id(),
            secret_name: name.clone(),
            secret_version: version.clone(),
        }
    }
}

fn find<'f>(
    fabric: &'f Fabric,
    device: &ResourceName,
    user: &str,
) -> Option<(&'f ProfileName, &'f Secret)> {
    find_in(fabric.devices.get(device)?, user)
}

fn find_in<'d>(device: &'d Device, user: &str) -> Option<(&'d ProfileName, &'d Secret)> {
    let secrets = &device.secrets;
    let by_user = secrets.iter().find(|(_profile, secret)| *secret.user == *user);
    by_user.or_else(|| {
        secrets.iter().find(|(profile, _secret)| profile.as_str().eq_ignore_ascii_case(user))
    })
}

/// Returns the sets to show: the proven one alone, or while in doubt all that were not disproved.
pub(super) fn shown(credential: &Credential) -> Vec<PasswordSet> {
    let in_use: Vec<PasswordSet> = credential.in_use().collect();
    let mut sets = credential.candidates();
    sets.retain(|set| in_use.contains(set));
    sets
}

fn evidence(secret: &Secret, set: PasswordSet) -> String {
    let credential = &secret.credential;
    let proven = secret.proof.filter(|proof| proof.set == set).map(|proof| match proof.evidence {
        Evidence::Login => "worked in a fresh login",
        Evidence::ReadBack => "matched the hashes read back from the device",
    });
    let label = match credential.labels.get(&set) {
        Some(Label::Saved) => "last read in the startup configuration",
        Some(Label::Exposed) if proven.is_none() && credential.current.is_none() => {
            "told by an operator, not proven"
        }
        Some(Label::Exposed) if proven.is_none() => "sent to the device, outcome unknown",
        _ => "in the vault",
    };
    match proven {
        Some(proven) if credential.labels.get(&set) == Some(&Label::Saved) => {
            format!("{proven}; {label}")
        }
        Some(proven) => proven.to_owned(),
        None => label.to_owned(),
    }
}
