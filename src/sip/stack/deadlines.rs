//! The next moment among many: which of the things we hold wants to be woken, and when.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// At most one deadline per key, cheap to move.
#[derive(Debug)]
pub struct Deadlines<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: HashMap<K, Instant>,
}

impl<K: Clone + Ord + Hash> Deadlines<K> {
    /// None yet.
    pub fn new() -> Self {
        Deadlines {
            by_time: BTreeSet::new(),
            by_key: HashMap::new(),
        }
    }

    /// Sets, moves or (with `None`) removes the deadline of `key`.
    pub fn set(&mut self, key: &K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_key.insert(key.clone(), at),
            None => self.by_key.remove(key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key.clone()));
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline is not after `now`.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

/// Deadlines of things that remember their own: for the many, which then need no table here beside
/// the one that they are in.
#[derive(Debug)]
pub struct Remembered<K> {
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord> Remembered<K> {
    /// None yet.
    pub fn new() -> Self {
        Remembered {
            by_time: BTreeSet::new(),
        }
    }

    /// Sets, moves or (with `None`) removes the deadline of `key`, which is at `armed` so far.
    pub fn set(&mut self, key: K, armed: &mut Option<Instant>, at: Option<Instant>) {
        if *armed == at {
            return;
        }
        if let Some(before) = armed.take() {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
        *armed = at;
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline is not after `now`; what it belongs to is armed no more.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.by_time.pop_first().map(|(_, key)| key)
    }
}
