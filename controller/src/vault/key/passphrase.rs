//! Keys that are made from a passphrase, and where the passphrase comes from.
//!
//! The key is Argon2id (RFC 9106) of the passphrase and a salt. What it was made with stands in a key
//! file of four lines, none of which is secret: `keyturn-vault-passphrase 1 <id>`, the cost as in
//! `argon2id memory=65536 passes=3 lanes=4`, the salt, and a check of these three, so that a damaged
//! file is told from a wrong passphrase. Whoever has the file can try passphrases against its id, at
//! one Argon2id each: the passphrase has to be long, or the file kept apart as well.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use super::super::VaultError;
use super::super::cipher::{KEY_BYTES, KeyBytes, key_id};
use super::file::{self, LOCKED, Mode, checked};
use super::terminal;

/// The passphrase's name as a systemd credential (`LoadCredentialEncrypted=`).
pub const PASSPHRASE_CREDENTIAL: &str = "keyturn-vault-passphrase";

/// The shortest passphrase that a key is made from, in characters: four words of a list of 7,776
/// (51 bits), at 64 MiB and some 100 ms a guess.
pub const PASSPHRASE_CHARACTERS_MIN: usize = 16;

/// The longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 512;

const SALT_BYTES: usize = 16;

/// A passphrase, overwritten when dropped. Its bytes count as they are: an `é` that another keyboard
/// puts together of two characters is another passphrase.
pub(super) struct Passphrase(Zeroizing<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl Passphrase {
    fn new(from: &PassphraseSource, text: &str) -> Result<Self, VaultError> {
        let problem = if text.chars().any(char::is_control) {
            "one line without control characters"
        } else if text.chars().count() < PASSPHRASE_CHARACTERS_MIN {
            "at least 16 characters"
        } else if text.len() > PASSPHRASE_BYTES_MAX {
            "at most 512 bytes"
        } else {
            return Ok(Self(Zeroizing::new(text.to_owned())));
        };
        Err(from.unfit(problem))
    }
}

/// Where the passphrase comes from. It is never an argument, nor in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// The only line of a file of mode 0600.
    File(PathBuf),
    /// The only line of a systemd credential.
    Credential(PathBuf),
    /// Asked for on the terminal, without an echo.
    Terminal,
    /// Fetched from where the configuration refers to.
    Fetched(Fetched),
}

/// A passphrase that was fetched, and from where.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    from: String,
    text: Arc<Zeroizing<String>>,
}

impl Fetched {
    /// Takes what was fetched; `from` is what errors call the place.
    #[must_use]
    pub fn new(from: String, text: Zeroizing<String>) -> Self {
        Self { from, text: Arc::new(text) }
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched").field("from", &self.from).finish_non_exhaustive()
    }
}

impl PassphraseSource {
    /// Reads the passphrase, or asks for it.
    ///
    /// # Errors
    /// [`VaultError::KeyMissing`] and [`VaultError::KeyExposed`] about the file;
    /// [`VaultError::PassphraseUnfit`]; [`VaultError::Terminal`] if nobody can be asked.
    pub(super) fn read(&self) -> Result<Passphrase, VaultError> {
        let (path, mode) = match self {
            Self::Terminal => {
                return Passphrase::new(self, &terminal::ask("Passphrase of the vault: ")?);
            }
            Self::Fetched(fetched) => return self.line(&fetched.text),
            Self::File(path) => (path, Mode::OwnerOnly),
            Self::Credential(path) => (path, Mode::Systemd),
        };
        let missing = || VaultError::PassphraseFileMissing { file: path.clone() };
        let secret = file::read_private(path, mode)?.ok_or_else(missing)?;
        let text = secret.text().and_then(|text| std::str::from_utf8(text).ok());
        self.line(text.ok_or_else(|| self.unfit("at most 512 bytes of UTF-8"))?)
    }

    fn line(&self, text: &str) -> Result<Passphrase, VaultError> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        Passphrase::new(self, line.strip_suffix('\r').unwrap_or(line))
    }

    /// Reads a passphrase that a new key is made from; on the terminal it is asked for twice.
    ///
    /// # Errors
    /// As [`PassphraseSource::read`], and if the two are not the same.
    pub(super) fn choose(&self) -> Result<Passphrase, VaultError> {
        if *self != Self::Terminal {
            return self.read();
        }
        let first = Passphrase::new(self, &terminal::ask("New passphrase of the vault: ")?)?;
        let second = terminal::ask("The same again: ")?;
        match *first.0 == *second {
            true => Ok(first),
            false => Err(self.unfit("the same passphrase twice")),
        }
    }

    fn unfit(&self, expected: &'static str) -> VaultError {
        VaultError::PassphraseUnfit { from: self.to_string(), expected }
    }
}

impl fmt::Display for PassphraseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Credential(path) => write!(f, "the credential `{}`", path.display()),
            Self::Terminal => f.write_str("the terminal"),
            Self::Fetched(fetched) => f.write_str(&fetched.from),
        }
    }
}

/// What one guess costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Memory in KiB, 8 for each lane to 1,048,576 (1 GiB).
    pub(super) memory: u32,
    /// Passes over the memory, 1 to 64.
    pub(super) passes: u32,
    /// Lanes, 1 to 16.
    pub(super) lanes: u32,
}

impl Cost {
    /// The second of the two choices that RFC 9106 (section 4) recommends: for hosts that have other
    /// things to do with 2 GiB.
    pub(super) const USUAL: Self = Self { memory: 65_536, passes: 3, lanes: 4 };

    /// Reads a cost within the bounds: a file must not be able to take all memory of the host.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("argon2id ")?.split(' ');
        let mut number = |name: &str, least: u32, most: u32| {
            let digits = words.next()?.strip_prefix(name)?.strip_prefix('=')?;
            let number: u32 = digits.parse().ok()?;
            (number.to_string() == digits && (least..=most).contains(&number)).then_some(number)
        };
        let memory = number("memory", 8, 1 << 20)?;
        let (passes, lanes) = (number("passes", 1, 64)?, number("lanes", 1, 16)?);
        let ends = words.next().is_none() && memory >= lanes.saturating_mul(8);
        ends.then_some(Self { memory, passes, lanes })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, passes, lanes } = self;
        write!(f, "argon2id memory={memory} passes={passes} lanes={lanes}")
    }
}

/// What makes a key of a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Locked {
    id: String,
    cost: Cost,
    salt: [u8; SALT_BYTES],
}

impl Locked {
    /// Makes a new key of a passphrase.
    pub(super) fn create(
        passphrase: &Passphrase,
        cost: Cost,
    ) -> Result<(Self, KeyBytes), VaultError> {
        let mut salt = [0; SALT_BYTES];
        aws_lc_rs::rand::fill(&mut salt)
            .map_err(|_source| VaultError::Cipher { doing: "draw a salt" })?;
        let bytes = derive(passphrase, cost, &salt)?;
        Ok((Self { id: key_id(&bytes), cost, salt }, bytes))
    }

    /// Makes the key again. `path` is where this stands, for errors.
    pub(super) fn unlock(
        &self,
        path: &Path,
        from: &PassphraseSource,
    ) -> Result<KeyBytes, VaultError> {
        let bytes = derive(&from.read()?, self.cost, &self.salt)?;
        if key_id(&bytes) != self.id {
            let (key, from) = (path.to_owned(), from.to_string());
            return Err(VaultError::PassphraseWrong { key, from });
        }
        Ok(bytes)
    }

    /// Returns the id of the key.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "four lines: the kind and an id, the cost, the salt and their check";
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or(EXPECTED);
        let (first, cost, salt, check) = (next()?, next()?, next()?, next()?);
        let wanted = checked(&[first, cost, salt]);
        if next().is_ok() || !text.ends_with('\n') || wanted != check {
            return Err("a check in the fourth line that fits the three before it");
        }
        let id = first.strip_prefix(LOCKED).ok_or(EXPECTED)?.to_owned();
        let cost =
            Cost::parse(cost).ok_or("a cost within memory=8..1048576 passes=1..64 lanes=1..16")?;
        let mut bytes = [0; SALT_BYTES];
        hex::decode_to_slice(salt, &mut bytes).map_err(|_source| "a salt of 32 digits")?;
        Ok(Self { id, cost, salt: bytes })
    }

    pub(super) fn render(&self) -> String {
        let first = format!("{LOCKED}{}", self.id);
        let (cost, salt) = (self.cost.to_string(), hex::encode(self.salt));
        let check = checked(&[&first, &cost, &salt]);
        format!("{first}\n{cost}\n{salt}\n{check}\n")
    }
}

fn derive(
    passphrase: &Passphrase,
    cost: Cost,
    salt: &[u8; SALT_BYTES],
) -> Result<KeyBytes, VaultError> {
    let failed = |_source| VaultError::Cipher { doing: "make a key of the passphrase" };
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(KEY_BYTES));
    let params = params.map_err(failed)?;
    // What the memory holds leads to the key.
    let mut memory = Zeroizing::new(vec![Block::default(); params.block_count()]);
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase.0.as_bytes(),
            salt,
            bytes.as_mut_slice(),
            memory.as_mut_slice(),
        )
        .map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory: 64, passes: 1, lanes: 2 };

    fn passphrase(text: &str) -> Result<Passphrase, VaultError> {
        Passphrase::new(&PassphraseSource::Terminal, text)
    }

    #[test]
    fn the_key_is_that_of_the_reference_program() {
        // https://github.com/P-H-C/phc-winner-argon2: printf 'correct horse battery staple' |
        // argon2 0123456789abcdef -id -k 1024 -t 2 -p 2 -l 32 -r
        let cost = Cost { memory: 1024, passes: 2, lanes: 2 };
        let given = passphrase("correct horse battery staple").unwrap();
        let key = derive(&given, cost, b"0123456789abcdef").unwrap();
        assert_eq!(hex::encode(key.as_slice()), REFERENCE);
    }

    const REFERENCE: &str = "d46d3a86f2cd55860e8a9f313677a1ec1484c3d9b3dffd87c8aaf580730facf8";

    #[test]
    fn the_same_passphrase_makes_the_key_again_and_another_one_is_told_from_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (locked, key) =
            Locked::create(&passphrase("nine tall giraffes").unwrap(), CHEAP).unwrap();
        let again = Locked::parse(&locked.render()).unwrap();
        assert_eq!(again, locked);
        let file = dir.path().join("passphrase");
        let from = PassphraseSource::File(file.clone());
        for (text, is_right) in [("nine tall giraffes", true), ("nine tall giraffez", false)] {
            let _earlier = std::fs::remove_file(&file);
            crate::disk::file::create_private(&file, format!("{text}\n").as_bytes()).unwrap();
            match again.unlock(Path::new("vault.key"), &from) {
                Ok(bytes) => assert!(is_right && bytes == key),
                Err(error) => {
                    assert!(!is_right && matches!(error, VaultError::PassphraseWrong { .. }));
                    let told = format!("{error} {error:?} {:?}", error.hint());
                    assert!(!told.contains("giraffe") && told.contains("passphrase"), "{told}");
                }
            }
        }
    }

    #[test]
    fn a_damaged_file_is_called_so_wherever_it_is_damaged() {
        let (locked, _key) =
            Locked::create(&passphrase("nine tall giraffes").unwrap(), CHEAP).unwrap();
        let text = locked.render();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
            assert!(Locked::parse(&String::from_utf8(bytes).unwrap()).is_err(), "byte {at}");
            assert!(Locked::parse(&text[..at]).is_err(), "cut at {at}");
        }
        assert!(Locked::parse(&format!("{text}x")).is_err());
    }

    #[test]
    fn a_cost_beyond_the_bounds_is_not_paid() {
        let usual = "argon2id memory=65536 passes=3 lanes=4";
        assert_eq!(Cost::parse(usual), Some(Cost::USUAL));
        assert_eq!(Cost::USUAL.to_string(), usual);
        for line in [
            "argon2id memory=4194304 passes=3 lanes=4",
            "argon2id memory=65536 passes=65 lanes=4",
            "argon2id memory=65536 passes=3 lanes=17",
            "argon2id memory=16 passes=3 lanes=4",
            "argon2id memory=65536 passes=0 lanes=4",
            "argon2id memory=065536 passes=3 lanes=4",
            "argon2id memory=65536 passes=3 lanes=4 x",
            "argon2i memory=65536 passes=3 lanes=4",
        ] {
            assert_eq!(Cost::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_passphrase_is_one_line_and_long_enough() {
        assert!(passphrase("sixteen letters!").is_ok());
        for text in ["", "fifteen letters", "sixteen\nletters!", "sixteen letters!\r"] {
            let error = passphrase(text).unwrap_err();
            assert!(matches!(error, VaultError::PassphraseUnfit { .. }), "{text:?}: {error}");
            assert!(error.hint().is_some() && !format!("{error:?}").contains("letters!"));
        }
        assert!(passphrase(&"x".repeat(513)).is_err());
        assert!(!format!("{:?}", passphrase("sixteen letters!").unwrap()).contains("letters"));
    }
}
