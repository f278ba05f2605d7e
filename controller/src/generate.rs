//! New passwords.
//!
//! Every password that the rules admit is equally likely: characters come from the operating
//! system's generator by rejection, not by remainder, and a candidate that lacks a required class
//! is thrown away as a whole instead of being repaired.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use protocol::password::{Password, PasswordError};
use zeroize::Zeroizing;

use crate::error::Fault;
use crate::template::PasswordRules;

/// How many candidates are drawn before giving up. With 24 characters of 65 and three classes four
/// of five candidates are taken; even rules that take one of a hundred fail here less often than a
/// password of 128 bits is guessed (0.99^10,000 < 2^-144).
const CANDIDATES_MAX: usize = 10_000;

/// Tells why no password was made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GenerateError {
    /// The operating system's generator failed.
    #[error("draw from the operating system's random number generator")]
    Generator,
    /// The rules admit hardly any password.
    #[error("make a password: none of {CANDIDATES_MAX} candidates had all required classes")]
    Rules,
    /// What was made is no password.
    #[error("make a password of {length} characters")]
    Password {
        /// The length that the rules ask for.
        length: usize,
        /// Why it is none.
        source: PasswordError,
    },
}

impl GenerateError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Generator => "check that the host gives random numbers (getrandom, /dev/urandom)",
            Self::Rules | Self::Password { .. } => {
                "mend the password policy in the secrets template"
            }
        }
    }

    /// Returns who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Generator => Fault::Vault,
            Self::Rules | Self::Password { .. } => Fault::Operator,
        }
    }
}

/// Makes a password by the rules, from the operating system's generator.
///
/// # Errors
/// Returns [`GenerateError::Generator`] if the system has no random numbers to give. The other
/// errors cannot happen with rules that [`crate::template::PasswordPolicy::fit`] has made.
pub fn password(rules: &PasswordRules) -> Result<Password, GenerateError> {
    let system = SystemRandom::new();
    draw(rules, |bytes| system.fill(bytes).map_err(|_unspecified| GenerateError::Generator))
}

fn draw(
    rules: &PasswordRules,
    fill: impl FnMut(&mut [u8]) -> Result<(), GenerateError>,
) -> Result<Password, GenerateError> {
    let mut dice = Dice { bytes: Zeroizing::new([0; 64]), used: 64, fill };
    // Enough room from the start: a text that grows leaves copies of itself behind.
    let mut candidate = Zeroizing::new(String::with_capacity(rules.length()));
    for _ in 0..CANDIDATES_MAX {
        candidate.clear();
        candidate.push(dice.pick(rules.first())?);
        for _ in 1..rules.length() {
            candidate.push(dice.pick(rules.rest())?);
        }
        if rules.admit(&candidate) {
            let length = rules.length();
            return Password::new(std::mem::take(&mut *candidate))
                .map_err(|source| GenerateError::Password { length, source });
        }
    }
    Err(GenerateError::Rules)
}

/// Random bytes, fetched in blocks, overwritten at the end.
struct Dice<F> {
    bytes: Zeroizing<[u8; 64]>,
    used: usize,
    fill: F,
}

impl<F: FnMut(&mut [u8]) -> Result<(), GenerateError>> Dice<F> {
    /// Picks one character of an ASCII text, each with the same likelihood.
    fn pick(&mut self, characters: &str) -> Result<char, GenerateError> {
        let count = characters.len();
        if count == 0 || count > 256 {
            return Err(GenerateError::Rules);
        }
        // The values from here on would make the first characters likelier than the last.
        let fair = 256 - 256 % count;
        loop {
            let value = usize::from(self.byte()?);
            if value < fair
                && let Some(byte) = characters.as_bytes().get(value % count)
            {
                return Ok(char::from(*byte));
            }
        }
    }

    fn byte(&mut self) -> Result<u8, GenerateError> {
        if let Some(byte) = self.bytes.get(self.used) {
            self.used += 1;
            return Ok(*byte);
        }
        (self.fill)(&mut *self.bytes)?;
        self.used = 1;
        let [first, ..] = *self.bytes;
        Ok(first)
    }
}

#[cfg(test)]
mod tests;
