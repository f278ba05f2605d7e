//! Takes the echo of a line off its reply, and syslog lines out of it.
//!
//! An echo may be wrapped, doubled (slow EOS boxes) or cut in two by a syslog line on a console.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// Tells whether a line is a syslog message: `… %FACILITY-4-NAME: …`.
#[must_use]
pub fn is_syslog(line: &str) -> bool {
    line.match_indices('%').any(|(place, _)| {
        let rest = line.get(place + 1..).unwrap_or_default();
        let mut parts = rest.splitn(3, '-');
        let (Some(facility), Some(severity), Some(name)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let word = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        let name = name.split_once(':').map(|(name, _)| name);
        word(facility)
            && severity.len() == 1
            && severity.bytes().all(|b| b.is_ascii_digit())
            && name.is_some_and(word)
    })
}

/// Returns what stands before a syslog message on its line: the prompt, often, since a console
/// prints messages wherever it is.
#[must_use]
pub(super) fn before_syslog(line: &str) -> Option<&str> {
    let start = TIMESTAMP.find(line.as_bytes())?.start();
    is_syslog(line).then(|| line.get(..start))?
}

/// How a syslog line begins: `*Nov 20 04:59:00`, `May 15 08:34:13`.
#[expect(clippy::unwrap_used, reason = "a constant pattern, which every test of it compiles")]
static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?-u)[*.]?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d+ +\d\d:\d\d:\d\d",
    )
    .unwrap()
});

/// A reply without its echo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped {
    /// What the device said.
    pub lines: Vec<String>,
    /// The echo was there.
    pub echoed: bool,
    /// Syslog lines were taken out.
    pub syslog: bool,
}

/// Takes syslog lines out of a reply and the echo of `sent` off its beginning.
#[must_use]
pub fn strip(reply: Vec<String>, sent: &str) -> Stripped {
    let count = reply.len();
    let mut lines: Vec<String> = reply.into_iter().filter(|line| !is_syslog(line)).collect();
    let syslog = lines.len() < count;
    let sent = compact(sent);
    let mut echoed = false;
    while let Some(length) = echo_length(&lines, &sent, !echoed) {
        lines.drain(..length);
        echoed = true;
    }
    Stripped { lines, echoed, syslog }
}

/// Returns how many lines at the beginning of the reply make up the echo. A prompt that was drawn
/// again may stand before the `first` one.
fn echo_length(lines: &[String], sent: &str, first: bool) -> Option<usize> {
    if sent.is_empty() {
        return None;
    }
    let mut seen = String::new();
    for (index, line) in lines.iter().enumerate() {
        let line = compact(line);
        if first && seen.is_empty() && line.len() > sent.len() && line.ends_with(sent) {
            return Some(index + 1);
        }
        seen.push_str(&line);
        if seen == sent {
            return Some(index + 1);
        }
        if !sent.starts_with(&seen) {
            return None;
        }
    }
    None
}

fn compact(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_lines_are_known() {
        let cases = [
            ("May 15 08:34:13 sw1 ConfigAgent: %SYS-5-CONFIG_SESSION_COMMIT_SUCCESS: User", true),
            ("*Nov 20 04:59:00.123: %LINK-3-UPDOWN: Interface Gi1", true),
            ("% Invalid input", false),
            ("username a secret sha512 $6$x-5-Y:", false),
            ("100%-5-x: y", false),
        ];
        for (line, expect) in cases {
            assert_eq!(is_syslog(line), expect, "{line}");
        }
    }

    #[test]
    fn what_stands_before_a_message_is_found() {
        let message = "May 15 08:34:13 sw1 X: %SYS-5-LATE: text";
        assert_eq!(before_syslog(&format!("sw1# {message}")), Some("sw1# "));
        assert_eq!(before_syslog(message), Some(""));
        assert_eq!(before_syslog("sw1# May 15 08:34:13 no message"), None);
    }

    #[test]
    fn an_echo_is_taken_off_in_every_shape() {
        let check = |reply: &[&str], expect: &[&str], echoed: bool| {
            let reply: Vec<String> = reply.iter().map(|line| (*line).to_owned()).collect();
            let stripped = strip(reply, "show users all");
            assert_eq!(stripped.lines, expect);
            assert_eq!(stripped.echoed, echoed);
        };
        check(&["show users all", "a", "b"], &["a", "b"], true);
        check(&[" show users all", "a"], &["a"], true);
        check(&["show users all", "show users all", "a"], &["a"], true);
        check(&["show us", "ers all", "a"], &["a"], true);
        check(&["show us", "May 15 sw1 X: %SYS-5-NAME: text", "ers all", "a"], &["a"], true);
        check(&["sw1#show users all", "a"], &["a"], true);
        check(&["a", "show users all"], &["a", "show users all"], false);
        check(&[], &[], false);
    }
}
