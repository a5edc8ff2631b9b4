//! The PBX's side: plain RTP over UDP (RFC 3264, RFC 3551).

mod read;
mod write;

pub use read::{PbxOffer, Remote, RtpAddress, read_answer, read_offer};
pub use write::{LocalOffer, answer, offer};
