//! Times as the APIs write them: RFC 3339, milliseconds, UTC.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::model::Timestamp;

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Writes a time, for example `2025-08-09T04:51:41.251Z`. A time that no calendar has is written
/// as the beginning of 1970.
pub(super) fn text(at: Timestamp) -> String {
    let nanoseconds = i128::from(at.0) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds);
    let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_else(|_impossible| "1970-01-01T00:00:00.000Z".to_owned())
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
