//! What every vault must do, whatever it is made of. For tests only.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a suite of tests fails by panicking"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::id::SecretVersion;
use protocol::password::Password;

use super::{Clock, Label, Tag, Vault, VaultError, VersionInfo};
use crate::naming::SecretName;

/// Returns a clock that starts at 1,000 and moves on by one whenever it is read.
#[must_use]
pub fn clock() -> Clock {
    let now = AtomicU64::new(1_000);
    Arc::new(move || now.fetch_add(1, Ordering::SeqCst))
}

/// Returns a password.
///
/// # Panics
/// If the text is none.
#[must_use]
pub fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

fn name(text: &str) -> SecretName {
    SecretName::try_from(text.to_owned()).unwrap()
}

/// Runs the whole contract; `make` returns a new, empty vault each time.
///
/// # Panics
/// If the vault does not keep it.
pub async fn contract<V: Vault + 'static>(make: impl AsyncFn() -> V) {
    what_was_put_is_got(&make().await).await;
    a_tag_stores_one_value(&make().await).await;
    a_set_is_one_commit_in_the_order_given(&make().await).await;
    a_set_with_a_purged_tag_stores_nothing(&make().await).await;
    versions_are_listed_oldest_first(&make().await).await;
    disabled_versions_cannot_be_read(&make().await).await;
    purged_versions_are_gone_for_ever(&make().await).await;
    what_is_not_there_is_named(&make().await).await;
    what_can_be_read_is_opened_beside_what_cannot(&make().await).await;
    names_are_told_apart_without_case(&make().await).await;
    large_sets_are_taken_whole(&make().await).await;
    a_put_runs_to_its_end_without_its_caller(make().await).await;
    of_many_puts_with_one_tag_one_is_stored(make().await).await;
    labels_change_nothing_else(&make().await).await;
    archive_references_can_be_built(&make().await);
}

async fn labels_change_nothing_else(vault: &dyn Vault) {
    let (admin, value) = (name("lab-east-admin"), password("first"));
    let version = vault.put(&admin, &Tag::new("op-1"), &value).await.unwrap();
    let before = vault.versions(&admin).await.unwrap();
    for label in [Label::Pending, Label::Current, Label::Current, Label::Previous] {
        vault.label(&admin, &version, label).await.unwrap();
    }
    assert_eq!(vault.versions(&admin).await.unwrap(), before);
    assert!(vault.get(&admin, &version).await.unwrap().matches(&value));
    assert_eq!(vault.put(&admin, &Tag::new("op-1"), &value).await.unwrap(), version);
    let nobody = vault.label(&name("lab-east-other"), &version, Label::Current).await;
    vault.purge(&admin, &version).await.unwrap();
    let gone = vault.label(&admin, &version, Label::Previous).await;
    assert_eq!((nobody.is_err(), gone.is_err()), (vault.has_labels(), vault.has_labels()));
}

async fn what_was_put_is_got(vault: &dyn Vault) {
    let values = ["a", "Test-Pass.1", "grüße '\";--", &"x".repeat(256)];
    for (n, text) in values.into_iter().enumerate() {
        let admin = name("lab-east-admin");
        let value = password(text);
        let version = vault.put(&admin, &Tag::new(&n.to_string()), &value).await.unwrap();
        let hexadecimal = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        assert!(version.0.len() == 32 && version.0.chars().all(hexadecimal), "{version}");
        assert!(vault.get(&admin, &version).await.unwrap().matches(&value));
    }
}

async fn a_tag_stores_one_value(vault: &dyn Vault) {
    let (admin, other) = (name("lab-east-admin"), name("lab-east-other"));
    let (first, second) = (password("first"), password("second"));
    let version = vault.put(&admin, &Tag::new("op-1"), &first).await.unwrap();
    assert_eq!(vault.put(&admin, &Tag::new("op-1"), &second).await.unwrap(), version);
    assert!(vault.get(&admin, &version).await.unwrap().matches(&first));
    assert_eq!(vault.versions(&admin).await.unwrap().len(), 1);
    let elsewhere = vault.put(&other, &Tag::new("op-1"), &second).await.unwrap();
    let later = vault.put(&admin, &Tag::new("op-2"), &second).await.unwrap();
    assert_eq!(BTreeSet::from([&version, &elsewhere, &later]).len(), 3);
    vault.disable(&admin, &version).await.unwrap();
    assert_eq!(vault.put(&admin, &Tag::new("op-1"), &second).await.unwrap(), version);
}

async fn a_set_is_one_commit_in_the_order_given(vault: &dyn Vault) {
    let (one, two) = (name("lab-one"), name("lab-two"));
    let tag = Tag::new("op-1");
    let values: Vec<Password> = (0..4).map(|n| password(&format!("value-{n}"))).collect();
    let [a, b, c, d] = values.as_slice() else { panic!() };
    let old = vault.put(&two, &tag, a).await.unwrap();
    let items = [
        (one.clone(), tag.clone(), b),
        (two.clone(), tag.clone(), c),
        (one.clone(), Tag::new("op-2"), d),
        (one.clone(), tag.clone(), d),
    ];
    let versions = vault.put_all(&items).await.unwrap();
    assert_eq!(versions.len(), 4);
    assert_eq!((&versions[1], &versions[3]), (&old, &versions[0]));
    let wanted = [(one.clone(), d, 2), (two, a, 1), (one, b, 0)];
    let asked: Vec<_> =
        wanted.iter().map(|(n, _, at)| (n.clone(), versions[*at].clone())).collect();
    let got = vault.get_all(&asked).await.unwrap();
    assert_eq!(got.len(), 3);
    assert!(got.iter().zip(&wanted).all(|(got, (_, value, _))| got.matches(value)));
    assert!(vault.put_all(&[]).await.unwrap().is_empty());
    assert!(vault.get_all(&[]).await.unwrap().is_empty());
}

async fn a_set_with_a_purged_tag_stores_nothing(vault: &dyn Vault) {
    let (one, two) = (name("lab-one"), name("lab-two"));
    let value = password("value");
    let gone = vault.put(&two, &Tag::new("old"), &value).await.unwrap();
    vault.purge(&two, &gone).await.unwrap();
    let items = [(one.clone(), Tag::new("new"), &value), (two, Tag::new("old"), &value)];
    let error = vault.put_all(&items).await.unwrap_err();
    let VaultError::Purged { version, .. } = &error else { panic!("{error}") };
    assert_eq!(*version, gone);
    assert_eq!(vault.versions(&one).await.unwrap(), []);
}

async fn versions_are_listed_oldest_first(vault: &dyn Vault) {
    let admin = name("lab-east-admin");
    assert_eq!(vault.versions(&admin).await.unwrap(), []);
    let mut wanted: Vec<VersionInfo> = Vec::new();
    for n in 0..3 {
        let tag = Tag::new(&format!("op-{n}"));
        let version = vault.put(&admin, &tag, &password("value")).await.unwrap();
        wanted.push(VersionInfo { version, created: 0, enabled: true, tag });
    }
    vault.disable(&admin, &wanted[1].version).await.unwrap();
    wanted[1].enabled = false;
    let mut listed = vault.versions(&admin).await.unwrap();
    assert!(listed.is_sorted_by_key(|info| info.created) && listed[0].created >= 1_000);
    listed.iter_mut().for_each(|info| info.created = 0);
    assert_eq!(listed, wanted);
}

async fn disabled_versions_cannot_be_read(vault: &dyn Vault) {
    let admin = name("lab-east-admin");
    let first = vault.put(&admin, &Tag::new("1"), &password("first")).await.unwrap();
    let second = vault.put(&admin, &Tag::new("2"), &password("second")).await.unwrap();
    for _twice in 0..2 {
        vault.disable(&admin, &first).await.unwrap();
        let error = vault.get(&admin, &first).await.unwrap_err();
        assert!(matches!(error, VaultError::Disabled { .. }), "{error}");
    }
    let both = [(admin.clone(), second.clone()), (admin.clone(), first)];
    assert!(matches!(vault.get_all(&both).await, Err(VaultError::Disabled { .. })));
    assert!(vault.get(&admin, &second).await.unwrap().matches(&password("second")));
}

async fn purged_versions_are_gone_for_ever(vault: &dyn Vault) {
    let admin = name("lab-east-admin");
    let first = vault.put(&admin, &Tag::new("1"), &password("first")).await.unwrap();
    let second = vault.put(&admin, &Tag::new("2"), &password("second")).await.unwrap();
    for _twice in 0..2 {
        vault.purge(&admin, &first).await.unwrap();
        let errors = [
            vault.get(&admin, &first).await.unwrap_err(),
            vault.disable(&admin, &first).await.unwrap_err(),
            vault.put(&admin, &Tag::new("1"), &password("third")).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, VaultError::Purged { .. }), "{error}");
        }
    }
    let left = vault.versions(&admin).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].version, second);
    assert!(vault.get(&admin, &second).await.unwrap().matches(&password("second")));
}

async fn what_is_not_there_is_named(vault: &dyn Vault) {
    let (admin, other) = (name("lab-east-admin"), name("lab-east-other"));
    let version = vault.put(&admin, &Tag::new("1"), &password("value")).await.unwrap();
    let unknown = SecretVersion("0".repeat(32).into());
    for (secret, version) in [(&admin, &unknown), (&other, &version)] {
        let errors = [
            vault.get(secret, version).await.unwrap_err(),
            vault.disable(secret, version).await.unwrap_err(),
            vault.purge(secret, version).await.unwrap_err(),
        ];
        for error in errors {
            let VaultError::NotFound { name, version: said } = &error else { panic!("{error}") };
            assert_eq!((name, said), (secret, version));
        }
    }
    assert!(vault.get(&admin, &version).await.is_ok());
}

async fn what_can_be_read_is_opened_beside_what_cannot(vault: &dyn Vault) {
    let admin = name("lab-east-admin");
    let mut items = Vec::new();
    for n in 0..5 {
        let (tag, value) = (Tag::new(&n.to_string()), password(&format!("value-{n}")));
        items.push((admin.clone(), vault.put(&admin, &tag, &value).await.unwrap()));
    }
    vault.purge(&admin, &items[1].1).await.unwrap();
    vault.disable(&admin, &items[4].1).await.unwrap();
    items.push((admin.clone(), SecretVersion("0".repeat(32).into())));
    let each = vault.open_each(&items).await.unwrap();
    assert_eq!(each.len(), items.len());
    for at in [0, 2, 3] {
        let opened = each[at].as_ref().unwrap();
        assert!(opened.matches(&password(&format!("value-{at}"))), "{at}");
    }
    assert!(matches!(each[1], Err(VaultError::Purged { .. })), "{:?}", each[1]);
    assert!(matches!(each[4], Err(VaultError::Disabled { .. })), "{:?}", each[4]);
    assert!(matches!(each[5], Err(VaultError::NotFound { .. })), "{:?}", each[5]);
    assert!(vault.open_each(&[]).await.unwrap().is_empty());
}

async fn names_are_told_apart_without_case(vault: &dyn Vault) {
    let version =
        vault.put(&name("Lab-East-Admin"), &Tag::new("1"), &password("value")).await.unwrap();
    let shouted = name("LAB-EAST-ADMIN");
    assert!(vault.get(&shouted, &version).await.unwrap().matches(&password("value")));
    assert_eq!(vault.put(&shouted, &Tag::new("1"), &password("x")).await.unwrap(), version);
    assert_eq!(vault.versions(&name("lab-east-admin")).await.unwrap().len(), 1);
}

async fn large_sets_are_taken_whole(vault: &dyn Vault) {
    let values: Vec<Password> = (0..1_500).map(|n| password(&format!("value-{n}"))).collect();
    let tag = Tag::new("op-1");
    let items: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, value)| (name(&format!("lab-{n}")), tag.clone(), value))
        .collect();
    let versions = vault.put_all(&items).await.unwrap();
    assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), 1_500);
    let asked: Vec<_> =
        items.iter().zip(&versions).rev().map(|((n, ..), v)| (n.clone(), v.clone())).collect();
    let got = vault.get_all(&asked).await.unwrap();
    assert!(got.iter().zip(values.iter().rev()).all(|(got, wanted)| got.matches(wanted)));
    assert_eq!(vault.put_all(&items).await.unwrap(), versions);
}

async fn a_put_runs_to_its_end_without_its_caller<V: Vault + 'static>(vault: V) {
    let admin = name("lab-east-admin");
    let value = password("value");
    let items = [(admin.clone(), Tag::new("1"), &value)];
    {
        let mut put = vault.put_all(&items);
        let _unfinished = futures_util::poll!(put.as_mut());
    }
    let versions = vault.versions(&admin).await.unwrap();
    assert_eq!(versions.len(), 1);
    assert!(vault.get(&admin, &versions[0].version).await.unwrap().matches(&value));
}

async fn of_many_puts_with_one_tag_one_is_stored<V: Vault + 'static>(vault: V) {
    let vault = Arc::new(vault);
    let puts: Vec<_> = (0..8)
        .map(|n| {
            let vault = vault.clone();
            tokio::spawn(async move {
                let value = password(&format!("value-{n}"));
                vault.put(&name("lab-east-admin"), &Tag::new("1"), &value).await.unwrap()
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for put in puts {
        versions.insert(put.await.unwrap());
    }
    assert_eq!(versions.len(), 1);
    assert_eq!(vault.versions(&name("lab-east-admin")).await.unwrap().len(), 1);
}

fn archive_references_can_be_built(vault: &dyn Vault) {
    let (uri, id) = (vault.uri(), vault.id());
    assert!(uri.starts_with("https://") && !uri.ends_with('/'), "{uri}");
    assert!(id.contains("/providers/Microsoft.KeyVault/vaults/"), "{id}");
}
