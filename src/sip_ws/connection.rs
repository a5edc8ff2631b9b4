//! Drives the connection of one client: its WebSocket, its timers, its calls.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: reads the clock, draws secrets"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::call_handles::{CallHandles, Told};
use super::client::Client;
use super::context::Profile;
use super::output::Output;
use super::shared::Shared;
use crate::call::{ClientEvent, Endpoint, EndpointId, Notice, Refusal};
use crate::signaling::{self, CloseFrame, Due, Fault, Liveness, Message, Opened, WebSocket};
use crate::sip::stack::flow::Flow;
use crate::sip::stack::transport_protocol::Transport;

/// Events that may wait for a client that reads slowly; with more it loses its calls.
const QUEUE: usize = 256;

/// How long one message may take to go out.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that we close stays open for what the client still sends.
const LINGER: Duration = Duration::from_secs(1);

/// What we call ourselves.
const PRODUCT: &str = concat!("Trunkline/", env!("CARGO_PKG_VERSION"));

/// Why a connection ends.
#[derive(Debug)]
enum Disconnect {
    /// The client closed it, or it broke.
    Gone,
    /// We close it, with this code (RFC 6455 section 7.4).
    Close(u16),
}

struct Connection {
    socket: WebSocket,
    shared: Arc<Shared>,
    /// As HTTP knows it.
    peer: signaling::Client,
    client: Client,
    calls: CallHandles,
    liveness: Liveness,
}

/// Runs a connection to its end.
pub(super) async fn run(opened: Opened, shared: Arc<Shared>) {
    let Opened {
        socket,
        client: peer,
        admitted,
    } = opened;
    let id = EndpointId(admitted.number);
    let remote = peer.address;
    let (sender, mut events) = mpsc::channel(QUEUE);
    let transport = match peer.scheme {
        Some("https") => Transport::Wss,
        _ => Transport::Ws,
    };
    let profile = Profile {
        endpoint: id,
        flow: Flow::new(transport, 0, remote),
        product: PRODUCT,
        most_calls: shared.door.limits.calls_per_connection,
        sign_in_within: shared.door.limits.hello,
    };
    let call_control = Arc::clone(&shared.door.call_control);
    let mut connection = Connection {
        socket,
        client: Client::new(profile, rand::random(), Instant::now().into_std()),
        calls: CallHandles::new(call_control, Endpoint::new(id, sender), remote),
        liveness: Liveness::new(shared.door.limits.idle, Instant::now()),
        shared,
        peer,
    };
    connection.note_heard();
    tracing::debug!(session = %id, %remote, "SIP client connected");
    let disconnect = connection.serve(&mut events).await;
    connection.leave(disconnect, &mut events).await;
}

impl Connection {
    async fn serve(&mut self, events: &mut mpsc::Receiver<ClientEvent>) -> Disconnect {
        loop {
            let result = tokio::select! {
                message = self.socket.recv() => {
                    self.liveness.hear(Instant::now());
                    self.note_heard();
                    self.take(message)
                }
                Some(event) = events.recv() => self.take_event(event).await,
                () = until(self.client.poll_timeout()) => {
                    self.client.handle_timeout(Instant::now().into_std());
                    Ok(())
                }
                () = tokio::time::sleep_until(self.liveness.poll_timeout()) => {
                    match self.liveness.handle_timeout(Instant::now()) {
                        Some(Due::Close) => Err(Disconnect::Close(1001)),
                        Some(Due::Ping) => self.ping().await,
                        None => Ok(()),
                    }
                }
            };
            let result = match result {
                Ok(()) => self.act().await,
                Err(disconnect) => {
                    // What was said before the end, such as the BYE of a call, still goes out.
                    let _ = self.act().await;
                    Err(disconnect)
                }
            };
            if let Err(disconnect) = result {
                return disconnect;
            }
        }
    }

    /// Takes what came by the WebSocket.
    fn take(&mut self, message: Option<Result<Message, Fault>>) -> Result<(), Disconnect> {
        let bytes: Bytes = match message {
            None | Some(Ok(Message::Close(_))) => return Err(Disconnect::Gone),
            Some(Err(fault)) => return Err(self.note_fault(&fault)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
        };
        let now = Instant::now().into_std();
        if let Err(error) = self.client.handle_frame(&bytes, now) {
            self.count(Refusal::BadMessage);
            tracing::debug!(session = %self.id(), %error, "no SIP message");
        }
        Ok(())
    }

    fn note_fault(&self, fault: &Fault) -> Disconnect {
        tracing::debug!(session = %self.id(), ?fault, "connection broke");
        let Some((refusal, _, close_code)) = fault.refusal() else {
            return Disconnect::Gone;
        };
        self.count(refusal);
        let code = refusal.code();
        let refusals = &self.shared.door.refusals;
        refusals.note(
            self.peer.address,
            code,
            self.client.user().unwrap_or_default(),
            "sip",
        );
        Disconnect::Close(close_code)
    }

    fn count(&self, refusal: Refusal) {
        let code = refusal.code();
        metrics::counter!("trunkline_messages_refused_total", "code" => code).increment(1);
    }

    async fn take_event(&mut self, event: ClientEvent) -> Result<(), Disconnect> {
        let now = Instant::now();
        let told = self.calls.take(event);
        let rings = matches!(told, Told::Ring { .. } | Told::Probe);
        let has_calls = self.client.has_calls();
        match told {
            Told::Ring { call, notice } => self.client.ring(&call, notice, now.into_std()),
            Told::Notice { call, notice } => {
                self.client.handle_notice(&call, notice, now.into_std());
            }
            Told::Probe | Told::Nothing => {}
            Told::ShutDown => return Err(Disconnect::Close(1001)),
        }
        match rings && self.liveness.call_comes(has_calls, now) {
            true => self.ping().await,
            false => Ok(()),
        }
    }

    /// Does what the client's state machine asks for. Where the connection breaks meanwhile its calls
    /// still get what was asked of them.
    async fn act(&mut self) -> Result<(), Disconnect> {
        let mut written = Ok(());
        while let Some(output) = self.client.poll_output() {
            let now = Instant::now().into_std();
            match output {
                Output::Send(bytes) => {
                    if let Err(disconnect) = self.send(bytes).await {
                        written = Err(disconnect);
                        self.client.break_off();
                    }
                }
                Output::Authenticate(question) => {
                    let Shared {
                        door,
                        authenticator,
                        ..
                    } = &*self.shared;
                    let admission = authenticator.answer(&question, door, &self.peer);
                    self.client.admit(question.request, admission, now);
                }
                Output::Register {
                    request,
                    user,
                    registration,
                } => {
                    let endpoint = self.calls.endpoint();
                    tracing::debug!(session = %endpoint.id, user, ?registration, "REGISTER");
                    let registrar = &self.shared.registrar;
                    let bindings = registrar.register(&user, endpoint, registration);
                    self.client.registered(request, bindings, now);
                }
                Output::Expire { user } => self.shared.registrar.remove(&user, self.id()),
                Output::Place(place) => {
                    let (call, user, to) =
                        (place.call.clone(), place.user.clone(), place.to.clone());
                    if let Err(reason) = self.calls.place(place).await {
                        let refusals = &self.shared.door.refusals;
                        refusals.note(self.peer.address, reason.code(), &user, &to);
                        let ended = Notice::Ended {
                            reason,
                            status: None,
                        };
                        self.client.handle_notice(&call, ended, now);
                    }
                }
                Output::Command { call, command } => self.calls.command(&call, command).await,
                Output::CloseSilent => {
                    metrics::counter!("trunkline_sockets_refused_total", "reason" => "silent")
                        .increment(1);
                    let refusals = &self.shared.door.refusals;
                    refusals.note(self.peer.address, "silent", "", "sip");
                    return Err(Disconnect::Close(1008));
                }
            }
        }
        written
    }

    /// Text where it can be: both kinds are SIP (RFC 7118 section 5), and text is what clients send.
    async fn send(&mut self, bytes: Bytes) -> Result<(), Disconnect> {
        let message = match std::str::from_utf8(&bytes) {
            Ok(text) => Message::text(text),
            Err(_) => Message::Binary(bytes),
        };
        self.write(message).await
    }

    async fn ping(&mut self) -> Result<(), Disconnect> {
        self.write(Message::Ping(Bytes::new())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Disconnect> {
        match timeout(WRITE_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Disconnect::Gone),
        }
    }

    /// Something came: call control prefers endpoints that were heard lately.
    fn note_heard(&self) {
        let at = self.shared.door.started.elapsed().as_millis();
        let state = &self.calls.endpoint().state;
        state.set_last_heard(u64::try_from(at).unwrap_or(u64::MAX));
    }

    fn id(&self) -> EndpointId {
        self.calls.endpoint().id
    }

    async fn leave(mut self, disconnect: Disconnect, events: &mut mpsc::Receiver<ClientEvent>) {
        let user = self.client.user().unwrap_or_default();
        self.shared.registrar.remove(user, self.id());
        let (remote, calls) = (self.peer.address, self.calls.len());
        tracing::info!(session = %self.id(), %remote, user, calls, "SIP client left");
        self.calls.leave(events);
        let Disconnect::Close(code) = disconnect else {
            return;
        };
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        if self.write(Message::Close(Some(frame))).await.is_ok() {
            let _ = timeout(LINGER, self.socket.until_closed()).await;
        }
    }
}

/// Sleeps until `deadline`; for ever where there is none.
async fn until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
