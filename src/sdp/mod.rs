//! Session descriptions: offers, answers and the functions that join a browser's with a PBX's.
//!
//! Everything here is a function over values: no socket, clock or randomness. The browser's
//! side is [`browser`], the PBX's is [`pbx`], the decisions that need both are [`bridge`].
//! `docs/sdp.md` shows what is offered and answered, and where reality differs from the RFCs.
//!
//! Directions ([`crate::codec::Direction`]) are always seen from the gateway.

pub mod bridge;
pub mod browser;
pub mod pbx;

mod cleaning;
mod connection;
mod crypto;
mod error;
mod events;
mod format;
mod offered_codec;
mod opus;
mod policy;
mod section;
mod session;
mod transport;

pub use browser::{BrowserLocalOffer, BrowserOffer};
pub use connection::{ConnectionName, connection_names, with_addresses};
pub use error::{Error, MAX_LENGTH, Warning};
pub use offered_codec::OfferedCodec;
pub use pbx::{KeySeed, LocalOffer, LocalRtp, PbxOffer, Remote, RtpAddress};
pub use policy::{BrowserPolicy, RtpFamilies, SrtpMode, TrunkPolicy};
pub use session::{Answer, Offer, SessionIds};
pub use transport::{Description, Fingerprint, Setup};
