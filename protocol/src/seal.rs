//! Passwords inside a message, sealed to one agent's key.
//!
//! One HPKE encapsulation (RFC 9180: DHKEM X25519 with HKDF-SHA256, AES-256-GCM) for each link
//! gives both sides a secret, exported for this use alone; each job's bundle is then sealed under
//! it with AES-256-GCM and a random nonce. The additional data binds a bundle to its device,
//! operation, step and epoch, so that it opens for no other job. The encapsulation travels with
//! each bundle: an agent that was restarted can still open what it has kept.

use std::fmt;
use std::sync::Mutex;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::id::{DeviceId, Epoch, OperationId, PasswordSet, ProfileName};
use crate::password::Password;

type AgentKem = hpke::kem::X25519HkdfSha256;
type AgentKdf = hpke::kdf::HkdfSha256;
type AgentAead = hpke::aead::AesGcm256;

const INFO: &[u8] = b"keyturn job passwords v1";

/// Tells why sealing or opening failed. Says nothing about contents.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The agent's public key is not a key.
    #[error("use the agent's public key")]
    PublicKey,
    /// The system's generator or a cipher refused.
    #[error("seal the passwords of a job")]
    Seal,
    /// The bundle was sealed for another agent, job, device or epoch, or was changed.
    #[error("open the passwords of a job: they were sealed for another one, or were changed")]
    Open,
    /// The bundle opened, but it is not a list of passwords.
    #[error("read the passwords of a job")]
    Shape,
}

/// An agent's public key, 32 bytes in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentKey(String);

/// A bundle of passwords that only one agent can open. In a message its parts are in hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    #[serde(with = "in_hex")]
    encapsulation: Vec<u8>,
    #[serde(with = "in_hex")]
    nonce: Vec<u8>,
    #[serde(with = "in_hex")]
    ciphertext: Vec<u8>,
}

mod in_hex {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(|_source| D::Error::custom("expected hex"))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// What a bundle is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The device.
    pub device: &'a DeviceId,
    /// The operation.
    pub operation: OperationId,
    /// The step in the operation.
    pub step: u32,
    /// The controller's epoch.
    pub epoch: Epoch,
}

impl Binding<'_> {
    fn bytes(&self) -> Vec<u8> {
        let device = self.device.to_string().to_ascii_lowercase();
        let mut bytes = Vec::with_capacity(device.len() + 40);
        bytes.extend_from_slice(&(device.len() as u64).to_be_bytes());
        bytes.extend_from_slice(device.as_bytes());
        bytes.extend_from_slice(self.operation.0.as_bytes());
        bytes.extend_from_slice(&self.step.to_be_bytes());
        bytes.extend_from_slice(&self.epoch.0.to_be_bytes());
        bytes
    }
}

/// The passwords that one job needs.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The candidates' and targets' passwords of the device's accounts.
    pub accounts: Vec<(ProfileName, PasswordSet, Password)>,
    /// Passwords of the terminal server's account, the likeliest first; empty without a console.
    pub terminal_server: Vec<(PasswordSet, Password)>,
}

impl Bundle {
    /// Returns the password of an account in a set, if the job carries it.
    #[must_use]
    pub fn password(&self, profile: &ProfileName, set: PasswordSet) -> Option<&Password> {
        self.accounts
            .iter()
            .find(|(owner, of, _password)| owner == profile && *of == set)
            .map(|(_owner, _set, password)| password)
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Three lengths and the number of the set; nothing may outgrow it, since what grows leaves
        // a copy behind that nobody overwrites.
        const NUMBERS_BYTES: usize = 16;
        let size: usize = self
            .accounts
            .iter()
            .map(|(p, _, v)| p.as_str().len() + v.expose().len() + NUMBERS_BYTES)
            .chain(self.terminal_server.iter().map(|(_, v)| v.expose().len() + NUMBERS_BYTES))
            .sum();
        let mut out = Zeroizing::new(Vec::with_capacity(size + AES_256_GCM.tag_len()));
        let mut put = |profile: &str, set: PasswordSet, value: &Password| {
            for part in [profile.as_bytes(), &set.0.to_be_bytes(), value.expose().as_bytes()] {
                out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
                out.extend_from_slice(part);
            }
        };
        for (profile, set, value) in &self.accounts {
            put(profile.as_str(), *set, value);
        }
        for (set, value) in &self.terminal_server {
            put("", *set, value);
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, SealError> {
        let mut bundle = Self::default();
        let mut rest = bytes;
        let mut take = || -> Option<&[u8]> {
            let (head, tail) = rest.split_first_chunk::<4>()?;
            let (part, after) = tail.split_at_checked(u32::from_be_bytes(*head) as usize)?;
            rest = after;
            Some(part)
        };
        while let Some(profile) = take() {
            let set = take().and_then(|part| part.try_into().ok()).ok_or(SealError::Shape)?;
            let set = PasswordSet(u32::from_be_bytes(set));
            let value = take().and_then(|part| std::str::from_utf8(part).ok());
            let value = value.ok_or(SealError::Shape)?.to_owned();
            let value = Password::new(value).map_err(|_source| SealError::Shape)?;
            let profile = std::str::from_utf8(profile).map_err(|_source| SealError::Shape)?;
            if profile.is_empty() {
                bundle.terminal_server.push((set, value));
            } else {
                let profile = ProfileName::new(profile).map_err(|_source| SealError::Shape)?;
                bundle.accounts.push((profile, set, value));
            }
        }
        if rest.is_empty() { Ok(bundle) } else { Err(SealError::Shape) }
    }
}

/// The controller's half of one link: seals bundles to one agent.
pub struct Sealer {
    encapsulation: Vec<u8>,
    key: LessSafeKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Makes a fresh encapsulation for an agent.
    ///
    /// # Errors
    /// Returns [`SealError::PublicKey`] where `agent` is not a key.
    pub fn new(agent: &AgentKey) -> Result<Self, SealError> {
        let bytes = hex::decode(&agent.0).map_err(|_source| SealError::PublicKey)?;
        let public = <AgentKem as Kem>::PublicKey::from_bytes(&bytes)
            .map_err(|_source| SealError::PublicKey)?;
        let (encapsulation, context) =
            hpke::setup_sender::<AgentAead, AgentKdf, AgentKem>(&OpModeS::Base, &public, INFO)
                .map_err(|_source| SealError::PublicKey)?;
        let mut secret = Zeroizing::new([0_u8; 32]);
        context.export(INFO, secret.as_mut()).map_err(|_source| SealError::Seal)?;
        Ok(Self { encapsulation: encapsulation.to_bytes().to_vec(), key: aead_key(&secret)? })
    }

    /// Seals a bundle for one job.
    ///
    /// # Errors
    /// Returns [`SealError::Seal`] where the system's generator fails.
    pub fn seal(&self, bundle: &Bundle, binding: &Binding<'_>) -> Result<Sealed, SealError> {
        let mut nonce = [0_u8; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_source| SealError::Seal)?;
        let mut text = bundle.encode();
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(binding.bytes()),
                text.as_mut_slice(),
            )
            .map_err(|_source| SealError::Seal)?;
        let mut ciphertext = std::mem::take(&mut *text);
        ciphertext.extend_from_slice(tag.as_ref());
        let encapsulation = self.encapsulation.clone();
        Ok(Sealed { encapsulation, nonce: nonce.to_vec(), ciphertext })
    }
}

/// The agent's half: opens bundles that were sealed to its key.
pub struct Opener {
    private: <AgentKem as Kem>::PrivateKey,
    public: AgentKey,
    /// The last link's encapsulation and key: all bundles of one link share them.
    last: Mutex<Option<(Vec<u8>, LessSafeKey)>>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({:?})", self.public)
    }
}

impl Opener {
    /// Makes a key pair from 32 bytes of the system's generator (or from an agent's key file).
    ///
    /// # Errors
    /// Returns [`SealError::Seal`] where no key can be derived.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SealError> {
        let (private, public) = AgentKem::derive_keypair(seed);
        let public = AgentKey(hex::encode(public.to_bytes()));
        Ok(Self { private, public, last: Mutex::new(None) })
    }

    /// Returns the public key, for [`crate::frame::FromAgent::Hello`].
    #[must_use]
    pub fn key(&self) -> &AgentKey {
        &self.public
    }

    /// Opens a bundle.
    ///
    /// # Errors
    /// Returns [`SealError::Open`] where it was sealed for another agent or another binding.
    pub fn open(&self, sealed: &Sealed, binding: &Binding<'_>) -> Result<Bundle, SealError> {
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce);
        let nonce = nonce.map_err(|_source| SealError::Open)?;
        let mut text = Zeroizing::new(sealed.ciphertext.clone());
        let mut last = self.last.lock().map_err(|_poisoned| SealError::Open)?;
        if last.as_ref().is_none_or(|(link, _key)| *link != sealed.encapsulation) {
            *last = Some((sealed.encapsulation.clone(), self.decapsulate(&sealed.encapsulation)?));
        }
        let Some((_link, key)) = last.as_ref() else {
            return Err(SealError::Open);
        };
        let plain = key
            .open_in_place(nonce, Aad::from(binding.bytes()), text.as_mut_slice())
            .map_err(|_source| SealError::Open)?;
        Bundle::decode(plain)
    }

    fn decapsulate(&self, encapsulation: &[u8]) -> Result<LessSafeKey, SealError> {
        let encapsulation = <AgentKem as Kem>::EncappedKey::from_bytes(encapsulation)
            .map_err(|_source| SealError::Open)?;
        let context = hpke::setup_receiver::<AgentAead, AgentKdf, AgentKem>(
            &OpModeR::Base,
            &self.private,
            &encapsulation,
            INFO,
        )
        .map_err(|_source| SealError::Open)?;
        let mut secret = Zeroizing::new([0_u8; 32]);
        context.export(INFO, secret.as_mut()).map_err(|_source| SealError::Open)?;
        aead_key(&secret)
    }
}

fn aead_key(secret: &[u8; 32]) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&AES_256_GCM, secret).map(LessSafeKey::new).map_err(|_source| SealError::Seal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let password = |text: &str| Password::new(text.to_owned()).unwrap();
        Bundle {
            accounts: vec![
                (ProfileName::new("admin").unwrap(), PasswordSet(1), password("old-Pass.1")),
                (ProfileName::new("admin").unwrap(), PasswordSet(2), password("new-Pass.2")),
            ],
            terminal_server: vec![(PasswordSet(2), password("ts-Pass.3"))],
        }
    }

    fn device() -> DeviceId {
        DeviceId::new("00000000-0000-0000-0000-000000000001", "lab", "ce-01").unwrap()
    }

    #[test]
    fn a_bundle_opens_for_its_agent_and_job_only() {
        let (device, operation) = (device(), OperationId(uuid::Uuid::nil()));
        let opener = Opener::from_seed(&[7; 32]).unwrap();
        let sealer = Sealer::new(opener.key()).unwrap();
        let binding = Binding { device: &device, operation, step: 1, epoch: Epoch(3) };
        let sealed = sealer.seal(&bundle(), &binding).unwrap();
        let opened = opener.open(&sealed, &binding).unwrap();
        let admin = ProfileName::new("ADMIN").unwrap();
        assert_eq!(opened.password(&admin, PasswordSet(2)).unwrap().expose(), "new-Pass.2");
        assert_eq!(opened.terminal_server.len(), 1);

        let other_step = Binding { step: 2, ..binding };
        assert_eq!(opener.open(&sealed, &other_step).unwrap_err(), SealError::Open);
        let stranger = Opener::from_seed(&[8; 32]).unwrap();
        assert_eq!(stranger.open(&sealed, &binding).unwrap_err(), SealError::Open);
    }

    #[test]
    fn a_sealed_bundle_shows_no_password_in_any_form() {
        let (device, operation) = (device(), OperationId(uuid::Uuid::nil()));
        let opener = Opener::from_seed(&[7; 32]).unwrap();
        let binding = Binding { device: &device, operation, step: 1, epoch: Epoch(3) };
        let sealed = Sealer::new(opener.key()).unwrap().seal(&bundle(), &binding).unwrap();
        let shown = format!("{sealed:?} {}", serde_json::to_string(&sealed).unwrap());
        for secret in ["old-Pass.1", &hex::encode("old-Pass.1"), "ts-Pass.3"] {
            assert!(!shown.contains(secret));
        }
    }

    #[test]
    fn a_cut_or_padded_bundle_is_refused() {
        let bytes = bundle().encode();
        for end in 1..bytes.len() {
            let cut = Bundle::decode(&bytes[..end]);
            let whole_entries = cut.as_ref().is_ok_and(|b| b.accounts.len() < 3);
            assert!(cut.is_err() || whole_entries, "cut at {end}");
        }
    }
}
