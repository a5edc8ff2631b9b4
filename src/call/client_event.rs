//! What an endpoint is told, and the channel that takes it there.

use std::time::Duration;

use tokio::sync::mpsc;

use super::handle::CallHandle;
use super::message::Notice;
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
