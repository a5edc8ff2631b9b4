//! Session descriptions: offers, answers and the functions that join a browser's with a PBX's.
//!
//! Everything here is a function over values: no socket, clock or randomness. The browser's
//! side is [`jsep`], the PBX's is [`offer_answer`], the decisions that need both are [`bridge`].
//! `docs/sdp.md` shows what is offered and answered, and where reality differs from the RFCs.
//!
//! Directions ([`crate::codec::Direction`]) are always seen from the gateway.

pub mod bridge;
pub mod jsep;
pub mod offer_answer;

mod cleaning;
mod connection;
mod crypto;
mod error;
mod events;
mod format;
mod ice_dtls;
mod media_description;
mod offered_codec;
mod opus;
mod policy;
mod sections;
mod session;

pub use connection::{ConnectionName, connection_names, with_addresses};
pub use error::{Error, MAX_LENGTH, Warning};
pub use ice_dtls::{Fingerprint, IceDtlsParameters, Setup};
pub use jsep::{BrowserLocalOffer, BrowserOffer};
pub use offer_answer::{KeySeed, LocalMedia, LocalOffer, PbxOffer, RemoteMedia, RtpAddress};
pub use offered_codec::OfferedCodec;
pub use policy::{BrowserPolicy, RtpFamilies, SrtpMode, TrunkPolicy};
pub use sections::{MediaKind, Section};
pub use session::{Answer, Offer, SessionIds};
