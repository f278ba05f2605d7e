//! Durations as people write them: a whole number and its unit.
//!
//! `"900s"`, `"1500ms"`, `"15m"`, `"4h"`, `"90d"`. The unit is required, because a bare number is
//! read as seconds by one and as milliseconds by another; there is exactly one number, so that two
//! durations are easily compared by eye. As a serde module: `#[serde(with = "crate::duration")]`.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::error::Fault;

/// What a duration looks like, for errors.
pub const EXPECTED: &str = "a duration: a whole number with its unit (ms, s, m, h, d), as in \
                            \"90s\"";

/// The units and their milliseconds, the largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Tells why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is a number, but no unit.
    #[error(
        "read `{given}` as a duration: it has no unit; write one of `{given}ms`, `{given}s`, \
         `{given}m`, `{given}h`, `{given}d`"
    )]
    NoUnit {
        /// What was given: digits.
        given: String,
    },
    /// The unit is none of ours.
    #[error("read `{given}` as a duration: expected the unit ms, s, m, h or d, got `{unit}`")]
    Unit {
        /// What was given.
        given: String,
        /// What stands after the number.
        unit: String,
    },
    /// There is no whole number.
    #[error("read `{given}` as a duration: expected a whole number and a unit, as in `90s`")]
    Number {
        /// What was given.
        given: String,
    },
    /// The number does not fit into 64 bits of milliseconds.
    #[error("read `{given}` as a duration: it is longer than {} d", u64::MAX / 86_400_000)]
    TooLong {
        /// What was given.
        given: String,
    },
}

impl DurationError {
    /// Returns what mends it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "write a whole number and its unit: `1500ms`, `90s`, `15m`, `4h`, `90d`"
    }

    /// Returns who has to act: whoever wrote the duration.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

/// Reads a duration. Exact to the millisecond; spaces are not allowed.
///
/// # Errors
/// Returns [`DurationError`] with what is missing or wrong.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let given = || text.chars().filter(|c| !c.is_control()).take(40).collect::<String>();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() || unit.starts_with(['.', ',']) {
        return Err(DurationError::Number { given: given() });
    }
    if unit.is_empty() {
        return Err(DurationError::NoUnit { given: given() });
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let unit = unit.chars().filter(|c| !c.is_control()).take(10).collect();
        return Err(DurationError::Unit { given: given(), unit });
    };
    let millis = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    millis.map(Duration::from_millis).ok_or_else(|| DurationError::TooLong { given: given() })
}

/// Writes a duration so that [`parse`] reads the same again, in the largest unit that is exact.
/// Anything below a millisecond is cut off.
#[must_use]
pub fn render(duration: Duration) -> String {
    let millis = duration.as_millis();
    let exact = |factor: u64| millis != 0 && millis.is_multiple_of(u128::from(factor));
    let (unit, factor) =
        UNITS.iter().find(|(_, factor)| exact(*factor)).copied().unwrap_or(("ms", 1));
    format!("{}{unit}", millis / u128::from(factor))
}

/// Writes a duration by [`render`].
///
/// # Errors
/// Returns what the serializer says.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&render(*duration))
}

/// Reads a duration by [`parse`].
///
/// # Errors
/// Returns what [`parse`] says of the text.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    parse(&text).map_err(|error| D::Error::custom(format_args!("failed to {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<u64, &str>) {
        let got = parse(text).map_err(|error| error.to_string());
        assert_eq!(got, expect.map(Duration::from_millis).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        check("1500ms", Ok(1_500));
        check("90s", Ok(90_000));
        check("15m", Ok(900_000));
        check("4h", Ok(14_400_000));
        check("90d", Ok(7_776_000_000));
        check("0s", Ok(0));
        check("007s", Ok(7_000));
    }

    #[test]
    fn anything_else_is_refused_with_what_is_wrong() {
        check(
            "90",
            Err("read `90` as a duration: it has no unit; write one of `90ms`, `90s`, `90m`, \
                 `90h`, `90d`"),
        );
        let unit = "as a duration: expected the unit ms, s, m, h or d, got";
        check("90sec", Err(&format!("read `90sec` {unit} `sec`")));
        check("90 s", Err(&format!("read `90 s` {unit} ` s`")));
        check("1h30m", Err(&format!("read `1h30m` {unit} `h30m`")));
        check("90S", Err(&format!("read `90S` {unit} `S`")));
        let number = "as a duration: expected a whole number and a unit, as in `90s`";
        for text in ["", "s", "-1s", "+1s", "1.5s", "1,5s", "∞", " 1s"] {
            check(text, Err(&format!("read `{text}` {number}")));
        }
        check(
            "9\u{7}s",
            Err("read `9s` as a duration: expected the unit ms, s, m, h or d, got `s`"),
        );
        let long = "as a duration: it is longer than 213503982334 d";
        check("18446744073709551615d", Err(&format!("read `18446744073709551615d` {long}")));
        check("99999999999999999999s", Err(&format!("read `99999999999999999999s` {long}")));
    }

    #[test]
    fn what_is_rendered_reads_the_same_again() {
        let cases = [
            (0, "0ms"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (300_000, "5m"),
            (7_776_000_000, "90d"),
            (u64::MAX, "18446744073709551615ms"),
        ];
        for (millis, text) in cases {
            let duration = Duration::from_millis(millis);
            assert_eq!(render(duration), text);
            assert_eq!(parse(text), Ok(duration));
        }
    }

    #[test]
    fn serde_writes_and_reads_the_same_texts() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Timer(#[serde(with = "crate::duration")] Duration);
        let timer = Timer(Duration::from_secs(90));
        assert_eq!(serde_json::to_string(&timer).unwrap(), "\"90s\"");
        assert_eq!(serde_json::from_str::<Timer>("\"90s\"").unwrap(), timer);
        let error = serde_json::from_str::<Timer>("\"90\"").unwrap_err().to_string();
        assert!(error.contains("it has no unit"), "{error}");
    }
}
