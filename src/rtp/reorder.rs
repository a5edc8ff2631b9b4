//! A short reorder window: packets in order pass straight through, one that came early waits
//! for those before it until the window is full or its time is over.

use std::time::{Duration, Instant};

/// What became of a packet given to [`Reorder::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the next one: use it now, then ask [`Reorder::poll`] for those that waited for it.
    Next,
    /// It came early and was copied: ask [`Reorder::poll`].
    Held,
    /// It is waiting already.
    Duplicate,
    /// Its turn is over.
    Late,
}

#[derive(Debug)]
struct Held {
    number: u64,
    since: Instant,
    bytes: Vec<u8>,
}

/// Puts packets in order by their extended sequence number. Copies only those that come early,
/// into buffers that it keeps.
#[derive(Debug)]
pub struct Reorder {
    depth: usize,
    window: Duration,
    next: Option<u64>,
    held: Vec<Held>,
    free: Vec<Vec<u8>>,
}

impl Reorder {
    /// A window in which up to `depth` packets wait, none longer than `window`. With a depth of
    /// zero or one nothing waits.
    pub fn new(depth: usize, window: Duration) -> Self {
        Reorder {
            depth: depth.max(1),
            window,
            next: None,
            held: Vec::with_capacity(depth.max(1)),
            free: (0..depth.max(1)).map(|_| Vec::with_capacity(512)).collect(),
        }
    }

    /// Changes how many packets wait at most; with one, none does.
    pub fn set_depth(&mut self, depth: usize) {
        self.depth = depth.max(1);
    }

    /// Takes a packet.
    pub fn push(&mut self, number: u64, bytes: &[u8], now: Instant) -> Admission {
        let next = *self.next.get_or_insert(number);
        if number < next {
            return Admission::Late;
        }
        if number == next {
            self.next = Some(number + 1);
            return Admission::Next;
        }
        let Err(at) = self.held.binary_search_by_key(&number, |held| held.number) else {
            return Admission::Duplicate;
        };
        let mut copy = self.free.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(bytes);
        self.held.insert(
            at,
            Held {
                number,
                since: now,
                bytes: copy,
            },
        );
        Admission::Held
    }

    /// The next packet that need not wait any more, moved into `out`: its turn has come, the
    /// window is full, or its time is over. The caller sees by the number what is missing
    /// before it. Call until `None` after each push and when the time has come.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<u64> {
        let first = self.held.first()?;
        let due = self.next.is_none_or(|next| first.number <= next)
            || self.held.len() >= self.depth
            || self
                .oldest()
                .is_some_and(|since| now.saturating_duration_since(since) >= self.window);
        if !due {
            return None;
        }
        let mut held = self.held.remove(0);
        std::mem::swap(out, &mut held.bytes);
        self.free.push(held.bytes);
        self.next = Some(held.number + 1);
        Some(held.number)
    }

    /// When [`Self::poll`] has something at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.oldest().map(|since| since + self.window)
    }

    /// The number whose turn is next.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Forgets everything: the source begins anew.
    pub fn reset(&mut self) {
        self.free.extend(self.held.drain(..).map(|held| held.bytes));
        self.next = None;
    }

    fn oldest(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.since).min()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]
mod tests {
    use super::*;

    fn drain(reorder: &mut Reorder, now: Instant) -> Vec<u64> {
        let mut out = Vec::new();
        let mut numbers = Vec::new();
        while let Some(number) = reorder.poll(now, &mut out) {
            assert_eq!(out, [number as u8]);
            numbers.push(number);
        }
        numbers
    }

    #[test]
    fn packets_in_order_pass_straight_through() {
        let now = Instant::now();
        let mut reorder = Reorder::new(3, Duration::from_millis(40));
        for number in 7..20 {
            assert_eq!(reorder.push(number, &[number as u8], now), Admission::Next);
            assert_eq!(reorder.poll_timeout(), None);
        }
    }

    #[test]
    fn an_early_packet_waits_for_the_one_before_it() {
        let now = Instant::now();
        let mut reorder = Reorder::new(3, Duration::from_millis(40));
        assert_eq!(reorder.push(1, &[1], now), Admission::Next);
        assert_eq!(reorder.push(3, &[3], now), Admission::Held);
        assert_eq!(reorder.push(3, &[3], now), Admission::Duplicate);
        assert!(drain(&mut reorder, now).is_empty());
        assert_eq!(reorder.push(2, &[2], now), Admission::Next);
        assert_eq!(drain(&mut reorder, now), [3]);
        assert_eq!(reorder.push(2, &[2], now), Admission::Late);
    }

    #[test]
    fn a_lost_packet_is_given_up_when_the_window_is_full() {
        let now = Instant::now();
        let mut reorder = Reorder::new(3, Duration::from_millis(40));
        reorder.push(1, &[1], now);
        reorder.push(5, &[5], now);
        reorder.push(3, &[3], now);
        assert!(drain(&mut reorder, now).is_empty());
        reorder.push(4, &[4], now);
        assert_eq!(drain(&mut reorder, now), [3, 4, 5]);
    }

    #[test]
    fn a_lost_packet_is_given_up_when_its_time_is_over() {
        let start = Instant::now();
        let mut reorder = Reorder::new(3, Duration::from_millis(40));
        reorder.push(1, &[1], start);
        reorder.push(3, &[3], start + Duration::from_millis(20));
        let due = start + Duration::from_millis(60);
        assert_eq!(reorder.poll_timeout(), Some(due));
        assert!(drain(&mut reorder, due - Duration::from_millis(1)).is_empty());
        assert_eq!(drain(&mut reorder, due), [3]);
        assert_eq!(reorder.poll_timeout(), None);
    }
}
