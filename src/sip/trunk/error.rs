//! What can go wrong when the SIP user agent is asked for something.

use super::event::LegId;
use crate::sip::stack::error::TransportError;
use crate::sip::stack::transport_protocol::Transport;

/// Failure of a request to the user agent. Failures of a call itself are events.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transports could not be started.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The configuration holds no listener.
    #[error("sip configuration has no listener")]
    NoListener,
    /// Two trunks share a name.
    #[error("sip trunk name {0:?} is used twice")]
    DuplicateTrunk(String),
    /// A trunk has nowhere to go.
    #[error("sip trunk {0:?} has no target")]
    NoTarget(String),
    /// A target names a transport whose connections only the peer can open.
    #[error(
        "sip trunk {trunk:?}: nobody can be called by {transport}, whose connections clients open (RFC 7118)"
    )]
    CannotConnectOut {
        /// The trunk.
        trunk: String,
        /// The transport that its target names.
        transport: Transport,
    },
    /// The call names a trunk that the configuration does not hold.
    #[error("sip trunk {0:?} is not configured")]
    UnknownTrunk(String),
    /// Every target of the trunk is out, and the caller has another trunk to ask.
    #[error("sip trunk {0:?} has no target in service")]
    TrunkOut(String),
    /// No such leg, or it has ended.
    #[error("sip leg {0} does not exist or has ended")]
    UnknownLeg(LegId),
    /// The command does not fit what the leg is doing.
    #[error("sip leg {leg} cannot {command} while it is {state}")]
    WrongState {
        /// The leg.
        leg: LegId,
        /// Name of the command.
        command: &'static str,
        /// Name of the state.
        state: &'static str,
    },
    /// A header of an outgoing call holds a line break or an empty name.
    #[error("sip header {0:?} cannot be written")]
    BadHeader(String),
    /// A configured limit is reached.
    #[error("sip limit of {limit} {what} is reached")]
    LimitReached {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The user agent has stopped.
    #[error("sip user agent has stopped")]
    Stopped,
}
