//! RTP and RTCP (RFC 3550), telephone events (RFC 4733): values and arithmetic, no sockets.

mod error;
mod packet;
mod reception;
mod reorder;
mod rtcp;
mod sequence;
mod telephone_event;

pub use error::Error;
pub use packet::{HEADER_LENGTH, Header, Packet, is_rtcp};
pub use reception::{Arrival, Reception};
pub use reorder::{Admission, Reorder};
pub use rtcp::{
    Compound, NtpTime, ReportBlock, ReportBlocks, RtcpPacket, SenderInfo, write_bye,
    write_receiver_report, write_sender_report,
};
pub use sequence::{RtpTimestampExt, SequenceExtender, scale};
pub use telephone_event::{TelephoneEvent, digit_of_event, event_of_digit};
