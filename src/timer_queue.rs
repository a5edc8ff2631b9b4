//! Vocabulary: the next moment among many. Each thing with a timer holds its [`TimerSlot`]; the queue is a
//! heap that is changed in place, so moving a timer leaves nothing behind and, once the queue has seen
//! its largest number of timers, allocates nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// No place in a list.
const NONE: u32 = u32::MAX;

/// The timer of one thing in a [`TimerQueue`]. It is free at first, when it has been cancelled and when
/// it has expired. What holds it may be dropped: the key comes out of the queue once, and means nothing.
#[derive(Debug)]
pub struct TimerSlot {
    /// Of the queue's entries.
    index: u32,
    /// How often that entry had been given away before.
    generation: u32,
}

impl Default for TimerSlot {
    fn default() -> Self {
        TimerSlot {
            index: NONE,
            generation: 0,
        }
    }
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    /// In the heap; of a free entry the next free one.
    position: u32,
    generation: u32,
}

/// Timers by their time; those of one moment by their keys.
#[derive(Debug)]
pub struct TimerQueue<K> {
    /// Times with the index of their entry: a binary heap, the earliest first.
    heap: Vec<(Instant, u32)>,
    entries: Vec<Entry<K>>,
    /// The first free entry.
    free: u32,
}

impl<K> Default for TimerQueue<K> {
    fn default() -> Self {
        TimerQueue {
            heap: Vec::new(),
            entries: Vec::new(),
            free: NONE,
        }
    }
}

impl<K: Clone + Ord> TimerQueue<K> {
    /// Sets, moves or (with `None`) cancels a timer. `key` is what [`TimerQueue::expired`] gives.
    pub fn set(&mut self, timer: &mut TimerSlot, key: &K, at: Option<Instant>) {
        match (self.position(timer), at) {
            (None, None) => {}
            (None, Some(at)) => self.insert(timer, key.clone(), at),
            (Some(position), Some(at)) => {
                let before = std::mem::replace(&mut self.heap[position].0, at);
                if at < before {
                    self.rise(position);
                } else if at > before {
                    self.sink(position);
                }
            }
            (Some(position), None) => {
                self.remove(position);
            }
        }
    }

    /// The earliest time.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer whose time is not after `now`, and frees it.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        let (at, _) = *self.heap.first()?;
        (at <= now).then(|| self.remove(0))
    }

    /// Timers that are set.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Where a timer that is set stands in the heap.
    fn position(&self, timer: &TimerSlot) -> Option<usize> {
        let entry = self.entries.get(timer.index as usize)?;
        (entry.generation == timer.generation).then_some(entry.position as usize)
    }

    fn insert(&mut self, timer: &mut TimerSlot, key: K, at: Instant) {
        let position = self.heap.len() as u32;
        let index = match self.entries.get_mut(self.free as usize) {
            Some(entry) => {
                let index = std::mem::replace(&mut self.free, entry.position);
                (entry.key, entry.position) = (key, position);
                index
            }
            None => {
                self.entries.push(Entry {
                    key,
                    position,
                    generation: 0,
                });
                self.entries.len() as u32 - 1
            }
        };
        *timer = TimerSlot {
            index,
            generation: self.entries[index as usize].generation,
        };
        self.heap.push((at, index));
        self.rise(position as usize);
    }

    fn remove(&mut self, position: usize) -> K {
        let (_, index) = self.heap.swap_remove(position);
        if let Some((_, moved)) = self.heap.get(position) {
            let moved = *moved as usize;
            self.entries[moved].position = position as u32;
            self.rise(position);
            self.sink(self.entries[moved].position as usize);
        }
        let entry = &mut self.entries[index as usize];
        // Timers that still name this entry are free from now on.
        entry.generation = entry.generation.wrapping_add(1);
        entry.position = std::mem::replace(&mut self.free, index);
        entry.key.clone()
    }

    fn is_earlier(&self, one: (Instant, u32), other: (Instant, u32)) -> bool {
        let key = |index: u32| &self.entries[index as usize].key;
        one.0 < other.0 || one.0 == other.0 && key(one.1) < key(other.1)
    }

    fn place(&mut self, position: usize, item: (Instant, u32)) {
        self.heap[position] = item;
        self.entries[item.1 as usize].position = position as u32;
    }

    fn rise(&mut self, mut position: usize) {
        let item = self.heap[position];
        while position > 0 {
            let parent = (position - 1) / 2;
            let above = self.heap[parent];
            if !self.is_earlier(item, above) {
                break;
            }
            self.place(position, above);
            position = parent;
        }
        self.place(position, item);
    }

    fn sink(&mut self, mut position: usize) {
        let item = self.heap[position];
        loop {
            let left = 2 * position + 1;
            let Some(mut below) = self.heap.get(left).copied() else {
                break;
            };
            let mut first = left;
            if let Some(right) = self.heap.get(left + 1).copied()
                && self.is_earlier(right, below)
            {
                (first, below) = (left + 1, right);
            }
            if !self.is_earlier(below, item) {
                break;
            }
            self.place(position, below);
            position = first;
        }
        self.place(position, item);
    }
}

/// Timers of things that cannot hold their own: one for each key at most.
#[derive(Debug)]
pub struct KeyedTimers<K> {
    queue: TimerQueue<K>,
    timers: HashMap<K, TimerSlot>,
}

impl<K> Default for KeyedTimers<K> {
    fn default() -> Self {
        KeyedTimers {
            queue: TimerQueue::default(),
            timers: HashMap::new(),
        }
    }
}

impl<K: Clone + Ord + Hash> KeyedTimers<K> {
    /// Sets, moves or (with `None`) cancels the timer of `key`.
    pub fn set(&mut self, key: &K, at: Option<Instant>) {
        match self.timers.get_mut(key) {
            Some(timer) => self.queue.set(timer, key, at),
            None if at.is_some() => {
                let mut timer = TimerSlot::default();
                self.queue.set(&mut timer, key, at);
                self.timers.insert(key.clone(), timer);
                return;
            }
            None => return,
        }
        if at.is_none() {
            self.timers.remove(key);
        }
    }

    /// The earliest time.
    pub fn next(&self) -> Option<Instant> {
        self.queue.next()
    }

    /// Takes one key whose time is not after `now`.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        let key = self.queue.expired(now)?;
        self.timers.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests begin their virtual time somewhere"
)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const THINGS: usize = 24;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn earliest_comes_first_and_only_when_due() {
        let now = Instant::now();
        let mut queue = TimerQueue::default();
        let (mut seven, mut two) = (TimerSlot::default(), TimerSlot::default());
        queue.set(&mut seven, &7, Some(after(now, 30)));
        queue.set(&mut two, &2, Some(after(now, 10)));
        assert_eq!(queue.next(), Some(after(now, 10)));
        assert_eq!(queue.expired(now), None);
        assert_eq!(queue.expired(after(now, 30)), Some(2));
        assert_eq!(queue.expired(after(now, 30)), Some(7));
        assert_eq!(queue.expired(after(now, 30)), None);
        assert!(queue.is_empty());
    }

    #[test]
    fn timers_of_one_moment_come_in_the_order_of_keys() {
        let now = Instant::now();
        let mut queue = TimerQueue::default();
        for key in [5, 1, 4, 2, 3] {
            queue.set(&mut TimerSlot::default(), &key, Some(now));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.expired(now)).collect();
        assert_eq!(order, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn expired_timer_is_free_and_touches_no_other() {
        let now = Instant::now();
        let mut queue = TimerQueue::default();
        let (mut old, mut new) = (TimerSlot::default(), TimerSlot::default());
        queue.set(&mut old, &"old", Some(now));
        assert_eq!(queue.expired(now), Some("old"));
        // It has the place of the old one.
        queue.set(&mut new, &"new", Some(after(now, 5)));
        queue.set(&mut old, &"old", None);
        assert_eq!(queue.next(), Some(after(now, 5)));
        queue.set(&mut old, &"old", Some(after(now, 1)));
        assert_eq!(queue.expired(after(now, 9)), Some("old"));
        assert_eq!(queue.expired(after(now, 9)), Some("new"));
    }

    #[test]
    fn keyed_timer_that_is_cancelled_leaves_nothing() {
        let now = Instant::now();
        let mut timers = KeyedTimers::default();
        for key in 0..1_000 {
            timers.set(&key, Some(after(now, 1)));
            timers.set(&key, Some(after(now, 2)));
            timers.set(&key, None);
            timers.set(&key, None);
        }
        assert_eq!(timers.next(), None);
        assert!(timers.timers.is_empty());
        assert_eq!(timers.queue.entries.len(), 1, "the place is used again");
        timers.set(&7, Some(now));
        assert_eq!(timers.expired(now), Some(7));
        assert!(timers.timers.is_empty());
    }

    /// What happens to a queue: a thing sets, moves or cancels its timer, or time passes.
    fn changes() -> impl Strategy<Value = Vec<(Option<usize>, Option<u64>)>> {
        let change = (
            prop::option::weighted(0.8, 0..THINGS),
            prop::option::weighted(0.7, 0u64..1_000),
        );
        prop::collection::vec(change, 0..400)
    }

    proptest! {
        #[test]
        fn queue_agrees_with_a_sorted_set(changes in changes()) {
            let now = Instant::now();
            let mut queue = TimerQueue::default();
            let mut timers: Vec<TimerSlot> = (0..THINGS).map(|_| TimerSlot::default()).collect();
            let mut expected = BTreeSet::new();
            let mut most = 0;
            for (thing, at) in changes {
                match thing {
                    Some(thing) => {
                        queue.set(&mut timers[thing], &thing, at.map(|at| after(now, at)));
                        expected.retain(|(_, other)| *other != thing);
                        expected.extend(at.map(|at| (after(now, at), thing)));
                    }
                    None => {
                        let passed = after(now, at.unwrap_or(0));
                        let taken = queue.expired(passed);
                        let first = expected.first().filter(|(at, _)| *at <= passed).copied();
                        prop_assert_eq!(taken, first.map(|(_, thing)| thing));
                        if let Some(first) = first {
                            expected.remove(&first);
                        }
                    }
                }
                most = most.max(expected.len());
                prop_assert_eq!(queue.next(), expected.first().map(|(at, _)| *at));
                prop_assert_eq!(queue.len(), expected.len());
                prop_assert!(queue.entries.len() <= most, "entries of freed timers are used again");
            }
            let rest: Vec<usize> =
                std::iter::from_fn(|| queue.expired(after(now, 1_000))).collect();
            let expected: Vec<usize> = expected.into_iter().map(|(_, thing)| thing).collect();
            prop_assert_eq!(rest, expected);
        }

        #[test]
        fn keyed_timers_agree_with_a_sorted_set(changes in changes()) {
            let now = Instant::now();
            let mut timers = KeyedTimers::default();
            let mut expected = BTreeSet::new();
            for (thing, at) in changes {
                match thing {
                    Some(thing) => {
                        timers.set(&thing, at.map(|at| after(now, at)));
                        expected.retain(|(_, other)| *other != thing);
                        expected.extend(at.map(|at| (after(now, at), thing)));
                    }
                    None => {
                        let passed = after(now, at.unwrap_or(0));
                        let first = expected.first().filter(|(at, _)| *at <= passed).copied();
                        prop_assert_eq!(timers.expired(passed), first.map(|(_, thing)| thing));
                        if let Some(first) = first {
                            expected.remove(&first);
                        }
                    }
                }
                prop_assert_eq!(timers.next(), expected.first().map(|(at, _)| *at));
                prop_assert_eq!(timers.timers.len(), expected.len());
            }
        }
    }
}
