//! Password policies, the limits of platforms, and what is left of both.

mod error;
mod rules;

use protocol::id::ProfileName;

pub use self::error::PolicyError;
pub use self::rules::PasswordRules;

/// The least entropy of a password, in bits: what is needed so that a stolen hash cannot be
/// searched, whatever hash kind a device stores.
pub const ENTROPY_BITS_MIN: f64 = 128.0;

/// The characters that every known device takes in a password, whether as text or as a hash, on SSH
/// and on serial lines. Everything else means something to some shell, pager or parser: `?` is
/// help, `$` and `!` are history and variables, `~` is an escape of terminal servers.
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

/// A kind of character that a policy may require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CharacterClass {
    /// `A` to `Z`.
    Upper,
    /// `a` to `z`.
    Lower,
    /// `0` to `9`.
    Digit,
    /// `.`, `_` and `-`.
    Symbol,
}

impl CharacterClass {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Upper, Self::Lower, Self::Digit, Self::Symbol];

    /// Returns the template's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Lower => "lower",
            Self::Digit => "digit",
            Self::Symbol => "symbol",
        }
    }

    /// Tells whether a character is of this class.
    #[must_use]
    pub fn has(self, c: char) -> bool {
        match self {
            Self::Upper => c.is_ascii_uppercase(),
            Self::Lower => c.is_ascii_lowercase(),
            Self::Digit => c.is_ascii_digit(),
            Self::Symbol => matches!(c, '.' | '_' | '-'),
        }
    }
}

/// How the template wants a profile's passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The length, in characters.
    pub length: usize,
    /// The classes of which every password has at least one character.
    pub required: Vec<CharacterClass>,
    /// Whether the first character is a letter.
    pub letter_first: bool,
    /// Characters that no password has.
    pub excluded: String,
}

impl Default for PasswordPolicy {
    /// 24 characters of three classes, a letter first: within what every known device takes (16 to
    /// 25), and 16 bits above [`ENTROPY_BITS_MIN`].
    fn default() -> Self {
        Self {
            length: 24,
            required: vec![CharacterClass::Upper, CharacterClass::Lower, CharacterClass::Digit],
            letter_first: true,
            excluded: String::new(),
        }
    }
}

/// What a platform's devices take as a password. From its platform file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformLimits {
    /// The platform's name.
    pub platform: String,
    /// The shortest password, in characters.
    pub length_min: usize,
    /// The longest password, in characters.
    pub length_max: usize,
    /// The characters that it takes.
    pub allowed: String,
    /// Whether the first character must be a letter.
    pub first_letter_only: bool,
    /// The kinds of hash that it takes, the best first; empty where it takes plain text only.
    pub hash_kinds: Vec<String>,
}

impl PlatformLimits {
    /// Returns the printable ASCII characters without those that a platform forbids, as
    /// [`PlatformLimits::allowed`] wants them.
    #[must_use]
    pub fn all_but(forbidden: &str) -> String {
        (' '..='~').filter(|c| !forbidden.contains(*c)).collect()
    }
}

impl PasswordPolicy {
    /// Intersects the policy with the limits of platforms; with none, checks the policy itself.
    ///
    /// # Errors
    /// Returns [`PolicyError`] with the platform that leaves nothing, or all of them where only
    /// their sum does so, and the numbers.
    pub fn fit(
        &self,
        profile: &ProfileName,
        platforms: &[&PlatformLimits],
    ) -> Result<PasswordRules, PolicyError> {
        for platform in platforms {
            self.fit_length(profile, platform)?;
            self.narrow(profile, &[platform])?;
        }
        self.narrow(profile, platforms)
    }

    fn fit_length(
        &self,
        profile: &ProfileName,
        platform: &PlatformLimits,
    ) -> Result<(), PolicyError> {
        let (min, max) = (platform.length_min, platform.length_max);
        if (min..=max).contains(&self.length) {
            return Ok(());
        }
        Err(PolicyError::Length {
            profile: profile.clone(),
            platform: platform.platform.clone(),
            length: self.length,
            min,
            max,
        })
    }

    fn narrow(
        &self,
        profile: &ProfileName,
        platforms: &[&PlatformLimits],
    ) -> Result<PasswordRules, PolicyError> {
        let rules = self.left(platforms);
        let left = rules.rest.len();
        let (profile, on) = (profile.clone(), named(platforms));
        let lacks = |class: &&CharacterClass| !rules.rest.chars().any(|c| class.has(c));
        if let Some(class) = rules.required.iter().find(lacks).copied() {
            return Err(PolicyError::Class { profile, on, class, left });
        }
        if rules.first.is_empty() && left > 0 {
            return Err(PolicyError::FirstLetter { profile, on, left });
        }
        let bits = rules.entropy_bits();
        if bits < ENTROPY_BITS_MIN {
            let (length, enough) = (self.length, rules.enough());
            return Err(PolicyError::Entropy { profile, on, length, left, bits, enough });
        }
        Ok(rules)
    }

    fn left(&self, platforms: &[&PlatformLimits]) -> PasswordRules {
        let stays = |c: &char| {
            !self.excluded.contains(*c) && platforms.iter().all(|p| p.allowed.contains(*c))
        };
        let rest: String = ALPHABET.chars().filter(stays).collect();
        let letter_first = self.letter_first || platforms.iter().any(|p| p.first_letter_only);
        let may_lead = |c: &char| !letter_first || c.is_ascii_alphabetic();
        PasswordRules {
            length: self.length,
            first: rest.chars().filter(may_lead).collect(),
            rest,
            required: self.required.clone(),
        }
    }
}

fn named(platforms: &[&PlatformLimits]) -> String {
    let names: Vec<String> = platforms.iter().map(|p| format!("`{}`", p.platform)).collect();
    match names.as_slice() {
        [] => "the characters that devices take".to_owned(),
        [one] => format!("platform {one}"),
        _ => format!("platforms {} together", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
