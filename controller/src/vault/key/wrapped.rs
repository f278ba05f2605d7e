//! Keys that lie wrapped in their file: only a service that others run can unwrap them.
//!
//! The key file has four lines: `keyturn-vault-wrapped 1 <id>`; where the wrapping key is, which
//! version of it wrapped, and how, as in `azure-key-vault https://kv.vault.azure.net/keys/keyturn
//! 0123… RSA-OAEP-256`; what came of it; and a check of these three, so that a damaged file is told
//! from a key that does not fit. The version stands there because a wrapping key that was renewed
//! still unwraps what its older versions have wrapped, and nothing but those.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::super::VaultError;
use super::super::cipher::{KEY_BYTES, KeyBytes, key_id};
use super::file::checked;
use crate::error::Fault;
use crate::key_vault::{KeyVault, KeyVaultError, WrapAlgorithm, WrappedKey};

/// The first line of a file whose key is wrapped, before the id.
pub(super) const WRAPPED: &str = "keyturn-vault-wrapped 1 ";

/// A key that a service has wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The wrapping key: the kind of service and a URI.
    pub by: String,
    /// Which version of it has wrapped.
    pub version: String,
    /// How.
    pub algorithm: String,
    /// What came of it: visible ASCII.
    pub text: String,
}

/// Wraps and unwraps keys with a key that does not leave its service.
#[async_trait]
pub trait Wrapper: fmt::Debug + Send + Sync {
    /// Returns what the wrapping key is known by: the kind of service, a space and a URI.
    fn by(&self) -> String;

    /// Wraps a key with the version that is configured, or the newest.
    ///
    /// # Errors
    /// Returns [`WrapError`].
    async fn wrap(&self, key: &[u8; KEY_BYTES]) -> Result<Wrapped, WrapError>;

    /// Unwraps a key, with the version that has wrapped it.
    ///
    /// # Errors
    /// Returns [`WrapError`].
    async fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, WrapError>;
}

/// Tells why a service did not wrap or unwrap a key. Never contains a key.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// Azure Key Vault did not.
    #[error(transparent)]
    KeyVault(#[from] KeyVaultError),
    /// The file says something that the service does not know.
    #[error("understand how it is wrapped: `{given}`")]
    Algorithm {
        /// What the file says.
        given: String,
    },
}

impl WrapError {
    pub(in super::super) fn hint(&self) -> Option<String> {
        match self {
            Self::KeyVault(source) => source.hint(),
            Self::Algorithm { .. } => {
                Some("use the version of Keyturn that has written the key file".to_owned())
            }
        }
    }

    pub(in super::super) fn fault(&self) -> Fault {
        match self {
            Self::KeyVault(source) => source.fault(),
            Self::Algorithm { .. } => Fault::Operator,
        }
    }
}

/// A wrapper that is part of where a key comes from.
#[derive(Clone, Debug)]
pub struct Wrapping(Arc<dyn Wrapper>);

impl Wrapping {
    /// Takes a wrapper.
    #[must_use]
    pub fn new(wrapper: impl Wrapper + 'static) -> Self {
        Self(Arc::new(wrapper))
    }

    /// Makes the text of a key's file.
    pub(super) async fn lock(&self, bytes: &KeyBytes) -> Result<WrappedFile, VaultError> {
        let wrapped = self.0.wrap(bytes).await;
        let wrapped = wrapped.map_err(|source| VaultError::Wrap { source: Box::new(source) })?;
        Ok(WrappedFile { id: key_id(bytes), wrapped })
    }
}

impl PartialEq for Wrapping {
    fn eq(&self, other: &Self) -> bool {
        self.0.by() == other.0.by()
    }
}

impl Eq for Wrapping {}

/// A key file whose key is wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrappedFile {
    id: String,
    wrapped: Wrapped,
}

impl WrappedFile {
    /// Has the key unwrapped. `path` is where this stands, for errors.
    pub(super) async fn unlock(
        &self,
        path: &Path,
        wrapping: &Wrapping,
    ) -> Result<KeyBytes, VaultError> {
        let (key, by) = (path.to_owned(), self.wrapped.by.clone());
        let configured = wrapping.0.by();
        if configured != by {
            return Err(VaultError::WrapperOther { key, by, configured });
        }
        let opened = match wrapping.0.unwrap(&self.wrapped).await {
            Ok(opened) => opened,
            Err(source) => return Err(VaultError::Unwrap { key, by, source: Box::new(source) }),
        };
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != bytes.len() {
            return Err(VaultError::Unwrapped { key, by });
        }
        bytes.copy_from_slice(&opened);
        match key_id(&bytes) == self.id {
            true => Ok(bytes),
            false => Err(VaultError::Unwrapped { key, by }),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Returns what the key is wrapped by.
    pub(super) fn by(&self) -> &str {
        &self.wrapped.by
    }

    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "four lines: the kind and an id, what wrapped it, the wrapped key and their check";
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or(EXPECTED);
        let (first, how, wrapped, check) = (next()?, next()?, next()?, next()?);
        if next().is_ok() || !text.ends_with('\n') || checked(&[first, how, wrapped]) != check {
            return Err("a check in the fourth line that fits the three before it");
        }
        let id = first.strip_prefix(WRAPPED).ok_or(EXPECTED)?.to_owned();
        let words: Vec<&str> = how.split(' ').collect();
        let [kind, uri, version, algorithm] = words.as_slice() else { return Err(EXPECTED) };
        let wrapped = Wrapped {
            by: format!("{kind} {uri}"),
            version: (*version).to_owned(),
            algorithm: (*algorithm).to_owned(),
            text: wrapped.to_owned(),
        };
        Ok(Self { id, wrapped })
    }

    pub(super) fn render(&self) -> String {
        let Wrapped { by, version, algorithm, text } = &self.wrapped;
        let (first, how) = (format!("{WRAPPED}{}", self.id), format!("{by} {version} {algorithm}"));
        let check = checked(&[&first, &how, text]);
        format!("{first}\n{how}\n{text}\n{check}\n")
    }
}

/// A key of an Azure Key Vault.
#[derive(Debug)]
pub struct KeyVaultWrapper {
    client: Arc<KeyVault>,
    key: String,
    version: Option<String>,
}

impl KeyVaultWrapper {
    /// The kind of service, in key files.
    const KIND: &str = "azure-key-vault";

    /// Takes a key of a vault, and a version of it to wrap with in place of the newest.
    #[must_use]
    pub fn new(client: Arc<KeyVault>, key: &str, version: Option<&str>) -> Self {
        Self { client, key: key.to_owned(), version: version.map(str::to_owned) }
    }
}

#[async_trait]
impl Wrapper for KeyVaultWrapper {
    fn by(&self) -> String {
        // Key Vault knows names without case.
        let key = self.key.to_ascii_lowercase();
        format!("{} {}/keys/{key}", Self::KIND, self.client.uri())
    }

    async fn wrap(&self, key: &[u8; KEY_BYTES]) -> Result<Wrapped, WrapError> {
        let wrapped = self.client.wrap(&self.key, self.version.as_deref(), key).await?;
        Ok(Wrapped {
            by: self.by(),
            version: wrapped.version,
            algorithm: wrapped.algorithm.as_str().to_owned(),
            text: wrapped.text,
        })
    }

    async fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, WrapError> {
        let Wrapped { version, algorithm, text, .. } = wrapped;
        let unknown = || WrapError::Algorithm { given: algorithm.clone() };
        let algorithm = WrapAlgorithm::named(algorithm).ok_or_else(unknown)?;
        let key = WrappedKey { version: version.clone(), algorithm, text: text.clone() };
        Ok(self.client.unwrap(&self.key, &key).await?)
    }
}
