//! What a handle asks of the worker.

use tokio::sync::mpsc;

use crate::media::{CallKey, Command, MediaEvent};
use crate::peer::Peer;

/// What a handle asks of the worker.
pub enum Order {
    /// A new call.
    Open {
        /// Its key.
        key: CallKey,
        /// Its browser's peer.
        peer: Box<Peer>,
        /// Its owner.
        events: mpsc::Sender<MediaEvent>,
        /// The place kept for the last event.
        close_permit: mpsc::OwnedPermit<MediaEvent>,
    },
    /// A command for a call.
    Call {
        /// Its key.
        key: CallKey,
        /// The command.
        command: Command,
    },
}
