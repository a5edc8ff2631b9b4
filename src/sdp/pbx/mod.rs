//! The PBX's side: RTP over UDP (RFC 3264, RFC 3551), plain or with keys in the description
//! (RFC 4568, RFC 8643).

mod local;
mod read;
mod write;

pub use local::{KeySeed, LocalRtp};
pub use read::{PbxOffer, Remote, RtpAddress, read_answer, read_offer};
pub use write::{LocalOffer, answer, offer};
