//! The payload formats of one audio line, as somebody offered them.

use crate::codec::{Codec, EventFormat, OpusParameters, ReceiveFormat};

/// A codec that the other end offered, by its payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedCodec {
    /// The codec.
    pub codec: Codec,
    /// The payload type that the other end gave it.
    pub payload_type: u8,
    /// For Opus, what its `a=fmtp` asks of our encoder.
    pub opus: OpusParameters,
}
