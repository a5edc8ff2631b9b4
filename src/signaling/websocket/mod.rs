//! WebSocket connections of clients (RFC 6455): frames counted, faults told by their kind.

mod counted_stream;
mod fault;
mod frames;
mod socket;
mod upgrade;

pub(super) use self::fault::Fault;
pub(super) use self::socket::WebSocket;
pub(super) use self::upgrade::Upgrade;
pub(super) use tokio_tungstenite::tungstenite::Message;
pub(super) use tokio_tungstenite::tungstenite::protocol::CloseFrame;
