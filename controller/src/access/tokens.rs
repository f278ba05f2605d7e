//! Local tokens: made here, shown once, kept as hashes only.
//!
//! A token has 256 random bits, so that its SHA-256 gives nothing away and need not be slow. The
//! file holds all tokens that were not revoked, the expired ones among them, and is replaced whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use protocol::id::FabricId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Grant, Principal, Rejected, Role, check_prefix};
use crate::disk::{DiskError, replace_private};
use crate::model::Timestamp;

/// How long a token lives if nothing is said.
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);

/// The longest that a token may live.
pub const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The most tokens that are kept.
const TOKENS_MAX: usize = 10_000;

/// The longest name, in characters.
pub const TOKEN_NAME_CHARACTERS_MAX: usize = 64;

/// The shortest token that others bring, in characters.
const BROUGHT_CHARACTERS_MIN: usize = 32;

/// The longest token that others bring, in characters: what fits into a header.
const BROUGHT_CHARACTERS_MAX: usize = 4_096;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Random bytes in a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// Random bytes in a token's id.
const ID_BYTES: usize = 6;

/// Begins every token, so that scanners for leaked secrets can find it.
pub(super) const PREFIX: &str = "keyturn_";

/// Tells why tokens cannot be made, kept or read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// What is wanted is not allowed.
    #[error("make a token: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The operating system gave no random bytes.
    #[error("make a token: the operating system gave no random bytes")]
    Random,
    /// The file cannot be written; nothing was changed.
    #[error("keep the tokens")]
    Disk {
        /// Why.
        #[source]
        source: DiskError,
    },
    /// The file cannot be read.
    #[error("read the tokens in {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("read the tokens in {}: it is damaged", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
    },
}

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is called, so that it can be told from others.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The only fabric that it is for; `None`: all.
    pub fabric: Option<FabricId>,
    /// What the names of the secrets begin with that it is for, with a role of the Key Vault API.
    pub secret_prefix: Option<String>,
    /// How long it lives, at most [`LIFETIME_MAX`].
    pub lifetime: Duration,
}

/// A token that was made. Its text is nowhere else.
#[derive(Debug)]
pub struct Created {
    /// What is kept of it.
    pub view: TokenView,
    /// The token.
    pub token: Zeroizing<String>,
}

/// What may be shown of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TokenView {
    /// By which it is revoked.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The only fabric that it is for; `None`: all.
    pub fabric: Option<FabricId>,
    /// What the names of the secrets begin with that it is for; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_prefix: Option<Arc<str>>,
    /// When it was made.
    pub created: Timestamp,
    /// When its time is over.
    pub expires: Timestamp,
}

/// One token as the file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    view: TokenView,
    /// The token's SHA-256.
    digest: String,
}

/// A token that is elsewhere.
#[derive(Clone, Debug)]
struct Brought {
    /// The place of the configuration that refers to it.
    place: String,
    who: Principal,
}

/// All tokens of an installation.
#[derive(Debug)]
pub struct Tokens {
    /// Where they are kept; `None`: nowhere.
    file: Option<PathBuf>,
    /// The owner's, unless that is elsewhere.
    owner: Option<[u8; 32]>,
    /// Those that are elsewhere, by digest.
    brought: RwLock<BTreeMap<[u8; 32], Brought>>,
    /// By digest. Read by every request, and so never held while a disk is written.
    records: RwLock<BTreeMap<String, Record>>,
    /// Held by whoever changes the tokens.
    changing: Mutex<()>,
}

impl Tokens {
    /// Makes a registry that knows the owner's token only and forgets all others at its end.
    #[must_use]
    pub fn in_memory(owner: &str) -> Self {
        Self::with(None, Some(owner), BTreeMap::new())
    }

    /// Opens the registry of a file, which need not be there yet. Without `owner` the owner's token
    /// is elsewhere.
    ///
    /// # Errors
    /// Returns [`TokenError::Read`] or [`TokenError::Damaged`].
    pub fn open(file: &Path, owner: Option<&str>) -> Result<Self, TokenError> {
        let records = read(file)?.into_iter().map(|record| (record.digest.clone(), record));
        Ok(Self::with(Some(file.to_owned()), owner, records.collect()))
    }

    fn with(file: Option<PathBuf>, owner: Option<&str>, records: BTreeMap<String, Record>) -> Self {
        let (owner, records) = (owner.map(digest), RwLock::new(records));
        Self { file, owner, brought: RwLock::default(), records, changing: Mutex::default() }
    }

    /// Takes a token that is elsewhere, for a place of the configuration, from now on and in the
    /// place of the one that was taken for it before. Tells whether it is another one.
    ///
    /// # Errors
    /// Returns what was expected for a text that is short, or no token, or another one's; the one
    /// before is still taken then.
    pub fn bring(&self, place: &str, token: &str, who: Principal) -> Result<bool, &'static str> {
        let fits = (BROUGHT_CHARACTERS_MIN..=BROUGHT_CHARACTERS_MAX).contains(&token.len());
        if !fits || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token: 32 to 4096 printable characters without a space");
        }
        let digest = digest(token);
        let mut brought = self.brought.write().unwrap_or_else(PoisonError::into_inner);
        let known = brought.get(&digest).is_some_and(|other| other.place == place);
        let elsewhere = brought.contains_key(&digest) && !known;
        let made_here =
            self.owner == Some(digest) || self.read().contains_key(&hex::encode(digest));
        if elsewhere || made_here {
            return Err("a token of its own: this one is another one's");
        }
        brought.retain(|_digest, other| other.place != place);
        brought.insert(digest, Brought { place: place.to_owned(), who });
        Ok(!known)
    }

    /// Makes a token. It is durable when this returns. Writes to a disk.
    ///
    /// # Errors
    /// Returns [`TokenError::Invalid`] for a name or lifetime out of bounds, and
    /// [`TokenError::Disk`] or [`TokenError::Random`]; no token was made then.
    pub fn create(&self, wanted: Wanted, now: Timestamp) -> Result<Created, TokenError> {
        let Wanted { name, role, fabric, secret_prefix, lifetime } = wanted;
        let invalid = |reason: String| Err(TokenError::Invalid { reason });
        if !is_token_name(&name) {
            return invalid(format!(
                "its name must have 1 to {TOKEN_NAME_CHARACTERS_MAX} printable ASCII characters"
            ));
        }
        if let Some(prefix) = &secret_prefix {
            check_prefix(role, prefix).map_err(|expected| TokenError::Invalid {
                reason: format!("its prefix of secrets `{prefix}`: expected {expected}"),
            })?;
        }
        if lifetime.is_zero() || lifetime > LIFETIME_MAX {
            let days = LIFETIME_MAX.as_secs() / (24 * 3600);
            return invalid(format!("its lifetime must be more than 0 and at most {days} days"));
        }
        let id = hex::encode(random::<ID_BYTES>()?.as_slice());
        let secret = Zeroizing::new(hex::encode(random::<TOKEN_BYTES>()?.as_slice()));
        let mut token =
            Zeroizing::new(String::with_capacity(PREFIX.len() + id.len() + 1 + secret.len()));
        token.push_str(PREFIX);
        token.push_str(&id);
        token.push('_');
        token.push_str(&secret);
        let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        let expires = Timestamp(now.0.saturating_add(lifetime));
        let secret_prefix = secret_prefix.map(Into::into);
        let view = TokenView { id, name, role, fabric, secret_prefix, created: now, expires };
        let digest = hex::encode(digest(&token));
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.read().clone();
        if next.len() >= TOKENS_MAX {
            return invalid(format!("there are {TOKENS_MAX} already; revoke some"));
        }
        next.insert(digest.clone(), Record { view: view.clone(), digest });
        self.replace(next)?;
        Ok(Created { view, token })
    }

    /// Lists the tokens, the newest last.
    #[must_use]
    pub fn list(&self) -> Vec<TokenView> {
        let mut views: Vec<TokenView> =
            self.read().values().map(|record| record.view.clone()).collect();
        views.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        views
    }

    /// Revokes a token; tells whether there was one. It is accepted nowhere any more when this
    /// returns. Writes to a disk.
    ///
    /// # Errors
    /// Returns [`TokenError::Disk`]; the token is as good as before then.
    pub fn revoke(&self, id: &str) -> Result<bool, TokenError> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.read().clone();
        let before = next.len();
        next.retain(|_digest, record| record.view.id != id);
        if next.len() == before {
            return Ok(false);
        }
        self.replace(next)?;
        Ok(true)
    }

    /// Returns who presents a token.
    ///
    /// # Errors
    /// Returns [`Rejected`].
    pub fn admit(&self, presented: &str, now: Timestamp) -> Result<Principal, Rejected> {
        let presented = digest(presented);
        let owner = self.owner.as_ref();
        if owner.is_some_and(|owner| verify_slices_are_equal(owner, &presented).is_ok()) {
            return Ok(Principal::owner());
        }
        let brought = self.brought.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(brought) = brought.get(&presented) {
            return Ok(brought.who.clone());
        }
        let records = self.read();
        // Found by its hash: how far a guess is right shows in nothing.
        let record = records.get(&hex::encode(presented)).ok_or(Rejected::Unknown)?;
        let TokenView { id, name, role, fabric, secret_prefix, expires, .. } = &record.view;
        if *expires <= now {
            return Err(Rejected::Expired);
        }
        let (fabric, secret_prefix) = (fabric.clone(), secret_prefix.clone());
        let grant = Grant { role: *role, fabric, secret_prefix };
        Ok(Principal::new(format!("{name} (token {id})"), grant))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Record>> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes other records durable, and only then puts them in force.
    fn replace(&self, next: BTreeMap<String, Record>) -> Result<(), TokenError> {
        if let Some(file) = &self.file {
            let records: Vec<&Record> = next.values().collect();
            let text = serde_json::to_vec_pretty(&records)
                .map_err(|_source| TokenError::Damaged { file: file.clone() })?;
            replace_private(file, &text).map_err(|source| TokenError::Disk { source })?;
        }
        *self.records.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

/// Tells whether a text can be what a token is called.
#[must_use]
pub fn is_token_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_graphic() || c == ' ';
    (1..=TOKEN_NAME_CHARACTERS_MAX).contains(&text.len()) && text.chars().all(legal)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, TokenError> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_unspecified| TokenError::Random)?;
    Ok(bytes)
}

fn read(file: &Path) -> Result<Vec<Record>, TokenError> {
    let failed = |source| TokenError::Read { file: file.to_owned(), source };
    match std::fs::metadata(file) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            return Err(TokenError::Damaged { file: file.to_owned() });
        }
        Ok(_found) => {}
    }
    let text = std::fs::read(file).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|_source| TokenError::Damaged { file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::access::{Right, Scope};

    const OWNER: &str = "the-owner's-own-token-0123456789abcdef";
    const NOW: Timestamp = Timestamp(1_000_000);

    fn wanted(role: Role) -> Wanted {
        Wanted {
            name: "ci".to_owned(),
            role,
            fabric: None,
            secret_prefix: None,
            lifetime: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_token_is_accepted_until_it_expires_or_is_revoked() {
        let tokens = Tokens::in_memory(OWNER);
        let created = tokens.create(wanted(Role::Operator), NOW).unwrap();
        let who = tokens.admit(&created.token, NOW).unwrap();
        assert!(who.may(Right::Operate, Scope::Everything));
        assert!(!who.may(Right::Reveal, Scope::Everything));
        assert_eq!(who.to_string(), format!("ci (token {})", created.view.id));
        assert_eq!(tokens.admit(&created.token, Timestamp(NOW.0 + 60_000)), Err(Rejected::Expired));
        assert!(tokens.revoke(&created.view.id).unwrap());
        assert!(!tokens.revoke(&created.view.id).unwrap());
        assert_eq!(tokens.admit(&created.token, NOW), Err(Rejected::Unknown));
        assert_eq!(tokens.admit("", NOW), Err(Rejected::Unknown));
        assert_eq!(tokens.admit(OWNER, NOW), Ok(Principal::owner()));
    }

    #[test]
    fn tokens_outlive_the_daemon_and_their_text_is_in_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.json");
        let tokens = Tokens::open(&file, Some(OWNER)).unwrap();
        let kept = tokens.create(wanted(Role::Reader), NOW).unwrap();
        let gone = tokens.create(wanted(Role::SecretReader), NOW).unwrap();
        tokens.revoke(&gone.view.id).unwrap();
        let again = Tokens::open(&file, Some(OWNER)).unwrap();
        assert!(again.admit(&kept.token, NOW).is_ok());
        assert_eq!(again.admit(&gone.token, NOW), Err(Rejected::Unknown));
        assert_eq!(again.list(), [kept.view]);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        let secret = kept.token.rsplit('_').next().unwrap();
        assert!(!text.contains(secret) && !text.contains(OWNER));
    }

    #[test]
    fn a_token_that_is_elsewhere_is_taken_until_another_one_is_there() {
        let tokens = Tokens::open(Path::new("/nowhere/tokens.json"), None).unwrap();
        let who = |name: &str, role| {
            Principal::new(name.to_owned(), Grant { role, fabric: None, secret_prefix: None })
        };
        let (first, second) = ("1".repeat(32), "2".repeat(40));
        assert_eq!(tokens.admit(&first, NOW), Err(Rejected::Unknown));
        assert!(tokens.bring("a", &first, Principal::owner()).unwrap());
        assert!(!tokens.bring("a", &first, Principal::owner()).unwrap());
        assert_eq!(tokens.admit(&first, NOW), Ok(Principal::owner()));
        assert!(tokens.bring("b", &second, who("ci", Role::Reader)).unwrap());
        assert_eq!(tokens.admit(&second, NOW).unwrap().to_string(), "ci");
        // What cannot be taken changes nothing.
        for (token, expect) in
            [("short", "printable"), (&*"x y".repeat(20), "printable"), (&*first, "another one's")]
        {
            let error = tokens.bring("b", token, who("ci", Role::Reader)).unwrap_err();
            assert!(error.contains(expect), "{error}");
            assert!(tokens.admit(&second, NOW).is_ok());
        }
        assert!(tokens.bring("b", &"3".repeat(32), who("ci", Role::Reader)).unwrap());
        assert_eq!(tokens.admit(&second, NOW), Err(Rejected::Unknown));
    }

    #[test]
    fn a_damaged_file_is_no_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.json");
        std::fs::write(&file, "[{\"id\":").unwrap();
        let error = Tokens::open(&file, Some(OWNER)).unwrap_err();
        assert!(matches!(error, TokenError::Damaged { .. }), "{error}");
    }

    #[test]
    fn names_and_lifetimes_have_bounds() {
        let tokens = Tokens::in_memory(OWNER);
        let cases = [
            (String::new(), Duration::from_secs(1)),
            ("x".repeat(65), Duration::from_secs(1)),
            ("a\nb".to_owned(), Duration::from_secs(1)),
            ("ci".to_owned(), Duration::ZERO),
            ("ci".to_owned(), LIFETIME_MAX + Duration::from_millis(1)),
        ];
        for (name, lifetime) in cases {
            let wanted = Wanted { name, lifetime, ..wanted(Role::Reader) };
            let error = tokens.create(wanted.clone(), NOW).unwrap_err();
            assert!(matches!(error, TokenError::Invalid { .. }), "{wanted:?}: {error}");
        }
        let prefixes =
            [(Role::Reader, "web-"), (Role::VaultSecretsUser, ""), (Role::VaultSecretsUser, "a b")];
        for (role, prefix) in prefixes {
            let wanted = Wanted { secret_prefix: Some(prefix.to_owned()), ..wanted(role) };
            let error = tokens.create(wanted, NOW).unwrap_err();
            assert!(matches!(error, TokenError::Invalid { .. }), "{prefix}: {error}");
        }
        assert!(tokens.list().is_empty());
    }

    #[test]
    fn a_token_with_a_prefix_is_for_those_secrets_alone() {
        let tokens = Tokens::in_memory(OWNER);
        let prefix = Some("web-".to_owned());
        let wanted = Wanted { secret_prefix: prefix, ..wanted(Role::VaultSecretsUser) };
        let created = tokens.create(wanted, NOW).unwrap();
        let who = tokens.admit(&created.token, NOW).unwrap();
        let may = |right, name| who.may(right, Scope::Secret { name, fabric: None });
        assert!(may(Right::GetSecret, "Web-1") && !may(Right::GetSecret, "db-1"));
        assert!(!may(Right::SetSecret, "web-1") && !who.may(Right::Read, Scope::Visible));
    }
}
