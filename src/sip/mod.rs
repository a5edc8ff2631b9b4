//! The SIP user agent: messages, transports, transactions, dialogs, digest, registrations.
//!
//! [`start`] binds the sockets and returns a [`Handle`]. Behind it a pure [`UserAgent`] takes
//! messages, commands and the time, and gives bytes to send and events: `task` drives it.
//! Bodies are opaque bytes here; what an SDP says is decided elsewhere.

mod address;
mod admission;
mod called;
mod config;
mod deadlines;
mod dialog;
mod digest;
mod domain;
mod envelope;
mod error;
mod escapes;
mod event;
mod flow;
mod flow_check;
mod framing;
mod handle;
mod headers;
mod identity;
mod instant_message;
mod lists;
mod locating;
mod message;
mod method;
mod multipart;
mod name;
mod network_headers;
mod next_hop;
mod number;
mod octets;
mod policy;
mod reason;
mod redirection;
mod refer;
mod registration;
mod screening;
mod session_timer;
mod sips;
mod stun;
mod target;
mod task;
mod transaction;
mod transport;
mod transport_protocol;
mod uri;
mod user_agent;
mod via;
mod warning;

#[cfg(test)]
mod tests;

pub use address::{Address, sip_uri, user_of};
pub use called::CalledNumber;
pub use config::{
    Account, Aka, Certificate, Config, Credentials, DialogRules, HealthCheck, Limits, Listen,
    Prack, Registered, Registration, Tls, Trunk, TrunkTarget, TrunkTls, UnknownSources, is_dual,
};
pub use envelope::Envelope;
pub use error::Error;
pub use escapes::escape_user;
pub use event::{
    Command, EndedBy, Event, Incoming, LegId, Outgoing, RegistrationState, RegistrationStatus,
    TargetStatus,
};
pub use flow::{Flow, Transmit};
pub use framing::{Frame, Framer, FramingError};
pub use handle::{Handle, Held};
pub use identity::{Diversion, is_header_name, is_reserved};
pub use instant_message::{
    IncomingMessage, LONGEST_TEXT, MessageId, MessageOutcome, OutgoingMessage,
};
pub use lists::split_list;
pub use locating::{Answer, NaptrRecord, Place, Question, Records, SrvRecord};
pub use message::{Headers, Message, Name, Received, Request, Response, Unreadable};
pub use method::Method;
pub use network_headers::{ACCESS_NETWORK_INFO, CHARGING_VECTOR, VISITED_NETWORK_ID};
pub use next_hop::{NextHop, is_route};
pub use policy::{Carriage, CarriedBy, IdentityPolicy, NetworkPolicy, RedirectPolicy};
pub use refer::Referral;
pub use target::Target;
pub use task::start;
pub use transport::check_certificates;
pub use transport_protocol::Transport;
pub use user_agent::{UserAgent, UserAgentEvent};
pub use warning::Warning;
