//! A password, kept so that it cannot leak by accident.
//!
//! There is no `Display`, `Serialize`, `Clone` or `PartialEq`; `Debug` shows neither the value nor
//! its length; memory is overwritten on drop. The only way to the value is
//! [`Password::expose`], and a tidy test lists the files that may call it.

use std::fmt;

use zeroize::Zeroizing;

/// The longest password that anything here takes, in bytes. Key Vault allows more, no device does.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Tells why a text cannot be a password. Never contains the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordError {
    /// The text is empty.
    #[error("take an empty text as a password")]
    Empty,
    /// The text is longer than [`PASSWORD_BYTES_MAX`].
    #[error("take a text of over {PASSWORD_BYTES_MAX} bytes as a password")]
    TooLong,
    /// The text has a control character (a line end, for example), which no device can be sent.
    #[error("take a text with a control character in it as a password")]
    ControlCharacter,
}

/// A password: zeroized on drop, opened only by [`Password::expose`].
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a text as a password: 1 to [`PASSWORD_BYTES_MAX`] bytes without control characters.
    ///
    /// # Errors
    /// Returns which of these rules the text breaks; the text itself is overwritten either way.
    pub fn new(text: String) -> Result<Self, PasswordError> {
        let text = Zeroizing::new(text);
        if text.is_empty() {
            return Err(PasswordError::Empty);
        }
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::ControlCharacter);
        }
        Ok(Self(text))
    }

    /// Opens the password. The files that may call this are listed in `tests/tidy.rs`.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Makes a second copy on purpose: there is no `Clone`, so that copies are seen in review.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Tells whether two passwords are the same, in a time that depends on their lengths only.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes())
            .is_ok()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_value_nor_length() {
        let short = Password::new("a".to_owned()).unwrap();
        let long = Password::new("b".repeat(40)).unwrap();
        assert_eq!(format!("{short:?}"), format!("{long:?}"));
    }

    #[test]
    fn texts_that_no_device_can_take_are_refused() {
        let cases = [
            (String::new(), PasswordError::Empty),
            ("x".repeat(257), PasswordError::TooLong),
            ("two\nlines".to_owned(), PasswordError::ControlCharacter),
        ];
        for (text, wanted) in cases {
            assert_eq!(Password::new(text).unwrap_err(), wanted);
        }
    }

    #[test]
    fn passwords_match_by_value() {
        let one = Password::new("Test-Pass.1".to_owned()).unwrap();
        assert!(one.matches(&one.duplicate()));
        assert!(!one.matches(&Password::new("Test-Pass.2".to_owned()).unwrap()));
    }
}
