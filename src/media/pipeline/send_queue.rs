//! Packets that wait to be fetched, in buffers that are used again.

use std::collections::VecDeque;

/// Packets that may wait: a driver that polls after each call never sees more than a few, and
/// the longest packet into the shortest gives some twenty.
const LIMIT: usize = 64;
/// A packet of ours: an RTP header and the longest Opus payload.
const BUFFER: usize = 1_600;
/// Buffers that are there from the beginning.
const READY: usize = 4;

/// The queue, bounded: the oldest packet goes first.
#[derive(Debug)]
pub(super) struct SendQueue {
    waiting: VecDeque<Vec<u8>>,
    free: Vec<Vec<u8>>,
}

impl SendQueue {
    pub(super) fn new() -> Self {
        SendQueue {
            waiting: VecDeque::with_capacity(LIMIT),
            free: (0..READY).map(|_| Vec::with_capacity(BUFFER)).collect(),
        }
    }

    /// An empty buffer to write a packet into.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self
            .free
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(BUFFER));
        buffer.clear();
        buffer
    }

    /// Queues a written packet. True when the oldest had to go for it.
    pub(super) fn push(&mut self, packet: Vec<u8>) -> bool {
        let full = self.waiting.len() >= LIMIT;
        if full && let Some(oldest) = self.waiting.pop_front() {
            self.free.push(oldest);
        }
        if self.waiting.is_empty() {
            // Begins at the front again: a ring that went round would leave the cache.
            self.waiting.clear();
        }
        self.waiting.push_back(packet);
        full
    }

    /// Gives a buffer back that was not filled.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        self.free.push(buffer);
    }

    /// Copies the next packet into `out`, which is cleared first.
    pub(super) fn pop(&mut self, out: &mut Vec<u8>) -> bool {
        out.clear();
        let Some(packet) = self.waiting.pop_front() else {
            return false;
        };
        out.extend_from_slice(&packet);
        self.free.push(packet);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_drops_the_oldest_packet() {
        let mut queue = SendQueue::new();
        for number in 0..=LIMIT {
            let mut packet = queue.buffer();
            packet.push(number as u8);
            assert_eq!(queue.push(packet), number == LIMIT);
        }
        let mut out = Vec::new();
        for number in 1..=LIMIT {
            assert!(queue.pop(&mut out));
            assert_eq!(out, [number as u8]);
        }
        assert!(!queue.pop(&mut out));
        assert!(out.is_empty());
    }
}
