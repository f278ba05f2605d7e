//! Getting what references lead to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::state::{self, ReferenceState, States};
use super::{
    KeyVaultReference, LocalName, Reference, ReferenceError, ReferenceSettings, VaultCredentials,
    VaultReference, local,
};
use crate::identity::{
    Credential, Identity, IdentitySettings, ManagedIdentity, Principal, WallClock,
};
use crate::key_vault::{KeyVault, KeyVaultSettings};
use crate::pkcs12::{self, Archive, Pkcs12Error};
use crate::remote::{Pace, Way};

/// The keys of a Secret of the type `kubernetes.io/tls`.
const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";
/// The key of a Secret with the certificates above one.
const CHAIN_KEY: &str = "ca.crt";

/// What Key Vault calls a certificate in a file of PKCS #12, which it makes unless told otherwise.
const PKCS12: &str = "application/x-pkcs12";

/// What a reference leads to.
enum Content {
    Text(Zeroizing<String>),
    Archive(Archive),
}

/// A certificate with those above it, and its key.
pub struct Certificate {
    /// The certificate, then those above it, in DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Gets what references lead to. Keeps the clients of vaults, and with them their tokens.
pub struct Resolver {
    settings: ReferenceSettings,
    pace: Pace,
    clock: WallClock,
    vaults: Mutex<BTreeMap<VaultReference, Arc<KeyVault>>>,
    states: Mutex<States>,
}

impl Resolver {
    /// Makes a resolver. Asks nobody yet.
    #[must_use]
    pub fn new(settings: ReferenceSettings, pace: Pace, clock: WallClock) -> Self {
        Self { settings, pace, clock, vaults: Mutex::default(), states: Mutex::default() }
    }

    /// Returns where references lead.
    #[must_use]
    pub fn settings(&self) -> &ReferenceSettings {
        &self.settings
    }

    /// Returns how the places that use references fare, by their keys in the configuration.
    #[must_use]
    pub fn states(&self) -> BTreeMap<String, ReferenceState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes and logs what came of fetching for a place; what is in use stays in use after a
    /// failure.
    pub fn note(&self, place: &str, reference: &Reference, failure: Option<&ReferenceError>) {
        if let Some(error) = failure {
            let why = state::told(error);
            tracing::error!(place, why, "a reference was not fetched; what was there is kept");
        }
        let now = (self.clock)();
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        state::note(&mut states, place, reference, now, failure);
    }

    /// Gets a text: of a vault's secret, or the file `key` of a local secret.
    ///
    /// # Errors
    /// Returns [`ReferenceError`].
    pub async fn text(
        &self,
        reference: &Reference,
        key: &str,
    ) -> Result<Zeroizing<String>, ReferenceError> {
        match self.content(reference, key).await? {
            Content::Text(text) => Ok(text),
            Content::Archive(_) => Err(content(reference, "a text", "PKCS #12".to_owned())),
        }
    }

    async fn content(&self, reference: &Reference, key: &str) -> Result<Content, ReferenceError> {
        match reference {
            Reference::Local(name) => {
                let text = self.local(name, key).await?.ok_or_else(|| {
                    let got = format!("no file `{key}`");
                    content(reference, "a local secret with a file for each key", got)
                })?;
                Ok(Content::Text(text))
            }
            Reference::KeyVault(object) => {
                let vault = self.vault(reference, object)?;
                let got = vault.get(&object.name, object.version.as_deref()).await;
                let secret = got.map_err(|source| ReferenceError::KeyVault {
                    reference: reference.to_string(),
                    source,
                })?;
                let is_archive = secret.properties.content_type.as_deref() == Some(PKCS12);
                match is_archive {
                    false => Ok(Content::Text(secret.value)),
                    true => archive(reference, &secret.value).map(Content::Archive),
                }
            }
        }
    }

    /// Gets a certificate with its key. A vault gives both in one text (PEM), or in a file of PKCS #12.
    ///
    /// # Errors
    /// Returns [`ReferenceError`].
    pub async fn certificate(&self, reference: &Reference) -> Result<Certificate, ReferenceError> {
        let text = match self.content(reference, CERTIFICATE_KEY).await? {
            Content::Text(text) => text,
            Content::Archive(Archive { chain, key: Some(key) }) => {
                return Ok(Certificate { chain, key });
            }
            Content::Archive(_) => {
                let source = Pkcs12Error::Missing { what: "a private key" };
                return Err(ReferenceError::Archive { reference: reference.to_string(), source });
            }
        };
        let key = match reference {
            Reference::Local(_) => self.text(reference, PRIVATE_KEY).await?,
            Reference::KeyVault(_) => text.clone(),
        };
        let chain = certificates(reference, &text)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key =
            key.map_err(|error| content(reference, "a private key (PEM)", error.to_string()))?;
        Ok(Certificate { chain, key })
    }

    /// Gets the certificates above one.
    ///
    /// # Errors
    /// Returns [`ReferenceError`].
    pub async fn chain(
        &self,
        reference: &Reference,
    ) -> Result<Vec<CertificateDer<'static>>, ReferenceError> {
        match self.content(reference, CHAIN_KEY).await? {
            Content::Text(text) => certificates(reference, &text),
            Content::Archive(archive) => Ok(archive.chain),
        }
    }

    /// Returns the client of the vault that a reference leads to, and what it is about; `None` for a
    /// local secret. Asks nobody yet.
    ///
    /// # Errors
    /// Returns [`ReferenceError`] where there is no client.
    pub fn key_vault<'r>(
        &self,
        reference: &'r Reference,
    ) -> Result<Option<(Arc<KeyVault>, &'r KeyVaultReference)>, ReferenceError> {
        match reference {
            Reference::Local(_) => Ok(None),
            Reference::KeyVault(object) => Ok(Some((self.vault(reference, object)?, object))),
        }
    }

    /// Reads a file of a local secret in a thread that may wait for a disk.
    async fn local(
        &self,
        name: &LocalName,
        key: &str,
    ) -> Result<Option<Zeroizing<String>>, ReferenceError> {
        let folder = self.dir(name)?.join(name.as_str());
        let (place, key) = (folder.clone(), key.to_owned());
        let reading = tokio::task::spawn_blocking(move || local::read(&place, &key));
        let read = reading.await.unwrap_or_else(|source| Err(std::io::Error::other(source)));
        let name = name.as_str().to_owned();
        read.map_err(|source| ReferenceError::Local { name, folder, source })
    }

    fn dir(&self, name: &LocalName) -> Result<&Path, ReferenceError> {
        let none = || ReferenceError::NoFolder { name: name.as_str().to_owned() };
        self.settings.dir.as_deref().ok_or_else(none)
    }

    /// Returns the client of a vault, and makes one for a vault that is new.
    fn vault(
        &self,
        reference: &Reference,
        object: &KeyVaultReference,
    ) -> Result<Arc<KeyVault>, ReferenceError> {
        let mut vaults = self.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = vaults.get(&object.vault) {
            return Ok(Arc::clone(vault));
        }
        let vault = Arc::new(self.open(reference, &object.vault)?);
        vaults.insert(object.vault.clone(), Arc::clone(&vault));
        Ok(vault)
    }

    fn open(
        &self,
        reference: &Reference,
        vault: &VaultReference,
    ) -> Result<KeyVault, ReferenceError> {
        let settings = &self.settings;
        let way = Way { ca_file: settings.ca_file.clone(), address: settings.address };
        let tenant = Some(vault.directory.clone());
        let principal = match &vault.credentials {
            VaultCredentials::ServicePrincipal(name) => {
                let credential = Credential::Folder(self.dir(name)?.join(name.as_str()));
                Principal::Application { tenant, credential }
            }
            VaultCredentials::Managed(identity) => Principal::Managed(ManagedIdentity {
                user_assigned: identity.clone(),
                endpoint: None,
            }),
            VaultCredentials::Workload => {
                let credential = Credential::Federated { client: None, token_file: None };
                Principal::Application { tenant, credential }
            }
        };
        let authority = settings.authority.clone();
        let identity = IdentitySettings { principal, authority, way: way.clone() };
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let identity = Identity::open(&identity, self.pace, Arc::clone(&self.clock), variable);
        let place = reference.to_string();
        let identity = identity
            .map_err(|source| ReferenceError::Identity { reference: place.clone(), source })?;
        let uri = format!("https://{}.{}", vault.name, settings.vault_suffix);
        let settings = KeyVaultSettings { uri, resource: settings.resource.clone(), way };
        KeyVault::open(&settings, identity, self.pace)
            .map_err(|source| ReferenceError::KeyVault { reference: place, source })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Reads a file of PKCS #12, which a vault gives in base64.
fn archive(reference: &Reference, text: &str) -> Result<Archive, ReferenceError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let decoded = STANDARD.decode_vec(text.trim(), &mut bytes);
    decoded
        .map_err(|_error| content(reference, "PKCS #12 in base64", "another text".to_owned()))?;
    pkcs12::open(&bytes)
        .map_err(|source| ReferenceError::Archive { reference: reference.to_string(), source })
}

fn certificates(
    reference: &Reference,
    text: &str,
) -> Result<Vec<CertificateDer<'static>>, ReferenceError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let expected = "certificates (PEM)";
    let chain = chain.map_err(|error| content(reference, expected, error.to_string()))?;
    if chain.is_empty() {
        return Err(content(reference, expected, "none".to_owned()));
    }
    Ok(chain)
}

fn content(reference: &Reference, expected: &'static str, got: String) -> ReferenceError {
    ReferenceError::Content { reference: reference.to_string(), expected, got }
}
