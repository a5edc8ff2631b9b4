//! A codec as the other end offers it.

use crate::codec::{Codec, OpusParameters, ReceiveFormat};

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

impl OfferedCodec {
    pub(super) fn receive(&self) -> ReceiveFormat {
        ReceiveFormat {
            codec: self.codec,
            payload_type: self.payload_type,
        }
    }
}
