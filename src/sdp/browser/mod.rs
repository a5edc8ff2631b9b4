//! The browser's side: descriptions with ICE, DTLS and BUNDLE (RFC 8829).

mod read;
mod write;

pub use read::{BrowserOffer, accept_answer, read_offer};
pub use write::{BrowserLocalOffer, answer, offer};
