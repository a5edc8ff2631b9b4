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
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::refusals::Refusals;

/// How long the head of a request may take, from the opening of the connection or the end of
/// the last request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after an accept that failed: for want of file descriptors, as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `routes` until `stop` is true. At most `most` connections are open at once; one more
/// is closed at once and counted.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    most: usize,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(most));
    let refusals = Refusals::new(Instant::now());
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
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            metrics::counter!("trunkline_sockets_refused_total", "reason" => "connections")
                .increment(1);
            refusals.note(remote, "connections", "", "");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = routes
            .clone()
            .layer(axum::Extension(ConnectInfo::<SocketAddr>(remote)));
        tokio::spawn(async move {
            let _permit = permit;
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                .with_upgrades()
                .await;
            if let Err(error) = served {
                tracing::debug!(%remote, %error, "HTTP connection ended early");
            }
        });
    }
}
