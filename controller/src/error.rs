//! Whose fault an error is. HTTP codes, exit codes and retries follow from this in one place.

/// Says who has to act before the same request can succeed.
///
/// Every error that an operator may see has a `fault()` that returns one of these, and a `hint()`
/// that says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A device refused, answered nonsense or did not answer; the others go on.
    Device,
    /// The request or the configuration is wrong: somebody has to change it.
    Operator,
    /// The vault or the store, or the disk under them, does not do its work. Nothing is exposed
    /// while this is so.
    Vault,
    /// Another controller, an agent or a client did something else at the same time, or is gone:
    /// asking again may help.
    Peer,
    /// Keyturn itself is wrong: please report it.
    Bug,
}

/// Joins an error and its sources, each of which says what was tried, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // An error that only wraps another says the same.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
