//! The SIP stack: messages, transports, transactions, dialogs, digest of both ends, the resolver of
//! RFC 3263. It knows no trunk and no user: whoever uses it does.

pub(crate) mod address;
pub(crate) mod dialog;
pub(crate) mod dialog_rules;
pub(crate) mod digest;
pub(crate) mod domain;
pub(crate) mod envelope;
pub(crate) mod error;
pub(crate) mod escapes;
pub(crate) mod flow;
pub(crate) mod flow_check;
pub(crate) mod framing;
pub(crate) mod headers;
pub(crate) mod listen;
pub(crate) mod lists;
pub(crate) mod message;
pub(crate) mod method;
pub(crate) mod multipart;
pub(crate) mod name;
pub(crate) mod next_hop;
pub(crate) mod number;
pub(crate) mod octets;
pub(crate) mod reason;
pub(crate) mod resolver;
pub(crate) mod screening;
pub(crate) mod session_timer;
pub(crate) mod sips;
pub(crate) mod stun;
pub(crate) mod target;
pub(crate) mod transaction;
pub(crate) mod transport;
pub(crate) mod transport_protocol;
pub(crate) mod uri;
pub(crate) mod via;
pub(crate) mod warning;
