//! Why nothing more can be read from a WebSocket.

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use crate::call::Refusal;

/// What a client did to its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It sent more frames than are allowed.
    TooManyFrames,
    /// It sent a message that is too long.
    TooLarge,
    /// It sent text that is not UTF-8.
    InvalidText,
    /// It broke the protocol.
    Protocol(String),
    /// It left without a close frame, or the connection broke.
    Gone(String),
}

impl Fault {
    /// The kind of an error while reading; `is_exceeded`: more frames came than are allowed.
    pub(super) fn of(error: &Error, is_exceeded: bool) -> Self {
        match error {
            Error::Io(_) if is_exceeded => Fault::TooManyFrames,
            Error::Capacity(_) => Fault::TooLarge,
            Error::Utf8(_) => Fault::InvalidText,
            // What comes after a close frame is nothing to tell about.
            Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake
                | ProtocolError::ReceivedAfterClosing
                | ProtocolError::SendAfterClosing,
            ) => Fault::Gone(error.to_string()),
            Error::Protocol(error) => Fault::Protocol(error.to_string()),
            error => Fault::Gone(error.to_string()),
        }
    }

    /// Refusal and text of the `error` for it, and the close code (RFC 6455 section 7.4.1); none
    /// where nobody is there to read them.
    pub(crate) fn refusal(&self) -> Option<(Refusal, String, u16)> {
        match self {
            Fault::TooManyFrames => {
                let text = "more than 100 messages or frames a second";
                Some((Refusal::RateLimited, text.to_owned(), 1008))
            }
            Fault::TooLarge => {
                let text = "a message has at most 64 KiB";
                Some((Refusal::TooLarge, text.to_owned(), 1009))
            }
            Fault::InvalidText => {
                let text = "text is UTF-8";
                Some((Refusal::InvalidText, text.to_owned(), 1007))
            }
            Fault::Protocol(text) => Some((Refusal::ProtocolError, text.clone(), 1002)),
            Fault::Gone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::error::CapacityError;

    #[test]
    fn close_code_is_that_of_the_kind() {
        let io = || Error::Io(std::io::Error::other("test"));
        let too_long = Error::Capacity(CapacityError::MessageTooLong {
            size: 2,
            max_size: 1,
        });
        for (error, is_exceeded, code) in [
            (io(), true, Some(1008)),
            (io(), false, None),
            (too_long, false, Some(1009)),
            (Error::Utf8("test".to_owned()), false, Some(1007)),
            (
                Error::Protocol(ProtocolError::NonZeroReservedBits),
                false,
                Some(1002),
            ),
            (
                Error::Protocol(ProtocolError::UnmaskedFrameFromClient),
                true,
                Some(1002),
            ),
            (
                Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
                false,
                None,
            ),
            (Error::ConnectionClosed, false, None),
        ] {
            let refusal = Fault::of(&error, is_exceeded).refusal();
            assert_eq!(refusal.map(|(_, _, code)| code), code, "{error}");
        }
    }
}
