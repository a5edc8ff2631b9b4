//! How others talk to a call's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Error;
use super::ids::{CallId, ResumeToken};
use super::inbox::{NotPut, Outlet};
use super::message::{Command, DialogId};

/// How long a client's connection waits for a call whose task does not keep up; then the call ends.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A cheap handle to one call.
#[derive(Clone, Debug)]
pub struct CallHandle {
    commands: Outlet,
    shared: Arc<Shared>,
}

/// What all handles to one call know.
#[derive(Debug)]
struct Shared {
    id: CallId,
    token: ResumeToken,
    /// The answered SIP leg; 0 while there is none.
    dialog: AtomicU64,
}

impl CallHandle {
    pub(super) fn new(commands: Outlet, id: CallId, token: ResumeToken) -> Self {
        let shared = Shared {
            id,
            token,
            dialog: AtomicU64::new(0),
        };
        CallHandle {
            commands,
            shared: Arc::new(shared),
        }
    }

    /// The call's id.
    pub fn id(&self) -> CallId {
        self.shared.id
    }

    /// What its client shows to take it up again.
    pub fn token(&self) -> ResumeToken {
        self.shared.token
    }

    /// The call's answered SIP leg, for a transfer to it.
    pub fn dialog(&self) -> Option<DialogId> {
        match self.shared.dialog.load(Ordering::Acquire) {
            0 => None,
            leg => Some(DialogId(leg)),
        }
    }

    pub(super) fn set_dialog(&self, dialog: Option<DialogId>) {
        let leg = dialog.map_or(0, |dialog| dialog.0);
        self.shared.dialog.store(leg, Ordering::Release);
    }

    /// Asks something of the call. Where commands wait in the queue this waits for room, so that the
    /// client is read no faster than its call takes what it says; a call that gives no room for 2 s
    /// ends with `overload`. Fails when the call is over.
    pub async fn ask(&self, command: Command) -> Result<(), Error> {
        let command = match self.commands.put(command) {
            Ok(()) => return Ok(()),
            Err(NotPut::Gone) => return Err(Error::Gone),
            Err(NotPut::Full(command)) => command,
        };
        let room = self.commands.put_when_there_is_room(command);
        match tokio::time::timeout(TIMEOUT, room).await {
            Ok(put) => put.map_err(|_| Error::Gone),
            Err(_) => self.end(Command::Overrun),
        }
    }

    /// Says that a client has gone, or ends the call: takes effect whatever waits. Fails when the
    /// call is over.
    pub fn end(&self, command: Command) -> Result<(), Error> {
        self.commands.put(command).map_err(|_| Error::Gone)
    }
}
