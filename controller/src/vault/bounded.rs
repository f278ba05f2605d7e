//! A vault for which nobody waits for ever: every call has a time.

use std::fmt;
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use protocol::id::SecretVersion;
use protocol::password::Password;

use super::{Backup, Label, Mark, Tag, Vault, VaultError, VersionInfo};
use crate::age::Recipient;
use crate::naming::SecretName;

/// The longest for a set of values: 21,000 of them (1,000 devices with passwords of their own) take
/// two minutes at Key Vault's quota of 2,000 writes in 10 seconds.
const PUT_MAX: Duration = Duration::from_secs(600);

/// The longest for everything else: all passwords of a device, or one change.
const ASK_MAX: Duration = Duration::from_secs(120);

/// The longest for a label, which nobody needs: in some vaults a set of values for the same name waits
/// behind it.
const LABEL_MAX: Duration = Duration::from_secs(10);

/// The longest for a backup of everything, at the pace of whoever takes it.
const BACK_UP_MAX: Duration = Duration::from_secs(3_600);

/// Another vault, whose calls end in time.
#[derive(Clone)]
pub struct Bounded(Arc<dyn Vault>);

impl Bounded {
    /// Puts times before a vault.
    #[must_use]
    pub fn new(vault: Arc<dyn Vault>) -> Self {
        Self(vault)
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

async fn within<T>(
    time: Duration,
    call: impl Future<Output = Result<T, VaultError>>,
) -> Result<T, VaultError> {
    let late = |_elapsed| VaultError::Unreachable {
        reason: format!("it has not answered within {} s", time.as_secs()),
    };
    tokio::time::timeout(time, call).await.map_err(late)?
}

#[async_trait]
impl Vault for Bounded {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        within(PUT_MAX, self.0.put_all(items)).await
    }

    async fn get_all(
        &self,
        items: &[(SecretName, SecretVersion)],
    ) -> Result<Vec<Password>, VaultError> {
        within(ASK_MAX, self.0.get_all(items)).await
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        within(ASK_MAX, self.0.versions(name)).await
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        within(ASK_MAX, self.0.disable(name, version)).await
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        within(ASK_MAX, self.0.purge(name, version)).await
    }

    fn has_labels(&self) -> bool {
        self.0.has_labels()
    }

    async fn label(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        label: Label,
    ) -> Result<(), VaultError> {
        within(LABEL_MAX, self.0.label(name, version, label)).await
    }

    async fn mark(&self) -> Result<Option<Mark>, VaultError> {
        within(ASK_MAX, self.0.mark()).await
    }

    async fn raise_mark(&self, serial: u64, note: &str) -> Result<(), VaultError> {
        within(ASK_MAX, self.0.raise_mark(serial, note)).await
    }

    async fn back_up_all(
        &self,
        recipients: Vec<Recipient>,
        to: Box<dyn Write + Send>,
    ) -> Result<Backup, VaultError> {
        within(BACK_UP_MAX, self.0.back_up_all(recipients, to)).await
    }

    fn uri(&self) -> String {
        self.0.uri()
    }

    fn id(&self) -> String {
        self.0.id()
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::super::memory::{MemoryVault, VaultFault};
    use super::*;

    /// Of the identity in which every byte is 0x42: see the tests of backups.
    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn vault() -> (MemoryVault, Bounded) {
        let memory = MemoryVault::new(contract::clock());
        (memory.clone(), Bounded::new(Arc::new(memory)))
    }

    /// What has a body in the trait is not forgotten here.
    #[tokio::test]
    async fn what_not_every_vault_has_is_asked_of_the_vault_behind() {
        let dir = tempfile::tempdir().unwrap();
        let place = super::super::embedded::Place::default();
        let opened = super::super::EmbeddedVault::open(dir.path(), place, contract::clock());
        let vault = Bounded::new(Arc::new(opened.await.unwrap()));
        vault.raise_mark(7, "a note").await.unwrap();
        let mark = vault.mark().await.unwrap().unwrap();
        assert_eq!((mark.serial, mark.note.as_str()), (7, "a note"));
        let recipient = RECIPIENT.parse().unwrap();
        let to = Box::new(std::io::sink());
        vault.back_up_all(vec![recipient], to).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn labels_are_set_in_the_vault_behind_and_nobody_waits_long_for_one() {
        let (memory, plain) = vault();
        let labelled = Bounded::new(Arc::new(memory.clone().with_labels()));
        assert!(labelled.has_labels() && !plain.has_labels());
        let (name, tag) = (SecretName::for_tests("lab-east-admin"), Tag::new("1"));
        let version = labelled.put(&name, &tag, &contract::password("Canary-1")).await.unwrap();
        labelled.label(&name, &version, Label::Current).await.unwrap();
        assert_eq!(memory.label_of(&name, &version), Some(Label::Current));
        memory.faults().set(VaultFault::Silent);
        let error = labelled.label(&name, &version, Label::Previous).await.unwrap_err();
        assert_eq!(error.to_string(), "reach the vault: it has not answered within 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_vault_that_never_answers_is_unreachable_in_time() {
        let (memory, vault) = vault();
        memory.faults().set(VaultFault::Silent);
        let (name, tag) = (SecretName::for_tests("lab-east-admin"), Tag::new("1"));
        let error = vault.put(&name, &tag, &contract::password("Canary-1")).await.unwrap_err();
        assert_eq!(error.to_string(), "reach the vault: it has not answered within 600 s");
        assert!(error.is_outcome_unknown());
        assert!(vault.versions(&name).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_vault_stores_in_time_and_reads_too_late() {
        let (memory, vault) = vault();
        memory.faults().set(VaultFault::Slow);
        let (name, tag) = (SecretName::for_tests("lab-east-admin"), Tag::new("1"));
        let stored = vault.put(&name, &tag, &contract::password("Canary-1")).await.unwrap();
        assert!(vault.get(&name, &stored).await.is_err());
        memory.faults().clear();
        assert!(vault.get(&name, &stored).await.is_ok());
    }

    #[tokio::test]
    async fn a_bounded_vault_keeps_the_contract() {
        contract::contract(async || vault().1).await;
    }
}
