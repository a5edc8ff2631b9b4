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
mod envelope;
mod error;
mod event;
mod flow_check;
mod framing;
mod handle;
mod headers;
mod identity;
mod instant_message;
mod locating;
mod message;
mod method;
mod multipart;
mod name;
mod network_headers;
mod octets;
mod reason;
mod redirection;
mod refer;
mod registration;
mod screening;
mod session_timer;
mod stun;
mod task;
mod transaction;
mod transport;
mod uri;
mod user_agent;
mod via;
mod warning;

#[cfg(test)]
mod tests;

pub use address::{Address, NextHop, escape_user, is_route, sip_uri, split_list, user_of};
pub use called::CalledNumber;
pub use config::{
    Account, Aka, Certificate, Config, Credentials, DialogRules, HealthCheck, Limits, Listen,
    Prack, Registered, Registration, Target, Tls, Transport, Trunk, TrunkTarget, TrunkTls,
    UnknownSources, is_dual,
};
pub use envelope::Envelope;
pub use error::Error;
pub use event::{
    Command, EndedBy, Event, Incoming, LegId, Outgoing, RegistrationState, RegistrationStatus,
    TargetStatus,
};
pub use framing::{Frame, Framer, FramingError};
pub use handle::{Handle, Held};
pub use identity::{CarriedBy, Diversion, IdentityPolicy, is_header_name, is_reserved};
pub use instant_message::{
    IncomingMessage, LONGEST_TEXT, MessageId, MessageOutcome, OutgoingMessage,
};
pub use locating::{Answer, NaptrRecord, Place, Question, Records, SrvRecord};
pub use message::{Headers, Message, Name, Received, Request, Response, Unreadable};
pub use method::Method;
pub use network_headers::{
    ACCESS_NETWORK_INFO, CHARGING_VECTOR, Carriage, NetworkPolicy, VISITED_NETWORK_ID,
};
pub use redirection::RedirectPolicy;
pub use refer::Referral;
pub use task::start;
pub use transport::check_certificates;
pub use user_agent::{Flow, Happening, Transmit, UserAgent};
pub use warning::Warning;
