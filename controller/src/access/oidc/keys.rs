//! The keys that an issuer publishes, and which of them may sign a token.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The most keys that a set may have. Providers have two to ten.
const KEYS_MAX: usize = 100;

/// The shortest RSA key, in bits (RFC 7518, section 3.3).
const RSA_BITS_MIN: usize = 2048;

/// The longest RSA key, in bits; a longer one takes too long to check.
const RSA_BITS_MAX: usize = 8192;

/// The length of a coordinate on P-256, in bytes.
const P256_BYTES: usize = 32;

/// The longest name of a key that is shown, in characters.
const NAME_CHARACTERS_MAX: usize = 80;

/// Tells why a text is no set of keys that could be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is no JSON, or not of that form.
    #[error("find a JSON Web Key Set: an object with the list `keys`")]
    Form,
    /// There are too many.
    #[error("take {count} keys; expected at most {KEYS_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Two of them have one name, so that it is open which one a token means.
    #[error("tell the keys apart: two are called `{name}`")]
    Twice {
        /// The name.
        name: String,
    },
    /// A secret has been published.
    #[error("take `{name}`: it is a private key")]
    Private {
        /// Its name.
        name: String,
    },
    /// No key can be used.
    #[error("find a key for RS256 or ES256{others}")]
    Nothing {
        /// What there is instead.
        others: String,
    },
}

impl KeysError {
    /// Returns what mends it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Private { .. } => {
                "publish the public keys only, and replace the one that has been shown"
            }
            Self::Twice { .. } => "give every key a `kid` of its own",
            Self::Nothing { .. } => {
                "the issuer must sign with an RSA key of at least 2048 bits (RS256) or one on \
                 P-256 (ES256), published with its `kid`"
            }
            Self::Form | Self::TooMany { .. } => {
                "give what the issuer publishes at its `jwks_uri`, unchanged"
            }
        }
    }
}

/// One key that may sign tokens, in one way only.
#[derive(Clone)]
pub(super) struct Key {
    /// The way: it follows from the kind of the key.
    pub(super) algorithm: Algorithm,
    /// The key.
    pub(super) key: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The keys of an issuer, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(BTreeMap<String, Arc<Key>>);

/// A key as it is published. What else it has is not looked at.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads a JSON Web Key Set. Keys for other purposes or algorithms are left out, as the RFC
    /// wants it.
    ///
    /// # Errors
    /// Returns [`KeysError`]: a set is taken as a whole or not at all.
    pub(super) fn parse(text: &[u8]) -> Result<Self, KeysError> {
        let set: Set = serde_json::from_slice(text).map_err(|_source| KeysError::Form)?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeysError::TooMany { count: set.keys.len() });
        }
        let (mut keys, mut others) = (BTreeMap::new(), Vec::new());
        for published in set.keys {
            let Ok(published) = serde_json::from_value::<Published>(published) else {
                others.push("one that cannot be read".to_owned());
                continue;
            };
            let name = shown(published.kid.as_deref().unwrap_or("a key without `kid`"));
            if published.d.is_some() {
                return Err(KeysError::Private { name });
            }
            match published.usable() {
                Ok((kid, key)) => {
                    if keys.insert(kid, Arc::new(key)).is_some() {
                        return Err(KeysError::Twice { name });
                    }
                }
                Err(why) => others.push(format!("`{name}`: {why}")),
            }
        }
        if keys.is_empty() {
            let others = others.iter().map(|other| format!("; {other}")).collect();
            return Err(KeysError::Nothing { others });
        }
        Ok(Self(keys))
    }

    /// Returns the key of a name.
    pub(super) fn get(&self, kid: &str) -> Option<Arc<Key>> {
        self.0.get(kid).cloned()
    }

    /// Lists the names, for a log.
    pub(super) fn names(&self) -> String {
        self.0.keys().map(|kid| shown(kid)).collect::<Vec<_>>().join(" ")
    }
}

impl Published {
    /// Makes a key with its name, or says why it is none for us.
    fn usable(self) -> Result<(String, Key), &'static str> {
        let kid = self.kid.clone().ok_or("it has no `kid`")?;
        if self.r#use.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err("it is not for signatures");
        }
        if self.key_ops.as_ref().is_some_and(|all| !all.iter().any(|one| one == "verify")) {
            return Err("it is not for signatures");
        }
        let (algorithm, name) = match self.kty.as_str() {
            "RSA" => (Algorithm::RS256, "RS256"),
            "EC" if self.crv.as_deref() == Some("P-256") => (Algorithm::ES256, "ES256"),
            _ => return Err("it is neither an RSA key nor one on P-256"),
        };
        if self.alg.as_deref().is_some_and(|alg| alg != name) {
            return Err("it is for another algorithm");
        }
        let key = if algorithm == Algorithm::RS256 { self.rsa()? } else { self.p256()? };
        Ok((kid, Key { algorithm, key }))
    }

    fn rsa(&self) -> Result<DecodingKey, &'static str> {
        let modulus = bytes(self.n.as_deref())?;
        let exponent = bytes(self.e.as_deref())?;
        match bits(&modulus) {
            ..RSA_BITS_MIN => Err("it is shorter than 2048 bits"),
            RSA_BITS_MIN..=RSA_BITS_MAX => {
                Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
            }
            _ => Err("it is longer than 8192 bits"),
        }
    }

    fn p256(&self) -> Result<DecodingKey, &'static str> {
        let (x, y) = (bytes(self.x.as_deref())?, bytes(self.y.as_deref())?);
        if x.len() != P256_BYTES || y.len() != P256_BYTES {
            return Err("it is no point on P-256");
        }
        // An uncompressed point (SEC 1, section 2.3.3), which is what the verifier takes.
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        Ok(DecodingKey::from_ec_der(&point))
    }
}

fn bytes(text: Option<&str>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("it is not complete")?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_source| "it cannot be decoded")
}

/// The length of a number, without zeros before it.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() - zeros) * 8 - first
}

/// A name that the issuer gave, fit for logs and errors.
fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    name.chars().map(plain).take(NAME_CHARACTERS_MAX).collect()
}
