//! The browser's side: descriptions with ICE, DTLS and BUNDLE (RFC 9429).

mod local_offer;
mod negotiation;
mod read;
mod write;

pub use local_offer::BrowserLocalOffer;
pub use negotiation::{AnswerParameters, Negotiation, SignalingState};
pub use read::{BrowserOffer, accept_answer, read_offer};
pub use write::{answer, offer};
