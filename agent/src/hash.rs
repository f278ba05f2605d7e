//! Password hashes: computed once per profile and password set, verified off the async threads.
//!
//! One sha512-crypt hash costs as much CPU as three whole device sessions, so the hash of a
//! password is computed once and shared by the devices of a fabric: their plaintexts are equal
//! anyway, and equal hashes make "is every switch on this set?" a comparison of texts. The cache
//! is keyed by a keyed digest, never by a password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::{constant_time, hmac};
use protocol::id::{PasswordSet, ProfileName};
use protocol::password::Password;
use sha_crypt::{Algorithm, CustomizedPasswordHasher, Params, PasswordVerifier, ShaCrypt};
use tokio::sync::{OnceCell, Semaphore};
use yescrypt::Yescrypt;
use zeroize::Zeroizing;

/// How many hashes are kept before the cache begins anew: nearly 200 sets of 21 profiles.
const CACHED_MAX: usize = 4096;
/// How many verdicts are kept: 5,000 devices whose 21 accounts all have salts of their own, as
/// they do when they are adopted. About 10 MiB.
const VERDICTS_MAX: usize = 105_000;
/// The most rounds of a stored hash that are worth computing: a device could name a billion.
const ROUNDS_MAX: u32 = 100_000;
/// The most memory that a stored yescrypt hash may cost, in bytes: four times what Debian's and
/// Ubuntu's passwords take. Its time goes with its memory.
const YESCRYPT_BYTES_MAX: u64 = 64 << 20;
/// The characters of a yescrypt hash: 32 bytes in crypt's alphabet.
const YESCRYPT_HASH_LENGTH: usize = 43;
/// How yescrypt hashes begin: what Linux distributions store today.
const YESCRYPT: &str = "$y$";
/// Random bytes in a salt; 12 make the 16 characters that crypt uses.
const SALT_BYTES: usize = 12;

/// Tells why no hash could be made. Contains neither password nor hash.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HashError {
    /// The system's generator failed.
    #[error("make a salt: the system's generator failed")]
    Salt,
    /// The hash could not be computed.
    #[error("compute a sha512-crypt hash")]
    Compute,
    /// The thread that computed it was lost.
    #[error("compute a hash off the async threads: the runtime is shutting down")]
    Thread,
}

/// What a comparison of a stored hash with a password gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The stored hash is this password's.
    Same,
    /// It is another one's.
    Other,
    /// It is of a kind that cannot be computed here.
    Unknown,
}

type Digest = [u8; 32];

/// Computes, verifies and remembers hashes.
pub struct Hashes {
    key: hmac::Key,
    computed: Mutex<HashMap<Digest, Arc<OnceCell<Arc<str>>>>>,
    verdicts: Mutex<HashMap<Digest, Arc<OnceCell<Verdict>>>>,
    /// As many hashes at once as there are processors: a thousand devices that all ask in the same
    /// moment would else have five hundred threads made for them.
    threads: Semaphore,
}

impl std::fmt::Debug for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashes(…)")
    }
}

impl Hashes {
    /// Makes an empty cache with a key of its own.
    ///
    /// # Errors
    /// Returns [`HashError::Salt`] where the system's generator fails.
    pub fn new() -> Result<Self, HashError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(key.as_mut()).map_err(|_unspecified| HashError::Salt)?;
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()),
            computed: Mutex::default(),
            verdicts: Mutex::default(),
            threads: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
        })
    }

    /// Returns the sha512-crypt hash of a profile's password in a set, always the same one.
    ///
    /// # Errors
    /// Returns [`HashError`] where it cannot be computed.
    pub async fn sha512_crypt(
        &self,
        profile: &ProfileName,
        set: PasswordSet,
        password: &Password,
    ) -> Result<Arc<str>, HashError> {
        let profile = profile.as_str().to_ascii_lowercase();
        let digest = self.digest(&[profile.as_bytes(), &set.0.to_be_bytes()], password);
        let cell = remembered(&self.computed, digest, CACHED_MAX);
        let hash = cell.get_or_try_init(|| async {
            let password = password.duplicate();
            self.off_the_async_threads(move || compute(&password)).await?
        });
        hash.await.cloned()
    }

    /// Compares a stored hash with a password.
    ///
    /// # Errors
    /// Returns [`HashError::Thread`] where the runtime is shutting down.
    pub async fn verify(&self, stored: &str, password: &Password) -> Result<Verdict, HashError> {
        if !is_computable(stored) {
            return Ok(Verdict::Unknown);
        }
        let cell =
            remembered(&self.verdicts, self.digest(&[stored.as_bytes()], password), VERDICTS_MAX);
        let verdict = cell.get_or_try_init(|| async {
            let (stored, password) = (stored.to_owned(), password.duplicate());
            self.off_the_async_threads(move || verify(&stored, &password)).await
        });
        verdict.await.copied()
    }

    /// Runs a computation on a thread where it delays no conversation.
    async fn off_the_async_threads<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let _thread = self.threads.acquire().await.map_err(|_closed| HashError::Thread)?;
        tokio::task::spawn_blocking(compute).await.map_err(|_gone| HashError::Thread)
    }

    /// Returns a name for what was asked that does not show the password.
    fn digest(&self, parts: &[&[u8]], password: &Password) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts.iter().chain(&[password.expose().as_bytes()]) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().unwrap_or_default()
    }
}

/// Returns the place where a result is kept, so that whoever asks first computes it for all.
fn remembered<T>(
    cache: &Mutex<HashMap<Digest, Arc<OnceCell<T>>>>,
    digest: Digest,
    entries_max: usize,
) -> Arc<OnceCell<T>> {
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= entries_max && !cache.contains_key(&digest) {
        cache.clear();
    }
    Arc::clone(cache.entry(digest).or_default())
}

/// Compares two stored hashes in a time that depends on their lengths only.
#[must_use]
pub fn same_hash(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn compute(password: &Password) -> Result<Arc<str>, HashError> {
    let mut salt = [0_u8; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_unspecified| HashError::Salt)?;
    compute_with(password, &salt)
}

fn compute_with(password: &Password, salt: &[u8]) -> Result<Arc<str>, HashError> {
    let hasher = ShaCrypt::new(Algorithm::Sha512Crypt, Params::RECOMMENDED);
    let bytes = password.expose().as_bytes();
    let hash = hasher
        .hash_password_customized(bytes, salt, None, None, Params::RECOMMENDED)
        .map_err(|_source| HashError::Compute)?;
    // 5,000 rounds are crypt's default. No vendor documents that it takes the `rounds=` form.
    Ok(hash.as_str().replacen("$rounds=5000$", "$", 1).into())
}

/// Tells whether a stored hash is of a kind, and of a cost, that is computed here.
fn is_computable(stored: &str) -> bool {
    if let Some(fields) = stored.strip_prefix(YESCRYPT) {
        return is_computable_yescrypt(fields);
    }
    let Some(fields) = stored.strip_prefix("$6$").or_else(|| stored.strip_prefix("$5$")) else {
        return false;
    };
    let rounds = fields.strip_prefix("rounds=").and_then(|rest| rest.split('$').next());
    rounds.is_none_or(|rounds| rounds.parse::<u32>().is_ok_and(|rounds| rounds <= ROUNDS_MAX))
}

/// Takes the parameters that `crypt_gensalt` writes, such as `j9T`: flavour, memory, block size,
/// and none of the optional ones, which cost time without end.
fn is_computable_yescrypt(fields: &str) -> bool {
    let mut fields = fields.split('$');
    let (Some(parameters), Some(_salt), Some(hash), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    let cheap = |given: yescrypt::Params| {
        let blocks = given.n().checked_mul(u64::from(given.r()));
        blocks.and_then(|blocks| blocks.checked_mul(128)).is_some_and(|b| b <= YESCRYPT_BYTES_MAX)
    };
    hash.len() == YESCRYPT_HASH_LENGTH
        && parameters.len() == 3
        && parameters.parse().is_ok_and(cheap)
}

fn verify(stored: &str, password: &Password) -> Verdict {
    let password = password.expose().as_bytes();
    let same = match stored.starts_with(YESCRYPT) {
        true => Yescrypt::default().verify_password(password, stored).is_ok(),
        false => ShaCrypt::default().verify_password(password, stored).is_ok(),
    };
    if same { Verdict::Same } else { Verdict::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl passwd -6 -salt abcdefgh12345678 Test-Pass.1`.
    const KNOWN: &str = "$6$abcdefgh12345678$6W84QPGDnPogfM353tvcHXxOVK70xa6wTzbzASIovPq4.\
                         aPJGyoV18L7jiT157yymXOku9/s5ihQXmDxU.FJL1";

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    fn profile(text: &str) -> ProfileName {
        ProfileName::new(text).unwrap()
    }

    #[tokio::test]
    async fn a_hash_that_openssl_made_is_verified() {
        let hashes = Hashes::new().unwrap();
        let check =
            async |stored: &str, text: &str| hashes.verify(stored, &password(text)).await.unwrap();
        assert_eq!(check(KNOWN, "Test-Pass.1").await, Verdict::Same);
        assert_eq!(check(KNOWN, "Test-Pass.1").await, Verdict::Same);
        assert_eq!(check(KNOWN, "Test-Pass.2").await, Verdict::Other);
        assert_eq!(check("$6$abc", "x").await, Verdict::Other);
        for unknown in ["$1$l/6gq.Qs$ifURvKWUYzLm0RqmRgr.W1", "$y$j9T$x$y", "*", "!", ""] {
            assert_eq!(check(unknown, "x").await, Verdict::Unknown, "{unknown}");
        }
        let costly = "$6$rounds=999999999$abcdefgh12345678$x";
        assert_eq!(check(costly, "x").await, Verdict::Unknown);
    }

    #[tokio::test]
    async fn a_hash_as_linux_stores_it_is_verified_unless_it_costs_too_much() {
        // `crypt("Test-Pass.1", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$")` of libxcrypt.
        const STORED: &str =
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$N29wD3wuYJW4IlQ9fiL3S04goWZis6q.o4Yw4Uy41S1";
        let hashes = Hashes::new().unwrap();
        let check = async |stored: &str, text: &str, expect: Verdict| {
            assert_eq!(hashes.verify(stored, &password(text)).await.unwrap(), expect, "{stored}");
        };
        check(STORED, "Test-Pass.1", Verdict::Same).await;
        check(STORED, "Test-Pass.2", Verdict::Other).await;
        for costly in ["jzT", "jDT", "j9zzzzz", "j9T5", "j", "", "???"] {
            check(&STORED.replace("j9T", costly), "Test-Pass.1", Verdict::Unknown).await;
        }
        check("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$", "Test-Pass.1", Verdict::Unknown).await;
        check(&format!("{STORED}$"), "Test-Pass.1", Verdict::Unknown).await;
        let other_salt = STORED.replace("F5Jx", "F5J?");
        check(&other_salt, "Test-Pass.1", Verdict::Other).await;
    }

    #[tokio::test]
    async fn a_profile_and_set_have_one_hash() {
        let hashes = Hashes::new().unwrap();
        let (admin, other) = (profile("admin"), profile("TelcoRO"));
        let value = password("Test-Pass.1");
        let first = hashes.sha512_crypt(&admin, PasswordSet(1), &value).await.unwrap();
        let again = hashes.sha512_crypt(&profile("ADMIN"), PasswordSet(1), &value).await.unwrap();
        assert_eq!(first, again);
        assert!(first.starts_with("$6$") && !first.contains("rounds"), "shape of a hash");
        assert_eq!(first.split('$').nth(2).map(str::len), Some(16));
        assert_eq!(hashes.verify(&first, &value).await.unwrap(), Verdict::Same);
        let next = hashes.sha512_crypt(&admin, PasswordSet(2), &value).await.unwrap();
        assert_ne!(first, next);
        let others = hashes.sha512_crypt(&other, PasswordSet(1), &value).await.unwrap();
        assert_ne!(first, others);
    }

    #[test]
    fn equal_hashes_are_equal() {
        assert!(same_hash(KNOWN, KNOWN));
        assert!(!same_hash(KNOWN, &KNOWN.replace("FJL1", "FJL2")));
        assert!(!same_hash(KNOWN, "$6$"));
    }
}
