//! SRTP and SRTCP (RFC 3711, RFC 7714) with keys from wherever: DTLS on the browser's side, SDP
//! on the PBX's. The only folder that names `rtc-srtp`.

mod error;
mod packet;
mod profile;
mod receiving;
mod rejected;
mod sending;
mod session;

pub use error::Error;
pub use packet::Packet;
pub use rejected::Rejected;
pub use session::Session;
