//! Makes device output fit for logs, errors and people: hostile until proven otherwise.

use zeroize::Zeroizing;

/// The most characters of device output that an error shows.
pub const EXCERPT_CHARS_MAX: usize = 200;
/// How much of a secret, in a row, already counts as the secret.
const FRAGMENT_BYTES: usize = 8;
/// How long a run of crypt's alphabet may be before it is taken for a hash.
const RUN_BYTES: usize = 40;

/// Cuts a text, takes control characters out, and hides the secrets given and all that looks like
/// a stored hash.
#[must_use]
pub fn scrub(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c })
        .filter(|c| (' '..='~').contains(c))
        .take(4 * EXCERPT_CHARS_MAX)
        .collect();
    let mut hidden = vec![false; plain.len()];
    for secret in secrets {
        hide_fragments(plain.as_bytes(), secret.as_bytes(), &mut hidden);
    }
    hide_hashes(plain.as_bytes(), &mut hidden);
    let mut shown = String::with_capacity(EXCERPT_CHARS_MAX);
    let mut was_hidden = false;
    for (c, hide) in plain.chars().zip(hidden) {
        if !hide {
            shown.push(c);
        } else if !was_hidden {
            shown.push('…');
        }
        was_hidden = hide;
    }
    shown.trim().chars().take(EXCERPT_CHARS_MAX).collect()
}

fn hide_fragments(text: &[u8], secret: &[u8], hidden: &mut [bool]) {
    let size = secret.len().min(FRAGMENT_BYTES);
    if size < 4 {
        return;
    }
    for fragment in secret.windows(size) {
        for (start, window) in text.windows(size).enumerate() {
            if window == fragment {
                hidden.iter_mut().skip(start).take(size).for_each(|hide| *hide = true);
            }
        }
    }
}

/// Hides `$1$…`, `$6$…` and their like up to the next space, and long runs of crypt's alphabet.
fn hide_hashes(text: &[u8], hidden: &mut [bool]) {
    let is_crypt = |byte: u8| byte.is_ascii_alphanumeric() || b"./$=".contains(&byte);
    let mut start = 0;
    while start < text.len() {
        let rest = text.get(start..).unwrap_or_default();
        let run = rest.iter().take_while(|byte| is_crypt(**byte)).count();
        let word = rest.get(..run).unwrap_or_default();
        let marked = word.iter().filter(|byte| **byte == b'$').count() >= 2;
        if marked || run >= RUN_BYTES {
            hidden.iter_mut().skip(start).take(run).for_each(|hide| *hide = true);
        }
        start += run.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_hashes_are_hidden() {
        let secrets = [Zeroizing::new("Correct-Horse.77".to_owned())];
        let cases = [
            ("% Invalid input (at token 2: 'bgp')", "% Invalid input (at token 2: 'bgp')"),
            ("at Correct-Horse.77!", "at …!"),
            ("part Horse.77 of it", "part … of it"),
            ("secret sha512 $6$salt$hash/x.y end", "secret sha512 … end"),
            ("$1$l/6gq.Qs$ifURvKWUYzLm0RqmRgr.W1", "…"),
            ("a\u{1b}[31mb\x07c\nd", "a[31mbc d"),
        ];
        for (text, expect) in cases {
            assert_eq!(scrub(text, &secrets), expect);
        }
        let tail_of_hash = "x".repeat(50);
        assert_eq!(scrub(&tail_of_hash, &[]), "…");
        assert_eq!(scrub(&"word ".repeat(100), &[]).chars().count(), EXCERPT_CHARS_MAX);
    }
}
