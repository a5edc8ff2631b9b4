//! One signed-in client: its calls, until it leaves or its token ends.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::attempts::Refused;
use super::authentication::authenticate;
use super::calls::CallBook;
use super::connection::{Connection, Disconnect};
use super::digits::are_digits;
use super::door::{Admitted, Door};
use super::encode::{encode, encode_message};
use super::forwarded::Client;
use super::identity::Identity;
use super::json::{ClientMessage, Rejection, ServerMessage, VERSION};
use super::liveness::{Due, Liveness};
use super::reading::{hang_up_reason, is_name};
use super::renewal::{Renewal, Step};
use super::sign_in::Credentials;
use super::websocket::{Message, WebSocket};
use crate::call::{
    CallHandle, ClientEvent, Command, EndReason, Endpoint, EndpointId, MessageNotice, Notice,
    Refusal, TransferTarget, detach_from_waiting,
};
use crate::control::{self, CallRequest, LONGEST_TEXT, MessageRequest};
use crate::redacted::Redacted;
use crate::token_bucket::{Rate, TokenBucket};

/// Events that may wait for a client that reads slowly; with more it loses its calls.
const QUEUE: usize = 256;

/// Texts that a client may send in a burst, and per second after it.
const TEXTS: Rate = Rate::per_second(5);

/// Milliseconds of a digit that does not say.
const DIGIT_DURATION: u32 = 100;

struct Session {
    connection: Connection,
    identity: Identity,
    calls: CallBook,
    /// As call control knows it.
    endpoint: Endpoint,
    texts: TokenBucket,
    renewal: Renewal,
}

/// Runs a connection to its end.
pub(super) async fn run(socket: WebSocket, door: Arc<Door>, admitted: Admitted, client: Client) {
    let id = EndpointId(admitted.number);
    let remote = client.address;
    let mut connection = Connection::new(socket, Arc::clone(&door), client, id);
    let signed_in = match authenticate(&mut connection).await {
        Ok(signed_in) => signed_in,
        Err(Disconnect::Close(reason, code)) => return connection.close(reason, code).await,
        Err(Disconnect::Gone | Disconnect::TokenExpired) => return,
    };
    let user = signed_in.identity.user.clone();
    tracing::info!(session = %id, %remote, %user, "page signed in");
    let (sender, mut events) = mpsc::channel(QUEUE);
    let mut session = Session {
        connection,
        identity: signed_in.identity,
        calls: CallBook::default(),
        endpoint: Endpoint::new(id, sender),
        texts: TokenBucket::default(),
        renewal: Renewal::new(signed_in.expires),
    };
    session.note_heard();
    let endpoint = session.endpoint.clone();
    door.location_service.register(&user, endpoint);
    let disconnect = match session.welcome().await {
        Ok(()) => session.serve(&mut events).await,
        Err(disconnect) => disconnect,
    };
    door.location_service.unregister(&user, id);
    tracing::info!(session = %id, %remote, %user, calls = session.calls.len(), "page left");
    // Tells every call that this client has gone.
    session.leave(disconnect, &mut events).await;
}

impl Session {
    /// Said once the client can be called: a caller that is told of it at once must not
    /// find that nobody is there.
    async fn welcome(&mut self) -> Result<(), Disconnect> {
        let welcome = ServerMessage::Welcome {
            version: VERSION,
            user: self.identity.user.clone(),
            session: self.connection.id.to_string(),
            ice_servers: self.connection.door.ice_servers.clone(),
            numbers: self.connection.door.numbers.clone(),
        };
        self.connection.write(&welcome).await
    }

    async fn serve(&mut self, events: &mut mpsc::Receiver<ClientEvent>) -> Disconnect {
        let idle = self.connection.door.limits.idle;
        let mut liveness = Liveness::new(idle, Instant::now());
        loop {
            let result = tokio::select! {
                message = self.connection.socket.recv() => {
                    liveness.hear(Instant::now());
                    self.note_heard();
                    match self.connection.understand(message).await {
                        Ok(Some(message)) => self.take(message).await,
                        Ok(None) => Ok(()),
                        Err(disconnect) => Err(disconnect),
                    }
                }
                Some(event) = events.recv() => {
                    let rings = matches!(event, ClientEvent::Begin { .. } | ClientEvent::Probe);
                    let has_calls = self.calls.len() > 0;
                    let written = self.take_event(event).await;
                    let pings = rings && liveness.call_comes(has_calls, Instant::now());
                    match (written, pings) {
                        (Ok(()), true) => self.ping().await,
                        (written, _) => written,
                    }
                }
                step = self.renewal.next() => self.follow_token(step).await,
                () = tokio::time::sleep_until(liveness.poll_timeout()) => {
                    match liveness.handle_timeout(Instant::now()) {
                        Some(Due::Close) => Err(Disconnect::Close("idle", 1001)),
                        Some(Due::Ping) => self.ping().await,
                        None => Ok(()),
                    }
                }
            };
            if let Err(disconnect) = result {
                return disconnect;
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Disconnect> {
        self.connection
            .send(Message::Ping(Default::default()))
            .await
    }

    /// Something came: call control prefers connections that were heard lately.
    fn note_heard(&self) {
        let at = self.connection.door.started.elapsed().as_millis();
        let state = &self.endpoint.state;
        state.set_last_heard(u64::try_from(at).unwrap_or(u64::MAX));
    }

    async fn take(&mut self, message: ClientMessage) -> Result<(), Disconnect> {
        match message {
            ClientMessage::Hello { .. } => {
                self.connection
                    .refuse(Refusal::BadMessage, "hello was said already", None)
                    .await
            }
            ClientMessage::Renew { token } => self.renew(token).await,
            ClientMessage::Ping {} => self.connection.write(&ServerMessage::Pong {}).await,
            ClientMessage::Call {
                call,
                to,
                sdp,
                name,
                anonymous,
                headers,
            } => {
                let request = CallRequest {
                    user: self.identity.user.clone(),
                    name: name.or_else(|| self.identity.display_name.clone()),
                    endpoint: self.endpoint.clone(),
                    remote: self.connection.client.address,
                    call,
                    to,
                    sdp,
                    anonymous,
                    headers: headers.into_iter().collect(),
                };
                self.place(request).await
            }
            ClientMessage::Candidate { call, candidate } => {
                let candidate = candidate
                    .map(|candidate| candidate.candidate)
                    .filter(|candidate| !candidate.is_empty());
                self.ask(call, Command::Trickle { candidate }).await
            }
            ClientMessage::Accept { call, sdp } => {
                let endpoint = self.connection.id;
                self.ask(call, Command::Accept { endpoint, sdp }).await
            }
            ClientMessage::Reject { call, reason } => {
                let reason = match reason {
                    Some(Rejection::Busy) => EndReason::Busy,
                    Some(Rejection::Declined) | None => EndReason::Declined,
                };
                let endpoint = self.connection.id;
                self.ask(call, Command::Reject { endpoint, reason }).await
            }
            ClientMessage::Dtmf {
                call,
                digits,
                duration,
            } => {
                let duration = duration.unwrap_or(DIGIT_DURATION);
                if !are_digits(&digits) || !(40..=6_000).contains(&duration) {
                    let text = "dtmf takes 1 to 64 digits of 0-9*#A-D with up to 10 commas \
                                (2 seconds of pause each), and 40 to 6000 milliseconds";
                    return self
                        .connection
                        .refuse(Refusal::BadMessage, text, Some(call))
                        .await;
                }
                let duration = Duration::from_millis(duration.into());
                let digits = digits.to_ascii_uppercase();
                self.ask(call, Command::SendDigits { digits, duration })
                    .await
            }
            ClientMessage::Hold { call, on } => self.ask(call, Command::Hold { on }).await,
            ClientMessage::Transfer { call, to, replaces } => {
                self.transfer(call, to, replaces).await
            }
            ClientMessage::Message { id, to, call, text } => self.text(id, to, call, text).await,
            ClientMessage::Hangup { call, reason } => {
                let reason = reason.as_ref().and_then(hang_up_reason);
                self.ask(call, Command::HangUp { reason }).await
            }
        }
    }

    async fn place(&mut self, request: CallRequest) -> Result<(), Disconnect> {
        let call = request.call.clone();
        let dialled = request.to.clone();
        if !is_name(&call) {
            let text = "call is 1 to 64 characters of A-Z, a-z, 0-9, - and _";
            return self
                .connection
                .refuse(Refusal::BadMessage, text, None)
                .await;
        }
        if self.calls.has(&call) {
            let text = "there is a call of that name";
            return self
                .connection
                .refuse(Refusal::DuplicateCall, text, Some(call))
                .await;
        }
        if self.calls.outgoing() >= self.connection.door.limits.calls_per_connection {
            let refusal = Refusal::TooManyCalls;
            self.connection
                .note(refusal.code(), &self.identity.user, "");
            let text = "this page has too many calls";
            return self.connection.refuse(refusal, text, Some(call)).await;
        }
        match self.connection.door.call_control.call(request).await {
            Ok(handle) => {
                self.calls.insert_outgoing(call, handle);
                Ok(())
            }
            Err(error) => {
                let reason = match error {
                    control::Error::Ends(reason) => reason,
                    error => {
                        let refusal = error.refusal().unwrap_or(Refusal::BadMessage);
                        return self
                            .connection
                            .refuse(refusal, &error.to_string(), Some(call))
                            .await;
                    }
                };
                let code = reason.code();
                self.connection.note(code, &self.identity.user, &dialled);
                let ended = Notice::Ended {
                    reason,
                    status: None,
                };
                self.connection.write(&encode(call, ended)).await
            }
        }
    }

    async fn transfer(
        &mut self,
        call: String,
        to: Option<String>,
        replaces: Option<String>,
    ) -> Result<(), Disconnect> {
        let target = match (to, replaces) {
            (Some(to), None) => {
                let call_control = &self.connection.door.call_control;
                match call_control.transfer_target(&self.identity.user, &to) {
                    Ok(target) => target,
                    Err(refusal) => {
                        let text = "no route to this number for this user";
                        return self.connection.refuse(refusal, text, Some(call)).await;
                    }
                }
            }
            (None, Some(other)) if other != call => {
                match self.calls.get(&other).map(CallHandle::dialog) {
                    Some(Some(dialog)) => TransferTarget::Dialog(dialog),
                    Some(None) => {
                        let text = "the other call is not answered";
                        return self
                            .connection
                            .refuse(Refusal::BadState, text, Some(call))
                            .await;
                    }
                    None => {
                        let text = "there is no such other call";
                        return self
                            .connection
                            .refuse(Refusal::UnknownCall, text, Some(call))
                            .await;
                    }
                }
            }
            _ => {
                let text = "transfer takes either to or replaces, another call";
                return self
                    .connection
                    .refuse(Refusal::BadMessage, text, Some(call))
                    .await;
            }
        };
        self.ask(call, Command::Transfer { to: target }).await
    }

    async fn text(
        &mut self,
        id: Option<String>,
        to: Option<String>,
        call: Option<String>,
        text: String,
    ) -> Result<(), Disconnect> {
        if text.is_empty() || id.as_deref().is_some_and(|id| !is_name(id)) {
            let text = "message takes a text, and an id of 1 to 64 of A-Z, a-z, 0-9, - and _";
            return self
                .connection
                .refuse(Refusal::BadMessage, text, call)
                .await;
        }
        let (refusal, why) = if text.len() > LONGEST_TEXT {
            (Refusal::TextTooLong, "a text has at most 4096 bytes")
        } else if self.texts.take(TEXTS, Instant::now().into_std()).is_err() {
            (Refusal::TooManyMessages, "more than 5 messages a second")
        } else {
            match (to, call) {
                (Some(to), None) => {
                    let request = MessageRequest {
                        user: self.identity.user.clone(),
                        name: self.identity.display_name.clone(),
                        sender: self.endpoint.sender.clone(),
                        id,
                        to,
                        text,
                    };
                    self.connection
                        .door
                        .call_control
                        .send_message(request)
                        .await;
                    return Ok(());
                }
                (None, Some(call)) => return self.ask(call, Command::SendText { id, text }).await,
                (_, call) => {
                    let text = "message takes either to or call";
                    return self
                        .connection
                        .refuse(Refusal::BadMessage, text, call)
                        .await;
                }
            }
        };
        let code = refusal.code();
        metrics::counter!("trunkline_messages_refused_total", "code" => code).increment(1);
        let failed = MessageNotice::Failed {
            id,
            code,
            status: None,
            text: why,
        };
        self.connection.write(&encode_message(call, failed)).await
    }

    async fn ask(&mut self, call: String, command: Command) -> Result<(), Disconnect> {
        let Some(handle) = self.calls.get(&call) else {
            let text = "there is no such call";
            return self
                .connection
                .refuse(Refusal::UnknownCall, text, Some(call))
                .await;
        };
        // Where it fails the end of the call is on the way to the client.
        let _ = handle.ask(command).await;
        Ok(())
    }

    async fn take_event(&mut self, event: ClientEvent) -> Result<(), Disconnect> {
        match event {
            ClientEvent::Begin {
                call,
                handle,
                notice,
            } => {
                self.calls.insert_incoming(call.clone(), handle);
                self.connection.write(&encode(call.clone(), notice)).await?;
                self.connection
                    .write(&ServerMessage::Candidate {
                        call,
                        candidate: None,
                    })
                    .await
            }
            // No message of this protocol version asks for it yet.
            ClientEvent::Resumed { call, handle, .. } => {
                self.calls.insert_incoming(call, handle);
                Ok(())
            }
            // The end of a call that never got so far as to ring here is no news.
            ClientEvent::Notice { call, .. } if !self.calls.has(&call) => Ok(()),
            ClientEvent::Notice { call, notice } => {
                let ended = matches!(notice, Notice::Ended { .. });
                let answer = matches!(notice, Notice::Answer { .. });
                if ended {
                    self.calls.remove(&call);
                }
                self.connection.write(&encode(call.clone(), notice)).await?;
                if answer {
                    return self
                        .connection
                        .write(&ServerMessage::Candidate {
                            call,
                            candidate: None,
                        })
                        .await;
                }
                Ok(())
            }
            ClientEvent::Probe => Ok(()),
            ClientEvent::Message(notice) => {
                self.connection.write(&encode_message(None, notice)).await
            }
            ClientEvent::Draining { remaining } => {
                let seconds = remaining.as_secs();
                self.connection
                    .write(&ServerMessage::Draining { seconds })
                    .await
            }
            ClientEvent::ShutDown => Err(Disconnect::Close("shutdown", 1001)),
        }
    }

    /// A new token for this session. The session stays as it was where the token is not taken.
    async fn renew(&mut self, token: String) -> Result<(), Disconnect> {
        if !self.renewal.is_by_token() {
            let text = "no token opened this session";
            return self.connection.refuse(Refusal::BadState, text, None).await;
        }
        let door = Arc::clone(&self.connection.door);
        let credentials = Credentials {
            token: Some(Redacted::new(token)),
            ..Credentials::default()
        };
        let user = &self.identity.user;
        let client = &self.connection.client;
        let found = if self.renewal.is_holding() {
            // One at a time: whoever asks on does not learn more for it.
            Err(Refused::too_soon(door.attempts.delay()))
        } else {
            door.attempts
                .identify_again(&door.sign_in, &credentials, user, client)
        };
        match found {
            Ok(renewed) => {
                self.identity = renewed.identity;
                let expires = renewed.expires.unwrap_or(SystemTime::UNIX_EPOCH);
                let seconds = self.renewal.renew(expires);
                let user = &self.identity.user;
                tracing::info!(session = %self.connection.id, user, seconds, "session renewed");
                self.connection
                    .write(&ServerMessage::TokenRenewed { seconds })
                    .await
            }
            Err(refused) => {
                self.connection.note_refusal(&refused, user);
                if refused.is_guess && !self.renewal.is_holding() {
                    self.renewal.hold(refused.error, door.attempts.delay());
                    return Ok(());
                }
                self.connection.refuse_credentials(&refused.error).await
            }
        }
    }

    async fn follow_token(&mut self, step: Step) -> Result<(), Disconnect> {
        match step {
            Step::Announce { seconds } => {
                self.connection
                    .write(&ServerMessage::TokenExpiring { seconds })
                    .await
            }
            Step::Refuse(error) => self.connection.refuse_credentials(&error).await,
            Step::End => Err(Disconnect::TokenExpired),
        }
    }

    async fn leave(mut self, disconnect: Disconnect, events: &mut mpsc::Receiver<ClientEvent>) {
        let endpoint = self.connection.id;
        let reason = match disconnect {
            Disconnect::TokenExpired => EndReason::TokenExpired,
            Disconnect::Gone | Disconnect::Close(..) => EndReason::SignalingLost,
        };
        detach_from_waiting(events, endpoint, reason);
        for handle in self.calls.handles() {
            let _ = handle.end(Command::Detach { endpoint, reason });
        }
        match disconnect {
            Disconnect::Gone => {}
            Disconnect::Close(reason, code) => self.connection.close(reason, code).await,
            Disconnect::TokenExpired => {
                for call in std::mem::take(&mut self.calls).into_names() {
                    let ended = Notice::Ended {
                        reason,
                        status: None,
                    };
                    let _ = self.connection.write(&encode(call, ended)).await;
                }
                self.connection.close(reason.code(), 1008).await;
            }
        }
    }
}
