//! How long `[vault]` keeps passwords that nobody needs any more.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::document::{DocumentError, Table};
use crate::duration;
use crate::plan::retention::Retention;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The least is what is safe, and Azure Key Vault backs a secret up with 500 versions at most.
const VERSIONS: RangeInclusive<u32> = 10..=400;

/// From the least that is safe to ten years, beyond which a unit is mistyped.
const TIME: RangeInclusive<Duration> = DAY.saturating_mul(90)..=DAY.saturating_mul(3_650);

const VERSIONS_REASON: &str = "a device that is brought back with an old configuration opens by an \
                               old password: the ten newest versions of each secret are always kept";
const TIME_REASON: &str = "a configuration may be brought back from a backup: every password that \
                           was on a device is kept for at least 90 days after that";

pub(super) fn parse(table: &mut Table) -> Result<Retention, DocumentError> {
    let mut retention = Retention::default();
    if let Some(value) = table.optional("retention-versions-min") {
        let number = value.number("versions", *VERSIONS.start(), *VERSIONS.end());
        let number = number.map_err(|error| error.with_hint(VERSIONS_REASON))?;
        retention.versions_min = usize::try_from(number).unwrap_or(usize::MAX);
    }
    if let Some(value) = table.optional("retention-time") {
        let (least, most) = (duration::render(*TIME.start()), duration::render(*TIME.end()));
        let outside = value.unexpected(format_args!("a duration, {least} to {most}"));
        let time = value.read(duration::EXPECTED, |text| duration::parse(text).ok())?;
        if !TIME.contains(&time) {
            return Err(outside.with_hint(TIME_REASON));
        }
        retention.time = time;
    }
    Ok(retention)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Flags};

    fn parse(text: &str) -> Result<Config, crate::document::DocumentError> {
        Config::parse("keyturn.toml", Path::new("/"), text, &Flags::default())
    }

    #[test]
    fn retention_can_be_longer_and_never_shorter_than_is_safe() {
        let usual = parse("").unwrap().vault.retention;
        assert_eq!((usual.versions_min, usual.time.as_secs()), (10, 90 * 86_400));
        let given = "[vault]\nretention-versions-min = 25\nretention-time = \"365d\"";
        let given = parse(given).unwrap();
        let retention = given.vault.retention;
        assert_eq!((retention.versions_min, retention.time.as_secs()), (25, 365 * 86_400));
        let again = parse(&given.effective(Path::new("/"))).unwrap();
        assert_eq!(again.vault.retention, retention);
        for (text, expected, hint) in [
            ("retention-versions-min = 9", "versions, 10 to 400", "ten newest versions"),
            ("retention-time = \"89d\"", "a duration, 90d to 3650d", "at least 90 days"),
            ("retention-time = \"2160h1m\"", "a duration: a whole number", ""),
        ] {
            let error = parse(&format!("[vault]\n{text}")).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hint().unwrap_or_default().contains(hint), "{error:?}");
        }
    }
}
