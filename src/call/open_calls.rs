//! How many calls are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts open calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenCalls(Arc<AtomicUsize>);

/// One open call; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenCall(OpenCalls);

impl OpenCalls {
    /// Calls open now.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// One more, if there are fewer than `most`.
    pub(crate) fn admit(&self, most: usize) -> Option<OpenCall> {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        metrics::gauge!("trunkline_calls_open").increment(1);
        let open = OpenCall(self.clone());
        (before < most).then_some(open)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
        metrics::gauge!("trunkline_calls_open").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_beyond_the_limit_is_not_counted_and_room_comes_back() {
        let calls = OpenCalls::default();
        let first = calls.admit(1);
        assert!(first.is_some());
        assert!(calls.admit(1).is_none());
        assert_eq!(calls.count(), 1);
        drop(first);
        assert_eq!(calls.count(), 0);
        assert!(calls.admit(1).is_some());
    }
}
