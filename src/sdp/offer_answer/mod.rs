//! The PBX's side: RTP over UDP (RFC 3264, RFC 3551), plain or with keys in the description
//! (RFC 4568, RFC 8643).

mod local_media;
mod local_offer;
mod negotiation;
mod read;
mod remote_media;
mod write;

pub use local_media::{KeySeed, LocalMedia};
pub use local_offer::LocalOffer;
pub use negotiation::{Negotiation, OfferIn, OfferState};
pub use read::{PbxOffer, read_answer, read_offer};
pub use remote_media::{RemoteMedia, RtpAddress};
pub use write::{answer, offer};
