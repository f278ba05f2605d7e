//! Names and texts in errors.

/// The least likeness (Jaro-Winkler, 0 to 1) at which a right name is offered for a wrong one:
/// `rol` is 0.94 like `role`, `arista` 0.92 like `arista-eos`; unrelated names stay below 0.7.
const LIKENESS_MIN: f64 = 0.8;

/// The nearest right name for a wrong one, if any is near.
pub(crate) fn nearest<'n>(
    given: &str,
    right: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    right
        .into_iter()
        .map(|name| (likeness(given, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// How alike two names are, case apart, from 0 to 1.
fn likeness(given: &str, name: &str) -> f64 {
    let (given, name) = (given.to_ascii_lowercase(), name.to_ascii_lowercase());
    let alike = strsim::jaro_winkler(&given, &name);
    // Jaro-Winkler sees little likeness in two swapped letters of a short name: `shs`, `ssh`.
    let one_slip = given.len() > 2 && strsim::osa_distance(&given, &name) <= 1;
    if one_slip { alike.max(LIKENESS_MIN) } else { alike }
}

/// The mend of a wrong name: all right ones.
pub(super) fn list_hint(right: &[&str]) -> Option<String> {
    /// More names than these are no help on a terminal.
    const NAMES_MAX: usize = 24;
    let names: Vec<String> = right.iter().take(NAMES_MAX).map(|name| quoted(name)).collect();
    let more = if right.len() > NAMES_MAX { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("use one of {}{more}", names.join(", ")))
}

/// The path of a key below another one.
pub(super) fn joined(above: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let key = if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("\"{}\"", clip(key))
    };
    if above.is_empty() { key } else { format!("{above}.{key}") }
}

/// Quotes a text of an operator's for an error, without control characters and not too long.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", clip(text))
}

/// Takes control characters out of a text and cuts it.
pub(super) fn clip(text: &str) -> String {
    const CHARACTERS_MAX: usize = 120;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect();
    if text.chars().count() > CHARACTERS_MAX {
        shown.push('…');
    }
    shown
}
