//! Faults of the in-memory store and vault, switched by a test while they are in use.

use std::sync::{Arc, Mutex, PoisonError};

/// A switch for faults of kind `F`, shared with the double that obeys it.
///
/// Every call of the double counts. "Fail the n-th call, n from 0 until the run comes through"
/// visits every point at which a run depends on the double.
#[derive(Clone, Debug)]
pub struct Faults<F>(Arc<Mutex<State<F>>>);

#[derive(Debug)]
struct State<F> {
    calls: u64,
    rule: Rule<F>,
}

#[derive(Clone, Copy, Debug)]
enum Rule<F> {
    Healthy,
    From(u64, F),
    At(u64, F),
}

impl<F: Copy> Faults<F> {
    /// Makes a switch that is off.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { calls: 0, rule: Rule::Healthy })))
    }

    /// Lets every call fail from the next one on, until [`Faults::clear`].
    pub fn set(&self, fault: F) {
        self.with(|state| state.rule = Rule::From(state.calls, fault));
    }

    /// Lets one call fail: the next one if `skip` is 0, else the one after `skip` good ones.
    pub fn once(&self, skip: u64, fault: F) {
        self.with(|state| state.rule = Rule::At(state.calls.saturating_add(skip), fault));
    }

    /// Lets every call fail after `skip` good ones, until [`Faults::clear`].
    pub fn after(&self, skip: u64, fault: F) {
        self.with(|state| state.rule = Rule::From(state.calls.saturating_add(skip), fault));
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.with(|state| state.rule = Rule::Healthy);
    }

    /// Returns how many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.with(|state| state.calls)
    }

    /// Counts one call and returns the fault that it has to suffer.
    pub(crate) fn strike(&self) -> Option<F> {
        self.with(|state| {
            let call = state.calls;
            state.calls += 1;
            match state.rule {
                Rule::From(first, fault) if call >= first => Some(fault),
                Rule::At(at, fault) if call == at => Some(fault),
                Rule::Healthy | Rule::From(..) | Rule::At(..) => None,
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State<F>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<F: Copy> Default for Faults<F> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(faults: &Faults<u8>, calls: usize) -> Vec<Option<u8>> {
        (0..calls).map(|_| faults.strike()).collect()
    }

    #[test]
    fn a_switch_hits_the_calls_that_it_was_set_for() {
        let faults = Faults::new();
        assert_eq!(run(&faults, 2), [None, None]);
        faults.once(1, 7);
        assert_eq!(run(&faults, 3), [None, Some(7), None]);
        faults.after(1, 8);
        assert_eq!(run(&faults, 3), [None, Some(8), Some(8)]);
        faults.clear();
        assert_eq!(run(&faults, 1), [None]);
        faults.set(9);
        assert_eq!(run(&faults, 1), [Some(9)]);
        assert_eq!(faults.calls(), 10);
    }
}
