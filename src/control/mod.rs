//! Call control: where calls and messages begin.
//!
//! Intake decides what may begin ([`CallControl`]: routing, limits, refusals), for clients and for
//! trunks; assembly takes the parts that do not know each other (a peer, an RTP port pair, a media
//! worker, a SIP leg) and makes a call of them. What the call does then is decided in [`crate::call`].

mod ascii_classes;
mod assembly;
mod call_control;
mod called;
mod client_calls;
mod client_headers;
mod error;
mod in_memory_location_service;
mod instant_message;
mod ringing_refusals;
mod routing;
mod rtp_addresses;
mod trunk_calls;
mod trunk_rules;

pub use call_control::{CallControl, Resources};
pub use client_calls::CallRequest;
pub use error::Error;
pub use in_memory_location_service::InMemoryLocationService;
pub use instant_message::{LONGEST_TEXT, MessageRequest};
pub use routing::{Destination, InboundRoute, NoRoute, OutboundRoute, Permits, Rewrite, Routes};
pub use rtp_addresses::{RtpAddress, RtpAddresses};
pub use trunk_rules::TrunkRules;
