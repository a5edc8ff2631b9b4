//! What a connection asks of its driver.

use std::time::Duration;

use bytes::Bytes;

use super::registration::Registration;
use crate::call::message::Command;
use crate::sip::stack::transaction::key::ServerKey;

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(super) enum Output {
    /// Send this, one message.
    Send(Bytes),
    /// Say who sent a request; the answer is [`Admission`].
    Authenticate(Question),
    /// Change or tell the bindings of a user; the answer is the list of them.
    Register {
        request: ServerKey,
        user: String,
        registration: Registration,
    },
    /// The binding of the user by this connection has ended.
    Expire { user: String },
    /// Begin a call.
    Place(Place),
    /// Ask something of a call.
    Command { call: String, command: Command },
    /// Close the connection: its client has shown no credentials that are right.
    CloseSilent,
}

/// Who sent a request?
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub request: ServerKey,
    /// Values of its Authorization headers.
    pub authorization: Vec<String>,
    pub method: String,
    pub uri: String,
}

/// A call that the client makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub user: String,
    pub display_name: Option<String>,
    /// Its name towards call control.
    pub call: String,
    /// The dialled string.
    pub to: String,
    /// The client's offer.
    pub sdp: String,
    /// The client withholds who calls.
    pub anonymous: bool,
}

/// A user whose password was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub name: String,
    pub display_name: Option<String>,
}

/// What the credentials of a request are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    /// Somebody's.
    Admitted(User),
    /// There are none, or they answer an old challenge: values of WWW-Authenticate.
    Challenged(Vec<String>),
    /// They are wrong: the answer, which is a new challenge, is held back.
    Wrong {
        challenge: Vec<String>,
        delay: Duration,
    },
    /// They were not looked at: too many were wrong before.
    TooMany { retry_after: u64 },
}
