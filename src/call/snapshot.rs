//! A call at one moment, as a plain value: what a client needs to take it up again, and what a list of
//! calls shows. Times are durations, so that it means the same in another process.

use std::time::Duration;

use super::ids::CallId;
use super::ids::EndpointId;

/// Who called whom, as seen from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallDirection {
    /// The PBX calls a client.
    Incoming,
    /// A client calls.
    #[default]
    Outgoing,
}

impl CallDirection {
    /// The word in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            CallDirection::Incoming => "incoming",
            CallDirection::Outgoing => "outgoing",
        }
    }
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// The PBX has our INVITE and has not answered it.
    Inviting,
    /// The PBX calls, endpoints of the user ring.
    Alerting,
    /// The browser has answered; our 2xx with an offer waits for the ACK with the answer.
    AwaitingAck,
    /// Both sides have answered.
    Confirmed,
    /// Nothing follows.
    Ended,
}

/// Whom a call connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// The caller's number or user.
    pub from: String,
    /// The caller's name.
    pub name: Option<String>,
    /// The called number, as it was dialled.
    pub to: String,
}

/// Which side has put the call on hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The client, or it has asked for that.
    pub by_client: bool,
    /// The PBX.
    pub by_pbx: bool,
}

/// The browser's end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndSnapshot {
    /// The call is offered to these endpoints.
    Ringing(Vec<EndpointId>),
    /// This endpoint has it.
    Attached(EndpointId),
    /// None has it.
    Detached {
        /// Until the call ends for want of one.
        left: Duration,
    },
}

/// A call at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which call.
    pub id: CallId,
    /// Who began it.
    pub direction: CallDirection,
    /// Where it stands.
    pub state: CallState,
    /// Whom it connects.
    pub parties: Parties,
    /// Who holds it.
    pub held: Held,
    /// Since it began.
    pub age: Duration,
    /// Since both sides answered.
    pub answered: Option<Duration>,
    /// Where the browser's end is.
    pub browser_end: EndSnapshot,
    /// Whether the browser's transport (ICE, DTLS) is up, as far as is known. Where it is not, a client
    /// that takes the call up needs a new one.
    pub is_connected: bool,
    /// Our last description to the browser, an offer or an answer; it is kept while the call may be taken
    /// up after the loss of its endpoint, for a client that did not receive it.
    pub description: Option<String>,
}
