//! The browser's doors: from the wire to [`crate::call::Command`], from
//! [`crate::call::Notice`] to the wire. Decides nothing about calls.
//!
//! [`router`] serves the page, `/rtc` (JSON over WebSocket, docs/signaling.md), `/health` and
//! `/metrics`.

mod attempts;
mod authentication;
mod calls;
mod connection;
mod digits;
mod door;
mod encode;
mod error;
mod forwarded;
mod host;
mod identity;
mod json;
mod listener;
mod liveness;
mod occupancy;
mod page;
mod reading;
mod refusals;
mod renewal;
mod routes;
mod session;
mod session_lifetime;
mod sign_in;
mod socket_route;
mod throttle;
mod timed_stream;
mod tokens;
mod websocket;

pub(crate) use attempts::Refused;
pub use attempts::SignInAttempts;
pub use door::{Admitted, Door, DoorLimits};
pub use error::Error;
pub use forwarded::Client;
pub use identity::Identity;
pub use json::{IceServer, Number};
pub use listener::{ConnectionLimits, serve};
pub(crate) use liveness::{Due, Liveness};
pub use refusals::Refusals;
pub use routes::router;
pub use sign_in::{Credentials, SignIn, SignedIn, StaticUser};
pub use socket_route::{Opened, SocketRoute};
pub use throttle::AttemptLimits;
pub use tokens::{Bearer, TokenVerifier};
pub use websocket::WebSocket;
pub(crate) use websocket::{CloseFrame, Fault, Message};
