//! When each call of a worker wants to be told the time: a heap that can be changed in place.
//!
//! A call's deadline moves with nearly every packet. So each slot has at most one entry, and
//! the heap remembers where it stands: no stale entries, and no allocation once the worker has
//! seen its largest number of calls.

use std::time::Instant;

/// Marks a slot that has no entry.
const ABSENT: u32 = u32::MAX;

/// A binary min-heap of deadlines, indexed by slot.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: Vec<(Instant, u32)>,
    /// Where each slot's entry stands in `heap`.
    positions: Vec<u32>,
}

impl Deadlines {
    /// Sets or clears the deadline of `slot`.
    pub fn set(&mut self, slot: usize, deadline: Option<Instant>) {
        if self.positions.len() <= slot {
            self.positions.resize(slot + 1, ABSENT);
        }
        let position = self.positions[slot];
        match (position, deadline) {
            (ABSENT, None) => {}
            (ABSENT, Some(at)) => {
                let position = self.heap.len();
                self.heap.push((at, slot as u32));
                self.positions[slot] = position as u32;
                self.rise(position);
            }
            (position, Some(at)) => {
                let position = position as usize;
                let before = self.heap[position].0;
                self.heap[position].0 = at;
                if at < before {
                    self.rise(position);
                } else if at > before {
                    self.sink(position);
                }
            }
            (position, None) => {
                let position = position as usize;
                self.positions[slot] = ABSENT;
                self.heap.swap_remove(position);
                if position < self.heap.len() {
                    let moved = self.heap[position].1 as usize;
                    self.positions[moved] = position as u32;
                    self.rise(position);
                    self.sink(self.positions[moved] as usize);
                }
            }
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Takes out the slot with the earliest deadline, if that is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let (at, slot) = *self.heap.first()?;
        if at > now {
            return None;
        }
        self.set(slot as usize, None);
        Some(slot as usize)
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.positions[self.heap[a].1 as usize] = a as u32;
        self.positions[self.heap[b].1 as usize] = b as u32;
    }

    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.heap[parent].0 <= self.heap[position].0 {
                return;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    fn sink(&mut self, mut position: usize) {
        loop {
            let left = 2 * position + 1;
            let Some(first) = self.heap.get(left) else {
                return;
            };
            let right = left + 1;
            let least = match self.heap.get(right) {
                Some(second) if second.0 < first.0 => right,
                _ => left,
            };
            if self.heap[position].0 <= self.heap[least].0 {
                return;
            }
            self.swap(position, least);
            position = least;
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_only_when_due() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.set(7, Some(now + Duration::from_millis(30)));
        deadlines.set(2, Some(now + Duration::from_millis(10)));
        assert_eq!(deadlines.next(), Some(now + Duration::from_millis(10)));
        assert_eq!(deadlines.pop_due(now), None);
        let later = now + Duration::from_millis(30);
        assert_eq!(deadlines.pop_due(later), Some(2));
        assert_eq!(deadlines.pop_due(later), Some(7));
        assert_eq!(deadlines.pop_due(later), None);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_map(
            changes in prop::collection::vec((0usize..24, prop::option::of(0u64..1000)), 0..300)
        ) {
            let now = Instant::now();
            let mut deadlines = Deadlines::default();
            let mut expected = BTreeMap::new();
            for (slot, at) in changes {
                deadlines.set(slot, at.map(|at| now + Duration::from_millis(at)));
                match at {
                    Some(at) => expected.insert(slot, at),
                    None => expected.remove(&slot),
                };
                let least = expected.values().min().map(|at| now + Duration::from_millis(*at));
                prop_assert_eq!(deadlines.next(), least);
            }
            let mut popped = Vec::new();
            while let Some(slot) = deadlines.pop_due(now + Duration::from_secs(1)) {
                popped.push(expected.remove(&slot).expect("a slot that is set"));
            }
            prop_assert!(popped.is_sorted());
            prop_assert!(expected.is_empty());
        }
    }
}
