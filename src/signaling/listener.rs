//! Accepts HTTP connections, and lets nobody hold one without saying anything.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts a task for each connection"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::forwarded::is_trusted;
use super::occupancy::{Full, Occupancy};
use super::refusals::Refusals;
use super::timed_stream::TimedStream;

/// How long the head of a request may take, from the opening of the connection or the end of
/// the last request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after an accept that failed: for want of file descriptors, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may leave bytes that wait for it unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// What the listener accepts.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Connections, in all.
    pub connections: usize,
    /// Connections of one address; in IPv6 of one /64.
    pub connections_per_address: usize,
    /// Proxies, which the limit of one address does not hold for: their clients are many.
    pub trusted_proxies: Vec<IpNet>,
}

/// Serves `routes` until `stop` is true. A connection beyond `limits` is closed at once, counted
/// and logged with its address.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) {
    let open = Arc::new(Occupancy::default());
    let refusals = Arc::new(Refusals::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "HTTP connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let of_one = (!is_trusted(remote.ip(), &limits.trusted_proxies))
            .then_some(limits.connections_per_address);
        let place = match open.admit(remote.ip(), limits.connections, of_one) {
            Ok(place) => place,
            Err(full) => {
                let reason = match full {
                    Full::InAll => "connections",
                    Full::ThisSource => "connections_per_address",
                };
                refuse(&refusals, remote, reason);
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = routes
            .clone()
            .layer(axum::Extension(ConnectInfo::<SocketAddr>(remote)));
        let refusals = Arc::clone(&refusals);
        tokio::spawn(async move {
            let _place = place;
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(
                    TokioIo::new(TimedStream::new(stream, WRITE_TIMEOUT)),
                    TowerToHyperService::new(service),
                )
                .with_upgrades()
                .await;
            if let Err(error) = served {
                if is_timed_out(&error) {
                    refuse(&refusals, remote, "not_reading");
                }
                tracing::debug!(%remote, %error, "HTTP connection ended early");
            }
        });
    }
}

fn refuse(refusals: &Refusals, remote: SocketAddr, reason: &'static str) {
    metrics::counter!("trunkline_sockets_refused_total", "reason" => reason).increment(1);
    refusals.note(remote, reason, "", "");
}

/// Whether a connection ended because its client did not read.
fn is_timed_out(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}
