//! Times as the APIs write them.

use crate::model::Timestamp;

/// Writes a time, for example `2025-08-09T04:51:41.251Z`.
pub(super) fn text(at: Timestamp) -> String {
    at.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_are_in_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_754_715_101_251, "2025-08-09T04:51:41.251Z"),
            (i64::MAX, "1970-01-01T00:00:00.000Z"),
        ];
        for (at, wanted) in cases {
            assert_eq!(text(Timestamp(at)), wanted);
        }
    }
}
