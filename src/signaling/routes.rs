//! The HTTP listener's routes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::door::Door;
use super::forwarded::{self, Client};
use super::host::{self, BadHost};
use super::socket_route::{Opened, SocketRoute};
use super::websocket::{Subprotocol, Upgrade};
use super::{page, session};

/// JSON over WebSocket; clients may name it or name nothing.
const JSON: Subprotocol = Subprotocol {
    name: "trunkline.v1",
    is_required: false,
};

/// All routes of the HTTP listener; `sockets` are those of doors beside `/rtc`.
pub fn router(door: Arc<Door>, sockets: Vec<SocketRoute>) -> Router {
    let mut router = Router::new().route("/rtc", get(open_json));
    for socket in sockets {
        let path = socket.path;
        let open = move |State(door): State<Arc<Door>>,
                         Extension(client): Extension<Client>,
                         request| async move {
            let subprotocol = Subprotocol {
                name: socket.subprotocol,
                is_required: true,
            };
            open_socket(door, client, request, subprotocol, move |opened| {
                (socket.serve)(opened)
            })
        };
        router = router.route(path, get(open));
    }
    router
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(get(page::serve))
        .layer(middleware::from_fn_with_state(Arc::clone(&door), identify))
        .with_state(door)
}

/// Finds out who asks, and refuses requests for hosts that we are not.
async fn identify(
    State(door): State<Arc<Door>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = forwarded::client(remote, request.headers(), &door.trusted_proxies);
    let (version, target) = (request.version(), request.uri().clone());
    let checked = host::apply_target(version, &target, request.headers_mut())
        .and_then(|()| host::check_host(request.headers(), &door.host_names));
    if let Err(error) = checked {
        let (status, text) = match error {
            BadHost::Malformed => (StatusCode::BAD_REQUEST, "one readable Host is expected\n"),
            BadHost::Unknown => (
                StatusCode::MISDIRECTED_REQUEST,
                "This gateway does not answer to the host name of this request. If it is one of \
                 its own, add it to http.host_names in the configuration.\n",
            ),
        };
        ::metrics::counter!("trunkline_sockets_refused_total", "reason" => "host").increment(1);
        let host = request.headers().get(header::HOST);
        let host = host.map(|host| host.as_bytes()).unwrap_or_default();
        let host = String::from_utf8_lossy(host);
        door.refusals.note(client.address, "host", "", &host);
        return (status, text).into_response();
    }
    request.extensions_mut().insert(client);
    next.run(request).await
}

async fn health(State(door): State<Arc<Door>>) -> Response {
    let mut report = (door.health)();
    let draining = door.call_control.is_draining();
    let failed = report.get("failed_task").is_some();
    if let Some(report) = report.as_object_mut() {
        let word = match (failed, draining) {
            (true, _) => "failed",
            (false, true) => "draining",
            (false, false) => "ok",
        };
        report.insert("status".to_owned(), word.into());
        report.insert("calls".to_owned(), door.call_control.open_calls().into());
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

async fn open_json(
    State(door): State<Arc<Door>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let json = Arc::clone(&door);
    open_socket(door, client, request, JSON, |opened| {
        session::run(opened.socket, json, opened.admitted, opened.client)
    })
}

/// Opens a WebSocket where the page may, within the limits of the door.
fn open_socket<F>(
    door: Arc<Door>,
    client: Client,
    request: Request,
    subprotocol: Subprotocol,
    serve: impl FnOnce(Opened) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let headers = request.headers().clone();
    let upgrade = match Upgrade::read(request, subprotocol) {
        Ok(upgrade) => upgrade,
        Err(refusal) => return *refusal,
    };
    let remote = client.address;
    let refuse = |status: StatusCode, reason: &'static str| {
        ::metrics::counter!("trunkline_sockets_refused_total", "reason" => reason).increment(1);
        let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
        let origin = String::from_utf8_lossy(origin.unwrap_or_default());
        door.refusals.note(remote, reason, "", &origin);
        (status, reason).into_response()
    };
    if !host::is_allowed_origin(&headers, &door.allowed_origins, client.scheme) {
        return refuse(StatusCode::FORBIDDEN, "origin");
    }
    if door.call_control.is_draining() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    let of_one = (!client.is_proxy).then_some(door.limits.sockets_per_address);
    let admitted = door.open.admit(remote.ip(), door.limits.sockets, of_one);
    let Some(admitted) = admitted else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "limit");
    };
    upgrade.accept(move |socket| {
        serve(Opened {
            socket,
            client,
            admitted,
        })
    })
}
