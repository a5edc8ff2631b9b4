//! SRTP and SRTCP (RFC 3711, RFC 7714) with keys from wherever: DTLS on the browser's side, SDP
//! on the PBX's. The only folder that names `rtc-srtp`.

mod error;
mod receiving;
mod sending;
mod session;

pub use error::Error;
pub use receiving::Rejected;
pub use session::{Packet, Session};
