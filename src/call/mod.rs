//! Call control: the one place that decides.
//!
//! [`Call`] is a pure state machine; its task carries its actions out and is the only owner.
//! The four enums of [`message`] tell the whole story. Who is signed in is in [`LocationService`],
//! where calls go in [`Routes`], why they end in [`EndReason`].

pub mod message;

mod ascii_classes;
mod browser_end;
mod called;
mod client_event;
mod end_reason;
mod endpoint;
mod endpoints;
mod error;
mod exchange;
mod handle;
mod ids;
mod inbox;
mod instant_message;
mod location_service;
mod machine;
mod media_timeout;
mod message_notice;
mod message_outcome;
mod names;
mod open_calls;
mod page_headers;
mod record;
mod record_writer;
mod recorded_call;
mod refusal;
mod ringback;
mod ringing_refusals;
mod routing;
mod rtp_addresses;
mod sip_side;
mod snapshot;
mod task;
mod translate;
mod transport_event;

pub use browser_end::BrowserEnd;
pub use client_event::{ClientEvent, EventSender};
pub use end_reason::{EndReason, Ending, Fault};
pub use endpoint::{Endpoint, EndpointState, IncomingLimits};
pub use error::Error;
pub use exchange::{Exchange, Placing, Resources, TrunkRules};
pub use handle::CallHandle;
pub use ids::{CallId, EndpointId, ResumeToken};
pub use instant_message::{LONGEST_TEXT, Texting};
pub use location_service::{InMemoryLocationService, Later, LocationService, LookUp};
pub use machine::{Attempt, Call, ClientOffer, DigitsBy, Invitation, Local, Rules};
pub use message::{
    Action, Command, DialogId, Diverted, Event, Notice, Quality, Side, SideQuality, TransferTarget,
};
pub use message_notice::MessageNotice;
pub use refusal::Refusal;
pub use routing::{Destination, InboundRoute, NoRoute, OutboundRoute, Permits, Rewrite, Routes};
pub use rtp_addresses::{RtpAddress, RtpAddresses};
pub use snapshot::{CallDirection, CallState, EndSnapshot, Held, Parties, Snapshot};
pub use transport_event::{CandidatePair, DtlsFailure, TransportEvent};
