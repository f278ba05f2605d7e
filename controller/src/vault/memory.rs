//! A vault in memory, for tests: the same promises as a durable one, and faults on request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use protocol::id::SecretVersion;
use protocol::password::Password;

use super::{Clock, Tag, Vault, VaultError, VersionInfo, new_version};
use crate::disk::DiskError;
use crate::disk::faults::Faults;
use crate::naming::SecretName;

/// What a [`MemoryVault`] can be made to suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultFault {
    /// The vault is down: [`VaultError::Unreachable`], nothing changed.
    DownBefore,
    /// The vault does what it is asked, and the answer is lost: [`VaultError::Unreachable`].
    DownAfter,
    /// The vault takes no writes: [`DiskError::ReadOnly`]. Reading goes on.
    ReadOnly,
    /// The vault's disk is full: [`DiskError::Full`]. Reading goes on.
    Full,
}

/// A vault that lives as long as the last clone of its handle.
#[derive(Clone)]
pub struct MemoryVault {
    secrets: Arc<Mutex<Secrets>>,
    faults: Faults<VaultFault>,
    clock: Clock,
}

/// Versions, oldest first, by the secret's name in lower case.
type Secrets = BTreeMap<String, Vec<Record>>;

struct Record {
    info: VersionInfo,
    /// `None` once it is purged.
    value: Option<Password>,
}

impl MemoryVault {
    /// Makes an empty vault that takes times from `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { secrets: Arc::default(), faults: Faults::new(), clock }
    }

    /// Returns the switch for faults. It is shared by all clones.
    #[must_use]
    pub fn faults(&self) -> Faults<VaultFault> {
        self.faults.clone()
    }

    /// Returns how many values the vault holds, over all secrets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().values().flatten().filter(|record| record.value.is_some()).count()
    }

    /// Tells whether the vault holds no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether some version of some secret holds this value, enabled or not.
    #[must_use]
    pub fn holds(&self, value: &Password) -> bool {
        let secrets = self.lock();
        let mut values = secrets.values().flatten().filter_map(|record| record.value.as_ref());
        values.any(|held| held.matches(value))
    }

    /// Puts another value in the place of a version's, as nobody may who is no test.
    pub fn replace(&self, name: &SecretName, version: &SecretVersion, value: &Password) {
        if let Ok(record) = find_mut(&mut self.lock(), name, version) {
            record.value = Some(value.duplicate());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        act: impl FnOnce(&Secrets) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        match self.faults.strike() {
            Some(VaultFault::DownBefore | VaultFault::DownAfter) => Err(down()),
            Some(VaultFault::ReadOnly | VaultFault::Full) | None => act(&self.lock()),
        }
    }

    fn write<T>(
        &self,
        act: impl FnOnce(&mut Secrets) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let file = PathBuf::from("(memory)");
        match self.faults.strike() {
            Some(VaultFault::DownBefore) => Err(down()),
            Some(VaultFault::ReadOnly) => Err(DiskError::ReadOnly { file }.into()),
            Some(VaultFault::Full) => Err(DiskError::Full { file }.into()),
            Some(VaultFault::DownAfter) => {
                act(&mut self.lock())?;
                Err(down())
            }
            None => act(&mut self.lock()),
        }
    }
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryVault").field("faults", &self.faults).finish_non_exhaustive()
    }
}

fn down() -> VaultError {
    VaultError::Unreachable { reason: "a fault that a test switched on".to_owned() }
}

fn key(name: &SecretName) -> String {
    name.as_str().to_ascii_lowercase()
}

fn find<'a>(
    secrets: &'a Secrets,
    name: &SecretName,
    version: &SecretVersion,
) -> Result<&'a Record, VaultError> {
    secrets
        .get(&key(name))
        .and_then(|records| records.iter().find(|record| record.info.version == *version))
        .ok_or_else(|| VaultError::NotFound { name: name.clone(), version: version.clone() })
}

fn find_mut<'a>(
    secrets: &'a mut Secrets,
    name: &SecretName,
    version: &SecretVersion,
) -> Result<&'a mut Record, VaultError> {
    secrets
        .get_mut(&key(name))
        .and_then(|records| records.iter_mut().find(|record| record.info.version == *version))
        .ok_or_else(|| VaultError::NotFound { name: name.clone(), version: version.clone() })
}

fn open(
    secrets: &Secrets,
    name: &SecretName,
    version: &SecretVersion,
) -> Result<Password, VaultError> {
    let record = find(secrets, name, version)?;
    let (name, version) = (name.clone(), version.clone());
    match &record.value {
        None => Err(VaultError::Purged { name, version }),
        Some(_) if !record.info.enabled => Err(VaultError::Disabled { name, version }),
        Some(value) => Ok(value.duplicate()),
    }
}

/// Returns the version that was put under this name and tag before, if any.
fn put_before(
    secrets: &Secrets,
    name: &SecretName,
    tag: &Tag,
) -> Result<Option<SecretVersion>, VaultError> {
    let mut records = secrets.get(&key(name)).into_iter().flatten();
    match records.find(|record| record.info.tag == *tag) {
        None => Ok(None),
        Some(Record { info, value: Some(_) }) => Ok(Some(info.version.clone())),
        Some(Record { info, value: None }) => {
            Err(VaultError::Purged { name: name.clone(), version: info.version.clone() })
        }
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        let created = (self.clock)();
        self.write(|secrets| {
            // All refusals come before the first change.
            for (name, tag, _) in items {
                put_before(secrets, name, tag)?;
            }
            let mut versions = Vec::with_capacity(items.len());
            for (name, tag, value) in items {
                if let Some(version) = put_before(secrets, name, tag)? {
                    versions.push(version);
                    continue;
                }
                let version = new_version();
                let info = VersionInfo {
                    version: version.clone(),
                    created,
                    enabled: true,
                    tag: tag.clone(),
                };
                let record = Record { info, value: Some(value.duplicate()) };
                secrets.entry(key(name)).or_default().push(record);
                versions.push(version);
            }
            Ok(versions)
        })
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        self.read(|secrets| {
            items.iter().map(|(name, version)| open(secrets, name, version)).collect()
        })
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        self.read(|secrets| {
            let records = secrets.get(&key(name)).into_iter().flatten();
            Ok(records
                .filter(|record| record.value.is_some())
                .map(|record| record.info.clone())
                .collect())
        })
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.write(|secrets| {
            let record = find_mut(secrets, name, version)?;
            if record.value.is_none() {
                return Err(VaultError::Purged { name: name.clone(), version: version.clone() });
            }
            record.info.enabled = false;
            Ok(())
        })
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.write(|secrets| {
            find_mut(secrets, name, version)?.value = None;
            Ok(())
        })
    }

    fn uri(&self) -> String {
        "https://memory.vault.invalid".to_owned()
    }

    fn id(&self) -> String {
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/keyturn/providers/\
         Microsoft.KeyVault/vaults/memory"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    fn vault() -> MemoryVault {
        MemoryVault::new(contract::clock())
    }

    #[tokio::test]
    async fn the_memory_vault_keeps_the_contract() {
        contract::contract(async || vault()).await;
    }

    #[tokio::test]
    async fn a_lost_answer_is_settled_by_asking_again_with_the_same_tag() {
        let name = SecretName::for_tests("lab-east-admin");
        let (tag, value) = (Tag::new("op-1"), contract::password("Canary-1"));
        for (fault, stored) in [(VaultFault::DownBefore, 0), (VaultFault::DownAfter, 1)] {
            let vault = vault();
            vault.faults().once(0, fault);
            let error = vault.put(&name, &tag, &value).await.unwrap_err();
            assert!(error.is_outcome_unknown(), "{error}");
            assert_eq!(vault.len(), stored, "{fault:?}");
            let version = vault.put(&name, &tag, &value).await.unwrap();
            assert_eq!(vault.len(), 1);
            assert!(vault.get(&name, &version).await.unwrap().matches(&value));
        }
    }

    #[tokio::test]
    async fn a_full_or_read_only_vault_still_reads() {
        let name = SecretName::for_tests("lab-east-admin");
        let (first, second) = (contract::password("Canary-1"), contract::password("Canary-2"));
        for fault in [VaultFault::Full, VaultFault::ReadOnly] {
            let vault = vault();
            let version = vault.put(&name, &Tag::new("1"), &first).await.unwrap();
            vault.faults().set(fault);
            let error = vault.put(&name, &Tag::new("2"), &second).await.unwrap_err();
            assert!(!error.is_outcome_unknown(), "{error}");
            assert!(vault.get(&name, &version).await.unwrap().matches(&first));
            assert!(vault.holds(&first) && !vault.holds(&second));
        }
    }
}
