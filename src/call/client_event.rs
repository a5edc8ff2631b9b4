//! What an endpoint is told, and the channel that takes it there.

use std::time::Duration;

use tokio::sync::mpsc;

use super::EndReason;
use super::handle::CallHandle;
use super::ids::EndpointId;
use super::message::{Command, Notice};
use super::message_notice::MessageNotice;
use super::snapshot::Snapshot;

/// What an endpoint is told.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// A call that the endpoint does not know yet.
    Begin {
        /// The gateway's name for it.
        call: String,
        /// How commands reach it.
        handle: CallHandle,
        /// [`Notice::Incoming`].
        notice: Notice,
    },
    /// The endpoint has taken a call up again.
    Resumed {
        /// The gateway's name for it.
        call: String,
        /// How commands reach it.
        handle: CallHandle,
        /// The call at this moment.
        snapshot: Box<Snapshot>,
    },
    /// More of a call that the endpoint knows.
    Notice {
        /// Which.
        call: String,
        /// What.
        notice: Notice,
    },
    /// A call rings at other endpoints of the user: a dead one is to be found soon.
    Probe,
    /// News of messages outside calls.
    Message(MessageNotice),
    /// The gateway takes no new calls; open ones go on until they end, or the deadline.
    Draining {
        /// Until the deadline.
        remaining: Duration,
    },
    /// The gateway is stopping; the connection closes.
    ShutDown,
}

/// How client events reach an endpoint; bounded.
pub type EventSender = mpsc::Sender<ClientEvent>;

/// Detaches an endpoint that has gone from the calls that it was not told of: their events wait in
/// its queue, which takes no further ones.
pub(crate) fn detach_from_waiting(
    events: &mut mpsc::Receiver<ClientEvent>,
    endpoint: EndpointId,
    reason: EndReason,
) {
    events.close();
    while let Ok(event) = events.try_recv() {
        if let ClientEvent::Begin { handle, .. } | ClientEvent::Resumed { handle, .. } = event {
            let _ = handle.end(Command::Detach { endpoint, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::ids::{CallId, ResumeToken};
    use crate::call::inbox::inbox;

    const ENDPOINT: EndpointId = EndpointId(7);

    #[tokio::test]
    async fn call_that_waits_in_the_queue_is_told_of_the_loss() {
        let (sender, mut events) = mpsc::channel(8);
        let (outlet, mut commands) = inbox();
        let begin = ClientEvent::Begin {
            call: "in-1".to_owned(),
            handle: CallHandle::new(outlet, CallId::new(1), ResumeToken::new([1; 32])),
            notice: Notice::Ringing,
        };
        sender.try_send(ClientEvent::Probe).expect("room");
        sender.try_send(begin).expect("room");
        detach_from_waiting(&mut events, ENDPOINT, EndReason::SignalingLost);
        let detach = Command::Detach {
            endpoint: ENDPOINT,
            reason: EndReason::SignalingLost,
        };
        assert_eq!(commands.next().await, detach);
        // A call that comes later learns at once that nobody is there.
        assert!(sender.try_send(ClientEvent::Probe).is_err());
    }
}
