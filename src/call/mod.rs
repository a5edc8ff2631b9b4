//! Call control: the one place that decides.
//!
//! [`Call`] is a pure state machine; its task carries its actions out and is the only owner.
//! The four enums of [`message`] tell the whole story. Who is signed in is in [`LocationService`],
//! where calls go in [`Routes`], why they end in [`EndReason`].

pub mod message;

mod ascii_classes;
mod audience;
mod called;
mod end_reason;
mod endpoint;
mod error;
mod established;
mod exchange;
mod fallback;
mod handle;
mod inbox;
mod incoming;
mod instant_message;
mod leg;
mod location_service;
mod machine;
mod media_timeout;
mod names;
mod open_calls;
mod outgoing;
mod page_headers;
mod record;
mod ringback;
mod ringing_refusals;
mod routing;
mod rtp_addresses;
mod sip_side;
mod task;
mod transfer;
mod transferring;
mod translate;
mod unexpected_source;

pub use end_reason::{EndReason, Ending, Fault};
pub use endpoint::{ClientEndpoint, EndpointState, IncomingLimits};
pub use error::Error;
pub use exchange::{Exchange, Placing, Resources, TrunkRules};
pub use fallback::Attempt;
pub use handle::CallHandle;
pub use incoming::Invitation;
pub use instant_message::{LONGEST_TEXT, MessageNotice, Texting};
pub use leg::{PeerCommand, PeerLeg};
pub use location_service::{Delivery, LocationService, LookUp, SocketSender};
pub use machine::{Call, DigitsBy, Local, Rules};
pub use message::{
    Action, Command, DialogId, Diverted, Event, Notice, Quality, Side, SideQuality, SocketId,
    TransferTarget,
};
pub use routing::{Destination, InboundRoute, NoRoute, OutboundRoute, Permits, Rewrite, Routes};
pub use rtp_addresses::{RtpAddress, RtpAddresses};
