//! The SIP user agent: messages, transports, transactions, dialogs, digest, registrations.
//!
//! [`start`] binds the sockets and returns a [`Handle`]. Behind it a pure [`UserAgent`] takes
//! messages, commands and the time, and gives bytes to send and events: `task` drives it.
//! Bodies are opaque bytes here; what an SDP says is decided elsewhere.

pub(crate) mod stack;
pub(crate) mod trunk;

#[cfg(test)]
mod tests;

pub use stack::address::{Address, sip_uri, user_of};
pub use stack::dialog_rules::{DialogRules, Prack};
pub use stack::digest::{Aka, Credentials};
pub use stack::envelope::Envelope;
pub use stack::error::TransportError;
pub use stack::escapes::escape_user;
pub use stack::flow::{Flow, Transmit};
pub use stack::framing::{Frame, Framer, FramingError};
pub use stack::listen::{Listen, is_dual};
pub use stack::lists::split_list;
pub use stack::message::{Headers, Message, Name, Received, Request, Response, Unreadable};
pub use stack::method::Method;
pub use stack::next_hop::{NextHop, is_route};
pub use stack::resolver::{Destination, DnsQuery, DnsResponse, NaptrRecord, Records, SrvRecord};
pub use stack::target::Target;
pub use stack::transport::check_certificates;
pub use stack::transport::{Certificate, ConnectionLimits, PeerTls, Tls};
pub use stack::transport_protocol::Transport;
pub use stack::warning::Warning;
pub use trunk::called::CalledNumber;
pub use trunk::config::{
    Account, Config, HealthCheck, Limits, Registered, Registration, Trunk, TrunkTarget,
    UnknownSources,
};
pub use trunk::error::Error;
pub use trunk::event::{
    Command, EndedBy, Event, Incoming, LegId, Outgoing, RegistrationState, RegistrationStatus,
    TargetStatus,
};
pub use trunk::handle::{Handle, Held};
pub use trunk::identity::{Diversion, is_header_name, is_reserved};
pub use trunk::instant_message::{
    IncomingMessage, LONGEST_TEXT, MessageId, MessageOutcome, OutgoingMessage,
};
pub use trunk::network_headers::{ACCESS_NETWORK_INFO, CHARGING_VECTOR, VISITED_NETWORK_ID};
pub use trunk::policy::{Carriage, CarriedBy, IdentityPolicy, NetworkPolicy, RedirectPolicy};
pub use trunk::refer::Referral;
pub use trunk::task::start;
pub use trunk::user_agent::{UserAgent, UserAgentEvent};
