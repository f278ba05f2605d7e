use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::vault::{Label, MemoryVault, Tag, VersionInfo};

/// Counts questions, and answers each once it is let.
#[derive(Debug)]
struct SlowVault {
    inner: MemoryVault,
    questions: AtomicUsize,
    answers: Semaphore,
}

#[async_trait]
impl Vault for SlowVault {
    async fn put_all(
        &self,
        items: &[(SecretName, Tag, &Password)],
    ) -> Result<Vec<SecretVersion>, VaultError> {
        self.inner.put_all(items).await
    }

    async fn get_all(&self, items: &[Item]) -> Result<Vec<Password>, VaultError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        self.inner.get_all(items).await
    }

    async fn versions(&self, name: &SecretName) -> Result<Vec<VersionInfo>, VaultError> {
        self.inner.versions(name).await
    }

    async fn disable(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.inner.disable(name, version).await
    }

    async fn purge(&self, name: &SecretName, version: &SecretVersion) -> Result<(), VaultError> {
        self.inner.purge(name, version).await
    }

    fn has_labels(&self) -> bool {
        self.inner.has_labels()
    }

    async fn label(
        &self,
        name: &SecretName,
        version: &SecretVersion,
        label: Label,
    ) -> Result<(), VaultError> {
        self.inner.label(name, version, label).await
    }

    fn uri(&self) -> String {
        self.inner.uri()
    }

    fn id(&self) -> String {
        self.inner.id()
    }
}

const MANY: usize = 50;

/// A vault with one secret, and the means to ask for it many times at once.
async fn world() -> (Arc<SlowVault>, Arc<Values>, Item) {
    let inner = MemoryVault::new(Arc::new(|| 0));
    let id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/lab/providers/\
              Microsoft.ManagedNetworkFabric/networkFabrics/fabric1";
    let profile = protocol::id::ProfileName::new("admin").unwrap();
    let name = crate::naming::name(&id.parse().unwrap(), &profile, None);
    let password = Password::new("Some-Password.1".to_owned()).unwrap();
    let version = inner.put(&name, &Tag::new("a test"), &password).await.unwrap();
    let (questions, answers) = (AtomicUsize::new(0), Semaphore::new(0));
    let vault = Arc::new(SlowVault { inner, questions, answers });
    let values = Arc::new(Values::new(Arc::clone(&vault) as Arc<dyn Vault>));
    (vault, values, (name, version))
}

type Answer = Result<Vec<Opened>, VaultError>;

fn ask(values: &Arc<Values>, item: &Item) -> tokio::task::JoinHandle<Answer> {
    let (values, item) = (Arc::clone(values), item.clone());
    tokio::spawn(async move { values.open(&[item.clone(), item]).await })
}

/// Returns how many values an answer has.
fn opened(answer: Result<Answer, tokio::task::JoinError>) -> usize {
    answer.unwrap().unwrap().into_iter().filter(Result::is_ok).count()
}

/// Lets every task come as far as it can.
async fn settle() {
    for _ in 0..MANY * 4 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_devices_ask_the_vault_once() {
    let (vault, values, item) = world().await;
    let tasks: Vec<_> = (0..MANY).map(|_| ask(&values, &item)).collect();
    settle().await;
    assert_eq!(vault.questions.load(Ordering::SeqCst), 1);
    vault.answers.add_permits(1);
    for task in tasks {
        assert_eq!(opened(task.await), 2);
    }
    values.open(&[item]).await.unwrap();
    assert_eq!(vault.questions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_question_that_is_given_up_is_asked_by_another() {
    let (vault, values, item) = world().await;
    let first = ask(&values, &item);
    settle().await;
    let second = ask(&values, &item);
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    vault.answers.add_permits(1);
    assert_eq!(opened(second.await), 2);
    assert_eq!(vault.questions.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn after_a_failure_all_ask_at_once_and_hear_why() {
    let (vault, values, item) = world().await;
    vault.disable(&item.0, &item.1).await.unwrap();
    let tasks: Vec<_> = (0..MANY).map(|_| ask(&values, &item)).collect();
    settle().await;
    vault.answers.add_permits(1);
    settle().await;
    assert_eq!(vault.questions.load(Ordering::SeqCst), MANY, "one after the other");
    vault.answers.add_permits(MANY);
    for task in tasks {
        let answer = task.await.unwrap().unwrap();
        assert!(matches!(answer.as_slice(), [Err(VaultError::Disabled { .. }), Err(_)]));
    }
}

#[tokio::test]
async fn what_cannot_be_opened_hides_nothing_else_and_is_asked_for_again() {
    let (vault, values, item) = world().await;
    let gone = (item.0.clone(), SecretVersion("0".repeat(32).into()));
    vault.answers.add_permits(MANY);
    let answer = values.open(&[gone.clone(), item.clone()]).await.unwrap();
    assert!(matches!(answer.as_slice(), [Err(VaultError::NotFound { .. }), Ok(_)]), "{answer:?}");
    let before = vault.questions.load(Ordering::SeqCst);
    let answer = values.open(&[gone, item]).await.unwrap();
    assert!(matches!(answer.as_slice(), [Err(VaultError::NotFound { .. }), Ok(_)]), "{answer:?}");
    assert_eq!(vault.questions.load(Ordering::SeqCst), before + 1, "only what is not known");
}
