//! A vault in memory, for tests: the same promises as a durable one, and faults on request.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use protocol::id::SecretVersion;
use protocol::password::Password;

use super::{Clock, Label, Tag, Vault, VaultError, VersionInfo, new_version};
use crate::disk::DiskError;
use crate::disk::faults::Faults;
use crate::key_vault::{KeyVaultError, Refusal};
use crate::naming::SecretName;

/// What a [`MemoryVault`] can be made to suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VaultFault {
    /// The vault is down: [`VaultError::Unreachable`], nothing changed.
    DownBefore,
    /// The vault does what it is asked, and the answer is lost: [`VaultError::Unreachable`].
    DownAfter,
    /// The vault takes no writes: [`DiskError::ReadOnly`]. Reading goes on.
    ReadOnly,
    /// The vault's disk is full: [`DiskError::Full`]. Reading goes on.
    Full,
    /// Nobody ever answers, and nothing changed.
    Silent,
    /// The vault does what it is asked, and answers after [`SLOW`].
    Slow,
    /// The vault has had too many requests: 429, nothing changed.
    Throttled,
    /// The token has expired, or is not valid yet by the vault's clock: 401, nothing changed.
    Expired,
    /// Of a set of values the first half is stored, then the vault has had too many requests; other
    /// writes as [`VaultFault::Throttled`]. Reading goes on.
    Half,
    /// The name belongs to a deleted secret: 409 for writes, and reads find nothing.
    SoftDeleted,
    /// A version that was there is not: reads find nothing. Writing goes on.
    Missing,
    /// The vault's clock is at its beginning: what is stored is of 1970.
    Skewed,
}

impl VaultFault {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::DownBefore,
        Self::DownAfter,
        Self::ReadOnly,
        Self::Full,
        Self::Silent,
        Self::Slow,
        Self::Throttled,
        Self::Expired,
        Self::Half,
        Self::SoftDeleted,
        Self::Missing,
        Self::Skewed,
    ];
}

/// How long a slow vault takes: longer than anybody waits for an answer to a read, and shorter than
/// for one to a set of values.
pub const SLOW: Duration = Duration::from_secs(300);

/// A vault that lives as long as the last clone of its handle.
#[derive(Clone)]
pub struct MemoryVault {
    secrets: Arc<Mutex<Secrets>>,
    faults: Faults<VaultFault>,
    clock: Clock,
    has_labels: bool,
}

/// Versions, oldest first, by the secret's name in lower case.
type Secrets = BTreeMap<String, Vec<Record>>;

struct Record {
    info: VersionInfo,
    /// `None` once it is purged.
    value: Option<Password>,
    label: Option<Label>,
}

impl MemoryVault {
    /// Makes an empty vault that takes times from `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { secrets: Arc::default(), faults: Faults::new(), clock, has_labels: false }
    }

    /// Makes it a vault whose versions have labels.
    #[must_use]
    pub fn with_labels(self) -> Self {
        Self { has_labels: true, ..self }
    }

    /// Returns the label of a version, if it has one.
    #[must_use]
    pub fn label_of(&self, name: &SecretName, version: &SecretVersion) -> Option<Label> {
        find(&self.lock(), name, version).ok()?.label
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

    /// Tells whether this version of this secret is there, enabled or not.
    #[must_use]
    pub fn has(&self, name: &SecretName, version: &SecretVersion) -> bool {
        find(&self.lock(), name, version).is_ok_and(|record| record.value.is_some())
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

    /// Suffers the next call's fault as far as that is a matter of time.
    async fn struck(&self) -> Option<VaultFault> {
        let fault = self.faults.strike();
        if fault == Some(VaultFault::Silent) {
            std::future::pending::<()>().await;
        }
        fault
    }

    async fn read<T>(
        &self,
        first: (&SecretName, Option<&SecretVersion>),
        act: impl FnOnce(&Secrets) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let fault = self.struck().await;
        let refused = match fault {
            Some(VaultFault::DownBefore | VaultFault::DownAfter) => Some(down()),
            Some(VaultFault::Throttled) => Some(refusal(429, "Throttled")),
            Some(VaultFault::Expired) => Some(refusal(401, "Unauthorized")),
            Some(VaultFault::SoftDeleted | VaultFault::Missing) => {
                let (name, version) = first;
                version.map(|version| VaultError::NotFound {
                    name: name.clone(),
                    version: version.clone(),
                })
            }
            _ => None,
        };
        let result = refused.map_or_else(|| act(&self.lock()), Err);
        self.answer(fault, result).await
    }

    async fn write<T>(
        &self,
        act: impl FnOnce(&mut Secrets, Option<VaultFault>) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let fault = self.struck().await;
        let file = PathBuf::from("(memory)");
        let refused = match fault {
            Some(VaultFault::DownBefore) => Some(down()),
            Some(VaultFault::ReadOnly) => Some(DiskError::ReadOnly { file }.into()),
            Some(VaultFault::Full) => Some(DiskError::Full { file }.into()),
            Some(VaultFault::Throttled) => Some(refusal(429, "Throttled")),
            Some(VaultFault::Expired) => Some(refusal(401, "Unauthorized")),
            Some(VaultFault::SoftDeleted) => Some(refusal(409, "ObjectIsDeletedButRecoverable")),
            _ => None,
        };
        let result = refused.map_or_else(|| act(&mut self.lock(), fault), Err);
        match fault {
            Some(VaultFault::DownAfter) => result.and_then(|_lost| Err(down())),
            _ => self.answer(fault, result).await,
        }
    }

    async fn answer<T>(
        &self,
        fault: Option<VaultFault>,
        result: Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        if fault == Some(VaultFault::Slow) {
            tokio::time::sleep(SLOW).await;
        }
        result
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

/// What Key Vault answers.
fn refused(status: u16, code: &str) -> KeyVaultError {
    KeyVaultError::Refused(Box::new(Refusal {
        is_of_key: false,
        doing: "use the vault".to_owned(),
        vault: "memory".to_owned(),
        status,
        code: code.to_owned(),
        inner: String::new(),
        message: "a fault that a test switched on".to_owned(),
    }))
}

fn refuse_half(fault: Option<VaultFault>) -> Result<(), VaultError> {
    match fault {
        Some(VaultFault::Half) => Err(refusal(429, "Throttled")),
        _ => Ok(()),
    }
}

fn refusal(status: u16, code: &str) -> VaultError {
    refused(status, code).into()
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
        Some(Record { info, value: Some(_), .. }) => Ok(Some(info.version.clone())),
        Some(Record { info, value: None, .. }) => {
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
        let now = (self.clock)();
        self.write(|secrets, fault| {
            // All refusals come before the first change.
            for (name, tag, _) in items {
                put_before(secrets, name, tag)?;
            }
            let (asked, half) = (items.len(), fault == Some(VaultFault::Half));
            let stored = if half { asked / 2 } else { asked };
            let created = if fault == Some(VaultFault::Skewed) { 0 } else { now };
            let mut versions = Vec::with_capacity(asked);
            for (name, tag, value) in items.iter().take(stored) {
                if let Some(version) = put_before(secrets, name, tag)? {
                    versions.push(version);
                    continue;
                }
                let version = new_version();
                let (tag, enabled) = (tag.clone(), true);
                let info = VersionInfo { version: version.clone(), created, enabled, tag };
                let record = Record { info, value: Some(value.duplicate()), label: None };
                secrets.entry(key(name)).or_default().push(record);
                versions.push(version);
            }
            let source = || Box::new(refusal(429, "Throttled"));
            match half {
                true => Err(VaultError::Partial { asked, stored, source: source() }),
                false => Ok(versions),
            }
        })
        .await
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        let Some((name, version)) = items.first() else { return Ok(Vec::new()) };
        self.read((name, Some(version)), |secrets| {
            items.iter().map(|(name, version)| open(secrets, name, version)).collect()
        })
        .await
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        self.read((name, None), |secrets| {
            let records = secrets.get(&key(name)).into_iter().flatten();
            Ok(records
                .filter(|record| record.value.is_some())
                .map(|record| record.info.clone())
                .collect())
        })
        .await
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.write(|secrets, fault| {
            refuse_half(fault)?;
            let record = find_mut(secrets, name, version)?;
            if record.value.is_none() {
                return Err(VaultError::Purged { name: name.clone(), version: version.clone() });
            }
            record.info.enabled = false;
            Ok(())
        })
        .await
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.write(|secrets, fault| {
            refuse_half(fault)?;
            find_mut(secrets, name, version)?.value = None;
            Ok(())
        })
        .await
    }

    fn has_labels(&self) -> bool {
        self.has_labels
    }

    async fn label(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        label: Label,
    ) -> Result<(), VaultError> {
        if !self.has_labels {
            return Ok(());
        }
        self.write(|secrets, fault| {
            refuse_half(fault)?;
            let record = find_mut(secrets, name, version)?;
            if record.value.is_none() {
                return Err(VaultError::Purged { name: name.clone(), version: version.clone() });
            }
            record.label = Some(label);
            Ok(())
        })
        .await
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
        contract::contract(async || vault().with_labels()).await;
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
