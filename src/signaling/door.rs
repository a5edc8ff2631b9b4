//! The HTTP listener's routes and the limits at the door.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::json::{IceServer, Number};
use super::refusals::Refusals;
use super::sign_in::SignIn;
use super::{page, session};
use crate::call::{Directory, Exchange};

/// The longest WebSocket message, bytes. Offers of browsers are 3 to 10 KiB.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// What a connection keeps to read into, bytes. Longer messages are read in pieces.
const READ_BUFFER: usize = 4 * 1024;

/// The WebSocket subprotocol, for pages that ask for one.
const SUBPROTOCOL: &str = "trunkline.v1";

/// How much the door lets in.
#[derive(Clone, Debug)]
pub struct DoorLimits {
    /// Open sockets.
    pub sockets: usize,
    /// Open sockets of one address.
    pub sockets_per_address: usize,
    /// Calls of one socket.
    pub calls_per_socket: usize,
    /// Until a socket that says nothing is closed.
    pub idle: Duration,
    /// Until a socket must have said hello.
    pub hello: Duration,
}

/// What stands behind the routes.
pub struct Door {
    /// Where calls begin.
    pub exchange: Arc<Exchange>,
    /// Who is signed in.
    pub directory: Arc<Directory>,
    /// Who may.
    pub sign_in: SignIn,
    /// For pages.
    pub ice_servers: Vec<IceServer>,
    /// The built-in numbers.
    pub numbers: Vec<Number>,
    /// Limits.
    pub limits: DoorLimits,
    /// Logs those that are refused.
    pub refusals: Refusals,
    /// Origins that may open `/rtc`, besides the page's own.
    pub allowed_origins: Vec<String>,
    /// Writes the metrics.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Says whether the SIP side is well, for `/health`.
    pub health: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Open sockets by address.
    pub open: Arc<OpenSockets>,
}

/// Counts sockets, in all and by address.
#[derive(Debug, Default)]
pub struct OpenSockets {
    by_address: Mutex<HashMap<IpAddr, usize>>,
    next: AtomicU64,
}

/// One counted socket.
#[derive(Debug)]
pub(super) struct Admitted {
    open: Arc<OpenSockets>,
    address: IpAddr,
    /// Unique in the process.
    pub(super) number: u64,
}

impl OpenSockets {
    fn admit(self: &Arc<Self>, address: IpAddr, limits: &DoorLimits) -> Option<Admitted> {
        let mut by_address = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let all: usize = by_address.values().sum();
        let here = by_address.entry(address).or_insert(0);
        if all >= limits.sockets || *here >= limits.sockets_per_address {
            return None;
        }
        *here += 1;
        metrics::gauge!("trunkline_sockets_open").increment(1);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some(Admitted {
            open: Arc::clone(self),
            address,
            number,
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        metrics::gauge!("trunkline_sockets_open").decrement(1);
        let mut by_address = self
            .open
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// All routes of the HTTP listener.
pub fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/rtc", get(open_socket))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(get(page::serve))
        .with_state(door)
}

async fn health(State(door): State<Arc<Door>>) -> Response {
    let mut report = (door.health)();
    let draining = door.exchange.is_draining();
    let failed = report.get("failed_task").is_some();
    if let Some(report) = report.as_object_mut() {
        let word = match (failed, draining) {
            (true, _) => "failed",
            (false, true) => "draining",
            (false, false) => "ok",
        };
        report.insert("status".to_owned(), word.into());
        report.insert("calls".to_owned(), door.exchange.open_calls().into());
    }
    let status = if draining || failed {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (status, axum::Json(report)).into_response()
}

async fn metrics(State(door): State<Arc<Door>>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        (door.metrics)(),
    )
        .into_response()
}

async fn open_socket(
    State(door): State<Arc<Door>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let refuse = |status: StatusCode, reason: &'static str| {
        ::metrics::counter!("trunkline_sockets_refused_total", "reason" => reason).increment(1);
        let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
        let origin = String::from_utf8_lossy(origin.unwrap_or_default());
        door.refusals.note(remote, reason, "", &origin);
        (status, reason).into_response()
    };
    if !is_allowed_origin(&headers, &door.allowed_origins) {
        return refuse(StatusCode::FORBIDDEN, "origin");
    }
    if door.exchange.is_draining() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    let Some(admitted) = door.open.admit(remote.ip(), &door.limits) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "limit");
    };
    upgrade
        .protocols([SUBPROTOCOL])
        // Tungstenite keeps 128 KiB for each connection unless told otherwise.
        .read_buffer_size(READ_BUFFER)
        .max_message_size(LONGEST_MESSAGE)
        .max_frame_size(LONGEST_MESSAGE)
        .on_upgrade(move |socket| session::run(socket, door, admitted, remote))
}

/// A browser always says where its page is from; programs need not.
fn is_allowed_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    if allowed
        .iter()
        .any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
    {
        return true;
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    origin.split_once("://").map(|(_, rest)| rest) == host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::HOST,
            "gateway.example:8080".parse().expect("a header"),
        );
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn a_page_from_elsewhere_must_be_named() {
        assert!(is_allowed_origin(&headers(None), &[]));
        assert!(is_allowed_origin(
            &headers(Some("https://gateway.example:8080")),
            &[]
        ));
        let other = headers(Some("https://shop.example"));
        assert!(!is_allowed_origin(&other, &[]));
        assert!(is_allowed_origin(
            &other,
            &["https://shop.example".to_owned()]
        ));
        assert!(is_allowed_origin(&other, &["*".to_owned()]));
    }

    #[test]
    fn sockets_are_counted_by_address_and_in_all() {
        let limits = DoorLimits {
            sockets: 3,
            sockets_per_address: 2,
            calls_per_socket: 1,
            idle: Duration::ZERO,
            hello: Duration::ZERO,
        };
        let open = Arc::new(OpenSockets::default());
        let one = IpAddr::from([192, 0, 2, 1]);
        let two = IpAddr::from([192, 0, 2, 2]);
        let first = open.admit(one, &limits).expect("room");
        let _second = open.admit(one, &limits).expect("room");
        assert!(
            open.admit(one, &limits).is_none(),
            "two of one address at most"
        );
        let _third = open.admit(two, &limits).expect("room");
        assert!(open.admit(two, &limits).is_none(), "three in all at most");
        drop(first);
        assert!(open.admit(two, &limits).is_some());
    }
}
