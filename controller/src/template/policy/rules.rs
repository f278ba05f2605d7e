//! By which rules passwords are made, and how many there are.

use protocol::password::PASSWORD_BYTES_MAX;

use super::{CharacterClass, ENTROPY_BITS_MIN};

/// What is left of a policy on certain platforms: by this, and only by this, passwords are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    pub(super) length: usize,
    pub(super) first: String,
    pub(super) rest: String,
    pub(super) required: Vec<CharacterClass>,
}

impl PasswordRules {
    /// Returns the length, in characters (and bytes: all are ASCII).
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns the characters that may come first; at least one.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Returns the characters that may come later; at least one.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// Returns the classes of which every password has a character.
    #[must_use]
    pub fn required(&self) -> &[CharacterClass] {
        &self.required
    }

    /// Tells whether a text is a password by these rules.
    #[must_use]
    pub fn admit(&self, text: &str) -> bool {
        let mut characters = text.chars();
        text.len() == self.length
            && characters.next().is_some_and(|c| self.first.contains(c))
            && characters.all(|c| self.rest.contains(c))
            && self.required.iter().all(|class| text.chars().any(|c| class.has(c)))
    }

    /// Returns the entropy of a password drawn uniformly from all that the rules admit, in bits:
    /// the logarithm of their number, by inclusion and exclusion over the required classes.
    #[must_use]
    pub fn entropy_bits(&self) -> f64 {
        self.entropy_bits_at(self.length)
    }

    fn entropy_bits_at(&self, length: usize) -> f64 {
        let (first, rest) = (self.first.len() as f64, self.rest.len() as f64);
        let later = length.saturating_sub(1) as f64;
        let share: f64 = (0..1_usize << self.required.len())
            .map(|absent| {
                let sign = if absent.count_ones() % 2 == 0 { 1.0 } else { -1.0 };
                let first_left = self.without(absent, &self.first) / first;
                let rest_left = self.without(absent, &self.rest) / rest;
                sign * first_left * rest_left.powf(later)
            })
            .sum();
        if share > 0.0 { first.log2() + later * rest.log2() + share.log2() } else { 0.0 }
    }

    /// Counts the characters that are in none of the required classes whose bit is set.
    fn without(&self, absent: usize, characters: &str) -> f64 {
        let is_absent = |c: char| {
            self.required
                .iter()
                .enumerate()
                .any(|(bit, class)| absent >> bit & 1 == 1 && class.has(c))
        };
        characters.chars().filter(|c| !is_absent(*c)).count() as f64
    }

    /// The least length that carries enough entropy.
    pub(super) fn enough(&self) -> Option<usize> {
        (1..=PASSWORD_BYTES_MAX).find(|length| self.entropy_bits_at(*length) >= ENTROPY_BITS_MIN)
    }
}
