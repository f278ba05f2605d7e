//! Why a policy and a platform do not go together.

use protocol::id::ProfileName;

use super::{CharacterClass, ENTROPY_BITS_MIN};
use crate::error::Fault;

/// Tells why a policy leaves no password, or too few, for a platform.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// The platform does not take the policy's length.
    #[error(
        "fit the password policy of profile `{profile}` to platform `{platform}`: the policy makes \
         {length} characters, the platform takes {min} to {max}"
    )]
    Length {
        /// The profile.
        profile: ProfileName,
        /// The platform.
        platform: String,
        /// The policy's length.
        length: usize,
        /// The platform's shortest.
        min: usize,
        /// The platform's longest.
        max: usize,
    },
    /// No character of a required class is left.
    #[error(
        "fit the password policy of profile `{profile}` to {on}: the policy requires the class \
         `{}`, of which 0 of {left} characters left are", class.as_str()
    )]
    Class {
        /// The profile.
        profile: ProfileName,
        /// The platform or platforms, or the template itself.
        on: String,
        /// The class.
        class: CharacterClass,
        /// How many characters of other classes are left.
        left: usize,
    },
    /// No letter is left for the first character.
    #[error(
        "fit the password policy of profile `{profile}` to {on}: the first character must be a \
         letter, and 0 of {left} characters left are"
    )]
    FirstLetter {
        /// The profile.
        profile: ProfileName,
        /// The platform or platforms, or the template itself.
        on: String,
        /// How many characters are left.
        left: usize,
    },
    /// What is left can be guessed.
    #[error(
        "fit the password policy of profile `{profile}` to {on}: {length} characters out of {left} \
         carry {bits:.1} bits, {ENTROPY_BITS_MIN} are needed"
    )]
    Entropy {
        /// The profile.
        profile: ProfileName,
        /// The platform or platforms, or the template itself.
        on: String,
        /// The policy's length.
        length: usize,
        /// How many characters are left.
        left: usize,
        /// The entropy.
        bits: f64,
        /// The least length that would do, if any does.
        enough: Option<usize>,
    },
}

impl PolicyError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Length { profile, min, max, .. } => format!(
                "set `length` in the policy of `{profile}` to {min} to {max}, or the limits in the \
                 platform's file"
            ),
            Self::Class { profile, class, .. } => format!(
                "take `{}` out of `require` in the policy of `{profile}`, or allow such characters",
                class.as_str()
            ),
            Self::FirstLetter { profile, .. } => {
                format!("exclude fewer letters in the policy of `{profile}`")
            }
            Self::Entropy { profile, enough: Some(length), .. } => {
                format!("set `length` in the policy of `{profile}` to {length} or more")
            }
            Self::Entropy { profile, enough: None, .. } => {
                format!("exclude fewer characters in the policy of `{profile}`")
            }
        }
    }

    /// Returns who has to act: whoever wrote the template or the platform's file.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}
