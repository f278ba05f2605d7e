//! An issuer of tokens: keys that are made here, and what they sign.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// One private key, and the name of its public half.
pub(crate) struct Signer {
    pub(crate) kid: String,
    key: Private,
}

enum Private {
    Rsa(&'static RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Signer {
    /// An RSA key of 2048 bits. All have the same one, which takes a while to make.
    pub(crate) fn rsa(kid: &str) -> Self {
        static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
        let key = KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        Self { kid: kid.to_owned(), key: Private::Rsa(key) }
    }

    /// A key on P-256 of its own.
    pub(crate) fn p256(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: kid.to_owned(), key: Private::P256(key) }
    }

    /// The public key as it is published.
    pub(crate) fn published(&self) -> Value {
        match &self.key {
            Private::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                let (n, e) = (encode(n.big_endian_without_leading_zero()), e);
                let e = encode(e.big_endian_without_leading_zero());
                json!({"kty": "RSA", "use": "sig", "kid": self.kid, "n": n, "e": e})
            }
            Private::P256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (encode(x), encode(y));
                json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y})
            }
        }
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let alg = if matches!(self.key, Private::Rsa(_)) { "RS256" } else { "ES256" };
        self.token_with(&json!({"typ": "JWT", "alg": alg, "kid": self.kid}), claims)
    }

    /// A token with these claims and any header.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let random = SystemRandom::new();
        let signature = match &self.key {
            Private::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Private::P256(key) => key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", encode(&signature))
    }
}

/// A set of public keys, as an issuer publishes it.
pub(crate) fn key_set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

/// Header and claims as they are signed.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

/// What is binary in tokens and keys.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
