//! What waits for one call's task: commands in their order in a bounded queue, and beside it the few
//! that end or lose the call. Those are never refused for want of room: a hang-up behind a burst of
//! candidates must not leave a phone ringing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::ids::EndpointId;
use super::message::Command;

/// Commands that may wait in their order.
pub(super) const QUEUE: usize = 64;

/// Clients of one call that endings are kept of. A user rings at fewer.
const MOST_CLIENTS: usize = 64;

/// The endings that wait, each at most once: bounded by what can be said, not by how often.
#[derive(Debug, Default)]
struct Endings {
    hang_up: Option<Command>,
    /// Of clients: that one refuses the call, or is gone.
    of_clients: VecDeque<(EndpointId, Command)>,
    /// The task did not keep up.
    overrun: bool,
}

impl Endings {
    /// Keeps a command that ends or loses the call; gives back any other one.
    fn keep(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::HangUp { .. } => {
                self.hang_up.get_or_insert(command);
            }
            Command::Reject { endpoint, .. } | Command::Detach { endpoint, .. } => {
                let known = |(id, kept): &(EndpointId, Command)| {
                    *id == endpoint
                        && std::mem::discriminant(kept) == std::mem::discriminant(&command)
                };
                if !self.of_clients.iter().any(known) && self.of_clients.len() < 2 * MOST_CLIENTS {
                    self.of_clients.push_back((endpoint, command));
                }
            }
            Command::ShutDown | Command::Overrun => self.overrun = true,
            other => return Some(other),
        }
        None
    }

    fn take(&mut self) -> Option<Command> {
        if let Some(command) = self.hang_up.take() {
            return Some(command);
        }
        if let Some((_, command)) = self.of_clients.pop_front() {
            return Some(command);
        }
        std::mem::take(&mut self.overrun).then_some(Command::Overrun)
    }
}

#[derive(Debug, Default)]
struct Shared {
    endings: Mutex<Endings>,
    changed: Notify,
}

/// The end that others put commands into.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    queue: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// The end that the task takes them from.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
}

/// Why a command was not put in.
#[derive(Debug)]
pub(super) enum NotPut {
    /// The task has ended.
    Gone,
    /// The queue is full.
    Full(Command),
}

/// Both ends of a call's inbox.
pub(super) fn inbox() -> (Outlet, Inbox) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let shared = Arc::new(Shared::default());
    let outlet = Outlet {
        queue: sender,
        shared: Arc::clone(&shared),
    };
    (outlet, Inbox { queue, shared })
}

impl Outlet {
    /// Puts a command behind those that wait; one that ends or loses the call beside them where
    /// there is no room.
    pub fn put(&self, command: Command) -> Result<(), NotPut> {
        match self.queue.try_send(command) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotPut::Gone),
            Err(mpsc::error::TrySendError::Full(command)) => {
                let mut endings = self.endings();
                if let Some(command) = endings.keep(command) {
                    return Err(NotPut::Full(command));
                }
                drop(endings);
                self.shared.changed.notify_one();
                Ok(())
            }
        }
    }

    /// Waits for room. Fails when the task has ended.
    pub async fn put_when_there_is_room(&self, command: Command) -> Result<(), NotPut> {
        let sent = self.queue.send(command).await;
        sent.map_err(|_| NotPut::Gone)
    }

    fn endings(&self) -> std::sync::MutexGuard<'_, Endings> {
        self.shared
            .endings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    /// The next command. Cancel safe: what was not given back stays.
    pub async fn next(&mut self) -> Command {
        loop {
            let kept = self
                .shared
                .endings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(command) = kept {
                return command;
            }
            tokio::select! {
                biased;
                () = self.shared.changed.notified() => {}
                command = self.queue.recv() => match command {
                    Some(command) => return command,
                    // Nobody is left to ask anything; endings were all taken above.
                    None => std::future::pending().await,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::EndReason;

    const FIRST: EndpointId = EndpointId(1);

    fn lost(endpoint: EndpointId) -> Command {
        Command::Detach {
            endpoint,
            reason: EndReason::SignalingLost,
        }
    }

    fn candidate() -> Command {
        Command::Trickle { candidate: None }
    }

    fn full() -> (Outlet, Inbox) {
        let (outlet, inbox) = inbox();
        for _ in 0..QUEUE {
            outlet.put(candidate()).expect("room");
        }
        let refused = outlet.put(candidate());
        assert!(matches!(refused, Err(NotPut::Full(_))), "{refused:?}");
        (outlet, inbox)
    }

    #[tokio::test]
    async fn ending_behind_a_full_queue_is_taken_first() {
        for ending in [
            Command::HangUp { reason: None },
            Command::HangUp {
                reason: Some(EndReason::IceFailed),
            },
            Command::Reject {
                endpoint: FIRST,
                reason: EndReason::Busy,
            },
            lost(FIRST),
            Command::Overrun,
        ] {
            let (outlet, mut inbox) = full();
            outlet.put(ending.clone()).expect("endings have room");
            assert_eq!(inbox.next().await, ending);
            assert_eq!(inbox.next().await, candidate());
        }
    }

    #[tokio::test]
    async fn endings_said_a_thousand_times_are_kept_once() {
        let (outlet, mut inbox) = full();
        for _ in 0..1_000 {
            outlet.put(Command::HangUp { reason: None }).expect("kept");
            outlet.put(lost(FIRST)).expect("kept");
        }
        for client in 0..1_000 {
            let endpoint = EndpointId(client);
            outlet.put(lost(endpoint)).expect("bounded");
        }
        assert_eq!(inbox.next().await, Command::HangUp { reason: None });
        assert_eq!(inbox.next().await, lost(FIRST));
        let mut others = 0;
        while let Command::Detach { .. } = inbox.next().await {
            others += 1;
        }
        assert_eq!(others, 2 * MOST_CLIENTS - 1);
    }

    #[tokio::test]
    async fn order_is_kept_while_there_is_room() {
        let (outlet, mut inbox) = inbox();
        outlet.put(candidate()).expect("room");
        outlet.put(Command::HangUp { reason: None }).expect("room");
        assert_eq!(inbox.next().await, candidate());
        assert_eq!(inbox.next().await, Command::HangUp { reason: None });
    }

    #[tokio::test]
    async fn command_that_waits_for_room_goes_in_with_the_first_taken() {
        let (outlet, mut inbox) = full();
        let waits = outlet.put_when_there_is_room(Command::Hold { on: true });
        let (put, taken) = tokio::join!(waits, inbox.next());
        put.expect("there was room");
        assert_eq!(taken, candidate());
        drop(inbox);
        let gone = outlet.put(candidate());
        assert!(matches!(gone, Err(NotPut::Gone)), "{gone:?}");
    }
}
