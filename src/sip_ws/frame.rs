//! What one WebSocket message holds: one SIP message (RFC 7118 section 5), or line ends that keep the
//! connection alive (RFC 5626 section 4.4.1).

use bytes::Bytes;

use crate::sip::stack::message::{Message, Received, Unreadable};

/// The answer to a double CRLF.
pub(super) const PONG: Bytes = Bytes::from_static(b"\r\n");

/// What came.
#[derive(Debug)]
pub(super) enum Frame {
    /// A double CRLF: to be answered with one.
    KeepAlive,
    /// A single CRLF, which answers ours, or nothing at all.
    Nothing,
    /// A SIP message.
    Message(Box<Received>),
}

impl Frame {
    /// Reads a message of either kind, text or binary. What follows the body by Content-Length is
    /// no part of the message.
    pub fn read(bytes: &Bytes) -> Result<Frame, Unreadable> {
        match &bytes[..] {
            b"\r\n\r\n" => Ok(Frame::KeepAlive),
            b"" | b"\r\n" => Ok(Frame::Nothing),
            _ => Message::read(bytes).map(|received| Frame::Message(Box::new(received))),
        }
    }
}
