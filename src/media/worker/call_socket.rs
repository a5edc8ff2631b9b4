//! Names of sockets in the event loop: the shared ones by index, then those of the calls' streams.

use mio::Token;

use super::pbx_end::Channel;
use crate::media::StreamId;

/// Tokens below are WebRTC sockets by index.
pub(super) const CALL_TOKENS: usize = 1024;
/// Streams of one call that can have sockets.
const STREAMS: usize = 8;

/// A socket of a call's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallSocket {
    pub(super) slot: usize,
    pub(super) stream: StreamId,
    pub(super) channel: Channel,
}

impl CallSocket {
    /// The token; `None` if the call has too many streams.
    pub(super) fn token(self) -> Option<Token> {
        let stream = usize::from(self.stream.0);
        let channel = match self.channel {
            Channel::Rtp => 0,
            Channel::Rtcp => 1,
        };
        let number = (self.slot * STREAMS + stream) * 2 + channel;
        (stream < STREAMS).then_some(Token(CALL_TOKENS + number))
    }

    /// The socket of a token; `None` if it is that of a shared socket.
    pub(super) fn of_token(Token(token): Token) -> Option<Self> {
        let number = token.checked_sub(CALL_TOKENS)?;
        let place = number / 2;
        Some(CallSocket {
            slot: place / STREAMS,
            stream: StreamId((place % STREAMS) as u8),
            channel: match number % 2 {
                0 => Channel::Rtp,
                _ => Channel::Rtcp,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_slot_stream_and_channel() {
        let mut known = Vec::new();
        for slot in [0, 1, 2, 70_000] {
            for stream in 0..STREAMS as u8 {
                for channel in [Channel::Rtp, Channel::Rtcp] {
                    let stream = StreamId(stream);
                    let socket = CallSocket {
                        slot,
                        stream,
                        channel,
                    };
                    let token = socket.token().expect("few streams");
                    assert_eq!(CallSocket::of_token(token), Some(socket));
                    assert!(!known.contains(&token));
                    known.push(token);
                }
            }
        }
        assert_eq!(CallSocket::of_token(Token(CALL_TOKENS - 1)), None);
        let beyond = CallSocket {
            slot: 0,
            stream: StreamId(STREAMS as u8),
            channel: Channel::Rtp,
        };
        assert_eq!(beyond.token(), None);
    }
}
