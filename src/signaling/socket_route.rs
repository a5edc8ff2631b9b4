//! A door beside `/rtc` whose clients come by WebSocket: it gets connections that have passed the
//! checks of `Host` and `Origin` and the limits.

use std::pin::Pin;
use std::sync::Arc;

use super::door::Admitted;
use super::forwarded::Client;
use super::websocket::WebSocket;

/// A connection.
pub struct Opened {
    /// Its messages.
    pub socket: WebSocket,
    /// Who opened it.
    pub client: Client,
    /// Its place among the open ones; its number is unique in the process.
    pub admitted: Admitted,
}

/// Runs a connection to its end.
pub type Serve = Arc<dyn Fn(Opened) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Where a door's clients come, and what they speak.
#[derive(Clone)]
pub struct SocketRoute {
    /// Of the HTTP request.
    pub path: &'static str,
    /// The WebSocket subprotocol that clients must ask for (RFC 6455 section 1.9).
    pub subprotocol: &'static str,
    /// What becomes of a connection.
    pub serve: Serve,
}
