//! What a handle asks of the worker.

use tokio::sync::mpsc;

use crate::media::{CallKey, Command, MediaEvent, SecureLeg};

/// What a handle asks of the worker.
pub enum Order<L: SecureLeg> {
    /// A new call.
    Open {
        /// Its key.
        key: CallKey,
        /// Its leg.
        leg: L,
        /// Its owner.
        events: mpsc::Sender<MediaEvent<L::Event>>,
        /// The place kept for the last event.
        close_permit: mpsc::OwnedPermit<MediaEvent<L::Event>>,
    },
    /// A command for a call.
    Call {
        /// Its key.
        key: CallKey,
        /// The command.
        command: Command<L::Command>,
    },
}
