//! WebSocket connections of clients (RFC 6455): frames counted, faults told by their kind.

mod counted_stream;
mod fault;
mod frames;
mod socket;
mod upgrade;

pub(crate) use self::fault::Fault;
pub use self::socket::WebSocket;
pub(super) use self::upgrade::{Subprotocol, Upgrade};
pub(crate) use tokio_tungstenite::tungstenite::Message;
pub(crate) use tokio_tungstenite::tungstenite::protocol::CloseFrame;
