//! What the connection of a client is told, and the channel that takes it there.

use std::time::Duration;

use tokio::sync::mpsc;

use super::handle::CallHandle;
use super::message::Notice;
use super::message_notice::MessageNotice;

/// What a page's connection is given.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A call that the page has not heard of.
    Begin {
        /// The gateway's name for it.
        call: String,
        /// How the page's wishes reach it.
        handle: CallHandle,
        /// [`Notice::Incoming`].
        notice: Notice,
    },
    /// More of a call that the page knows.
    Notice {
        /// Which.
        call: String,
        /// What.
        notice: Notice,
    },
    /// A call rings at other connections of the user: a dead one is to be found soon.
    Probe,
    /// News of messages outside calls.
    Message(MessageNotice),
    /// The gateway takes no new calls; open ones go on until they end, or the deadline.
    Draining {
        /// Until the deadline.
        remaining: Duration,
    },
    /// The gateway is stopping; the connection says goodbye.
    ShutDown,
}

/// How deliveries reach a page's connection.
pub type SocketSender = mpsc::Sender<Delivery>;
