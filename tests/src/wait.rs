//! Waiting for what another process does: looking again until it is so, or until a deadline.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a process may take for a step of its own: generous, since machines that test are slow.
pub const STEP_MAX: Duration = Duration::from_secs(60);

/// How often it is looked. Nothing here can be told by the other process.
const EVERY: Duration = Duration::from_millis(20);

/// Looks again and again until there is something, and returns it; `None` when the time is over.
pub fn within<T>(time_max: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + time_max;
    loop {
        // The order decides: what is there at the end of the time is still seen.
        let over = Instant::now() >= end;
        match look() {
            Some(found) => return Some(found),
            None if over => return None,
            None => std::thread::sleep(EVERY),
        }
    }
}

/// Lets a time pass that is the input of a test, such as the moment of a blow.
pub fn pass(time: Duration) {
    let _nothing: Option<()> = within(time, || None);
}

/// Looks again and again until there is something, and returns it.
///
/// # Panics
/// With `what`, when the time is over.
#[track_caller]
pub fn until<T>(what: impl Display, time_max: Duration, look: impl FnMut() -> Option<T>) -> T {
    let Some(found) = within(time_max, look) else {
        panic!("waited {time_max:?} in vain: {what}");
    };
    found
}
