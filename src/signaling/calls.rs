//! The calls of one connection: those that its client makes, which are limited here, and those that
//! come, which call control limits before they ring.

use std::collections::HashMap;

use crate::call::CallHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Outgoing,
    Incoming,
}

/// Calls by the client's name for them.
#[derive(Debug)]
pub(super) struct CallBook<H = CallHandle> {
    calls: HashMap<String, (Direction, H)>,
}

impl<H> Default for CallBook<H> {
    fn default() -> Self {
        CallBook {
            calls: HashMap::new(),
        }
    }
}

impl<H> CallBook<H> {
    pub fn get(&self, call: &str) -> Option<&H> {
        self.calls.get(call).map(|(_, handle)| handle)
    }

    pub fn has(&self, call: &str) -> bool {
        self.calls.contains_key(call)
    }

    /// Calls that the client made.
    pub fn outgoing(&self) -> usize {
        let made = |(direction, _): &&(Direction, H)| *direction == Direction::Outgoing;
        self.calls.values().filter(made).count()
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }

    pub fn insert_outgoing(&mut self, call: String, handle: H) {
        self.calls.insert(call, (Direction::Outgoing, handle));
    }

    pub fn insert_incoming(&mut self, call: String, handle: H) {
        self.calls.insert(call, (Direction::Incoming, handle));
    }

    pub fn remove(&mut self, call: &str) {
        self.calls.remove(call);
    }

    pub fn into_names(self) -> impl Iterator<Item = String> {
        self.calls.into_keys()
    }

    pub fn handles(&self) -> impl Iterator<Item = &H> {
        self.calls.values().map(|(_, handle)| handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incoming_calls_do_not_count_as_outgoing() {
        let mut calls = CallBook::<u8>::default();
        calls.insert_outgoing("c1".to_owned(), 1);
        for call in 0..20 {
            calls.insert_incoming(format!("in-{call}"), call);
        }
        assert_eq!((calls.outgoing(), calls.len()), (1, 21));
        assert!(calls.has("in-7"));
        assert_eq!(calls.get("in-7"), Some(&7));
        calls.remove("c1");
        assert_eq!((calls.outgoing(), calls.handles().count()), (0, 20));
    }
}
