//! The PBX's side: RTP over UDP (RFC 3264, RFC 3551), plain or with keys in the description
//! (RFC 4568, RFC 8643).

mod local;
mod local_offer;
mod read;
mod remote;
mod write;

pub use local::{KeySeed, LocalRtp};
pub use local_offer::LocalOffer;
pub use read::{PbxOffer, read_answer, read_offer};
pub use remote::{Remote, RtpAddress};
pub use write::{answer, offer};
