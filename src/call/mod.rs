//! Calls: the one place that decides what a call does.
//!
//! [`Call`] is a pure state machine; its task carries its actions out and is the only owner.
//! The four enums of [`message`] tell the whole story. Where a user's endpoints are found is known to
//! the [`LocationService`], why calls end to [`EndReason`], why something is not done to [`Refusal`].
//! Where calls begin is in [`crate::control`].

pub mod message;

mod browser_end;
mod client_event;
mod end_reason;
mod endpoint;
mod endpoints;
mod error;
mod handle;
mod ids;
mod inbox;
mod location_service;
mod machine;
mod media_timeout;
mod message_notice;
mod message_outcome;
mod names;
mod open_calls;
mod record;
mod record_writer;
mod recorded_call;
mod refusal;
mod ringback;
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
pub use handle::CallHandle;
pub use ids::{CallId, EndpointId, ResumeToken};
pub use location_service::{Later, LocationService, LookUp};
pub use machine::{Call, ClientOffer, DigitsBy, Invitation, Local, Rules, TrunkAttempt};
pub use message::{
    Action, Command, DialogId, Diverted, Event, Notice, Quality, Side, SideQuality, TransferTarget,
};
pub use message_notice::MessageNotice;
pub use refusal::Refusal;
pub use snapshot::{CallDirection, CallState, EndSnapshot, Held, Parties, Snapshot};
pub use transport_event::{CandidatePair, DtlsFailure, TransportEvent};

// For the doors.
pub(crate) use client_event::detach_from_waiting;

// For assembly (`crate::control`), which makes calls of their parts.
pub(crate) use endpoints::{Endpoints, MOST_RINGING};
pub(crate) use names::{has_names, resolved as resolve_names};
pub(crate) use open_calls::{OpenCall, OpenCalls};
pub(crate) use record::CallRecord;
pub(crate) use record_writer::write_refused;
pub(crate) use sip_side::{
    CallerNames, InviteParameters, SIP_QUEUE, SipSide, refusal as refuse_invite,
};
pub(crate) use task::{CallParts, CallTask};
pub(crate) use translate::text as body_text;
