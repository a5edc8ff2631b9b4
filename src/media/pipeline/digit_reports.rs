//! Digits of the source, as the owner of the call is told of them.

use super::PipelineEvent;
use std::collections::VecDeque;

/// Reports that wait to be fetched; more are keys of a source that tries us.
const LIMIT: usize = 64;

/// Digits to report, and how many there were.
#[derive(Debug)]
pub(super) struct DigitReports {
    waiting: VecDeque<PipelineEvent>,
    digits: u64,
}

impl DigitReports {
    pub(super) fn new() -> Self {
        DigitReports {
            waiting: VecDeque::with_capacity(LIMIT),
            digits: 0,
        }
    }

    /// A key was let go.
    pub(super) fn report(&mut self, digit: char, duration_ms: u32) {
        if self.waiting.len() < LIMIT {
            self.waiting
                .push_back(PipelineEvent::Digit { digit, duration_ms });
        }
    }

    /// Counts a key press, which may be no digit.
    pub(super) fn count(&mut self) {
        self.digits += 1;
    }

    /// Key presses so far.
    pub(super) fn digits(&self) -> u64 {
        self.digits
    }

    /// The next report.
    pub(super) fn poll(&mut self) -> Option<PipelineEvent> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_bounded_and_digits_are_counted() {
        let mut reports = DigitReports::new();
        for _ in 0..100 {
            reports.count();
            reports.report('5', 80);
        }
        assert_eq!(reports.digits(), 100);
        assert_eq!(std::iter::from_fn(|| reports.poll()).count(), LIMIT);
    }
}
