//! How others talk to a call's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::Error;
use super::message::{Command, DialogId};

/// Commands that may wait for a call's task; a page that asks faster is told so.
pub(super) const QUEUE: usize = 64;

/// A cheap handle to one call.
#[derive(Clone, Debug)]
pub struct CallHandle {
    commands: mpsc::Sender<Command>,
    /// The answered SIP leg; 0 while there is none.
    dialog: Arc<AtomicU64>,
}

impl CallHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        CallHandle {
            commands,
            dialog: Arc::default(),
        }
    }

    /// The call's answered SIP leg, for a transfer to it.
    pub fn dialog(&self) -> Option<DialogId> {
        match self.dialog.load(Ordering::Acquire) {
            0 => None,
            leg => Some(DialogId(leg)),
        }
    }

    pub(super) fn set_dialog(&self, dialog: Option<DialogId>) {
        let leg = dialog.map_or(0, |dialog| dialog.0);
        self.dialog.store(leg, Ordering::Release);
    }

    /// Asks something of the call. Fails when the call is over or does not keep up.
    pub fn ask(&self, command: Command) -> Result<(), Error> {
        self.commands.try_send(command).map_err(|_| Error::Gone)
    }
}
