//! REGISTERs that wait for their turn, by trunk.

use std::collections::{HashMap, VecDeque};

use super::action::RegistrationId;

/// REGISTERs under way at one trunk: a PBX with thousands of lines is not flooded, and a dead one
/// delays no other.
const IN_FLIGHT: usize = 50;

/// The queues of all trunks.
#[derive(Debug, Default)]
pub struct RegisterQueues {
    by_trunk: HashMap<usize, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<RegistrationId>,
    in_flight: usize,
}

impl RegisterQueues {
    /// One that waits for its turn.
    pub fn push(&mut self, trunk: usize, id: RegistrationId) {
        let queue = self.by_trunk.entry(trunk).or_default();
        queue.waiting.push_back(id);
    }

    /// The next one of a trunk whose turn it is.
    pub fn pop(&mut self, trunk: usize) -> Option<RegistrationId> {
        let queue = self.by_trunk.get_mut(&trunk)?;
        if queue.in_flight >= IN_FLIGHT {
            return None;
        }
        queue.waiting.pop_front()
    }

    /// A REGISTER is under way.
    pub fn begin(&mut self, trunk: usize) {
        self.by_trunk.entry(trunk).or_default().in_flight += 1;
    }

    /// A REGISTER has its final answer.
    pub fn finish(&mut self, trunk: usize) {
        if let Some(queue) = self.by_trunk.get_mut(&trunk) {
            queue.in_flight = queue.in_flight.saturating_sub(1);
        }
    }
}
