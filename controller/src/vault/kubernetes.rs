//! Kubernetes Secrets as the vault: one Secret for each version, in one namespace.
//!
//! A version's Secret has its value in `data`, and is found by labels; what else is known of it is in
//! annotations, and is read without the value: see `docs/kubernetes-vault.md`.
//!
//! # Idempotence
//! A Secret's name follows from the secret's name and the tag, so that the second of two puts, by
//! whichever controller, finds the name taken and returns the first one's version. An answer that was
//! lost is settled in the same way. The other half of a version is random: one that others have deleted
//! is never made anew.
//!
//! # Purging
//! The value is taken away in the same change that notes the purge. What is left is the number and the
//! tag, and cannot be changed any more.
//!
//! # What this is not
//! `data` is base64: whoever may read Secrets of the namespace reads passwords, and so does whoever
//! reads etcd or its backups, unless the cluster encrypts at rest.

#[cfg(feature = "kubernetes")]
mod backed;
#[cfg(feature = "kubernetes")]
mod mark;
#[cfg(feature = "kubernetes")]
mod put;
#[cfg(feature = "kubernetes")]
mod record;

use std::sync::Arc;

#[cfg(feature = "kubernetes")]
pub use self::backed::KubernetesVault;
use super::{Clock, Vault, VaultError};
#[cfg(not(feature = "kubernetes"))]
use crate::kubernetes::KubernetesError;
use crate::kubernetes::KubernetesSettings;
use crate::remote::Pace;

/// Opens the vault in a namespace: reads files, and asks nobody yet.
///
/// # Errors
/// [`VaultError::Kubernetes`] if the cluster cannot be found, or if this program was built without
/// the feature `kubernetes`.
#[cfg(feature = "kubernetes")]
pub async fn open(
    settings: &KubernetesSettings,
    pace: Pace,
    clock: Clock,
) -> Result<Arc<dyn Vault>, VaultError> {
    let client = crate::kubernetes::Kubernetes::open(settings, pace).await?;
    Ok(Arc::new(KubernetesVault::new(client, clock)))
}

/// Says that this program was built without the feature `kubernetes`.
///
/// # Errors
/// [`VaultError::Kubernetes`], always.
#[cfg(not(feature = "kubernetes"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
pub async fn open(
    _settings: &KubernetesSettings,
    _pace: Pace,
    _clock: Clock,
) -> Result<Arc<dyn Vault>, VaultError> {
    Err(KubernetesError::NotBuilt.into())
}
