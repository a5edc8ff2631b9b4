//! How others talk to a call's task.

use tokio::sync::mpsc;

use super::Error;
use super::message::Command;

/// Commands that may wait for a call's task; a page that asks faster is told so.
pub(super) const QUEUE: usize = 64;

/// A cheap handle to one call.
#[derive(Clone, Debug)]
pub struct CallHandle {
    commands: mpsc::Sender<Command>,
}

impl CallHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        CallHandle { commands }
    }

    /// Asks something of the call. Fails when the call is over or does not keep up.
    pub fn ask(&self, command: Command) -> Result<(), Error> {
        self.commands.try_send(command).map_err(|_| Error::Gone)
    }
}
