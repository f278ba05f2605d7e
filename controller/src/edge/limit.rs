//! How many requests one principal may make: so many at once, and so many a second after that. A
//! client that has run wild slows itself down and nobody else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Requests that only look: at once, and a second. Far above what any client of one fabric needs;
/// a daemon answers some thousands a second.
const READS: Rate = Rate { burst: 20_000.0, a_second: 10_000.0 };

/// Requests that change something: at once, and a second. Each of them is written to a disk.
const WRITES: Rate = Rate { burst: 100.0, a_second: 20.0 };

/// Requests of somebody who has no right to them: at once, and a second. Each is written to a disk,
/// too, and an honest client has few.
const DENIALS: Rate = Rate { burst: 100.0, a_second: 5.0 };

/// Principals that are remembered; beyond it those with full buckets are forgotten.
const PRINCIPALS_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: f64,
    a_second: f64,
}

/// What kind of request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// It only looks.
    Read,
    /// It may change something.
    Write,
    /// The caller had no right to it.
    Denied,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// The buckets of all principals.
#[derive(Debug)]
pub(super) struct Limits {
    reads: Rate,
    writes: Rate,
    buckets: Mutex<HashMap<(String, Kind), Bucket>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reads: READS, writes: WRITES, buckets: Mutex::default() }
    }
}

impl Limits {
    /// Lets each principal make so many requests that look, and so many that change something, in
    /// any ten seconds, at once or one after the other.
    pub(super) fn in_ten_seconds(reads: u32, writes: u32) -> Self {
        let rate = |count: u32| Rate { burst: f64::from(count), a_second: f64::from(count) / 10.0 };
        Self { reads: rate(reads), writes: rate(writes), buckets: Mutex::default() }
    }

    fn rate(&self, kind: Kind) -> Rate {
        match kind {
            Kind::Read => self.reads,
            Kind::Write => self.writes,
            Kind::Denied => DENIALS,
        }
    }

    /// Counts a request; tells whether it may be made now.
    pub(super) fn admit(&self, principal: &str, kind: Kind, now: Instant) -> bool {
        self.take(principal, kind, now, 1.0)
    }

    /// Tells whether one more request of a kind may be made now, without counting it.
    pub(super) fn has_left(&self, principal: &str, kind: Kind, now: Instant) -> bool {
        self.take(principal, kind, now, 0.0)
    }

    fn take(&self, principal: &str, kind: Kind, now: Instant, count: f64) -> bool {
        let rate = self.rate(kind);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= PRINCIPALS_MAX {
            buckets.retain(|(_principal, kind), bucket| {
                bucket.filled(self.rate(*kind), now) < self.rate(*kind).burst
            });
        }
        let fresh = Bucket { left: rate.burst, at: now };
        let bucket = buckets.entry((principal.to_owned(), kind)).or_insert(fresh);
        bucket.left = bucket.filled(rate, now);
        bucket.at = now;
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= count;
        true
    }
}

impl Bucket {
    fn filled(&self, rate: Rate, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + passed * rate.a_second).min(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_so_many_a_second() {
        let (limits, start) = (Limits::default(), Instant::now());
        let admitted = |now| (0..1000).filter(|_| limits.admit("a", Kind::Write, now)).count();
        assert_eq!(admitted(start), 100);
        assert_eq!(admitted(start + Duration::from_millis(500)), 10);
        assert_eq!(admitted(start + Duration::from_secs(3600)), 100);
        assert!(limits.admit("b", Kind::Write, start), "others are not slowed down");
        assert!(limits.admit("a", Kind::Read, start), "nor are reads");
    }

    #[test]
    fn so_many_in_ten_seconds_are_let_through_at_once_or_one_after_the_other() {
        let (limits, start) = (Limits::in_ten_seconds(40, 10), Instant::now());
        let count = |kind, now| (0..100).filter(|_| limits.admit("a", kind, now)).count();
        assert_eq!((count(Kind::Read, start), count(Kind::Write, start)), (40, 10));
        let later = start + Duration::from_secs(5);
        assert_eq!((count(Kind::Read, later), count(Kind::Write, later)), (20, 5));
    }

    #[test]
    fn principals_with_full_buckets_are_forgotten() {
        let (limits, start) = (Limits::default(), Instant::now());
        for at in 0..PRINCIPALS_MAX {
            limits.admit(&at.to_string(), Kind::Read, start);
        }
        limits.admit("one more", Kind::Read, start + Duration::from_secs(60));
        assert_eq!(limits.buckets.lock().unwrap().len(), 1);
    }
}
