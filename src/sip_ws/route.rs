//! The door of SIP over WebSocket: what its connections share, and where they come.

use std::sync::Arc;

use super::authenticator::{Accounts, Authenticator};
use super::connection;
use super::registrar::Registrar;
use super::shared::Shared;
use crate::signaling::{Door, Opened, SocketRoute};

/// Where clients come.
const PATH: &str = "/sip";

/// The WebSocket subprotocol (RFC 7118 section 4.1).
const SUBPROTOCOL: &str = "sip";

/// The door for these users. `door` is what all doors share.
pub fn route(door: Arc<Door>, accounts: Accounts) -> SocketRoute {
    let shared = Arc::new(Shared {
        authenticator: Authenticator::new(accounts),
        registrar: Registrar::new(Arc::clone(&door.location_service)),
        door,
    });
    SocketRoute {
        path: PATH,
        subprotocol: SUBPROTOCOL,
        serve: Arc::new(move |opened: Opened| {
            Box::pin(connection::run(opened, Arc::clone(&shared)))
        }),
    }
}
