//! The keys of a vault: only to wrap other keys with, and to unwrap them.
//!
//! Source: Azure Key Vault REST API, keys, version 7.4: get key, wrap key, unwrap key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use zeroize::Zeroizing;

use super::call::{Answer, Call};
use super::{KeyVault, KeyVaultError, wire};

/// How a key of a vault wraps another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrapAlgorithm {
    /// RSA with OAEP, SHA-256 and MGF1 of the same.
    RsaOaep256,
    /// AES-256 key wrap (RFC 3394), of managed HSMs.
    A256Kw,
}

impl WrapAlgorithm {
    /// Both.
    const ALL: [Self; 2] = [Self::RsaOaep256, Self::A256Kw];

    /// Returns what Key Vault calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::A256Kw => "A256KW",
        }
    }

    /// Takes what Key Vault calls it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// A key that was wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The version of the vault's key that wrapped it: that one unwraps it, whatever is newer.
    pub version: String,
    /// How.
    pub algorithm: WrapAlgorithm,
    /// What came of it, in URL-safe base64 without padding.
    pub text: String,
}

impl KeyVault {
    /// Wraps a key with a version of a vault's key, or with the newest.
    ///
    /// # Errors
    /// Returns [`KeyVaultError`]; [`KeyVaultError::Answer`] for a key that is neither of RSA nor of
    /// AES.
    pub async fn wrap(
        &self,
        name: &str,
        version: Option<&str>,
        bytes: &[u8],
    ) -> Result<WrappedKey, KeyVaultError> {
        let doing = format!("wrap a key with the key `{name}`");
        let url = self.url(&["keys", name, version.unwrap_or_default()])?;
        let answer = self.send(Call::of_key(Method::GET, url, doing.clone())).await?;
        let bundle = answer.read::<wire::KeyBundle>()?;
        let version = version_of(&bundle.key.kid, &answer)?;
        let algorithm = match bundle.key.kty.as_str() {
            "RSA" | "RSA-HSM" => WrapAlgorithm::RsaOaep256,
            "oct" | "oct-HSM" => WrapAlgorithm::A256Kw,
            _ => return Err(answer.wrong("a key that wraps no others: it is not of RSA or AES")),
        };
        let value = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
        let body = wire::Operation { alg: algorithm.as_str(), value: &value };
        let url = self.url(&["keys", name, &version, "wrapkey"])?;
        let answer = self.send(Call::of_key(Method::POST, url, doing).with(&body)?).await?;
        let done = answer.read::<wire::OperationResult>()?;
        if version_of(&done.kid, &answer)? != version || decoded(&done.value).is_none() {
            return Err(answer.wrong("what another key wrapped"));
        }
        Ok(WrappedKey { version, algorithm, text: done.value.as_str().to_owned() })
    }

    /// Unwraps what [`KeyVault::wrap`] has wrapped.
    ///
    /// # Errors
    /// Returns [`KeyVaultError::NotFound`], [`KeyVaultError::Disabled`] or another.
    pub async fn unwrap(
        &self,
        name: &str,
        wrapped: &WrappedKey,
    ) -> Result<Zeroizing<Vec<u8>>, KeyVaultError> {
        let WrappedKey { version, algorithm, text } = wrapped;
        let doing = format!("unwrap a key with version {version} of the key `{name}`");
        let url = self.url(&["keys", name, version, "unwrapkey"])?;
        let body = wire::Operation { alg: algorithm.as_str(), value: text };
        let answer = self.send(Call::of_key(Method::POST, url, doing).with(&body)?).await?;
        let done = answer.read::<wire::OperationResult>()?;
        decoded(&done.value).ok_or_else(|| answer.wrong("a value that is not in base64"))
    }
}

/// Returns the version that a key's id ends with.
fn version_of(kid: &str, answer: &Answer) -> Result<String, KeyVaultError> {
    let version = kid.rsplit('/').next().unwrap_or_default();
    let is_version = version.len() == 32 && version.bytes().all(|b| b.is_ascii_hexdigit());
    match is_version {
        true => Ok(version.to_owned()),
        false => Err(answer.wrong("an id without a version")),
    }
}

fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    URL_SAFE_NO_PAD.decode_vec(text.trim_end_matches('='), &mut bytes).ok()?;
    Some(bytes)
}
