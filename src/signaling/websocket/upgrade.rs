//! The upgrade of an HTTP request to a WebSocket (RFC 6455 section 4.2).
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts a task for each connection"
)]

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::WebSocket;

/// What is spoken on a WebSocket (RFC 6455 section 1.9).
#[derive(Clone, Copy, Debug)]
pub(in crate::signaling) struct Subprotocol {
    pub(in crate::signaling) name: &'static str,
    /// Whether clients must ask for it. Those that ask are told that it is taken.
    pub(in crate::signaling) is_required: bool,
}

/// A request that may be upgraded.
pub(in crate::signaling) struct Upgrade {
    switching: Response,
    upgraded: OnUpgrade,
}

impl Upgrade {
    /// Reads a request, or gives the response that refuses it.
    pub(in crate::signaling) fn read(
        mut request: Request,
        subprotocol: Subprotocol,
    ) -> Result<Self, Box<Response>> {
        let mut switching = create_response_with_body(&request, Body::empty)
            .map_err(|error| Box::new(refusal(&error)))?;
        if asks_for(request.headers(), subprotocol.name) {
            let name = HeaderValue::from_static(subprotocol.name);
            let headers = switching.headers_mut();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        } else if subprotocol.is_required {
            let text = format!("WebSocket subprotocol {} is expected\n", subprotocol.name);
            return Err(Box::new((StatusCode::BAD_REQUEST, text).into_response()));
        }
        Ok(Upgrade {
            switching,
            upgraded: hyper::upgrade::on(&mut request),
        })
    }

    /// Gives the response 101. `serve` runs once it has gone out.
    pub(in crate::signaling) fn accept<F>(
        self,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let upgraded = self.upgraded;
        tokio::spawn(async move {
            match upgraded.await {
                Ok(upgraded) => serve(WebSocket::new(upgraded).await).await,
                // The client left meanwhile.
                Err(error) => tracing::debug!(%error, "no WebSocket after an upgrade"),
            }
        });
        self.switching
    }
}

fn asks_for(headers: &HeaderMap, subprotocol: &str) -> bool {
    let asked = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    asked
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == subprotocol)
}

/// 426 says which protocol and version are expected (RFC 6455 section 4.4, RFC 9110 section
/// 15.5.22); everything else is a bad request.
fn refusal(error: &Error) -> Response {
    let text = format!("{error}\n");
    if !matches!(
        error,
        Error::Protocol(
            ProtocolError::MissingUpgradeWebSocketHeader
                | ProtocolError::MissingConnectionUpgradeHeader
                | ProtocolError::MissingSecWebSocketVersionHeader
        )
    ) {
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let expected: [(HeaderName, &str); 3] = [
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ];
    (StatusCode::UPGRADE_REQUIRED, expected, text).into_response()
}
